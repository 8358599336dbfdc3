"""The sufficient size k* that follows from a bound of how far one more sample moves the loss surface."""

import copy
import functools
import math
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias, cast

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.sparse import linalg
from torch import Tensor
from torch.func import functional_call, grad, jvp, vmap

from suffice.closed_form.bounds.norms import sample_bounds
from suffice.closed_form.hessian import check_inputs
from suffice.closed_form.layers import Block, BlockClassifier, Mask, Tokens, check_word
from suffice.closed_form.losses import SampleLoss, loss_derivatives, sample_losses
from suffice.errors import InputError
from suffice.results import SufficientSize

Constants: TypeAlias = Literal["a_priori", "data", "measured"]

WORDS: dict[Constants, str] = {"measured": "measured", "data": "data-dependent", "a_priori": "a-priori"}

RESAMPLES = 1000
"""Bootstrap draws of the interval."""

CONFIDENCE = 0.9


def sufficient_size(
    module: Block | BlockClassifier,
    inputs: Tokens,
    targets: Tensor,
    radius: float,
    tolerance: float,
    loss: str | SampleLoss = "mse",
    kind: Constants = "a_priori",
    mask: Mask | None = None,
) -> SufficientSize:
    """k*: from this k on, the bound of sqrt(E (L_{k+1}(w) - L_k(w))^2) stays within the tolerance.

    To second order in rho = ||w - w*||, in expectation over the orders of the samples,

        sqrt(E (L_{k+1} - L_k)^2) <= (S_l + rho S_g + rho^2 S_h / 2) / sqrt(k (k + 1)),

    with the unbiased variances over the samples of their losses, S_l^2, of their gradients, S_g^2 (the trace), and of
    their Hessians, S_h^2 = ||sum_i (h_i - H)^2||_2 / (m - 1), at the module's weights w*. The interval is the bootstrap
    over samples of these three, by percentiles.

    Args:
        module: at w*.
        inputs, targets, loss, mask: the m samples, as for `suffice.closed_form.hessian`.
        radius: rho, the distance from w* in all weights.
        tolerance: in the unit of the loss.
        kind: "measured" for the exact variances, by automatic differentiation; "data" and "a_priori" bound those of
            gradients and Hessians by sum_i ||g_i||^2 / (m - 1) and sum_i ||h_i||^2 / (m - 1) without any
            differentiation; a priori the losses are bounded as well.

    Raises:
        InputError: as `hessian_norm`; fewer than 2 samples; a radius or tolerance that is not positive (a radius of 0
            is allowed).

    Source: docs/theory.md, section 4, (7'). The published bound (E. Petrov et al., "Convergence of the loss function
    surface in transformer neural network architectures", section 4.3) lacks the term of the gradients.

    Example:
        >>> from suffice.closed_form import SelfAttention
        >>> attention = SelfAttention(width=4, key_width=4).double()
        >>> X, Y = torch.randn(2, 10, 3, 4, dtype=torch.float64)
        >>> sizes = [sufficient_size(attention, X, Y, 0.1, 0.01, kind=kind).size for kind in ("measured", "data")]
        >>> sizes[0] <= sizes[1]
        True
    """
    check_word("kind", kind, ("a_priori", "data", "measured"))
    check_inputs(module, inputs, targets, loss, mask)
    if len(inputs) < 2:
        raise InputError("a spread over samples needs at least 2 of them")
    for name, value, least in (("radius", radius, radius >= 0), ("tolerance", tolerance, tolerance > 0)):
        if not (math.isfinite(value) and least):
            raise InputError(f"{name} = {value}: must be a finite number above 0")
    with np.errstate(over="ignore", invalid="ignore"):  # numbers too large for float64 are infinite
        if kind == "measured":
            spreads = _measured(module, inputs, targets, loss, mask)
        else:
            spreads = _bounded(module, inputs, targets, loss, kind, mask)
        return _answer(spreads, radius, tolerance, kind)


