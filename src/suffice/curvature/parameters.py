"""The moving parameters as one vector, in the order of ``problem.moving``: that of ``named_parameters()``."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from suffice.problem import Problem


def parameter_count(problem: Problem) -> int:
    """P, the number of moving parameters; a shared one counts once."""
    return sum(parameter.numel() for parameter in problem.moving.values())


def flattened(problem: Problem, values: Mapping[str, Tensor]) -> Float64[Tensor, " parameters"]:
    """Values of the moving parameters, by name, as one vector.

    Example:
        >>> x = torch.ones(3, 2)
        >>> problem = Problem(torch.nn.Linear(2, 1), torch.utils.data.TensorDataset(x, x[:, 0]), "mse")
        >>> flattened(problem, {"bias": torch.tensor([7.0]), "weight": torch.tensor([[5.0, 6.0]])})
        tensor([5., 6., 7.], dtype=torch.float64)
    """
    return torch.cat([values[name].detach().double().flatten() for name in problem.moving])


def unflattened(problem: Problem, vector: Float[Tensor, " parameters"]) -> dict[str, Float[Tensor, "..."]]:
    """Parts of a vector by the name of their parameter, in its shape: views, not copies.

    Example:
        >>> x = torch.ones(3, 2)
        >>> problem = Problem(torch.nn.Linear(2, 1), torch.utils.data.TensorDataset(x, x[:, 0]), "mse")
        >>> unflattened(problem, torch.arange(3.0, dtype=torch.float64))["bias"]
        tensor([2.], dtype=torch.float64)
    """
    parts = vector.split([parameter.numel() for parameter in problem.moving.values()])
    return {
        name: part.view(parameter.shape) for (name, parameter), part in zip(problem.moving.items(), parts, strict=True)
    }
