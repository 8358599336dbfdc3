"""Plain values that a run answers with, to and from JSON. Descriptions are shown to people in the report."""

import math
from statistics import NormalDist
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float64
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from suffice.errors import InputError

Criterion = Literal["remaining", "difference"]
Status = Literal["reached", "extrapolated", "cannot_tell"]
Target = Literal["target_loss", "target_accuracy", "excess", "cost_per_sample"]
PartName = Literal["full", "outer", "functional"]
BoundName = Literal["data", "a_priori"]


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SufficientSize(_Value):
    """k*: the smallest number of samples from which on a criterion stays within a tolerance.

    Raises:
        pydantic.ValidationError: sizes that are not ordered, or that are given when the status is ``cannot_tell``.
    """

    criterion: Criterion | Literal["bound"] | Target = Field(description="what has to stay within the tolerance")
    tolerance: float = Field(gt=0, allow_inf_nan=False, description="the tolerance")
    relative: bool = Field(description="whether the tolerance is a share of the mean loss at w*")
    size: int | None = Field(ge=1, description="the estimate of k*")
    low: int | None = Field(ge=1, description="lower end of the interval")
    high: int | None = Field(description="upper end of the interval")
    confidence: float = Field(default=0.9, gt=0, lt=1, description="confidence of the interval")
    status: Status = Field(description="reached: k* <= m; extrapolated: k* > m; cannot_tell: see the explanation")
    explanation: str = Field(description="one plain sentence")

    @model_validator(mode="after")
    def _sizes_are_ordered(self) -> "SufficientSize":
        sizes = (self.low, self.size, self.high)
        if self.status == "cannot_tell":
            if sizes != (None, None, None):
                raise ValueError("cannot_tell goes without sizes")
        elif None in sizes or not self.low <= self.size <= self.high:  # type: ignore[operator]
            raise ValueError(f"sizes must be integers with low <= size <= high, not {sizes}")
        return self


class ProblemSummary(_Value):
    """What was measured."""

    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    classes: int = Field(description="number of classes")
    samples: int = Field(description="m: the samples that the curves run over")
    held_out_samples: int = Field(description="samples set aside, which the fine-tuning has not seen")
    fine_tuning: str | None = Field(description="what was trained before measuring, if anything")
    moving_parameters: int = Field(description="P: parameters that the probes move")
    parameters: int = Field(description="all parameters of the model")
    loss_at_center: float = Field(description="L(w*): mean loss of the m samples at the trained weights w*")
    coefficient_of_variation: float | None = Field(
        description="CV = S(w*) / L(w*): how much the loss differs from sample to sample, relative to its mean"
    )
    held_out_loss: float | None = Field(description="mean loss at w* of the samples set aside")
    held_out_accuracy: float | None = Field(description="share of the samples set aside that are classified right")
    gap: float | None = Field(
        description="held-out loss less L(w*): the generalisation gap, what the fit to these samples hides"
    )
    batch_size: int = Field(description="samples run at a time")
    device: str = Field(description="where the model ran")
    notes: list[str] = Field(description="what one should know of how the inputs were read")


class Probe(_Value):
    """One point of the loss surface."""

    distance: float = Field(description="||w - w*||")
    loss: float = Field(description="mean loss of the m samples there")
    spread: float = Field(description="S(w): standard deviation of the per-sample losses there")


Interval = tuple[list[float], list[float]] | None


class Landscape(_Value):
    """The curves in k. Sizes and curves have the same length."""

    sizes: list[int] = Field(description="k: how many samples are taken")
    difference: list[float] = Field(description="typical |L_{k+1} - L_k|: what one more sample changes")
    difference_interval: Interval = Field(description="its interval, low and high; None if it has no upper end")
    remaining: list[float] = Field(description="typical |L_k - L_m|: what the rest of the samples at hand changes")
    remaining_population: list[float] = Field(
        description="typical |L_k - L_infinity|: what unlimited data would still change"
    )
    remaining_population_interval: Interval = Field(description="its interval, low and high; None as before")
    null: list[float] = Field(description="S(w*) / sqrt(k (k+1)): the difference at w* alone, pure arithmetic")
    in_order: list[float] = Field(description="|L_{k+1} - L_k| as the samples came, in the seeded shuffle")
    source_order: list[float] = Field(description="|L_{k+1} - L_k| in the order of the data set itself")
    band: tuple[list[float], list[float]] = Field(description="where such a curve lies in random orders, low and high")
    exchangeability: float = Field(description="p-value: small if the data set's own order is not a random one")
    probes: list[Probe] = Field(description="the points, w* first")


