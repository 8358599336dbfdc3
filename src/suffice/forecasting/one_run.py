r"""The learning curve from one training run, while it is made.

At a constant learning rate the weights after t samples of the first epoch are those of a one-epoch training on t
samples. So a batch's loss before its update is a loss on unseen samples of the model of t samples, and the run holds
its own learning curve up to :math:`k_0`. Hard samples differ from easy ones far more than the curve falls, so the
pretrained model's losses of the same samples are a covariate:

.. math:: l_b = \theta_{j(b)} + c\, (p_b - \bar p) + \epsilon_b

with :math:`l_b` the mean loss of batch b before its update, :math:`p_b` that of the same samples by the pretrained
model, and :math:`\theta_j` the curve within half a doubling of t, by least squares with weights :math:`n_b`. (The
finished model's losses would not do: it remembers recent samples better.) The :math:`\theta_j` and the losses of a
hold-out on the way, with their errors, are scores at sizes; the posterior of `suffice.forecasting.forecast_scores`
continues them, with fine-tuned language models as the prior.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from suffice.errors import InputError
from suffice.forecasting.posterior import units
from suffice.forecasting.scores import curves_given, refuse_worse
from suffice.forecasting.shapes import shape_prior
from suffice.results import (
    CONFIDENCE,
    Curve,
    Estimate,
    Holdout,
    OnlineBatch,
    Recording,
    Unit,
    check_recording,
    in_tokens,
)

FEWEST_STEPS = 100
"""Updates in the first epoch: within fewer a language model still learns the format of the answers."""

FEW_STEPS = 200

HIGH = 0.9
"""Share of the largest learning rate above which the rate counts as constant."""

DOUBLINGS = 2
"""Before the end of the constant part that are looked at: what comes before is the learning of the format."""

FEWEST_DOUBLINGS = 1.0

LEAST = 4
"""Batches in half a doubling, below which it is left out."""

WOBBLE = 0.005
"""Of the level: how much the weights along one run differ by chance from the mean of many runs, at least."""

OF_FALL = 0.1
"""The same of the fall per doubling: where much is learnt, runs differ in when they learn it."""

DRIFT = 4.0
"""Standard errors by which the pretrained losses may change along the run before the samples count as sorted."""

SHORTEST = 0.2
"""Of k0, the size of a shorter run at least: before it the format of the answers is learnt."""

ALIKE = 0.5
"""Correlation between the losses of two runs on the same samples, at least: that of other samples is about 0."""

SAME = 5
"""First batches by which a part of a run is known."""

RISE = 0.05
"""Share of k0 within which the rate should have risen: the runs behind the curve rise within their own shares."""

APART = 3.0
"""Standard errors between the slopes of the batches and of the hold-out."""

BENT = 0.25
"""Share of the slope by which slopes of clean runs differ, as the sizes are not the same and the curve is bent."""

UNSURE = 0.5
"""Half-width of the slope's interval over the slope, from which on the slope is in doubt."""

FAR = 8
"""Times the samples at hand, up to which such curves were compared with measured ones."""


@dataclass(frozen=True)
class OneRun:
    """What one run says of more samples.

    Attributes:
        samples: k0, the training samples of an epoch.
        curve: the test loss by the number of samples, of trainings of one epoch.
        sizes: those of the scores behind the curve.
        scores: losses at these sizes.
        errors: their standard errors.
        slope: fall of the loss from k0 to twice k0.
        covariate: c; None where the pretrained model was not measured.
        steps: updates in the first epoch.
        doubts: reasons not to trust it, a sentence each.
        shorter: k0 of the shorter runs beside it.
        narrowed: half-width of the slope's interval that runs at a half and a quarter of k0 should leave, where there
            are none yet.
    """

    samples: int
    curve: Curve
    sizes: Float64[np.ndarray, " n"]
    scores: Float64[np.ndarray, " n"]
    errors: Float64[np.ndarray, " n"]
    slope: Estimate
    covariate: float | None
    steps: int
    doubts: tuple[str, ...]
    shorter: tuple[int, ...] = ()
    narrowed: float | None = None

    def gain(self, size: int) -> Estimate:
        """By how much the loss falls from k0 to another size, with its interval."""
        return _fall(self.curve, self.samples, size)


