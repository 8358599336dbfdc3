"""``--fail-if``: a condition on what a run predicts, which decides its exit status."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import typer

from suffice.cli.terminal import Terminal
from suffice.configuration import CurveConfig, ForecastConfig
from suffice.configuration.language import LanguageForecastConfig
from suffice.errors import InputError, nearest
from suffice.numerals import number_of
from suffice.report.answers.words import in_words
from suffice.results import (
    BOUNDS,
    Curve,
    CurveResult,
    Decision,
    ForecastResult,
    LearningCurve,
    MethodsResult,
    Of,
    SufficientSize,
    interval_in_words,
)

FAILED = 3
"""The exit status where a condition holds."""

SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

FORM = re.compile(
    r"\s*(?P<quantity>[^<>=]*[^<>=\s])\s*(?P<sign><=|>=|<|>)\s*(?P<bound>[-+]?[\d.,]+(?:e[-+]?\d+)?)\s*(?P<percent>%?)"
    r"(?:\s+at\s+(?P<size>[\d,_]+))?\s*",
    re.IGNORECASE | re.ASCII,
)

SIZE, PROBABILITY = "size", "probability"

PERPLEXITY = "perplexity"
"""The exponential of a language model's loss."""

LARGEST = 700.0
"""Losses whose exponential is still a number."""

OF_DECISION = ("labels", "gain", PROBABILITY)
"""What conditions on a decision may be about."""


@dataclass(frozen=True)
class Gate:
    """A condition under which a command ends with exit status 3.

    Attributes:
        text: as it was given.
        quantity: a metric, ``perplexity``, ``size`` or ``probability``.
        sign: of `SIGNS`.
        bound: what the quantity is compared with.
        size: number of training samples at which it is asked; None for ``size``.
    """

    text: str
    quantity: str
    sign: str
    bound: float
    size: int | None

    def holds(self, value: float) -> bool:
        """Whether a value fulfils the condition."""
        return SIGNS[self.sign](value, self.bound)


class Reading(NamedTuple):
    """The value that a condition is about; None where there is none, and then the words say why."""

    value: float | None
    words: str


class Prediction(NamedTuple):
    """What conditions are about: the curves of one model by their quantity, and the answer to its first target."""

    curves: Mapping[str, Curve]
    answer: SufficientSize | None
    target: tuple[Curve, float, Of] | None
    missing: str


def read_gate(text: str, metrics: Sequence[str], has_target: bool) -> Gate:
    """A condition from what a person wrote.

    Args:
        text: such as ``"accuracy<0.9 at 2000"``; a share may be given in percent.
        metrics: the metrics that are predicted.
        has_target: whether a target is asked for.

    Raises:
        InputError: not such a condition, or one on what is not predicted.

    Example:
        >>> read_gate("accuracy < 90% at 2,000", ["accuracy"], has_target=False)
        Gate(text='accuracy < 90% at 2,000', quantity='accuracy', sign='<', bound=0.9, size=2000)
    """
    where = f'--fail-if "{text}"'
    found = FORM.fullmatch(text)
    if found is None or len(text) > 200:
        raise InputError(
            f"{where[:80]}: not a condition; give a quantity, one of < <= > >=, a number and a size, as in "
            '"accuracy<0.9 at 2000", or "size>5000"'
        )
    known = {name.casefold(): name for name in (*metrics, SIZE, PROBABILITY)}
    quantity = known.get(found["quantity"].casefold())
    if quantity is None:
        raise InputError(
            f"{where}: {found['quantity']!r} is not predicted; give one of {', '.join(known.values())}"
            f"{nearest(found['quantity'].casefold(), list(known))}"
        )
    if quantity in (SIZE, PROBABILITY) and not has_target:
        raise InputError(f"{where}: the {quantity} is that of a target, and none is given; give one, such as 0.9")
    size = None if found["size"] is None else _count(where, found["size"])
    if quantity == SIZE and size is not None:
        raise InputError(f'{where}: a size is asked at no size; leave out "at {found["size"]}"')
    if quantity != SIZE and size is None:
        raise InputError(f'{where}: at which size? Give a number of training samples, as in "{text.strip()} at 2000"')
    bound = _number(where, found["bound"] + found["percent"])
    _check_bound(where, quantity, bound)
    return Gate(text.strip(), quantity, found["sign"], bound, size)


def _count(where: str, digits: str) -> int:
    count = number_of(digits)
    if count is None or not 1 <= count < 1e15:
        raise InputError(f"{where}: {digits[:20]!r} is not a number of training samples, such as 2000")
    return int(count)


def _number(where: str, digits: str) -> float:
    number = number_of(digits)
    if number is None:
        raise InputError(f"{where}: {digits!r} is not a number, such as 0.9")
    return number