class Estimate(_Value):
    """A number with its interval."""

    value: float = Field(description="estimate")
    low: float = Field(description="lower end of the interval")
    high: float = Field(description="upper end of the interval")


class Settling(_Value):
    """What the sufficient size of one criterion is computed from, for any tolerance."""

    criterion: Criterion = Field(description="what has to stay within the tolerance")
    relative: Estimate | None = Field(description="S-bar squared over L(w*) squared; None if that has no meaning")
    absolute: Estimate | None = Field(description="S-bar squared; None if its interval has no upper end")
    loss: float = Field(description="mean loss at w* of the samples that the spread is taken from")


class HessianSummary(_Value):
    """One part of a Hessian: the full one, its outer-product part or its functional part."""

    trace: float = Field(description="sum of the eigenvalues")
    frobenius: float = Field(description="root of the sum of all squared entries")
    spectral: float = Field(description="largest |eigenvalue|")
    block_norms: list[list[float]] = Field(description="spectral norm of the block of each two parameters")


class NormBounds(_Value):
    """Bounds of the spectral norms of the Hessian and its blocks, the mean over the samples; no Hessian is needed."""

    spectral: float = Field(description="at least the largest |eigenvalue|")
    block_norms: list[list[float]] = Field(description="at least the norm of the block of each two parameters")


class Moment(_Value):
    """The Hessian at one moment of the training."""

    epoch: int = Field(ge=0, description="passes over the samples so far; 0 is the initialisation")
    loss: float = Field(description="mean cross-entropy of the samples")
    accuracy: float = Field(description="share of the samples that are classified right")
    parts: dict[PartName, HessianSummary] = Field(description="H = H_o + H_f, and both")
    bounds: dict[BoundName, NormBounds] = Field(
        description="of the norms, from the activations of the samples (data) or from norms of weights and inputs"
    )
    ranks: list[int] = Field(description="places in the spectrum, the largest eigenvalue first; 1 to P, some left out")
    eigenvalues: list[float] = Field(description="eigenvalues of the full Hessian at these places")
    outliers: int = Field(description="eigenvalues before the widest gap, the largest ratio of one to the next")


class HessianResult(_Value):
    """The content of ``result.json`` of ``suffice hessian``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["hessian"] = Field(default="hessian", description="what made it")
    data: str = Field(description="the samples")
    samples: int = Field(description="number of samples that the Hessian is the mean over")
    tokens: int = Field(description="tokens of a sample")
    width: int = Field(description="width of a token")
    classes: int = Field(description="number of classes")
    parameters: dict[str, int] = Field(description="size of each parameter, in the order of the Hessian")
    moments: list[Moment] = Field(description="the Hessian along the training")
    configuration: dict[str, Any] = Field(description="what was asked; config.yaml replays it")
    versions: dict[str, str] = Field(description="the software that ran")


Numbers = Annotated[
    Float64[np.ndarray, " _"],
    BeforeValidator(lambda values: np.asarray(values, dtype=np.float64)),
    PlainSerializer(lambda values: values.tolist(), return_type=list[float]),
]


class Band(_Value):
    """A curve with its intervals."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    mean: Numbers = Field(description="estimate at each size")
    low: Numbers = Field(description="lower ends of the intervals")
    high: Numbers = Field(description="upper ends of the intervals")


class Limit(_Value):
    """What a curve comes to with ever more samples."""

    mean: float = Field(description="estimate")
    low: float = Field(description="lower end of the interval")
    high: float = Field(description="upper end of the interval")


