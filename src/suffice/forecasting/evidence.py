"""The evidence: what was measured at the samples at hand, by whichever producer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias, cast

import numpy as np
from jaxtyping import Float64, Int64

from suffice.forecasting.doubts.copies import Copies, kept_together
from suffice.forecasting.head import Head
from suffice.forecasting.recipes import AtPenalty
from suffice.forecasting.regression import Regressed
from suffice.forecasting.slopes.degrees_of_freedom import degrees_of_freedom
from suffice.forecasting.slopes.slope import Slope, standard_error
from suffice.results import Recipe
from suffice.training.predictions import Predictions

Outcome: TypeAlias = Predictions | Regressed
"""What models say of samples, and their losses: of classes, or of numbers."""


@dataclass(frozen=True)
class Evidence:
    """What was measured at the k_0 samples at hand; a forecast is made from it alone.

    Attributes:
        samples: k_0.
        directions: weights that move, over the free outputs of a sample.
        own: predictions of the model for its training samples.
        folds: predictions for the same samples, each by a model that was trained without its fold; None where there are
            none.
        halves: the same with two folds.
        means: for each output in `folds`, the mean output of its model over all samples; None where there are none.
        holdout: predictions of the model for samples that it was not trained on; None where there are none.
        head: the fit to all samples with its curvature, where the models are heads.
        information: the effective-dimension slope of other models, where it was asked for.
        penalty: lambda on half of the squared weights, as the training had it or acted as if it had; None if unknown.
        recipe_known: whether it is known how the model was trained: by its penalty, or as other trainings were made.
        level_off: relative error of the loss on unseen samples, besides its noise.
        descent: decrease of the training loss by the best step along its gradient.
        is_whole: whether all weights of the model move.
        copies: which training samples are copies of others; None where none is.
        grouped: the groups of the training samples, such as patients; None where the data have none.
        rows: where each training sample is in its source; None where they are in that order.
        names: of the classes, for findings; None where they have none.
        recipe: which penalty heads of other sizes have.
        penalties: what was measured at other penalties, of a head whose recipe is not fixed.

    Raises:
        ValueError: neither folds nor a hold-out.
    """

    samples: int
    directions: float
    own: Outcome
    folds: Outcome | None = None
    halves: Outcome | None = None
    means: Float64[np.ndarray, "samples outputs"] | None = None
    holdout: Outcome | None = None
    head: Head | None = None
    information: Slope | None = None
    penalty: float | None = None
    recipe_known: bool = True
    level_off: float = 0.0
    descent: float = 0.0
    is_whole: bool = False
    copies: Copies | None = None
    rows: Int64[np.ndarray, " samples"] | None = None
    names: Sequence[str] | None = None
    recipe: Recipe = "fixed"
    penalties: tuple[AtPenalty, ...] = ()
    grouped: Int64[np.ndarray, " samples"] | None = None

    def __post_init__(self) -> None:
        if self.folds is None and self.holdout is None:
            raise ValueError("a forecast needs predictions for unseen samples: of folds or of a hold-out")

    @property
    def unseen(self) -> Outcome:
        """What the level is from: the hold-out, or the folds where there is none."""
        return cast(Outcome, self.folds if self.holdout is None else self.holdout)

    @property
    def apart(self) -> Outcome:
        """What the slope is from: the folds, whose samples are those of `own`, or the hold-out where there are none."""
        return cast(Outcome, self.holdout if self.folds is None else self.folds)

    @property
    def classified(self) -> Predictions:
        """The predictions for unseen samples, of a classifier.

        Raises:
            TypeError: a regression.
        """
        if isinstance(self.unseen, Regressed):
            raise TypeError("a regression has no classes")
        return self.unseen

    @cached_property
    def groups(self) -> Int64[np.ndarray, " samples"] | None:
        """Training samples that stay in one fold and count as one observation: copies, and those of one group."""
        return kept_together(self.copies, self.grouped)

    @cached_property
    def free_weights(self) -> float:
        """Of a head, Tr[(H_0 H^-1)^2]: the effective number of weights that its samples determine."""
        if self.head is None:
            raise TypeError("of heads alone")
        return degrees_of_freedom(self.head).second

    @property
    def level_noise(self) -> float:
        """Standard error of the loss on unseen samples by the noise of these."""
        return standard_error(self.unseen.losses, self.groups if self.holdout is None else None)

    @property
    def own_loss(self) -> float:
        """The training loss of the model."""
        return float(self.own.losses.mean())

    @property
    def unseen_loss(self) -> float:
        """The mean loss on unseen samples."""
        return float(self.unseen.losses.mean())
