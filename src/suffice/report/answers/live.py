"""What a run says while it goes on: what was measured so far, and, apart from it, what is forecast."""

from collections.abc import Iterator

from suffice.report.answers.answer import MOST_STEPS, Answer
from suffice.report.answers.curve import curve_answer
from suffice.report.answers.monitor import gain_in_words
from suffice.report.answers.words import capitalized, ended, in_words, share_in_words
from suffice.results import LiveResult, Look, Word


def live_answer(result: LiveResult) -> Answer:
    """Whether more samples still pay, in one sentence; then both parts."""
    stopped = list(stopped_in_words(result))
    more = [measured_in_words(result), *_to_come(result)]
    word: Word = "cannot tell"
    if result.curve is None:
        sentence, why = f"Cannot tell yet what more samples bring: {ended(result.why)}", result.why
    else:
        of_curve = curve_answer(result.curve)
        sentence, word, why = of_curve.sentence, of_curve.confidence, f"{of_curve.why.rstrip('.')}; a forecast"
    if _has_measured_little(result):
        word, why = "high", "it was measured, with an interval that holds at all looks together"
    first, *_ = [*stopped, sentence]
    if stopped and result.curve is not None:
        more.append(sentence)
    return Answer(first, word, why, more, list(_next_steps(result))[:MOST_STEPS])


def stopped_in_words(result: LiveResult) -> Iterator[str]:
    """That more samples have stopped paying, as measured and as forecast, each for itself; nothing where they pay.

    Example:
        >>> result = LiveResult(source="run.json", samples=800, seen=80, updates=20, gain=0.1, looks=[],
        ...                     measured_confidence=0.95, curve=None, probability=0.99, assurance=0.95, why="")
        >>> print(*stopped_in_words(result))
        Forecast: twice the 800 samples lower the loss by less than 0.1, with probability 99%.
    """
    if result.gain is None:
        return
    wanted = gain_in_words("loss", result.gain)
    if _has_measured_little(result):
        last = result.looks[-1]
        yield (
            f"Measured: more samples stopped paying: from {last.since:,} to {last.size:,} samples the loss fell by "
            f"less than {wanted}."
        )
    if result.probability is not None and result.probability >= result.assurance:
        yield (
            f"Forecast: twice the {result.samples:,} samples lower the loss by less than {wanted}, with probability "
            f"{share_in_words(result.probability)}."
        )


def measured_in_words(result: LiveResult) -> str:
    """The loss of the last look, and its gain since half the samples."""
    if not result.looks:
        return (
            "Measured so far: nothing. The first look at the hold-out is after an eighth of the samples; without a "
            "hold-out there is none."
        )
    last = result.looks[-1]
    said = f"Measured so far: a loss of {in_words('loss', last.score)} after {last.size:,} samples{_ends(last)}"
    if last.gain is not None and last.since is not None:
        low, high = (gain_in_words("loss", end) for end in (last.gain.low, last.gain.high))
        said += f", {gain_in_words('loss', last.gain.value)} lower than after {last.since:,} ({low} to {high})"
    return f"{said}. With probability {result.measured_confidence:.0%} these intervals hold at all looks, however many."


def _ends(look: Look) -> str:
    if look.low is None or look.high is None:
        return ""
    return f" ({in_words('loss', look.low)} to {in_words('loss', look.high)})"


def _has_measured_little(result: LiveResult) -> bool:
    gain = result.looks[-1].gain if result.looks else None
    return result.gain is not None and gain is not None and gain.high < result.gain


def _to_come(result: LiveResult) -> Iterator[str]:
    if result.curve is None or result.curve.one_run is None:
        yield f"To come: no forecast yet; {ended(result.why)}"
        return
    slope = result.curve.one_run.slope
    said = (
        f"To come, a forecast: twice the {result.samples:,} samples should lower the loss by "
        f"{gain_in_words('loss', slope.value)} ({gain_in_words('loss', slope.low)} to "
        f"{gain_in_words('loss', slope.high)})"
    )
    if result.gain is not None and result.probability is not None:
        said += (
            f"; by less than {gain_in_words('loss', result.gain)} with probability {share_in_words(result.probability)}"
        )
    yield f"{said}."


def _next_steps(result: LiveResult) -> Iterator[str]:
    if result.curve is None and not result.looks:
        yield "Let the run go on."
    elif any(stopped_in_words(result)):
        yield "Collect no more samples for this training. To get further, change the model or how it is trained."
    if result.gain is None:
        yield "Say what doubling the samples has to bring (`gain=0.05`), and this page says when it no longer does."


def state_in_words(result: LiveResult) -> str:
    """How far the run is."""
    return capitalized(f"{result.seen:,} samples seen, {result.updates:,} updates, {result.samples:,} samples an epoch")
