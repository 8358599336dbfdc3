"""Plain reverse passes: the model's own parameters as leaves, without ``torch.func``."""

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from suffice.errors import InputError
from suffice.memory import has_run_out
from suffice.problem import Problem

LONGEST_REASON = 300
"""Characters of what torch says that are passed on."""


@contextlib.contextmanager
def recording(problem: Problem, twice: bool = False) -> Iterator[None]:
    """Gradients are recorded for the parameters that move, and for no others; what was required is put back at the end.

    To be used within ``problem.measuring()``. An error of the model or of torch becomes one InputError; memory that
    runs out stays what it is.

    Args:
        problem: whose parameters move.
        twice: for second derivatives, which the error then speaks of.

    Raises:
        InputError: autograd does not run, or a moving parameter is complex.
    """
    check_real(problem)
    moving = set(problem.moving.values())
    required = {parameter: parameter.requires_grad for parameter in problem.model.parameters()}
    # on a GPU, cuDNN has no reverse pass of recurrent layers in evaluation mode
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in problem.model.modules())
    kernels = torch.backends.cudnn.flags(enabled=False, allow_tf32=False) if is_recurrent else contextlib.nullcontext()
    try:
        for parameter in required:
            parameter.requires_grad_(parameter in moving)
        torch.clear_autocast_cache()  # of weights converted without gradients
        with torch.enable_grad(), kernels:
            yield
    except InputError:
        raise
    except Exception as error:
        if has_run_out(error):
            raise
        reason = " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
        times = " twice" if twice else ""
        raise InputError(f"autograd cannot differentiate this model{times}: {reason}") from error
    finally:
        for parameter, requires_grad in required.items():
            parameter.requires_grad_(requires_grad)


def pulled_back(
    outputs: Tensor, parameters: Sequence[Tensor], direction: Tensor | None = None, keep: bool = False
) -> list[Tensor]:
    """The gradients of the outputs, in a direction of theirs, in some parameters; dense, and zero where none is known.

    A parameter that forward leaves out has no gradient: zero. One that forward uses behind autograd's back has none
    either, which only a finite difference can tell.

    Args:
        outputs: one number, unless a direction is given.
        parameters: leaves.
        direction: of the shape of the outputs.
        keep: keep the graph for another reverse pass.
    """
    if not outputs.requires_grad:
        return [torch.zeros_like(parameter) for parameter in parameters]
    found = torch.autograd.grad(outputs, parameters, direction, retain_graph=keep, allow_unused=True)
    return [
        torch.zeros_like(parameter) if gradient is None else gradient.to_dense() if gradient.is_sparse else gradient
        for parameter, gradient in zip(parameters, found, strict=True)
    ]


def check_real(problem: Problem) -> None:
    """Raises an InputError if a moving parameter is complex."""
    for name, parameter in problem.moving.items():
        if parameter.is_complex():
            raise InputError(
                f"the parameter {name!r} is complex: no derivatives are taken in it, leave it out with parameters="
            )
