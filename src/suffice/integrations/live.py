"""What a run tells while it goes on: a page beside the recording, and a line when more samples have stopped paying.

Two things are kept apart. What the hold-out has measured so far holds at all looks together, see
`suffice.forecasting.looks`. What is to come is a forecast, see `suffice.forecasting.one_run`, and says so.
"""

import logging
import math
import time
import warnings
from pathlib import Path

from suffice.errors import InputError, InputWarning, reason
from suffice.results import Recording

LOG = logging.getLogger("suffice")
"""Each report is noted at level INFO; what has stopped paying is said at level WARNING, once."""


def live_report(recording: Path, every: float | None, gain: float | None) -> "LiveReport | None":
    """The report beside a recording; None where none is asked for.

    Raises:
        InputError: a time or a gain out of range, or a gain without a time.
    """
    if every is None and gain is not None:
        raise InputError("gain: is for the live report; give report_every, in seconds, as well")
    if every is None:
        return None
    if not 0 < every < math.inf:
        raise InputError(f"report_every = {every:g}: give seconds, above 0")
    if gain is not None and not 0 < gain < math.inf:
        raise InputError(f"gain = {gain:g}: give a difference of losses above 0, such as 0.05")
    return LiveReport(recording, every, gain)


class LiveReport:
    """Writes the page; what goes wrong in it ends no training.

    Args:
        recording: the file that it is of; the page has the same name with ``.html``.
        every: seconds between pages.
        gain: by how much doubling the samples has to lower the loss; None if nothing is asked of it.

    Example:
        >>> LiveReport(Path("run.json"), 60, None).page
        PosixPath('run.html')
    """

    def __init__(self, recording: Path, every: float, gain: float | None) -> None:
        self.recording, self.page = recording, recording.with_suffix(".html")
        if self.page == self.recording:
            raise InputError(f"{recording}: is the name of the live report; give the recording another, such as .json")
        self._every, self._gain = every, gain
        self._written = time.monotonic()
        self._said: set[str] = set()
        self._has_failed = False

    @property
    def is_due(self) -> bool:
        """Whether the seconds are over."""
        return time.monotonic() - self._written >= self._every

    def write(self, recording: Recording) -> None:
        """Writes the page anew, whole or not at all, and says once what has stopped paying."""
        try:
            self._write(recording)
        except Exception as error:  # a training that takes days is worth more than its report
            if not self._has_failed:
                self._has_failed = True
                warnings.warn(
                    InputWarning(f"{self.page}: the live report cannot be written ({reason(error)}); the training and "
                    "its recording go on"),
                    stacklevel=1,
                )  # fmt: skip
        self._written = time.monotonic()

    def _write(self, recording: Recording) -> None:
        from suffice.report import write_live  # noqa: PLC0415 - needed here alone, and by few trainings
        from suffice.report.answers.live import stopped_in_words  # noqa: PLC0415
        from suffice.runs.live import live_result  # noqa: PLC0415

        found = live_result(recording, str(self.recording), self._gain)
        page = write_live(found, self.page)
        LOG.info("%s after %s updates: %s", self.page, f"{found.updates:,}", page.answer.sentence)
        for sentence in stopped_in_words(found):
            kind = sentence.partition(":")[0]
            if kind not in self._said:
                self._said.add(kind)
                LOG.warning("%s", sentence)
