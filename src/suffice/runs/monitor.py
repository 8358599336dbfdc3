"""Scores that come with each batch of labels: stop, or label more. Nothing is trained, and torch is not needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from suffice.configuration import MonitorConfig
from suffice.data.scores import load_looks, load_scores
from suffice.errors import InputError
from suffice.forecasting.looks import CONFIDENCE
from suffice.forecasting.one_run import forecast_one_run
from suffice.forecasting.stopping import Monitored, Wanted, decide, monitor_scores
from suffice.results import CONFIDENCE as OF_FORECAST
from suffice.results import Curve, Metric, MonitorResult, is_recording, read_recording
from suffice.runs.curve import predictions
from suffice.runs.folder import open_folder, write_result
from suffice.runs.live import look_of, looks_of
from suffice.runs.watch import SILENT, Watch
from suffice.software import versions

FREE = frozenset(MonitorConfig.model_fields)
"""Settings that may change in a run's folder: all. The scores may grow, too, as they do with each batch."""

DRAWN = 60
"""Numbers of labels at which the curve is drawn."""

BEYOND = 4
"""Times the labels at hand to which the curve is drawn at most, where that is not the pool."""

OF_COLUMNS = ("size_column", "score_column", "size_of")
"""Settings that say where the scores stand in tables and runs."""

OF_TABLES = ("holdout", "kind", *OF_COLUMNS)
"""Settings that a recording has no use for; its metric is the loss."""


@dataclass(frozen=True)
class _Given:
    """What the sources hold."""

    monitored: Monitored
    metric: Metric
    batch: int
    holdout: int | None
    notes: list[str]


def monitor(
    config: MonitorConfig, out: Path = Path("runs/monitor"), overwrite: bool = False, watch: Watch = SILENT
) -> MonitorResult:
    """What the looks so far say: stop, or label more; writes ``result.json``.

    Args:
        config: where the scores are, and the gain or target.
        out: the run's folder; the same one may be used after each batch.
        overwrite: replace another run.
        watch: told what is done; silent by default.

    Raises:
        InputError: bad input of any kind, or a hold-out that was chosen.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> rows = "".join(f"{100 * t},{0.6 + 0.02 * t}\\n" for t in range(1, 7))
        >>> _ = (folder / "scores.csv").write_text(f"size,score\\n{rows}")
        >>> config = MonitorConfig(scores=[str(folder / "scores.csv")], gain=0.02, holdout=500)
        >>> result = monitor(config, folder / "run")
        >>> result.decision.action, result.decision.labels
        ('label', 100)
    """
    _check(config)
    with watch.progress("curve"):
        given = _of_recording(config) if _has_recording(config) else _of_scores(config)
        result = _result(config, given)
    with open_folder(out, config, {}, overwrite, free=FREE) as run:
        write_result(result, run.path, indent=1)
    return result


def _check(config: MonitorConfig) -> None:
    if config.validation == "chosen":
        raise InputError(
            "--validation chosen: scores on samples that were chosen tell nothing of others. Draw a few hundred "
            "samples at random, label them, train on none of them, and measure every score on them; the batches may be "
            "chosen"
        )
    if (config.gain is None) == (config.target is None):
        raise InputError(
            "give --gain, such as 0.02, to stop when doubling the labels brings less, or --target, such as 0.9, to "
            "stop at that score"
        )


def _has_recording(config: MonitorConfig) -> bool:
    found = [source for source in config.scores if is_recording(Path(source))]
    if found and len(config.scores) > 1:
        raise InputError(f"{found[0]}: a recording is monitored alone; give no other scores")
    return bool(found)


def _of_scores(config: MonitorConfig) -> _Given:
    sizes, values, errors, notes = _scores(config)
    monitored = monitor_scores(
        sizes,
        values,
        gain=config.gain,
        target=config.target,
        metric=config.metric,
        errors=errors,
        holdout=config.holdout if values.ndim == 1 else None,
        batch=config.batch,
        pool=config.pool,
        assurance=config.assurance,
        seed=config.seed,
        kind=config.kind,
    )
    holdout = values.shape[1] if values.ndim == 2 else config.holdout
    if holdout is None and errors is None:
        notes.append(f"{_unknown(config.metric)}, or the score of each sample (an NPZ with sizes and sample_scores)")
    return _Given(monitored, config.metric, _batch(config, monitored.looks), holdout, notes)