def forecast_one_run(
    recording: Recording, seed: int = 0, unit: Unit = "sample", shorter: Sequence[Recording] = ()
) -> OneRun:
    """The learning curve behind one recorded run, and perhaps shorter ones.

    Args:
        recording: of a run whose rate is constant over a part of the first epoch; later epochs tell nothing of it.
        seed: of the draws.
        unit: what counts alike in a mean loss: samples or tokens.
        shorter: runs of the same training on fewer samples, with the same hold-out. What differs between runs by chance
            is averaged over them.

    Raises:
        InputError: fewer than 100 updates in the first epoch, a constant part that is too short, a recording that no
            run can have made, or shorter runs that do not go with it.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> hard = draw.normal(3, 0.5, 400)  # of batches of 8
        >>> falls = 0.15 * np.log2(np.maximum(8 * np.arange(400), 8) / 3200)
        >>> batches = [
        ...     OnlineBatch(step=b + 1, seen=8 * b, samples=8, loss=hard[b] - 1 - falls[b], before=hard[b], rate=1e-3)
        ...     for b in range(400)
        ... ]
        >>> found = forecast_one_run(Recording(samples=3200, batches=batches))
        >>> found.slope.low < 0.15 < found.slope.high, abs(found.covariate - 1) < 0.01
        (True, True)
    """
    check_recording(recording)
    if unit == "token":
        recording = in_tokens(recording)
    k0 = recording.samples
    first = _first_epoch(recording)
    steps = len(first) + sum(step <= len(first) + len(recording.skipped) for step in recording.skipped)
    if steps < FEWEST_STEPS:
        raise InputError(
            f"cannot tell: the run has {steps} updates in its first epoch, and with fewer than {FEWEST_STEPS} a "
            "language model still learns the format of the answers: take smaller batches, or more samples"
        )
    if not first:
        raise InputError(
            "cannot tell: no batch of the first epoch has a finite loss: look at the range of the precision"
        )
    read = _read(recording, unit)
    if read.updates < FEWEST_STEPS:
        raise InputError(
            f"cannot tell: the learning rate falls after {read.updates} updates, and within {FEWEST_STEPS} a language "
            "model still learns the format of the answers: take a constant rate for the first epoch"
        )
    if len(read.online.sizes) < 2 or math.log2(read.online.sizes.max() / read.online.sizes.min()) < FEWEST_DOUBLINGS:
        raise InputError(
            f"cannot tell: the learning rate is within {1 - HIGH:.0%} of its largest from {read.steady[0].seen:,} to "
            f"{read.end:,} samples, which is too short for a slope: take a constant rate for the first epoch"
        )
    scores = read.scores
    if shorter:
        scores = _merged([scores, *(_beside(recording, other, read, unit) for other in shorter)])
    curve = _continued(scores, k0, seed)
    last = next((at for at in reversed(recording.holdouts) if at.seen >= min(k0, read.end)), None)
    curve = _levelled(curve, k0, last, read.wobble, seed)
    slope = _fall(curve, k0, 2 * k0)
    return OneRun(
        samples=k0,
        curve=curve,
        sizes=scores.sizes,
        scores=scores.scores,
        errors=scores.errors,
        slope=slope,
        covariate=read.covariate,
        steps=steps,
        doubts=tuple(_doubts(recording, first, read, slope)),
        shorter=tuple(sorted(other.samples for other in shorter)),
        narrowed=None if shorter else _narrowed(scores, curve, k0, read.wobble, seed),
    )


