"""The derivatives of a loss in the outputs of a module, from which all bounds start: from the data, or a priori."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from suffice.closed_form.bounds.level_bound import LevelBound, OuterPart, ScaledIdentity
from suffice.closed_form.bounds.tokens import BoundedTokens, rows
from suffice.closed_form.bounds.vectors import Bounded, Known, Number, V, spectral_bound
from suffice.closed_form.layers import Mask
from suffice.closed_form.losses import LossDerivatives, SampleLoss, loss_derivatives, sample_losses, sum_of_others


class LossNorms(Protocol[V]):
    """A loss in the outputs: tokens, or logits as a single token."""

    @property
    def level(self) -> LevelBound[V]:
        """At the outputs."""

    def values(self) -> Float[Tensor, " samples"]:
        """At least the loss of each sample."""


@dataclass(frozen=True, eq=False)
class KnownLoss:
    """From the data; arguments as for `loss_derivatives`."""

    loss: str | SampleLoss
    outputs: Float[Tensor, "samples *outputs"]
    targets: Tensor
    mask: Mask | None

    @cached_property
    def derivatives(self) -> LossDerivatives:
        return loss_derivatives(self.loss, self.outputs, self.targets, self.mask)

    @cached_property
    def root(self) -> Tensor:
        """R with R'R = |M| for the loss's Hessian M in the outputs; or r of each token with M = r^2 I."""
        outputs, M = self.outputs, self.derivatives.hessian
        if self.loss == "mse":
            return M.sqrt() if M.ndim == 3 else M[..., 0, 0].sqrt()  # it is diagonal
        if self.loss == "cross_entropy":
            p = outputs.softmax(-1)
            root = p.sqrt()
            projection = -root[:, :, None] * root[:, None]  # I - root root'
            projection.diagonal(dim1=1, dim2=2).copy_(sum_of_others(p))
            return projection * root[:, None]
        values, vectors = torch.linalg.eigh(M)
        return values.abs().sqrt()[..., None] * vectors.mT  # type: ignore[no-any-return]

    @property
    def level(self) -> LevelBound[Known]:
        gradient, R = self.derivatives.gradient, self.root
        if gradient.ndim == 2:  # logits
            outer = OuterPart(spectral_bound(R, 1)[:, None, None], together=False)
            return LevelBound(Known.of_tokens(gradient[:, None]), outer)
        if R.ndim == 2:
            outer = OuterPart(R[:, None], together=False, root=ScaledIdentity(R, gradient.shape[-1]))
            return LevelBound(Known.of_tokens(gradient), outer)
        together = R.ndim == 3  # the loss couples the tokens
        D = R.unflatten(-1, gradient.shape[1:]).movedim(1, 2) if together else R
        return LevelBound(Known.of_tokens(gradient), OuterPart(spectral_bound(D, 1)[:, None], together, D))

    def values(self) -> Float[Tensor, " samples"]:
        return sample_losses(self.loss, self.outputs, self.targets, self.mask)


@dataclass(frozen=True, eq=False)
class BoundedTokenLoss:
    """A priori, the mean squared error of tokens.

    Attributes:
        outputs: the norms of the output.
        targets: the targets, with zeros for padding.
        share: the share of each token in the mean.
    """

    outputs: BoundedTokens
    targets: Float[Tensor, "samples tokens width"]
    share: Float[Tensor, "samples 1 tokens"]

    @property
    def level(self) -> LevelBound[Bounded]:
        width = self.targets.shape[-1]
        error = self.outputs.vectors.plus(rows(self.targets))
        largest = 2 * self.share.amax(-1, keepdim=True) / width
        return LevelBound(error.times(largest), OuterPart((2 * self.share / width).sqrt(), together=False))

    def values(self) -> Float[Tensor, " samples"]:
        samples, _, width = self.targets.shape
        error = self.outputs.vectors.norms + rows(self.targets).norms
        return (error.square() / width).expand(samples, 1, 1)[:, 0, 0]


@dataclass(frozen=True, eq=False)
class BoundedLogitsLoss:
    """A priori, of logits.

    Attributes:
        logits: at least the norm of the logits.
        classes: the number of logits.
        targets: those of the mean squared error; or class numbers, for cross-entropy.
    """

    logits: Number
    classes: int
    targets: Tensor

    @property
    def _entropy(self) -> bool:
        return self.targets.ndim == 1

    @property
    def level(self) -> LevelBound[Bounded]:
        unit = self.logits.new_ones(1, 1, 1)
        if self._entropy:
            gradient, curvature = math.sqrt(2) * unit, 0.5
        else:
            gradient, curvature = 2 / self.classes * self._error, 2 / self.classes
        return LevelBound(Bounded(gradient, 1), OuterPart(unit * math.sqrt(curvature), together=False))

    @property
    def _error(self) -> Number:
        """||z - target||, at most."""
        error: Number = self.logits + self.targets.norm(dim=-1)[:, None, None]
        return error

    def values(self) -> Float[Tensor, " samples"]:
        if self._entropy:
            return (math.log(self.classes) + math.sqrt(2) * self.logits).expand(len(self.targets), 1, 1)[:, 0, 0]
        return (self._error.square() / self.classes)[:, 0, 0]