def _check_bound(where: str, quantity: str, bound: float) -> None:
    """Shares are from 0 to 1, and perplexities from 1 on: a condition on 90, or on 0.5, always holds, or never."""
    if quantity == PERPLEXITY:
        if not 1 <= bound <= BOUNDS["loss"][1]:
            raise InputError(f"{where}: {bound:g} must be 1 or more")
        return
    is_share = quantity not in (SIZE, "loss", "score")
    low, high = (0.0, 1.0) if is_share else BOUNDS["score"] if quantity == "score" else BOUNDS["loss"]
    if not low <= bound <= high:
        percent = f"; is it {bound / 100:g}, in percent?" if is_share and 1 < bound <= 100 else ""
        span = "from 0 to 1" if is_share else "0 or more"
        raise InputError(f"{where}: {bound:g} must be {span}{percent}")


def gates_of_forecast(texts: Sequence[str] | None, config: ForecastConfig) -> list[Gate]:
    """The conditions on a forecast, checked before anything is measured.

    Raises:
        InputError: not a condition, or one on what is not predicted.
    """
    targets = (config.target_accuracy, config.target_loss, config.excess, config.cost_per_sample)
    has_target = any(target is not None for target in targets)
    gates = [read_gate(text, ["accuracy", "loss", *config.metrics], has_target) for text in texts or []]
    for gate in gates:
        if gate.quantity == PROBABILITY and config.target_accuracy is None and config.target_loss is None:
            raise InputError(
                f'--fail-if "{gate.text}": the probability is to reach --target-accuracy or --target-loss; give one'
            )
    return gates


def gates_of_curve(texts: Sequence[str] | None, config: CurveConfig) -> list[Gate]:
    """The conditions on a curve through scores, checked before it is made.

    Raises:
        InputError: not a condition, or one on what is not predicted.
    """
    is_of_language = config.metric == "loss" and config.kind == "language model"
    metrics = [config.metric, PERPLEXITY] if is_of_language else [config.metric]
    return [read_gate(text, metrics, config.target is not None) for text in texts or []]


def gates_of_monitor(texts: Sequence[str] | None) -> list[Gate]:
    """The conditions on a decision: labels more, the gain of doubling them, or the probability of the decision.

    Raises:
        InputError: not a condition, or one on something else.

    Example:
        >>> gates_of_monitor(["labels > 0"])
        [Gate(text='labels > 0', quantity='labels', sign='>', bound=0.0, size=None)]
    """
    gates = []
    for text in texts or []:
        where, found = f'--fail-if "{text[:80]}"', FORM.fullmatch(text)
        quantity = "" if found is None else found["quantity"].casefold()
        if found is None or found["size"] is not None or quantity not in OF_DECISION or len(text) > 200:
            raise InputError(f'{where}: not a condition here; give one on {", ".join(OF_DECISION)}, as in "labels>0"')
        bound = _number(where, found["bound"] + found["percent"])
        gates.append(Gate(text.strip(), quantity, found["sign"], bound, None))
    return gates


def gates_of_language(texts: Sequence[str] | None, config: LanguageForecastConfig) -> list[Gate]:
    """The conditions on the forecast of a language model, checked before anything is trained.

    Raises:
        InputError: not a condition, or one on what is not predicted.
    """
    has_target = config.target_loss is not None or config.cost_per_sample is not None
    gates = [read_gate(text, ["loss", PERPLEXITY], has_target) for text in texts or []]
    for gate in gates:
        if gate.quantity == PROBABILITY and config.target_loss is None:
            raise InputError(f'--fail-if "{gate.text}": the probability is to reach --target-loss; give it')
    return gates


def predictions_of(result: ForecastResult | MethodsResult) -> dict[str, Prediction]:
    """What conditions on a forecast are about, by the method."""
    models = [result] if isinstance(result, ForecastResult) else result.methods
    names: list[str] = result.configuration["metrics"]
    return {one.method: _of_model(one.forecast, one.answers, names) for one in models}


def _of_model(forecast: LearningCurve, answers: Sequence[SufficientSize], names: Sequence[str]) -> Prediction:
    metrics = dict(zip(names, forecast.metrics.values(), strict=False))  # none where the curve cannot be told
    candidates = {"accuracy": forecast.accuracy, "loss": forecast.loss, **metrics}
    curves = {name: curve for name, curve in candidates.items() if isinstance(curve, Curve)}
    answer = answers[0] if answers else None
    target = None
    if answer is not None and (curve := curves.get(answer.criterion.removeprefix("target_"))):
        target = curve, answer.tolerance, answer.of
    return Prediction(curves, answer, target, forecast.explanation)


