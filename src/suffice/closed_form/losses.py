"""Gradient and Hessian of a loss in the outputs of a module, sample by sample."""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from suffice.errors import InputError, nearest

SampleLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

LOSSES = ("mse", "cross_entropy")


class LossDerivatives(NamedTuple):
    """Derivatives of every sample's loss in its outputs, n numbers a sample.

    Attributes:
        gradient: in the outputs, of their shape.
        hessian: (samples, n, n), the outputs of a sample flattened row by row; or (samples, tokens, width, width)
            where the loss does not couple the tokens.
    """

    gradient: Float[Tensor, "samples *outputs"]
    hessian: Float[Tensor, "samples *n n"]


def loss_derivatives(
    loss: str | SampleLoss,
    outputs: Float[Tensor, "samples *outputs"],
    targets: Tensor,
    mask: Bool[Tensor, "samples tokens"] | None = None,
) -> LossDerivatives:
    """Gradient and Hessian of l(z_i, target_i) in z_i for each sample.

    Args:
        loss: "mse", the mean of (z - target)^2 over the real tokens and the width, or over the classes;
            "cross_entropy" of logits; or a function of one sample's outputs and target that returns a scalar.
        outputs: z, (samples, tokens, width), or logits (samples, classes).
        targets: like the outputs for "mse", classes (samples,) for "cross_entropy".
        mask: which tokens are real.

    Raises:
        InputError: a function that does not return a finite scalar.

    Example:
        >>> z, target = torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 1.0]])
        >>> loss_derivatives("mse", z, target)
        LossDerivatives(gradient=tensor([[2., 0.]]), hessian=tensor([[[1., 0.],
                 [0., 1.]]]))
    """
    if callable(loss):
        return _of_function(loss, outputs, targets)
    return _mean_squared_error(outputs, targets, mask) if loss == "mse" else _cross_entropy(outputs, targets)


def sample_losses(
    loss: str | SampleLoss,
    outputs: Float[Tensor, "samples *outputs"],
    targets: Tensor,
    mask: Bool[Tensor, "samples tokens"] | None = None,
) -> Float[Tensor, " samples"]:
    """l(z_i, target_i) of each sample; arguments as for `loss_derivatives`.

    Example:
        >>> sample_losses("mse", torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([2.])
    """
    if callable(loss):
        return torch.stack([loss(z, target) for z, target in zip(outputs, targets, strict=True)])
    if loss == "cross_entropy":
        return torch.nn.functional.cross_entropy(outputs, targets, reduction="none")
    errors = (outputs - targets).square().mean(-1)
    return (errors * _shares(outputs, mask)).flatten(1).sum(1) if outputs.ndim == 3 else errors


def check_targets(loss: str | SampleLoss, outputs: tuple[int, ...], targets: Tensor) -> None:
    """Raises an InputError if a loss is unknown, or does not fit outputs of this shape or the targets."""
    given = f"{tuple(targets.shape)} of {str(targets.dtype).removeprefix('torch.')}"
    if loss == "mse":
        if targets.shape != outputs or not targets.is_floating_point():
            raise InputError(f"targets must be {outputs} of floating point for the mean squared error, not {given}")
        if not bool(targets.isfinite().all()):
            raise InputError("targets has values that are not finite (nan or infinite)")
    elif loss == "cross_entropy":
        if len(outputs) != 2:
            raise InputError('loss="cross_entropy" needs logits: use closed_form.BlockClassifier(block, classes)')
        samples, classes = outputs
        if targets.shape != (samples,) or targets.is_floating_point():
            raise InputError(f"targets must be class numbers, ({samples},) of int64, not {given}")
        if not bool(((targets >= 0) & (targets < classes)).all()):
            raise InputError(f"targets must be class numbers from 0 to {classes - 1}")
    elif not callable(loss):
        raise InputError(
            f"loss {loss!r} is not known{nearest(loss, LOSSES)}; there are {', '.join(LOSSES)}, or a function of one "
            "sample's outputs and target"
        )


def _mean_squared_error(outputs: Tensor, targets: Tensor, mask: Tensor | None) -> LossDerivatives:
    share = _shares(outputs, mask) if outputs.ndim == 3 else outputs.new_ones(outputs.shape[:-1])
    weight = (2 * share[..., None] / outputs.shape[-1]).expand_as(outputs)
    return LossDerivatives(weight * (outputs - targets.to(outputs.dtype)), torch.diag_embed(weight))


def _shares(outputs: Float[Tensor, "samples tokens width"], mask: Tensor | None) -> Float[Tensor, "samples tokens"]:
    """The share of each token in the mean over the real ones."""
    share = outputs.new_ones(outputs.shape[:-1]) if mask is None else mask.to(outputs.dtype)
    return share / share.sum(1, keepdim=True)


def _cross_entropy(logits: Tensor, targets: Tensor) -> LossDerivatives:
    p = logits.softmax(-1)
    one_hot = torch.nn.functional.one_hot(targets.long(), logits.shape[1]).to(p)
    # where p is near 1, 1 - p has no digits left, but the sum of all the others has
    gradient = torch.where(one_hot > 0, -sum_of_others(p), p)
    hessian = -p[:, :, None] * p[:, None, :]
    hessian.diagonal(dim1=1, dim2=2).copy_(p * sum_of_others(p))
    return LossDerivatives(gradient, hessian)


def sum_of_others(p: Float[Tensor, "samples classes"]) -> Float[Tensor, "samples classes"]:
    """1 - p_j of probabilities, as the sum of all others.

    Example:
        >>> sum_of_others(torch.tensor([[1.0, 1e-20]]))
        tensor([[1.0000e-20, 1.0000e+00]])
    """
    classes = p.shape[1]
    return p @ (1 - torch.eye(classes, dtype=p.dtype, device=p.device))


def _of_function(loss: SampleLoss, outputs: Tensor, targets: Tensor) -> LossDerivatives:
    gradients, hessians = [], []
    for z, target in zip(outputs, targets, strict=True):
        with torch.enable_grad():
            point = z.detach().requires_grad_()
            value = loss(point, target)
            if not isinstance(value, Tensor) or value.shape != () or not bool(value.isfinite()):
                raise InputError("a loss given as a function must return one finite number, a tensor of shape ()")
            value = value + 0 * point.sum()  # a loss may not depend on the outputs
            (gradient,) = torch.autograd.grad(
                value, point, create_graph=True, allow_unused=True, materialize_grads=True
            )
            gradients.append(gradient.detach())
            hessians.append(_jacobian(gradient.flatten(), point).flatten(1))
    hessian = torch.stack(hessians)
    if not bool(hessian.isfinite().all()) or not all(bool(gradient.isfinite().all()) for gradient in gradients):
        raise InputError("the loss has derivatives that are not finite at these outputs: it must be smooth there")
    if outputs.ndim == 3:
        samples, tokens, width = outputs.shape
        apart = hessian.view(samples, tokens, width, tokens, width).diagonal(dim1=1, dim2=3).movedim(-1, 1)
        if int(apart.count_nonzero()) == int(hessian.count_nonzero()):
            hessian = apart
    return LossDerivatives(torch.stack(gradients), hessian)


def _jacobian(y: Tensor, x: Tensor) -> Tensor:
    """dy/dx by one batched backward pass; (n,) by the shape of x."""
    if not y.requires_grad:
        return x.new_zeros(*y.shape, *x.shape)
    units = torch.eye(len(y), dtype=y.dtype, device=y.device)
    (jacobian,) = torch.autograd.grad(y, x, units, is_grads_batched=True, allow_unused=True, materialize_grads=True)
    return jacobian