def _first_epoch(recording: Recording) -> list[OnlineBatch]:
    return [batch for batch in recording.batches if batch.seen < recording.samples]


def _continued(scores: "_Scores", k0: int, seed: int) -> Curve:
    """As `forecast_scores`, and runs may differ by more than the errors say: as the scores and other curves have it."""
    prior, sizes = shape_prior("loss", "language model"), np.round(scores.sizes)
    given = units(sizes, scores.scores, scores.errors, "loss", prior.grid.noise_exponent)
    noisy = replace(given, unknown=np.ones(len(sizes)))
    curve = Curve(metric="loss", sizes=np.array([float(k0)]), draws=curves_given(noisy, prior, seed))
    refuse_worse(curve, sizes, scores.scores)
    return curve


@dataclass(frozen=True)
class _Scores:
    sizes: Float64[np.ndarray, " n"]
    scores: Float64[np.ndarray, " n"]
    errors: Float64[np.ndarray, " n"]

    def with_noise(self, noise: float) -> "_Scores":
        """With larger errors."""
        return replace(self, errors=np.hypot(self.errors, noise))

    def slope(self) -> tuple[float, float]:
        """Fall per doubling by weighted least squares, and its standard error."""
        x, weights = np.log2(self.sizes), 1 / self.errors**2
        x = x - np.average(x, weights=weights)
        information = float((weights * x**2).sum())
        return -float((weights * x * self.scores).sum()) / information, 1 / math.sqrt(information)


@dataclass(frozen=True)
class _Read:
    """What a recording holds: batches at the high rate, where they end, and losses at sizes from both sources."""

    steady: list[OnlineBatch]
    end: int
    online: _Scores
    measured: _Scores | None
    covariate: float | None
    wobble: float

    @property
    def scores(self) -> _Scores:
        return self.online if self.measured is None else _joined(self.online, self.measured)

    @property
    def updates(self) -> int:
        """How many were made before the rate fell, those with a loss that is not finite too."""
        return self.steady[-1].step


def _read(recording: Recording, unit: Unit, least: float | None = None) -> _Read:
    steady = _steady(_first_epoch(recording))
    end = steady[-1].seen + steady[-1].samples
    least = end / 2**DOUBLINGS if least is None else least
    online, covariate = _by_halves(steady, end, least, unit)
    from_then = max(0.9 * least, steady[0].seen)
    holdouts = [at for at in recording.holdouts if from_then <= at.seen <= min(end, 1.05 * recording.samples)]
    measured = _of_holdouts(holdouts)
    wobble = _wobble(measured or online)
    # batches average over half a doubling
    return _Read(
        steady,
        end,
        online.with_noise(wobble / math.sqrt(2)),
        None if measured is None else measured.with_noise(wobble),
        covariate,
        wobble,
    )


def _wobble(scores: _Scores) -> float:
    """How much the weights along one run differ by chance, in units of the loss."""
    if not len(scores.sizes):
        return 0.0
    least = WOBBLE * float(scores.scores[-1])
    fall = scores.with_noise(least).slope()[0] if len(scores.sizes) > 1 else 0.0
    return math.hypot(least, OF_FALL * max(fall, 0.0))


