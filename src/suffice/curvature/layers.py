"""Curvature layer by layer: the diagonal blocks of a Hessian that belong to the layers of the model."""

import glob
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from suffice.curvature.eigenpairs import top_eigenpairs
from suffice.curvature.hessian import Hessian
from suffice.curvature.traces import Estimate, trace


class LayerCurvature(NamedTuple):
    """The diagonal block of one layer, or of one parameter.

    Attributes:
        name: of the layer, or of the parameter.
        parameters: how many numbers move in it.
        trace: of the block, with its standard error.
        eigenvalues: the largest by magnitude.
        residuals: theirs; an eigenvalue of the block is at most so far from each.
    """

    name: str
    parameters: int
    trace: Estimate
    eigenvalues: Float64[np.ndarray, " count"]
    residuals: Float64[np.ndarray, " count"]


def layers(names: Sequence[str]) -> dict[str, list[str]]:
    """Names of parameters by the layer that they belong to.

    A numbered module is a layer, with all that is in it. What is outside of these is grouped by the first two parts of
    its name. Parameters of the model itself make one layer, ``model``.

    Example:
        >>> layers(["vit.embeddings.patches.bias", "vit.layer.0.norm.bias", "vit.layer.0.mlp.bias", "head.bias"])
        {'vit.embeddings': ['vit.embeddings.patches.bias'], \
'vit.layer.0': ['vit.layer.0.norm.bias', 'vit.layer.0.mlp.bias'], 'head': ['head.bias']}
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_layer(name), []).append(name)
    return groups


def by_layer(
    A: Hessian,
    count: int = 1,
    draws: int = 10,
    tolerance: float = 1e-2,
    seed: int = 0,
    blocks: Mapping[str, Sequence[str]] | None = None,
    progress: Callable[[int], None] = lambda layers: None,
) -> list[LayerCurvature]:
    """Trace and top eigenvalues of the diagonal block of each layer, or of other groups of parameters.

    The blocks share the graphs of A. Spectra of a block come from `spectral_density` of ``A.block(...)``.

    Args:
        A: the Hessian, or a part of it.
        count: eigenvalues of each block; all of a block that is smaller.
        draws: products for each trace, at least 4.
        tolerance: of the eigenvalues' residuals, relative.
        seed: random seed.
        blocks: the names of the parameters of each block, by the block's own name; `layers` by default.
        progress: called with 1 after each block.

    Raises:
        InputError: as `trace` and `top_eigenpairs`, or a name of no moving parameter.

    Example:
        >>> import torch
        >>> from suffice.problem import Problem
        >>> data = torch.utils.data.TensorDataset(2 * torch.eye(3), torch.zeros(3))
        >>> A = Hessian(Problem(torch.nn.Linear(3, 1), data, "mse"))
        >>> found = by_layer(A, blocks={name: [name] for name in A.names})
        >>> [(block.name, round(block.trace.value, 3)) for block in found]
        [('weight', 8.0), ('bias', 2.0)]
    """
    found = []
    for name, members in (layers(A.names) if blocks is None else blocks).items():
        block = A.block([glob.escape(member) for member in members])
        size = block.shape[0]
        pairs = top_eigenpairs(block, min(count, size), tolerance, seed=seed)
        found.append(
            LayerCurvature(
                name,
                size,
                trace(block, draws, seed),
                pairs.values.cpu().numpy(),
                pairs.residuals.cpu().numpy(),
            )
        )
        progress(1)
    return found


def _layer(name: str) -> str:
    path = name.split(".")[:-1] or ["model"]
    number = next((at for at, part in enumerate(path) if part.isdigit()), None)
    return ".".join(path[: 2 if number is None else number + 1])