class LearningCurve(_Value):
    """Test loss and accuracy of models trained on so many samples, measured or forecast.

    Between sizes the curves are straight lines in 1/k, and so they are from the largest size to the limit.

    Example:
        >>> band = Band(mean=[0.9, 0.5], low=[0.8, 0.4], high=[1.0, 0.6])
        >>> curve = LearningCurve(sizes=[100, 1000], loss=band, accuracy=band)
        >>> curve.loss.mean
        array([0.9, 0.5])
        >>> answer = curve.sufficient_size(target_loss=0.7)
        >>> answer.low, answer.size, answer.high, answer.status
        (130, 182, 308, 'reached')
    """

    sizes: list[int] = Field(description="numbers of training samples")
    loss: Band = Field(description="test loss")
    accuracy: Band = Field(description="test accuracy")
    samples: int | None = Field(default=None, description="k_0, samples of the training that a forecast is made from")
    level: float | None = Field(default=None, description="expected test loss with k_0 samples")
    slope: float | None = Field(default=None, description="-dL/d(1/k) at k_0: the loss falls by slope (1/k_0 - 1/k)")
    slope_error: float | None = Field(default=None, description="standard error of the slope")
    loss_limit: Limit | None = Field(default=None, description="of the test loss")
    accuracy_limit: Limit | None = Field(default=None, description="of the test accuracy")
    penalty: float | None = Field(
        default=None, description="lambda on half of the squared weights that the training had, or acted as if it had"
    )
    estimator: str | None = Field(default=None, description="where a forecast comes from; none for what was measured")
    status: Status = Field(
        default="reached",
        description="reached: measured; extrapolated: a forecast; cannot_tell: the checks of a forecast failed, and "
        "there are no numbers",
    )
    explanation: str = Field(default="Measured by training.", description="one plain sentence")
    doubts: list[str] = Field(
        default=[],
        description="why a forecast may be off by more than its intervals say: leverage, disagreement with "
        "trainings on half of the samples, samples that change along their order",
    )
    confidence: float = Field(default=0.9, gt=0, lt=1, description="confidence of the intervals")

    def sufficient_size(
        self,
        target_loss: float | None = None,
        target_accuracy: float | None = None,
        excess: float | None = None,
        cost_per_sample: float | None = None,
    ) -> SufficientSize:
        r"""The smallest k from which on the curve keeps a target.

        The interval is where the upper and the lower end of the band cross the target; for an excess, which is
        :math:`s / k`, it is that of the slope s. Where the worse end never does, it is open, and its upper end is given
        as 1,000 times the samples at hand, or the most that were tried. For a cost c, k is where the accuracy less
        :math:`c k` is largest. Its interval is that of the slope of the accuracy: all gains are larger or smaller by
        the share of itself by which the gain from the first size to the limit is, that is, by how much wider the band
        of the accuracy becomes between these.

        Args:
            target_loss: test loss at most this.
            target_accuracy: test accuracy at least this.
            excess: test loss at most this above its limit.
            cost_per_sample: accuracy that one more sample brings at most.

        Raises:
            InputError: not exactly one target, or one that is out of range.
        """
        targets: dict[Target, float | None] = {
            "target_loss": target_loss,
            "target_accuracy": target_accuracy,
            "excess": excess,
            "cost_per_sample": cost_per_sample,
        }
        given = {name: value for name, value in targets.items() if value is not None}
        if len(given) != 1:
            raise InputError("give one of target_loss, target_accuracy, excess and cost_per_sample")
        ((name, target),) = given.items()
        if not 0 < target < (1 if name == "target_accuracy" else math.inf):
            raise InputError(f"{name} = {target}: must be above 0{' and below 1' * (name == 'target_accuracy')}")
        if self.status == "cannot_tell":
            return self._cannot_tell(name, target, self.explanation)
        if name == "cost_per_sample":
            return self._worth(target)
        likely, worst, best = (
            _last_crossing(self.sizes, values, limit, bound) for values, limit, bound in self._bounds(name, target)
        )
        if likely is None:
            return self._cannot_tell(name, target, self._out_of_reach(name, target))
        size, low = math.ceil(likely), math.ceil(likely if best is None else min(best, likely))
        most = NO_BOUND * (self.samples or self.sizes[-1])
        high = max(most, size) if worst is None else math.ceil(max(worst, likely))
        ends = f"{low:,} to {high:,}" if worst is not None else f"{low:,} to no bound"
        return self._told(
            name, target, (low, size, high), f"{_TARGETS[name].format(target)} with {size:,} samples ({ends})."
        )

    def _told(self, name: Target, target: float, ends: tuple[int, int, int], explanation: str) -> SufficientSize:
        low, size, high = ends
        measured = size <= (self.samples or self.sizes[-1])
        return SufficientSize(
            criterion=name,
            tolerance=target,
            relative=False,
            size=size,
            low=low,
            high=high,
            confidence=self.confidence,
            status="reached" if measured else "extrapolated",
            explanation=explanation,
        )

    def _worth(self, cost: float) -> SufficientSize:
        """Up to where a sample is worth its cost; gains that are all larger by some factor are as a smaller cost."""
        if self.accuracy_limit is None:
            raise InputError("a cost is weighed against a forecast; a measured curve has none")
        limit = self.accuracy_limit.mean
        now, then = self.accuracy.mean[0] - self.accuracy.low[0], limit - self.accuracy_limit.low
        share = math.sqrt(max(then**2 - now**2, 0)) / max(limit - self.accuracy.mean[0], np.finfo(float).eps)
        low, size, high = (
            math.floor(_best_net(self.sizes, self.accuracy.mean, limit, cost / factor if factor > 0 else math.inf))
            for factor in (1 - share, 1.0, 1 + share)
        )
        ends = f"{low:,} to {high:,}"
        if self.samples is not None and size <= self.samples:
            explanation = f"One more sample than the {self.samples:,} at hand costs more than it brings ({ends})."
        else:
            explanation = f"Beyond {size:,} samples ({ends}) one more costs more than it brings."
        return self._told("cost_per_sample", cost, (low, size, high), explanation)

    def _bounds(self, name: Target, target: float) -> list[tuple[Numbers, float | None, float]]:
        """The estimate, the worse and the better end of the band, their limits, and what they have to fall below."""
        if name == "excess":
            if self.loss_limit is None or self.slope is None or self.slope_error is None:
                raise InputError("an excess is above the limit of a forecast; a measured curve has none")
            limit = self.loss_limit.mean
            share = NormalDist().inv_cdf((1 + self.confidence) / 2) * self.slope_error / abs(self.slope)
            of_ends = (target, target / (1 + share), target / (1 - share) if share < 1 else math.inf)
            return [(self.loss.mean, limit, limit + of_end) for of_end in of_ends]
        band, limits, sign = (
            (self.loss, self.loss_limit, 1) if name == "target_loss" else (self.accuracy, self.accuracy_limit, -1)
        )
        ends = ("mean", "high", "low") if sign > 0 else ("mean", "low", "high")
        return [
            (sign * getattr(band, end), None if limits is None else sign * getattr(limits, end), sign * target)
            for end in ends
        ]

    def _out_of_reach(self, name: Target, target: float) -> str:
        what = _TARGETS[name].format(target)
        limit = self.accuracy_limit if name == "target_accuracy" else self.loss_limit
        if limit is None:
            return f"{what} is not reached with {self.sizes[-1]:,} samples, the most that were tried."
        return f"{what} is out of reach: the limit is {limit.mean:.3g} ({limit.low:.3g} to {limit.high:.3g})."

    def _cannot_tell(self, name: Target, target: float, reason: str) -> SufficientSize:
        return SufficientSize(
            criterion=name,
            tolerance=target,
            relative=False,
            size=None,
            low=None,
            high=None,
            confidence=self.confidence,
            status="cannot_tell",
            explanation=reason,
        )