def _beside(recording: Recording, other: Recording, long: _Read, unit: Unit) -> _Scores:
    """The scores of a shorter run, from the size on at which the long one is looked at.

    Raises:
        InputError: it is not shorter, or not of the same samples to test on.
    """
    check_recording(other)
    if unit == "token":
        other = in_tokens(other)
    if not SHORTEST * recording.samples <= other.samples < recording.samples:
        raise InputError(
            f"a run on {other.samples:,} samples beside one on {recording.samples:,}: give shorter runs, of at least "
            f"{math.ceil(SHORTEST * recording.samples):,} samples"
        )
    if [batch.loss for batch in other.batches[:SAME]] == [batch.loss for batch in recording.batches[:SAME]]:
        raise InputError(
            f"the run on {other.samples:,} samples is the beginning of that on {recording.samples:,}: give one of its "
            "own, with other samples or in another order"
        )
    last = next((at for at in reversed(other.holdouts) if 0 < at.seen <= 1.05 * other.samples), None)
    if last is None or not recording.holdouts or not _are_of_one(last, recording.holdouts[-1]):
        raise InputError(
            f"the runs on {recording.samples:,} and {other.samples:,} samples do not test on the same samples: give "
            "both the same hold-out, measured at the end of the first epoch too"
        )
    read = _read(other, unit, long.end / 2**DOUBLINGS)
    if read.measured is None:  # once, at its end: the error is that of the long run's
        error = long.wobble if long.measured is None else float(long.measured.errors.max())
        return _Scores(np.array([float(last.seen)]), np.array([last.losses.mean()]), np.array([error]))
    return read.scores if len(read.online.sizes) else read.measured


def _are_of_one(one: Holdout, other: Holdout) -> bool:
    """Whether losses of two runs are of the same samples: what is hard for one is hard for the other."""
    if len(one.losses) != len(other.losses):
        return False
    flat = min(float(np.ptp(at.losses)) for at in (one, other)) == 0
    return not flat and float(np.corrcoef(one.losses, other.losses)[0, 1]) > ALIKE


def _merged(parts: Sequence[_Scores]) -> _Scores:
    """One score for each size, from independent ones."""
    sizes, scores, errors = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("sizes", "scores", "errors")
    )
    different, which = np.unique(np.round(sizes), return_inverse=True)
    weights = np.bincount(which, errors**-2)
    return _Scores(different, np.bincount(which, scores * errors**-2) / weights, weights**-0.5)


def _narrowed(scores: _Scores, curve: Curve, k0: int, wobble: float, seed: int) -> float | None:
    """The half-width of the slope's interval with runs at a half and a quarter of k0 that come out as foreseen."""
    sizes = np.array([k0 / 4, k0 / 2])
    inside = sizes >= scores.sizes.min()
    if not inside.any():
        return None
    sizes = sizes[inside]
    means = curve.draws.means(sizes).mean(0)
    foreseen = _merged([scores, _Scores(sizes, means, np.full(len(sizes), wobble))])
    slope = _fall(_continued(foreseen, k0, seed), k0, 2 * k0)
    return (slope.high - slope.low) / 2


def _steady(first: list[OnlineBatch]) -> list[OnlineBatch]:
    """The batches of the first epoch from when the rate is up to when it falls."""
    rates = np.array([math.nan if batch.rate is None else batch.rate for batch in first])
    if np.isnan(rates).any():
        return first
    high = rates >= HIGH * rates.max()
    start = int(high.argmax())
    stop = start + int((~high[start:]).argmax()) if (~high[start:]).any() else len(first)
    return first[start:stop]


