"""Conditions of --fail-if: read, refused, compared, and told."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import typer
from hypothesis import given

from suffice.cli.gate import (
    Gate,
    Prediction,
    gates_of_curve,
    gates_of_forecast,
    gates_of_monitor,
    judge,
    predictions_of,
    read,
    read_gate,
)
from suffice.cli.terminal import Terminal
from suffice.configuration import CurveConfig, ForecastConfig
from suffice.errors import InputError
from suffice.results import Curve, Decision, Draws, ForecastResult, LearningCurve

METRICS = ["accuracy", "loss", "macro F1", "recall of class cat"]


@pytest.mark.parametrize(
    ("text", "quantity", "sign", "bound", "size"),
    [
        ("accuracy<0.9 at 2000", "accuracy", "<", 0.9, 2000),
        ("accuracy <= 90% at 2,000", "accuracy", "<=", 0.9, 2000),
        ("Accuracy>=.9  at 2_000", "accuracy", ">=", 0.9, 2000),
        ("loss>0.3 at 2000", "loss", ">", 0.3, 2000),
        ("loss>3e-1 at 2000", "loss", ">", 0.3, 2000),
        ("macro f1<0.8 at 500", "macro F1", "<", 0.8, 500),
        ("recall of class cat < 0.5 AT 500", "recall of class cat", "<", 0.5, 500),
        ("size>5000", "size", ">", 5000, None),
        (" size > 5,000 ", "size", ">", 5000, None),
        ("probability<0.8 at 2000", "probability", "<", 0.8, 2000),
    ],
)
def test_conditions_are_read(text, quantity, sign, bound, size):
    assert read_gate(text, METRICS, has_target=True) == Gate(text.strip(), quantity, sign, bound, size)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a condition; give a quantity, one of < <= > >=, a number and a size"),
        ("accuracy", "not a condition"),
        ("accuracy=0.9 at 2000", "not a condition"),
        ("accuracy<0.9 at", "not a condition"),
        ("accuracy<0.9 at 2000 or so", "not a condition"),
        ("accuracy<much at 2000", "not a condition"),
        ("accuracy<1.2.3 at 2000", "'1.2.3' is not a number"),
        ("accuracy<0,9 at 2000", "'0,9' is not a number"),
        ("accuracy<0.9", r'at which size\? Give a number of training samples, as in "accuracy<0.9 at 2000"'),
        ("accuracy<90 at 2000", "90 must be from 0 to 1; is it 0.9, in percent"),
        ("probability<1.5 at 9", "1.5 must be from 0 to 1"),
        ("loss>-1 at 2000", "-1 must be 0 or more"),
        ("acuracy<0.9 at 2000", 'one of accuracy, loss, macro F1, .*; did you mean "accuracy"'),
        ("AUROC<0.9 at 2000", "'AUROC' is not predicted"),
        ("size>5000 at 2000", 'leave out "at 2000"'),
        ("accuracy<0.9 at 0", "'0' is not a number of training samples"),
        ("accuracy<0.9 at ,", "',' is not a number of training samples"),
        (f"accuracy<0.9 at {'9' * 100}", "is not a number of training samples"),
        (f"accuracy<{'9' * 5000} at 9", "not a condition"),
        ("accuracy<0.9\nat 2000 \n or", "not a condition"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(text, said):
    with pytest.raises(InputError, match=said) as refusal:
        read_gate(text, METRICS, has_target=True)
    assert len(str(refusal.value)) < 400


def test_a_perplexity_is_that_of_the_loss_of_a_language_model(capsys):
    of_language = CurveConfig(scores=["run.json"], metric="loss", kind="language model")
    (gate,) = gates_of_curve(["Perplexity > 7 at 4,000"], of_language)
    assert gate == Gate("Perplexity > 7 at 4,000", "perplexity", ">", 7, 4000)
    draws = Draws(smallest=50, largest=100, level=[2.0, 2.0], slope=[0.0], exponent=[1.0], noise=[0.01])
    prediction = Prediction({"loss": Curve(metric="loss", sizes=[100], draws=draws)}, None, None, "")
    reading = read(gate, prediction)
    assert reading.value == pytest.approx(math.exp(2.0))
    assert reading.words == "the perplexity with 4,000 samples is 7.39; 90% interval 7.39 to 7.39"
    with pytest.raises(typer.Exit):
        judge([gate], {"curve": prediction}, Terminal())
    assert "holds" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"0\.5 must be 1 or more"):
        gates_of_curve(["perplexity>0.5 at 9"], of_language)
    with pytest.raises(InputError, match="'perplexity' is not predicted; give one of loss, size, probability"):
        gates_of_curve(["perplexity>7 at 9"], CurveConfig(scores=["scores.csv"], metric="loss"))


@given(st.text() | st.from_regex(r"(accuracy|size|loss) ?[<>]=? ?[\d.,e-]+%?( at [\d,_]+)?", fullmatch=True))
def test_any_text_is_a_condition_or_an_input_error(text):
    try:
        gate = read_gate(text, METRICS, has_target=True)
    except InputError:
        return
    assert math.isfinite(gate.bound)
    assert (gate.size is None) == (gate.quantity == "size")


def test_a_size_and_a_probability_need_a_target():
    plain = {"model": "m", "data": "d"}
    for text in ("size>5000", "probability<0.8 at 2000"):
        with pytest.raises(InputError, match="is that of a target, and none is given"):
            gates_of_forecast([text], ForecastConfig(**plain))
        with pytest.raises(InputError, match="is that of a target, and none is given"):
            gates_of_curve([text], CurveConfig(scores=["s"]))
        assert gates_of_forecast([text], ForecastConfig(**plain, target_loss=0.3))
        assert gates_of_curve([text], CurveConfig(scores=["s"], target=0.9))
    assert gates_of_forecast(["size>5000"], ForecastConfig(**plain, excess=0.3))
    with pytest.raises(InputError, match="the probability is to reach --target-accuracy or --target-loss"):
        gates_of_forecast(["probability<0.8 at 2000"], ForecastConfig(**plain, excess=0.3))
    assert gates_of_forecast(None, ForecastConfig(**plain)) == []


def test_the_metric_of_scores_is_the_one_they_have():
    assert gates_of_curve(["score<-3 at 9"], CurveConfig(scores=["s"], metric="score"))[0].bound == -3
    with pytest.raises(InputError, match="'accuracy' is not predicted; give one of error, size, probability"):
        gates_of_curve(["accuracy<0.9 at 2000"], CurveConfig(scores=["s"], metric="error"))


def curve(metric="accuracy", level=(0.1, 0.3)):
    """Its error, or loss, is the same at all sizes: any value between two with equal probability."""
    levels = np.linspace(*level, 1001)
    draws = Draws(smallest=50, largest=100, level=levels, slope=[0.0], exponent=[1.0], noise=[0.01])
    return Curve(metric=metric, sizes=[100, 400], draws=draws)


def prediction(one=None, target=0.75, assurance=None):
    one = one or curve()
    answer = one.sufficient_size(target, assurance)
    return Prediction({one.metric: one}, answer, (one, target, "mean"), "")


def gate(text, metric="accuracy"):
    return read_gate(text, [metric], has_target=True)


def test_the_median_is_compared_and_an_interval_on_both_sides_is_said():
    value, words = read(gate("accuracy<0.85 at 2000"), prediction())
    assert value == pytest.approx(0.8, abs=1e-3)
    assert words == (
        "the accuracy with 2,000 samples is 80.0%; 90% interval 71.0% to 89.0%, on both sides of the bound"
    )
    assert "both sides" not in read(gate("accuracy<0.95 at 2000"), prediction()).words


def test_a_value_next_to_the_bound_has_more_digits():
    value, words = read(gate("accuracy<0.80001 at 2000"), prediction(curve(level=(0.1, 0.30001))))
    assert value < 0.80001
    assert "is 0.799995;" in words


def test_the_probability_is_that_of_the_first_target():
    value, words = read(gate("probability<0.8 at 2000"), prediction(target=0.75))
    assert value == pytest.approx(0.75, abs=2e-3)
    assert words == f"the probability to reach 75.0% with 2,000 samples is {value:.3g}"


def falling():
    """A loss that falls as 20/k; how high it is is not known well."""
    levels = np.linspace(0.2, 0.4, 1001)
    draws = Draws(smallest=50, largest=100, level=levels, slope=[0.2], exponent=[1.0], noise=[0.01])
    return Curve(metric="loss", sizes=[100], draws=draws)


def test_a_size_is_that_of_the_answer():
    one = falling()
    found = prediction(one, target=0.2)
    value, words = read(gate("size>150", "loss"), found)
    assert value == found.answer.size
    assert words.startswith(f"{found.answer.size:,} samples reach the target; 90% interval {found.answer.low:,} ")
    assert ("both sides" in words) == (found.answer.low <= 150)


def test_a_target_out_of_reach_takes_more_than_any_size():
    value, words = read(gate("size>5000"), prediction(target=0.95))
    assert value == math.inf
    assert "out of reach" in words
    assert not gate("size<5000").holds(value)


def told(capsys, gates, predictions):
    """The exit status of gates, and what is said."""
    status = 0
    try:
        judge(gates, predictions, Terminal())
    except typer.Exit as stop:
        status = stop.exit_code
    said = capsys.readouterr()
    assert said.out == ""
    return status, said.err


def test_one_that_holds_ends_with_status_3_and_all_are_said(capsys):
    gates = [gate("accuracy<0.9 at 2000"), gate("accuracy>0.9 at 2000"), gate("size>1")]
    status, said = told(capsys, gates, {"head": prediction()})
    assert status == 3
    first, second, third = said.splitlines()
    assert first.startswith('suffice: --fail-if "accuracy<0.9 at 2000" holds: the accuracy with 2,000 samples is 80.0%')
    assert second.startswith('--fail-if "accuracy>0.9 at 2000" does not hold: the accuracy with 2,000 samples is 80.0%')
    assert third.startswith('suffice: --fail-if "size>1" holds: ')
    assert told(capsys, gates[1:2], {"head": prediction()})[0] == 0
    assert told(capsys, [], {"head": prediction()}) == (0, "")


def test_of_several_methods_it_has_to_hold_for_each(capsys):
    both = {"head": prediction(), "lora(4)": prediction(curve(level=(0.0, 0.1)))}
    status, said = told(capsys, [gate("accuracy<0.9 at 2000")], both)
    assert (status, said.count("\n")) == (0, 1)
    assert "does not hold for every method: head: the accuracy with 2,000 samples is 80.0%" in said
    assert "; lora(4): the accuracy with 2,000 samples is 95.0%" in said
    status, said = told(capsys, [gate("accuracy<0.97 at 2000")], both)
    assert (status, said.count("\n")) == (3, 1)
    assert "holds for every method: head: " in said


def test_what_cannot_be_told_fails(capsys):
    nothing = Prediction({}, None, None, "There are too few samples.")
    for text in ("accuracy<0.9 at 2000", "accuracy>0.9 at 2000", "probability<0.8 at 2000"):
        status, said = told(capsys, [gate(text)], {"head": nothing})
        assert (status, said) == (3, f'suffice: --fail-if "{text}" cannot be told: There are too few samples.\n')
    status, said = told(
        capsys, [gate("accuracy<0.9 at 9")], {"head": nothing, "full": prediction(curve(level=(0, 0.1)))}
    )
    assert status == 0
    assert "head: There are too few samples" in said


def test_metrics_of_a_forecast_go_by_the_names_that_were_given():
    metric = curve()
    result = ForecastResult.model_construct(
        method="head",
        forecast=LearningCurve(
            sizes=[100], loss=falling(), accuracy=curve(), metrics={"recall of class 0": metric}, status="extrapolated"
        ),
        answers=[],
        configuration={"metrics": ["recall of class cat"]},
    )
    found = predictions_of(result)["head"]
    assert set(found.curves) == {"accuracy", "loss", "recall of class cat"}
    assert read(read_gate("recall of class cat<0.9 at 9", METRICS, False), found).value == pytest.approx(0.8, abs=1e-3)
    assert found.target is None


def decision(**changes):
    values = {
        "action": "label",
        "labels": 200,
        "reason": "gain",
        "probability": 0.3,
        "next": None,
        "doubling": {"value": 0.03, "low": 0.01, "high": 0.06},
        "rest": None,
        "total": None,
        "explanation": "As it goes.",
    }
    return Decision.model_validate(values | changes)


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        ("labels<1", 200, "200 labels more"),
        ("gain > 2%", 0.03, "doubling the labels should bring 0.03"),
        ("probability<0.95", 0.3, "the probability is 0.3"),
    ],
)
def test_a_decision_has_labels_a_gain_and_a_probability(text, value, words):
    (one,) = gates_of_monitor([text])
    assert read(one, decision()) == (value, words)
    unknown = decision(action="cannot tell", doubling=None, probability=None)
    assert read(one, unknown) == (None, "As it goes")


@pytest.mark.parametrize("text", ["labels", "size>5", "labels>1 at 200", "labels>" + "1" * 300, "accuracy<0.9 at 9"])
def test_other_conditions_on_a_decision_are_refused(text):
    with pytest.raises(InputError, match=r"--fail-if .*not a condition here; give one on labels, gain, probability"):
        gates_of_monitor([text])