NO_BOUND = 1000
"""How many times the samples at hand stand for no bound."""

_TARGETS: dict[Target, str] = {
    "target_loss": "A test loss of {:.3g}",
    "target_accuracy": "An accuracy of {:.3g}",
    "excess": "A test loss within {:.3g} of its limit",
}


def _last_crossing(sizes: list[int], values: Numbers, limit: float | None, target: float) -> float | None:
    """The smallest k from which on the curve stays at or below a target; None if it ends above."""
    places = [1 / size for size in sizes] + ([] if limit is None else [0.0])
    curve = values.tolist() + ([] if limit is None else [limit])
    if not curve[-1] <= target:
        return None
    above = [place for place, value in enumerate(curve) if value > target]
    if not above:
        return float(sizes[0])
    last = above[-1]
    share = (curve[last] - target) / (curve[last] - curve[last + 1])
    place = places[last] + share * (places[last + 1] - places[last])
    # a hair less, so that rounding does not make of 200 samples 201
    return (1 - 1e-9) / place if place > 0 else None


def _best_net(sizes: list[int], accuracy: Numbers, limit: float, cost: float) -> float:
    """The k at which the accuracy less cost times k is largest; the smallest size where each sample costs too much."""
    if math.isinf(cost):
        return float(sizes[0])
    places, curve = np.array([*(-1 / size for size in sizes), 0.0]), np.append(accuracy, limit)
    # between two sizes a + b (-1/k), which rises by b / k^2
    rises = np.maximum(np.diff(curve) / np.diff(places), 0)
    between = np.clip(np.sqrt(rises / cost), sizes, [*sizes[1:], math.inf])
    candidates = np.append(sizes, between)
    return float(candidates[np.argmax(np.interp(-1 / candidates, places, curve) - cost * candidates)])