class _Spreads(NamedTuple):
    """The contribution of each sample to (m - 1) times the variances S_l^2, S_g^2 and S_h^2."""

    losses: Float64[np.ndarray, " samples"]
    gradients: Float64[np.ndarray, " samples"]
    hessians: Float64[np.ndarray, " samples"]

    def constant(self, radius: float, draws: np.ndarray) -> Float64[np.ndarray, " draws"]:
        """S_l + rho S_g + rho^2 S_h / 2 of every draw of the samples."""
        S_l, S_g, S_h = (np.sqrt(part[draws].sum(-1) / (len(part) - 1)) for part in self)
        total: Float64[np.ndarray, " draws"] = S_l + radius * S_g + radius**2 / 2 * S_h
        return total


def _answer(spreads: _Spreads, radius: float, tolerance: float, kind: Constants) -> SufficientSize:
    samples, tails = len(spreads.losses), (1 - CONFIDENCE) / 2
    draws = np.random.default_rng(0).integers(0, samples, (RESAMPLES, samples))
    constant = float(spreads.constant(radius, np.arange(samples)[None])[0])
    least, most = np.quantile(spreads.constant(radius, draws), [tails, 1 - tails])
    answer = functools.partial(
        SufficientSize, criterion="bound", tolerance=tolerance, relative=False, confidence=CONFIDENCE
    )
    start = f"With {WORDS[kind]} constants, at a distance of {radius:.4g} from w*,"
    if not np.isfinite(np.square(np.array([constant, most]) / tolerance)).all():
        explanation = f"{start} the bound is infinite: it gives no size."
        return answer(size=None, low=None, high=None, status="cannot_tell", explanation=explanation)
    size = _smallest(constant, tolerance)
    low, high = min(size, _smallest(least, tolerance)), max(size, _smallest(most, tolerance))
    reached = size <= samples
    return answer(
        size=size,
        low=low,
        high=high,
        status="reached" if reached else "extrapolated",
        explanation=(
            f"{start} one more sample moves the mean loss by at most {tolerance:.4g} (root mean square over orders) "
            f"from {size:,} samples on ({CONFIDENCE:.0%} interval {low:,} to {high:,}); there are {samples:,}"
            f"{'' if reached else ', so this is extrapolated'}."
        ),
    )


def _smallest(constant: float, tolerance: float) -> int:
    """The smallest k >= 1 with constant <= tolerance sqrt(k (k + 1)), which then holds for all larger ones."""
    least = math.ceil((constant / tolerance) ** 2)
    k = (math.isqrt(4 * least + 1) - 1) // 2  # the largest k with k (k + 1) <= least
    return max(1, k if k * (k + 1) >= least else k + 1)


def _bounded(
    module: Block | BlockClassifier,
    inputs: Tokens,
    targets: Tensor,
    loss: str | SampleLoss,
    kind: Literal["a_priori", "data"],
    mask: Mask | None,
) -> _Spreads:
    """Upper bounds: the sum of squares of norms without the mean subtracted; a priori also of the losses."""
    bounds = sample_bounds(module, inputs, targets, loss, kind, mask)
    losses = bounds.losses.cpu().numpy()
    losses = losses - losses.mean() if kind == "data" else losses
    return _Spreads(
        np.square(losses),
        bounds.gradient.square().cpu().numpy(),
        bounds.hessian.square().cpu().numpy(),
    )


