"""What the recording of a run that goes on tells: what was measured so far, and what is to come."""

import numpy as np

from suffice.configuration import CurveConfig
from suffice.errors import InputError
from suffice.forecasting.looks import CONFIDENCE, Measured, measured
from suffice.forecasting.one_run import FEWEST_STEPS, OneRun, forecast_one_run
from suffice.forecasting.stopping import ASSURANCE, probability_of_less
from suffice.results import LiveResult, Look, Recording, check_recording
from suffice.runs.recorded import result_of

ONE_EPOCH = 1.05
"""Looks of a recording after more than so many epochs are those of repeated samples."""


def live_result(recording: Recording, source: str, gain: float | None = None, seed: int = 0) -> LiveResult:
    """What a run tells so far.

    Args:
        recording: of the run, which may go on.
        source: its file.
        gain: by how much doubling the samples has to lower the loss; None if nothing is asked of it.
        seed: of the draws of the forecast.

    Raises:
        InputError: a recording that no run can have made.

    Example:
        >>> from suffice.results import OnlineBatch
        >>> batches = [OnlineBatch(step=n + 1, seen=4 * n, samples=4, loss=2.0) for n in range(10)]
        >>> found = live_result(Recording(samples=800, batches=batches), "run.json")
        >>> found.updates, found.curve, found.why
        (10, None, 'the run has made 10 updates, and the curve is told from 100 on')
    """
    check_recording(recording)
    last = recording.batches[-1] if recording.batches else None
    seen = 0 if last is None else last.seen + last.samples
    updates = len(recording.batches) + len(recording.skipped)
    found: OneRun | None = None
    why = ""
    try:
        if updates < FEWEST_STEPS and seen < recording.samples:
            raise InputError(f"the run has made {updates} updates, and the curve is told from {FEWEST_STEPS} on")
        found = forecast_one_run(recording, seed)
    except InputError as error:
        why = str(error).removeprefix("cannot tell: ")
    curve = probability = None
    if found is not None:
        config = CurveConfig(scores=[source], metric="loss", kind="language model", seed=seed)
        curve = result_of(found, [source], config)
        if gain is not None:
            probability = probability_of_less(found.curve, found.samples, gain, seed)
    return LiveResult(
        source=source,
        samples=recording.samples,
        seen=seen,
        updates=updates,
        gain=gain,
        looks=[look_of(one) for one in looks_of(recording)],
        measured_confidence=CONFIDENCE,
        curve=curve,
        probability=probability,
        assurance=ASSURANCE,
        why=why,
    )


def looks_of(recording: Recording) -> list[Measured]:
    """What the hold-out has measured in the first epoch, with intervals that hold at all looks together.

    Example:
        >>> from suffice.results import Holdout
        >>> losses = np.linspace(0, 2, 50)
        >>> holdouts = [Holdout(seen=seen, losses=losses - seen) for seen in (0, 50, 100, 900)]
        >>> [(look.size, look.since) for look in looks_of(Recording(samples=100, holdouts=holdouts))]
        [(50, None), (100, 50)]
    """
    at = [look for look in recording.holdouts if 0 < look.seen <= ONE_EPOCH * recording.samples]
    if not at:
        return []
    samples = np.stack([look.losses for look in at])
    sizes = np.array([float(look.seen) for look in at])
    slack = max((one.samples for one in recording.batches), default=1) - 1  # half the samples, rounded up to a batch
    return measured(sizes, samples.mean(1), "loss", samples=samples, slack=slack)


def look_of(one: Measured) -> Look:
    """The same as a plain value."""
    return Look(size=one.size, score=one.score, low=one.low, high=one.high, since=one.since, gain=one.gain)