class Cell(_Value):
    """One training of a study: a method on the first so many samples of the order of a seed."""

    task: str = Field(description="which classes: all, or their names")
    method: str = Field(description="head, last_layers(n), lora(r) or full")
    size: int = Field(description="number of training samples")
    seed: int = Field(description="of the samples, of what is new in the model, and of the training")
    status: Literal["finished", "diverged"] = Field(
        description="a diverged training has no numbers and is not averaged"
    )
    moving_parameters: int = Field(description="P: parameters that were trained")
    train_loss: float | None = Field(default=None, description="mean loss of the training samples, after training")
    train_accuracy: float | None = Field(default=None, description="share of them that is classified right")
    validation_loss: float | None = Field(default=None, description="mean loss of the validation part")
    validation_accuracy: float | None = Field(default=None, description="share of it that is classified right")
    test_loss: float | None = Field(default=None, description="mean loss of the test part")
    test_loss_error: float | None = Field(default=None, description="standard error of it, over test samples")
    test_accuracy: float | None = Field(default=None, description="share of the test part that is classified right")
    test_f1: float | None = Field(default=None, description="F1 on the test part, the mean over classes; on request")
    test_auroc: float | None = Field(default=None, description="area under the ROC curve, one class against the rest")
    distance: float | None = Field(default=None, description="||w*_k - w_0||: how far the training moved")
    seconds: float | None = Field(default=None, description="of the training alone")


class Retrained(_Value):
    """The loss surface at the minima w*_k that trainings on the first k samples of one order reach."""

    task: str = Field(description="which classes")
    method: str = Field(description="what was trained")
    seed: int = Field(description="of the order and the trainings")
    samples: int = Field(description="m: the largest size; the others are prefixes of its samples")
    sizes: list[int] = Field(description="k: of the trainings that are compared, m the last")
    own: list[float] = Field(description="L_k(w*_k): what each was trained on, where it ended")
    own_at_full: list[float] = Field(description="L_k(w*_m): the same samples at the minimum of all")
    full: list[float] = Field(description="L_m(w*_k): all samples at each minimum")
    validation: list[float] = Field(description="mean loss of the validation part at each minimum")
    distance: list[float] = Field(description="||w*_k - w*_m||: how far the minimum moves when samples are added")
    gradient: list[float] = Field(description="||G_k(w*_k)||: 0 at a stationary point")
    gradient_at_full: list[float] = Field(description="||G_k(w*_m)||: 0 at every k by Assumption 1 of the paper")
    curve_sizes: list[int] = Field(description="k: of the curves at fixed w*_m below")
    difference: list[float] = Field(description="typical |L_{k+1} - L_k| at w*_m and around it")
    in_order: list[float] = Field(description="|L_{k+1} - L_k| at w*_m and around it as the samples came")
    remaining: list[float] = Field(description="typical |L_k - L_m| at w*_m and around it")
    null: list[float] = Field(description="S(w*_m) / sqrt(k (k+1)): pure arithmetic")
    coefficient_of_variation: float | None = Field(description="CV = S / L of the validation part at w*_m")
    sufficient_sizes: list[SufficientSize] = Field(description="k* by each criterion and tolerance, at w*_m")


class Check(_Value):
    """k* from the landscape beside the size at which held-out loss or accuracy settles."""

    task: str = Field(description="which classes")
    method: str = Field(description="what was trained")
    seed: int = Field(description="of the order and the trainings")
    criterion: Criterion = Field(description="of k*")
    tolerance: float = Field(description="of k*, relative to the mean loss at w*")
    k_star: int | None = Field(description="k* at w*_m; None if it cannot be told")
    k_star_low: int | None = Field(description="lower end of its interval")
    k_star_high: int | None = Field(description="upper end of its interval")
    quantity: Literal["loss", "accuracy"] = Field(description="what has to settle on the test part")
    within: float = Field(description="how near to its final value, at the largest size; of the loss, a share of it")
    held_out_size: int = Field(description="the size from which on it is as near as that")
    low: int = Field(description="lower end of the interval, for which test samples were drawn")
    high: int = Field(description="upper end of the interval")
    censored: bool = Field(
        description="no plateau: the last step of size still gains more, and held_out_size is larger"
    )
    coefficient_of_variation: float | None = Field(description="CV at w*_m: what arithmetic knows without geometry")
    labels_saved: int | None = Field(description="m less k* or the smallest size, whichever is more; not below 0")
    seconds_saved: float | None = Field(description="training time on m samples less that on k*")
    accuracy_lost: float | None = Field(description="test accuracy with m samples less that with k*")


