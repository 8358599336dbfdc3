"""``suffice forecast --from RECORDING``: what more samples would bring, from a run that was made anyway."""

from collections.abc import Sequence
from pathlib import Path

from suffice.configuration import CurveConfig
from suffice.configuration.language import LanguageForecastConfig
from suffice.digest import digest
from suffice.errors import InputError
from suffice.forecasting.one_run import OneRun, forecast_one_run
from suffice.results import Curve, CurveResult, OneRunFound, Training, Unit, read_recording
from suffice.runs.classified import WEIGHED
from suffice.runs.curve import FREE, drawn_sizes, predictions
from suffice.runs.folder import open_folder, write_result
from suffice.runs.watch import SILENT, Watch
from suffice.software import versions

AHEAD = (1, 2, 4, 8)
"""Sizes by default, relative to the samples at hand: so far such forecasts were compared with trainings."""


def forecast_recording(
    config: CurveConfig,
    out: Path = Path("runs/forecast"),
    overwrite: bool = False,
    watch: Watch = SILENT,
    unit: Unit = "sample",
) -> tuple[Curve, CurveResult]:
    """The learning curve behind a recording, and the size that reaches a target; writes ``result.json``.

    Args:
        config: the recording as its scores, perhaps with those of shorter runs, and the target.
        out: the run's folder.
        overwrite: replace a run of another recording.
        watch: told what is done; silent by default.
        unit: what counts alike in a mean loss: samples or tokens.

    Raises:
        InputError: bad input of any kind, or a run that tells nothing.
    """
    if config.assurance is not None and config.target is None:
        raise InputError("--assurance is the probability to reach a target: give --target-loss as well")
    paths = [Path(source) for source in config.scores]
    *shorter, recording = sorted(map(read_recording, paths), key=lambda one: one.samples)
    if recording.skipped and not recording.batches:
        raise InputError(
            f"no batch of the run on {recording.samples:,} samples has a finite loss (the first is that of update "
            f"{recording.skipped[0]:,}), so there is no learning curve: train with bf16 or float32 in place of fp16, "
            "or at a smaller rate"
        )
    with watch.progress("curve"):
        found = forecast_one_run(recording, config.seed, unit, shorter)
        result = result_of(found, config.scores, config, unit=unit)
    contents = {"recording": digest(*(path.read_bytes() for path in paths))}
    with open_folder(out, config, contents, overwrite, free=FREE) as run:
        write_result(result, run.path, indent=1)
    return found.curve, result


def result_of(
    found: OneRun,
    sources: list[str],
    config: CurveConfig | LanguageForecastConfig,
    notes: Sequence[str] = (),
    trained: str | None = None,
    unit: Unit = "sample",
) -> CurveResult:
    """The curve of a run at the sizes that were asked for, and the answer.

    Args:
        found: by the run.
        sources: its recording or its samples.
        config: sizes, target, cost and so on.
        notes: on the inputs.
        trained: what was trained, in words; None of a run that was made elsewhere.
        unit: what counts alike in the losses.

    Raises:
        InputError: a size below those that the run tells of.
    """
    k0, curve = found.samples, found.curve
    target = config.target if isinstance(config, CurveConfig) else config.target_loss
    cost = None if isinstance(config, CurveConfig) else config.cost_per_sample
    sizes = sorted({k0, *([k0 * times for times in AHEAD] if config.sizes is None else config.sizes)})
    smallest = max(1, round(float(found.sizes.min())))
    if sizes[0] < smallest:
        raise InputError(
            f"sizes = {sizes[0]:,}: the run tells of {smallest:,} samples and more, before which the format of the "
            "answers was learnt; give larger ones"
        )
    answer = None
    if target is not None:
        answer = curve.sufficient_size(target, config.assurance, config.of)
    elif cost is not None:
        answer = curve.worth(cost, config.assurance)
    # the figure has all sizes of the table
    shown = None if answer is None or (answer.high or 0) < sizes[-1] else answer
    return CurveResult(
        sources=sources,
        metric="loss",
        trainings=[
            Training(size=round(size), score=score, error=error)
            for size, score, error in zip(
                found.sizes.tolist(), found.scores.tolist(), found.errors.tolist(), strict=True
            )
        ],
        predicted=predictions(curve, sizes, target),
        drawn=predictions(curve, drawn_sizes(smallest, k0, sizes, shown), target),
        answer=answer,
        next_trainings=None,
        costs=None,
        one_run=OneRunFound(
            samples=k0,
            steps=found.steps,
            slope=found.slope,
            covariate=found.covariate,
            trained=trained,
            shorter=list(found.shorter),
            narrowed=found.narrowed,
            unit=unit,
        ),
        notes=[*found.doubts, *notes, *([WEIGHED] if unit == "token" else [])],
        confidence=curve.confidence,
        configuration=config.asked(),
        versions=versions(),
    )
