"""All engines of derivatives, each as a function of a problem: a new one is entered here, and inherits the tables."""

import numpy as np
import torch

from suffice.curvature import (
    Hessian,
    loss_gradients,
    mean_gradient,
    output_gradients,
    parameter_count,
    per_sample,
    prefix_gradients,
)


def in_a_plane(problem):
    """Derivatives of single samples along two directions."""
    draw = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(parameter_count(problem), 2, generator=draw, dtype=torch.float64)).Q
    return per_sample(problem, basis)


ENGINES = {
    "mean_gradient": mean_gradient,
    "prefix_gradients": lambda problem: list(prefix_gradients(problem, [1, 3])),
    "Hessian": Hessian,
    "loss_gradients": lambda problem: loss_gradients(problem, np.arange(2)),
    "per_sample": in_a_plane,
}


def of_outputs(problem):
    """The gradients of the outputs, in one direction."""
    outputs = problem.outputs(problem.batch(slice(0, 1))).numel()
    return output_gradients(problem, np.arange(1), torch.ones(1, outputs))