class Agreement(_Value):
    """How far k* says where held-out loss or accuracy settles, over all combinations of task, method and seed."""

    criterion: Criterion = Field(description="of k*")
    tolerance: float = Field(description="of k*")
    quantity: Literal["loss", "accuracy"] = Field(description="what settles")
    combinations: int = Field(description="in which k* could be told")
    censored: int = Field(description="of which no plateau was reached; they count with the largest size")
    rank_correlation: Estimate | None = Field(
        description="Spearman's, between k* and the held-out size; the interval draws tasks and methods"
    )
    partial_correlation: Estimate | None = Field(
        description="the same given CV: what k* adds to arithmetic; None where k* goes with CV alone"
    )
    ratio: float | None = Field(description="k* over the held-out size, the geometric mean; censored ones left out")


class Study(_Value):
    """The ground truth."""

    cells: list[Cell] = Field(description="every training")
    curves: dict[str, LearningCurve] = Field(description="by method, with all classes")
    subset_curves: dict[str, dict[str, LearningCurve]] = Field(description="by classes, then by method")
    retrained: list[Retrained] = Field(description="the loss surface at the retrained minima")
    check: list[Check] = Field(description="k* against where held-out loss and accuracy settle")
    agreement: list[Agreement] = Field(description="the check in short")


class StudyResult(_Value):
    """The content of ``result.json`` of ``suffice study``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["study"] = Field(default="study", description="what made it")
    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    classes: int = Field(description="number of classes")
    pool: int = Field(description="samples to train on")
    validation_samples: int = Field(description="samples of the validation part")
    test_samples: int = Field(description="samples of the test part")
    study: Study = Field(description="the ground truth")
    notes: list[str] = Field(description="what one should know of how the inputs were read")
    confidence: float = Field(description="of all intervals")
    configuration: dict[str, Any] = Field(description="what was asked; config.yaml replays it")
    versions: dict[str, str] = Field(description="the software that ran")


class Result(_Value):
    """The content of ``result.json`` of ``suffice analyze``."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    problem: ProblemSummary = Field(description="what was measured")
    landscape: Landscape = Field(description="the curves")
    settling: list[Settling] = Field(description="the spreads behind the sufficient sizes")
    sufficient_sizes: list[SufficientSize] = Field(description="the answers, the headline first")
    confidence: float = Field(description="of all intervals and bands")
    configuration: dict[str, Any] = Field(description="what was asked; config.yaml replays it")
    versions: dict[str, str] = Field(description="the software that ran")


class Measured(_Value):
    """Loss and accuracy of models trained on some of the samples at hand and tested on the others of them."""

    size: int = Field(description="samples that each was trained on")
    loss: float = Field(description="mean loss of the others")
    accuracy: float = Field(description="share of them that is classified right")


class Gain(_Value):
    """What so many more samples should bring."""

    more: int = Field(description="samples to add")
    loss: float = Field(description="fall of the test loss")
    accuracy: float = Field(description="rise of the test accuracy")


class ClassGain(_Value):
    """What more samples of one class alone would bring, weighted so that the classes keep their shares."""

    name: str = Field(description="the class")
    samples: int = Field(description="of the class at hand")
    recall: float = Field(description="share of these that is classified right by heads that have not seen them")
    more: int = Field(description="samples of the class to add")
    loss: float = Field(description="fall of the test loss with so many more")
    share: float = Field(description="this over what as many more of all classes bring, in the shares at hand")
    times: Estimate = Field(
        description="what the next sample of the class brings, over what one of all classes brings; the intervals are "
        "for all classes together"
    )
    up_to: int = Field(description="samples of the class beyond which one more brings less than one of all does now")


