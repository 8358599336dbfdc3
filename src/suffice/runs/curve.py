"""From scores that any trainer measured to their learning curve: nothing is trained, and torch is not needed."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from suffice.configuration import CurveConfig
from suffice.data.scores import Scores, load_scores
from suffice.errors import InputError
from suffice.forecasting.next_run import next_run
from suffice.forecasting.scores import forecast_scores
from suffice.results import (
    Band,
    Costs,
    Curve,
    CurveResult,
    NextTrainings,
    Predictions,
    Reached,
    SufficientSize,
    Training,
)
from suffice.runs.folder import open_folder, write_result
from suffice.runs.watch import SILENT, Watch
from suffice.software import versions

AHEAD = (1, 2, 4, 8, 16)
"""Sizes by default, relative to the largest measured one."""

DRAWN = 80
"""Sizes at which the curve is drawn, at most."""

DRAWN_UP_TO = 64
"""Where the drawing of an answer ends at most, relative to the largest measured size."""

FEW = 4
"""Different sizes, below which the shape of a curve comes from other people's curves for the most part."""

FREE = frozenset(CurveConfig.model_fields)
"""Settings that may change in a run's folder: all, since the curve of the same scores is made anew in a second."""


def forecast_curve(
    config: CurveConfig, out: Path = Path("runs/curve"), overwrite: bool = False, watch: Watch = SILENT
) -> CurveResult:
    """The learning curve behind a few scores, and the size that reaches a target; writes ``result.json``.

    Args:
        config: where the scores are, what they are, and the target.
        out: the run's folder.
        overwrite: replace a run with other scores.
        watch: told what is done; silent by default.

    Raises:
        InputError: bad input of any kind.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "scores.csv").write_text("size,score\\n100,0.70\\n200,0.76\\n400,0.80\\n800,0.83\\n")
        >>> config = CurveConfig(scores=[str(folder / "scores.csv")], target=0.85)
        >>> result = forecast_curve(config, folder / "run")
        >>> result.predicted.sizes, result.answer.status
        ([800, 1600, 3200, 6400, 12800], 'extrapolated')
    """
    return curve_and_result(config, out, overwrite, watch)[1]


def curve_and_result(
    config: CurveConfig, out: Path, overwrite: bool = False, watch: Watch = SILENT
) -> tuple[Curve, CurveResult]:
    """The same with the curve itself, which can be asked at any size."""
    if config.assurance is not None and config.target is None:
        raise InputError("--assurance is the probability to reach a target: give --target as well, such as 0.9")
    scores = load_scores(config.scores, config.score_column, config.size_column, config.sizes_of())
    with watch.progress("curve"):
        curve = _curve(config, scores)
        result = _result(config, scores, curve)
    with open_folder(out, config, {"scores": scores.fingerprint()}, overwrite, free=FREE) as run:
        write_result(result, run.path, indent=1)
    return curve, result


def _curve(config: CurveConfig, scores: Scores) -> Curve:
    return forecast_scores(
        scores.sizes,
        scores.scores,
        [1],
        errors=scores.errors,
        metric=config.metric,
        seed=config.seed,
        kind=config.kind,
    )


def _result(config: CurveConfig, scores: Scores, curve: Curve) -> CurveResult:
    largest = round(scores.sizes.max())
    sizes = sorted(set([largest * times for times in AHEAD] if config.sizes is None else config.sizes))
    answer = next_trainings = None
    if config.target is not None:
        answer = curve.sufficient_size(config.target, config.assurance, config.of)
        if answer.size is not None and answer.low != answer.high:
            run = next_run(curve, config.target, config.samples, config.seed)
            next_trainings = NextTrainings(**dataclasses.asdict(run))
    order = np.argsort(scores.sizes, kind="stable")
    return CurveResult(
        sources=config.scores,
        metric=config.metric,
        trainings=[
            Training(size=round(one.size), score=one.score, error=one.error, cost=one.cost)
            for one in (scores.trainings[index] for index in order)
        ],
        predicted=predictions(curve, sizes, config.target),
        drawn=predictions(curve, drawn_sizes(round(scores.sizes.min()), largest, sizes, answer), config.target),
        answer=answer,
        next_trainings=next_trainings,
        costs=_costs(scores, answer, next_trainings),
        notes=[*_doubts(scores, config), *scores.notes],
        confidence=curve.confidence,
        configuration=config.asked(),
        versions=versions(),
    )


def predictions(curve: Curve, sizes: list[int], target: float | None) -> Predictions:
    there = curve.at(sizes)
    reached = None
    if target is not None:
        reached = Reached(mean=there.probability(target), next=there.probability(target, of="next"))
    return Predictions(sizes=sizes, score=Band(mean=there.mean, low=there.low, high=there.high), reached=reached)


def drawn_sizes(smallest: int, largest: int, asked: list[int], answer: SufficientSize | None) -> list[int]:
    """From the smallest measured size to where the interval of the answer ends, or to the largest that was asked for.

    Example:
        >>> sizes = drawn_sizes(100, 400, [400, 800], None)
        >>> sizes[0], sizes[-1], len(sizes)
        (100, 800, 80)
    """
    most = DRAWN_UP_TO * largest
    end = max(2 * largest, max(asked) if answer is None else min(answer.high or most, most))
    return [int(size) for size in np.unique(np.geomspace(smallest, end, DRAWN).round())]


def _costs(scores: Scores, answer: SufficientSize | None, next_trainings: NextTrainings | None) -> Costs | None:
    if scores.costs is None:
        return None
    if scores.costs.min() < 0:
        raise InputError(
            f"cost: {scores.costs.min():g} is below 0; give what each training cost, or leave the column out"
        )
    per_sample = float(scores.costs.sum() / scores.sizes.sum())
    return Costs(
        per_sample=per_sample,
        at_size=None if answer is None or answer.size is None else per_sample * answer.size,
        next_trainings=None if next_trainings is None else per_sample * next_trainings.size * next_trainings.seeds,
    )


def _doubts(scores: Scores, config: CurveConfig) -> Iterator[str]:
    different = np.unique(scores.sizes)
    first, last = (float(scores.scores[scores.sizes == size].mean()) for size in (different[0], different[-1]))
    rises = config.metric in ("accuracy", "score")
    if last < first if rises else last > first:
        yield (
            f"the {config.metric} {'falls' if rises else 'rises'} from {first:.4g} with {different[0]:,.0f} samples to "
            f"{last:.4g} with {different[-1]:,.0f}, which is taken for chance: check --metric"
        )
    if len(different) < FEW:
        yield (
            f"{len(different)} sizes were measured, and with fewer than {FEW} the shape of the curve comes from other "
            "people's curves for the most part: train at one or two more sizes"
        )