def _unknown(metric: Metric) -> str:
    if metric in ("accuracy", "error"):
        return (
            "the size of the hold-out is not known, so what was measured has no interval: give --holdout N, or a "
            "column error"
        )
    return (
        f"the errors of the {metric}{'es' if metric == 'loss' else 's'} are not known, so what was measured has no "
        "interval: give a column error, with the standard error of each"
    )


def _scores(config: MonitorConfig) -> tuple[Any, Any, Any, list[str]]:
    """Sizes, scores or those of samples, errors, and notes."""
    if len(config.scores) == 1 and (looks := load_looks(Path(config.scores[0]))) is not None:
        if config.holdout is not None and config.holdout != looks[1].shape[1]:
            held = looks[1].shape[1]
            raise InputError(f"--holdout {config.holdout}: {config.scores[0]} has {held} samples; leave it out")
        _refuse_other_than_default(config, OF_COLUMNS, "an NPZ with sizes and sample_scores")
        return *looks, None, []
    scores = load_scores(config.scores, config.score_column, config.size_column, config.sizes_of())
    if scores.errors is not None and config.holdout is not None:
        raise InputError(
            f"--holdout {config.holdout}: the scores come with errors, in the column error; leave one of them out"
        )
    return scores.sizes, scores.scores, scores.errors, list(scores.notes)


def _refuse_other_than_default(config: MonitorConfig, settings: Sequence[str], source: str) -> None:
    """Whether a setting is given that the source does not need; a run's config.yaml holds all, so defaults are fine."""
    for name in settings:
        value = getattr(config, name)
        if value != MonitorConfig.model_fields[name].default:
            shown = value[0] if isinstance(value, list) else value
            raise InputError(f"--{name.replace('_', '-')} {shown}: not for {source}; leave it out")


def _of_recording(config: MonitorConfig) -> _Given:
    """The hold-out of a run, and the curve behind its batches."""
    path = Path(config.scores[0])
    _refuse_other_than_default(config, OF_TABLES, "a recording, which holds the losses of its own hold-out")
    if config.metric in ("error", "score"):
        raise InputError(f"--metric {config.metric}: a recording holds losses; leave it out")
    recording = read_recording(path)
    looks = looks_of(recording)
    if not looks:
        raise InputError(
            f"{path}: holds no loss of a hold-out yet; give one to the recorder (holdout=...), and look again after an "
            "eighth of the samples"
        )
    batch = config.batch or looks[-1].size
    wanted = Wanted(config.gain, config.target, batch, config.pool, config.assurance, "loss")
    curve: Curve | None = None
    why, notes = "", ["the scores are losses of the hold-out of one run, by the samples seen in its first epoch"]
    try:
        found = forecast_one_run(recording, config.seed)
        curve = found.curve
        notes += found.doubts
    except InputError as error:
        why = str(error).removeprefix("cannot tell: ")
    decision = decide(curve, looks, wanted, "no curve", batch, why, config.seed)
    return _Given(Monitored(looks, decision, curve), "loss", batch, len(recording.holdouts[0].losses), notes)


def _batch(config: MonitorConfig, looks: Any) -> int:
    sizes = [look.size for look in looks]
    return config.batch or (sizes[-1] - sizes[-2] if len(sizes) > 1 else sizes[-1])


def _result(config: MonitorConfig, given: _Given) -> MonitorResult:
    looks, curve = given.monitored.looks, given.monitored.curve
    return MonitorResult(
        sources=config.scores,
        metric=given.metric,
        looks=[look_of(look) for look in looks],
        holdout=given.holdout,
        gain=config.gain,
        target=config.target,
        batch=given.batch,
        pool=config.pool,
        decision=given.monitored.decision,
        drawn=None if curve is None else predictions(curve, _drawn_sizes(config, looks), config.target),
        assurance=config.assurance,
        measured_confidence=CONFIDENCE,
        confidence=OF_FORECAST,
        notes=given.notes,
        configuration=config.asked(),
        versions=versions(),
    )


def _drawn_sizes(config: MonitorConfig, looks: Any) -> list[int]:
    """From the first look to the pool, or to some times the labels at hand, and twice them at least."""
    first, last = looks[0].size, looks[-1].size
    end = max(2 * last, min(config.pool or 0, BEYOND * last))
    between: Float64[np.ndarray, " sizes"] = np.geomspace(first, end, DRAWN).round()
    return [int(size) for size in np.unique(np.append(between, [last, 2 * last]))]