class ForecastResult(_Value):
    """The result of ``suffice forecast``."""

    schema_version: Literal[1] = Field(default=1, description="rises when a field changes its meaning or goes")
    command: Literal["forecast"] = Field(default="forecast", description="what wrote this")
    model: str = Field(description="the checkpoint")
    data: str = Field(description="the samples")
    method: str = Field(default="head", description="what is trained: head, last_layers(n), lora(r) or full")
    classes: list[str] = Field(description="names of the classes")
    samples: int = Field(description="k_0, samples at hand")
    test_samples: int = Field(default=0, description="others that the level is from; 0 where it is from parts of these")
    features: int | None = Field(
        default=None, description="numbers that the frozen part makes of a sample; null where more than the head moves"
    )
    l2: float | None = Field(default=None, description="penalty of the head; null where more moves")
    forecast: LearningCurve = Field(description="the learning curve, from the samples at hand on")
    measured: list[Measured] = Field(description="trainings on halves and on nearly all of the samples at hand")
    gains: list[Gain] = Field(description="what more samples should bring")
    class_gains: list[ClassGain] = Field(
        default=[], description="what more of one class would bring; first that whose next sample brings most"
    )
    answers: list[SufficientSize] = Field(description="sizes that meet the targets, or up to which samples pay")
    notes: list[str] = Field(description="what else a person should know")
    confidence: float = Field(gt=0, lt=1, description="confidence of all intervals")
    configuration: dict[str, Any] = Field(description="what was asked; config.yaml replays it")
    versions: dict[str, str] = Field(description="the software that ran")


class Surrounding(_Value):
    """The curves of a network at one distance from w*: at w* itself, or root mean squares over the probes there.

    All curves are of |L_{k+1} - L_k|, at the sizes of the result.
    """

    radius: float = Field(description="||w - w*|| relative to ||w*||; 0 is w*")
    loss: float = Field(description="mean loss of the samples there, the mean over the probes")
    spread: float = Field(description="S: standard deviation of the per-sample losses, root mean square over probes")
    spread_interval: tuple[float, float] = Field(description="its 90% interval, for which samples were drawn")
    expected: list[float] = Field(description="root mean square over all orders of the samples: S / sqrt(k (k+1))")
    band: tuple[list[float], list[float]] = Field(description="where 90% of random orders lie, low and high")
    in_order: list[float] = Field(description="as the samples came")
    smoothed: list[float] = Field(description="exponential moving average of the curve in order")
    slope: float = Field(description="slope of the curve in order on log axes, least squares at log-spaced k")
    slope_error: float = Field(description="its standard error")
    slope_of_orders: float = Field(description="mean of such slopes in 100 random orders of the same losses")
    slope_of_orders_deviation: float = Field(description="their standard deviation: what the standard error estimates")
    smoothed_slope: float = Field(
        description="slope of the moving average at the same k; its points are not independent"
    )


class Network(_Value):
    """A fully connected network, trained on samples of its own."""

    target: Literal["teacher", "linear"] = Field(description="what it learned")
    width: int = Field(description="neurons of each hidden layer")
    depth: int = Field(description="hidden layers")
    parameters: int = Field(description="number of weights")
    training_loss: float = Field(description="L(w*): mean squared error of the samples that the curves run over")
    fresh_loss: float = Field(description="mean squared error at w* of as many samples that the training has not seen")
    fresh_spread: float = Field(description="S(w*) over those")
    surroundings: list[Surrounding] = Field(description="the curves, those at w* first")


class BaseResult(_Value):
    """The content of ``result.json`` of ``suffice analyze builtin:mlp``, the base experiment."""

    schema_version: Literal[1] = Field(default=1, description="version of this layout")
    command: Literal["base"] = Field(default="base", description="what made it")
    samples: int = Field(description="m: the samples of each network, that it was trained on")
    noise_floor: float = Field(description="variance of the noise: no mean squared error over fresh data is below it")
    sizes: list[int] = Field(description="k: how many samples are taken")
    slope_sizes: list[int] = Field(description="k at which slopes are fitted")
    law_slope: float = Field(description="slope of 1 / sqrt(k (k+1)) there: that of every expected curve")
    smoothed_exact: list[float] = Field(description="moving average of the exact curve 1/k")
    smoothed_exact_slope: float = Field(description="its slope")
    networks: list[Network] = Field(description="one for each target, width and depth")
    configuration: dict[str, Any] = Field(description="what was asked; config.yaml replays it")
    versions: dict[str, str] = Field(description="the software that ran")