def _by_halves(steady: list[OnlineBatch], end: int, least: float, unit: Unit) -> tuple[_Scores, float | None]:
    """The curve within each half of a doubling from the least size on, and the covariate's coefficient."""
    batches = [batch for batch in steady if batch.seen >= max(1.0, least)]
    part = np.floor(2 * np.log2(end / np.array([batch.seen for batch in batches]))).astype(int)
    counts = np.bincount(part, minlength=1)
    kept = [row for row in range(len(batches)) if counts[part[row]] >= LEAST]
    batches, part = [batches[row] for row in kept], part[kept]
    present, cell = np.unique(part, return_inverse=True)
    if len(batches) <= len(present) + 2:
        return _Scores(*np.empty((3, 0))), None
    losses = np.array([batch.loss for batch in batches])
    counts_alike = [batch.samples if unit == "sample" else batch.tokens for batch in batches]
    weights = np.array(counts_alike, dtype=np.float64)
    design = (cell[:, None] == np.arange(len(present))).astype(np.float64)
    covariate = None
    if all(batch.before is not None for batch in batches):
        before = np.array([batch.before for batch in batches], dtype=np.float64)
        centred = before - np.average(before, weights=weights)
        if np.ptp(centred) > 0:
            design = np.column_stack([design, centred])
    root = np.sqrt(weights)[:, None]
    solution = np.linalg.lstsq(root * design, root[:, 0] * losses, rcond=None)[0]
    residuals = losses - design @ solution
    noise = float((weights * residuals**2).sum()) / (len(batches) - design.shape[1])
    covariance = noise * np.linalg.inv((root * design).T @ (root * design))
    if design.shape[1] > len(present):
        covariate = float(solution[-1])
    theta = solution[: len(present)]
    errors = np.sqrt(np.diag(covariance)[: len(present)])
    logs = np.log2([batch.seen for batch in batches])
    sizes = 2 ** np.array([np.average(logs[cell == j], weights=weights[cell == j]) for j in range(len(present))])
    order = np.argsort(sizes)
    return _Scores(sizes[order], theta[order], errors[order]), covariate


def _of_holdouts(holdouts: list[Holdout]) -> _Scores | None:
    """Losses of the hold-out on the way; their errors are those of differences on the same samples."""
    if len(holdouts) < 2:
        return None
    losses = np.stack([at.losses for at in holdouts])
    differences = losses - losses[-1]
    noise = (differences[:-1].var(1, ddof=1) / losses.shape[1]).mean() / 2
    means = losses.mean(1)
    return _Scores(np.array([float(at.seen) for at in holdouts]), means, np.full(len(means), math.sqrt(noise)))


def _joined(online: _Scores, measured: _Scores) -> _Scores:
    """Both, with the batches brought to the level of the hold-out: their samples are others."""
    there = np.interp(np.log(measured.sizes), np.log(online.sizes), online.scores)
    inside = (measured.sizes >= 0.7 * online.sizes.min()) & (measured.sizes <= 1.5 * online.sizes.max())
    used = inside if inside.any() else np.ones(len(measured.sizes), dtype=bool)
    slope = online.slope()[0]
    beyond = np.log2(measured.sizes / np.clip(measured.sizes, online.sizes.min(), online.sizes.max()))
    shift = float((measured.scores - (there - slope * beyond))[used].mean())
    parts = [
        (np.concatenate([getattr(online, name), getattr(measured, name)])) for name in ("sizes", "scores", "errors")
    ]
    parts[1][: len(online.scores)] += shift
    order = np.argsort(parts[0], kind="stable")
    return _Scores(*(part[order] for part in parts))


def _levelled(curve: Curve, k0: int, last: Holdout | None, wobble: float, seed: int) -> Curve:
    """The curve with the level of the last hold-out at its size, and the error of its samples and of this run."""
    if last is None:
        return curve
    draws, level = curve.draws, float(last.losses.mean())
    error = float(last.losses.std(ddof=1)) / math.sqrt(len(last.losses)) if len(last.losses) > 1 else 0.0
    spread = np.sqrt(error**2 + wobble**2 + draws.noise**2)
    shift = level - float(curve.at([min(last.seen, k0)]).mean[0])
    chance = np.random.default_rng([seed, 1]).normal(size=len(draws.level)) * spread / draws.unit
    moved = draws.model_copy(update={"offset": draws.offset + shift, "level": draws.level + chance})
    return Curve(metric=curve.metric, sizes=curve.sizes, draws=moved)


