"""A plain fully connected network."""

import itertools

import torch
from torch import nn


def mlp(inputs: int, width: int, depth: int, seed: int = 0) -> nn.Sequential:
    """A fully connected network with one output, tanh and biases, in float64.

    Weights are normal, scaled so that activations keep their size from layer to layer; biases are zero.

    Args:
        inputs: dimension of a sample.
        width: number of units in each hidden layer.
        depth: number of hidden layers.
        seed: random seed of the weights.

    Source: X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS 2010, equation 12 for the variance, times the gain of tanh, 5/3.

    Example:
        >>> [tuple(parameter.shape) for parameter in mlp(inputs=8, width=4, depth=2).parameters()]
        [(4, 8), (4,), (4, 4), (4,), (1, 4), (1,)]
    """
    generator = torch.Generator().manual_seed(seed)
    widths = [inputs, *[width] * depth, 1]
    layers: list[nn.Module] = []
    for entering, leaving in itertools.pairwise(widths):
        linear = nn.Linear(entering, leaving, dtype=torch.float64)
        nn.init.xavier_normal_(linear.weight, nn.init.calculate_gain("tanh"), generator)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.Tanh()]
    return nn.Sequential(*layers[:-1])