def prediction_of_scores(curve: Curve, result: CurveResult) -> Prediction:
    """What conditions on a curve through scores are about."""
    answer = result.answer
    target = None if answer is None else (curve, answer.tolerance, answer.of)
    return Prediction({result.metric: curve}, answer, target, "")


def judge(gates: Sequence[Gate], predictions: Mapping[str, Prediction | Decision], terminal: Terminal) -> None:
    """Says of each condition whether it holds, and by which number.

    What cannot be told fails. Of several methods the condition has to hold for each.

    Raises:
        typer.Exit: one holds; the exit status is 3.
    """
    failed = False
    for gate in gates:
        readings = {method: read(gate, prediction) for method, prediction in predictions.items()}
        holds = all(reading.value is None or gate.holds(reading.value) for reading in readings.values())
        known = any(reading.value is not None for reading in readings.values())
        words = "; ".join(
            f"{method}: {reading.words}" if len(readings) > 1 else reading.words for method, reading in readings.items()
        )
        whose = " for every method" if len(readings) > 1 else ""
        verdict = f"holds{whose}" if holds and known else "cannot be told" if holds else f"does not hold{whose}"
        line = f'--fail-if "{gate.text}" {verdict}: {words}'
        if holds:
            typer.echo(f"suffice: {' '.join(line.split())}", err=True)
        else:
            terminal.say(f"{line}.")
        failed = failed or holds
    if failed:
        raise typer.Exit(FAILED)


def read(gate: Gate, prediction: Prediction | Decision) -> Reading:
    """The number that a condition is about: the median of its posterior."""
    if isinstance(prediction, Decision):
        return _read_decision(gate, prediction)
    if gate.quantity == SIZE:
        return _read_size(gate, prediction.answer)
    if gate.quantity == PROBABILITY:
        return _read_probability(gate, prediction)
    curve = prediction.curves.get("loss" if gate.quantity == PERPLEXITY else gate.quantity)
    if curve is None or gate.size is None:
        return Reading(None, prediction.missing)
    there = curve.at([gate.size])
    value, low, high = (float(end[0]) for end in (there.mean, there.low, there.high))
    if gate.quantity == PERPLEXITY:
        value, low, high = (math.exp(min(end, LARGEST)) for end in (value, low, high))

    def told(number: float) -> str:
        return in_words(curve.metric, number)

    words = (
        f"the {gate.quantity} with {gate.size:,} samples is {_apart(told, value, gate.bound)}; {curve.confidence:.0%} "
        f"interval {told(low)} to {told(high)}{_straddling(low <= gate.bound <= high)}"
    )
    return Reading(value, words)


def _read_decision(gate: Gate, decision: Decision) -> Reading:
    doubling = decision.doubling
    known = {
        "labels": None if decision.action == "cannot tell" else float(decision.labels),
        "gain": None if doubling is None else doubling.value,
        PROBABILITY: decision.probability,
    }
    value = known[gate.quantity]
    if value is None:
        return Reading(None, decision.explanation.rstrip("."))
    told = {"labels": f"{value:,.0f} labels more", "gain": f"doubling the labels should bring {value:.3g}"}
    return Reading(value, told.get(gate.quantity, f"the probability is {value:.3g}"))


def _read_size(gate: Gate, answer: SufficientSize | None) -> Reading:
    if answer is None or answer.status == "cannot_tell":
        return Reading(None, "" if answer is None else answer.explanation.rstrip("."))
    if answer.size is None or answer.low is None:  # unreachable
        return Reading(float("inf"), answer.explanation.rstrip("."))
    high = float("inf") if answer.high is None else answer.high
    ends = f"{answer.confidence:.0%} interval {interval_in_words(answer.low, answer.high)}"
    words = f"{answer.size:,} samples reach the target; {ends}{_straddling(answer.low <= gate.bound <= high)}"
    return Reading(answer.size, words)


def _read_probability(gate: Gate, prediction: Prediction) -> Reading:
    if prediction.target is None or gate.size is None:
        return Reading(None, prediction.missing)
    curve, target, of = prediction.target
    value = float(curve.at([gate.size]).probability(target, of)[0])
    told = _apart(lambda number: f"{number:.3g}", value, gate.bound)
    return Reading(
        value, f"the probability to reach {in_words(curve.metric, target)} with {gate.size:,} samples is {told}"
    )


def _straddling(inside: bool) -> str:
    return ", on both sides of the bound" if inside else ""


def _apart(told: Callable[[float], str], value: float, bound: float) -> str:
    """A number for people, with more digits where it would read like the bound that it is compared with."""
    return told(value) if value == bound or told(value) != told(bound) else f"{value:.6g}"