def _fall(curve: Curve, first: int, then: int) -> Estimate:
    means = curve.draws.means(np.array([float(first), float(then)]))
    low, middle, high = np.quantile(means[:, 0] - means[:, 1], [(1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2])
    return Estimate(value=float(middle), low=float(low), high=float(high))


def _doubts(recording: Recording, first: list[OnlineBatch], read: _Read, slope: Estimate) -> Iterator[str]:
    yield from _doubts_of_rate(recording, first, read)
    yield from _doubts_of_samples(recording, first, read)
    yield from _doubts_of_holdout(recording, read)
    if slope.low <= 0 or (slope.high - slope.low) / 2 > UNSURE * slope.value:
        yield f"The slope is uncertain: {slope.low:.2g} to {slope.high:.2g} per doubling."
    if recording.skipped:
        yield f"The loss of {len(recording.skipped)} batches was not finite (first: step {recording.skipped[0]})."


def _doubts_of_rate(recording: Recording, first: list[OnlineBatch], read: _Read) -> Iterator[str]:
    k0, steady, end = recording.samples, read.steady, read.end
    if read.updates < FEW_STEPS:
        what = "The first epoch has" if steady[-1] is first[-1] else "Before the rate falls there are"
        yield f"{what} {read.updates} updates only: a part of the fall is the learning of the format."
    if steady[0].seen > RISE * k0:
        yield (
            f"The learning rate rises over {steady[0].seen:,} samples: runs on fewer would rise in fewer, so the slope "
            "is not theirs. Take a warm-up of a few steps."
        )
    if any(batch.rate is None for batch in first):
        yield "The learning rate is not known, and is taken to be constant: a rate that falls makes the slope wrong."
    if end < 0.9 * k0 and steady[-1] is first[-1]:
        yield f"The recording ends after {end:,} of {k0:,} samples: the run goes on still, or was stopped."
    elif end < 0.9 * k0:
        yield (
            f"The learning rate falls from {end:,} samples on: the slope is that before, and a decayed rate hides what "
            "more samples bring."
        )
    if max(batch.seen for batch in recording.batches) >= k0:
        yield (
            "The run has more than one epoch: the slope is that of the first one, and the level that of the last. "
            "Three epochs on all samples act like one on about twice as many."
        )


def _doubts_of_samples(recording: Recording, first: list[OnlineBatch], read: _Read) -> Iterator[str]:
    drift = _drift(first)
    if abs(drift) > DRIFT:
        way = "harder" if drift > 0 else "easier"
        yield f"The samples get {way} along the run ({abs(drift):.1f} standard errors), which fakes a slope: shuffle."
    if (recording.dropout or 0) > 0:
        yield (
            f"The model trains with dropout ({recording.dropout:g}), which lifts the losses of batches; the slope "
            "takes this to be the same along the run."
        )
    if any(batch.before is None for batch in read.steady):
        yield (
            "The pretrained model was not measured: the slope has a larger error than it need have, and samples in an "
            "order that is not random are not noticed."
        )


def _doubts_of_holdout(recording: Recording, read: _Read) -> Iterator[str]:
    if read.measured is None and recording.holdouts:
        yield "No two hold-outs were measured at the high rate: the slope is that of the batches alone."
    elif read.measured is None:
        yield "There is no hold-out on the way: level and slope are those of the batches alone."
    else:
        (one, its), (other, error) = read.online.slope(), read.measured.slope()
        if abs(one - other) > max(APART * math.hypot(its, error), BENT * (abs(one) + abs(other)) / 2):
            yield (
                f"Batches and hold-out disagree: {one:.3g} and {other:.3g} per doubling. Are the hold-out's samples "
                "drawn as those of training?"
            )


def _drift(first: list[OnlineBatch]) -> float:
    """Change of the pretrained model's losses along the run, in standard errors."""
    before = np.array([math.nan if batch.before is None else batch.before for batch in first])
    if np.isnan(before).any() or np.ptp(before) == 0:
        return 0.0
    x = np.array([float(batch.seen) for batch in first])
    x -= x.mean()
    slope = float(x @ before) / float(x @ x)
    residuals = before - before.mean() - slope * x
    error = math.sqrt(float(residuals @ residuals) / (len(x) - 2) / float(x @ x))
    return slope / error if error > 0 else 0.0
