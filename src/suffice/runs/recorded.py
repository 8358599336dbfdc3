"""``suffice forecast --from RECORDING``: what more samples would bring, from a run that was made anyway."""

from pathlib import Path

from suffice.configuration import CurveConfig
from suffice.digest import digest
from suffice.errors import InputError
from suffice.forecasting.one_run import OneRun, forecast_one_run
from suffice.results import Curve, CurveResult, OneRunFound, Training, read_recording
from suffice.runs.curve import FREE, drawn_sizes, predictions
from suffice.runs.folder import open_folder, write_result
from suffice.runs.watch import SILENT, Watch
from suffice.software import versions

AHEAD = (1, 2, 4, 8)
"""Sizes by default, relative to the samples at hand: so far such forecasts were compared with trainings."""


def forecast_recording(
    config: CurveConfig, out: Path = Path("runs/forecast"), overwrite: bool = False, watch: Watch = SILENT
) -> tuple[Curve, CurveResult]:
    """The learning curve behind a recording, and the size that reaches a target; writes ``result.json``.

    Args:
        config: the recording as its only scores, and the target.
        out: the run's folder.
        overwrite: replace a run of another recording.
        watch: told what is done; silent by default.

    Raises:
        InputError: bad input of any kind, or a run that tells nothing.
    """
    if len(config.scores) != 1:
        raise InputError(f"{len(config.scores)} recordings: give one")
    if config.assurance is not None and config.target is None:
        raise InputError("--assurance is the probability to reach a target: give --target-loss as well")
    path = Path(config.scores[0])
    recording = read_recording(path)
    with watch.progress("curve"):
        found = forecast_one_run(recording, config.seed)
        result = _result(config, found)
    with open_folder(out, config, {"recording": digest(path.read_bytes())}, overwrite, free=FREE) as run:
        write_result(result, run.path, indent=1)
    return found.curve, result


def _result(config: CurveConfig, found: OneRun) -> CurveResult:
    k0 = found.samples
    sizes = sorted({k0, *([k0 * times for times in AHEAD] if config.sizes is None else config.sizes)})
    curve = found.curve
    answer = None if config.target is None else curve.sufficient_size(config.target, config.assurance, config.of)
    smallest = max(1, round(float(found.sizes.min())))
    return CurveResult(
        sources=config.scores,
        metric="loss",
        trainings=[
            Training(size=round(size), score=score, error=error)
            for size, score, error in zip(
                found.sizes.tolist(), found.scores.tolist(), found.errors.tolist(), strict=True
            )
        ],
        predicted=predictions(curve, sizes, config.target),
        drawn=predictions(curve, drawn_sizes(smallest, k0, sizes, answer), config.target),
        answer=answer,
        next_trainings=None,
        costs=None,
        one_run=OneRunFound(samples=k0, steps=found.steps, slope=found.slope, covariate=found.covariate),
        notes=list(found.doubts),
        confidence=curve.confidence,
        configuration=config.asked(),
        versions=versions(),
    )