def _measured(
    module: Block | BlockClassifier, X: Tokens, targets: Tensor, loss: str | SampleLoss, mask: Mask | None
) -> _Spreads:
    """From exact derivatives of each sample, in float64.

    They are taken by automatic differentiation, and here: the room imports no other derivatives, and measured constants
    must not come from the formulas that the bounds are made of. `jvp` of `grad` is right through every layer of the
    room, which are plain operations (no fused attention or normalisation).
    """
    module, X = copy.deepcopy(module).double().requires_grad_(False), X.double()
    targets = targets.double() if targets.is_floating_point() else targets
    real = torch.ones(X.shape[:2], dtype=torch.bool, device=X.device) if mask is None else mask
    weights: dict[str, Tensor] = dict(module.named_parameters())
    loss_of_outputs, of_sample = _differentiable(loss, module(X, mask), targets, real)

    def loss_of(weights: dict[str, Tensor], x: Tensor, real: Tensor, *of_sample: Tensor) -> Tensor:
        outputs = functional_call(module, weights, (x[None], real[None]))
        return loss_of_outputs(outputs[0], *of_sample)

    def flat(parts: dict[str, Tensor]) -> Float[Tensor, "samples P"]:
        return torch.cat([part.flatten(1) for part in parts.values()], 1)

    def product(tangent: dict[str, Tensor], *sample: Tensor) -> dict[str, Tensor]:
        moved = jvp(lambda weights: grad(loss_of)(weights, *sample), (weights,), (tangent,))[1]
        return cast(dict[str, Tensor], moved)

    def products(vectors: Float[Tensor, "samples P"]) -> Float[Tensor, "samples P"]:
        """h_i v_i of each sample."""
        parts = vectors.split([weight.numel() for weight in weights.values()], dim=1)
        shaped = {
            name: part.unflatten(1, weight.shape) for (name, weight), part in zip(weights.items(), parts, strict=True)
        }
        return flat(vmap(product)(shaped, X, real, *of_sample))

    each = None, *(0 for _ in (X, real, *of_sample))
    losses = vmap(loss_of, each)(weights, X, real, *of_sample)
    gradients = flat(vmap(grad(loss_of), each)(weights, X, real, *of_sample))
    return _Spreads(
        (losses - losses.mean()).square().cpu().numpy(),
        (gradients - gradients.mean(0)).square().sum(1).cpu().numpy(),
        _hessian_spread(products, gradients),
    )


def _differentiable(
    loss: str | SampleLoss, outputs: Float[Tensor, "samples *outputs"], targets: Tensor, real: Mask
) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """The loss of one sample's outputs as a function that runs under `vmap`, `grad` and `jvp`.

    A loss given as a function may not run there (`F.mse_loss` does not): its expansion to second order at the outputs
    has the same value and the same first two derivatives.

    Returns:
        The function, and what it needs of each sample after the outputs.
    """
    if not callable(loss):
        return lambda z, target, real: sample_losses(loss, z[None], target[None], real[None])[0], (targets, real)
    gradient, hessian = loss_derivatives(loss, outputs, targets)
    if hessian.ndim == 4:  # no two tokens meet
        hessian = torch.stack([torch.block_diag(*tokens) for tokens in hessian])
    values = sample_losses(loss, outputs, targets)

    def expansion(z: Tensor, at: Tensor, value: Tensor, gradient: Tensor, hessian: Tensor) -> Tensor:
        step = (z - at).flatten()
        return value + gradient.flatten() @ step + step @ (hessian @ step) / 2

    return expansion, (outputs, values, gradient, hessian)


def _hessian_spread(
    products: Callable[[Tensor], Tensor], like: Float[Tensor, "samples P"]
) -> Float64[np.ndarray, " samples"]:
    """||(h_i - H) v||^2 of each sample, v the top eigenvector of sum_i (h_i - H)^2.

    The eigenvalue found by Lanczos is at most the true one; the norm of its residual, by which it is short at most, is
    shared out among the samples.
    """
    size = like.shape[1]

    def centered(v: np.ndarray) -> Float[Tensor, "samples P"]:
        moved = products(torch.as_tensor(v.reshape(1, -1)).to(like).expand_as(like).contiguous())
        return moved - moved.mean(0)

    def squared(v: np.ndarray) -> np.ndarray:
        # sum_i (h_i - H) u_i = sum_i h_i u_i, since the u_i = (h_i - H) v sum to zero
        return products(centered(v)).sum(0).cpu().numpy()

    start = np.random.default_rng(0).standard_normal(size)
    if size == 1 or not squared(start).any():
        v, residual = start / np.linalg.norm(start), 0.0
    else:
        operator = linalg.LinearOperator((size, size), matvec=squared, dtype=np.float64)
        values, vectors = linalg.eigsh(operator, k=1, which="LA", v0=start, tol=1e-6)
        v = vectors[:, 0]
        residual = float(np.linalg.norm(squared(v) - values[0] * v))
    return centered(v).square().sum(1).cpu().numpy() + residual / len(like)
