"""``suffice forecast`` of models of which more than the head moves: trained here, or elsewhere."""

import shutil
from importlib.resources import files

import numpy as np
import pytest
import torch

from suffice.configuration import ForecastConfig, read_configuration
from suffice.data import load_samples
from suffice.errors import InputError
from suffice.forecasting import curve_of, effective_penalty, measure_problem
from suffice.models import adapted, load_classifier, renew_head
from suffice.problem import Problem
from suffice.results import read_result
from suffice.runs import evidence as run
from suffice.runs.forecast import forecast
from suffice.training import FineTuning, fine_tune

SMALL = {
    "model": "builtin:tiny-vit",
    "data": "builtin:digits",
    "samples": 120,
    "method": "lora(2)",
    "steps": 30,
    "train_batch_size": 16,
    "learning_rate": 2e-2,
    "sizes": [240, 480],
}


def config_of(**values):
    return read_configuration(ForecastConfig, SMALL | values)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "run"
    return folder, forecast(config_of(target_loss=0.8), folder)


def never(*_, **__):
    pytest.fail("this has been done before")


@pytest.mark.deep
def test_the_forecast_is_that_of_trainings_on_all_samples_on_folds_and_on_halves(made):
    """By another route: the trainings written out, and `measure_problem` on them."""
    _, result = made
    samples = load_samples("builtin:digits")
    rows = np.sort(np.random.default_rng(0).permutation(len(samples))[:120])
    classifier = load_classifier("builtin:tiny-vit", samples, None, 0, False)
    renew_head(classifier.model, 0)
    model = adapted(classifier.model, "lora(2)")
    settings = FineTuning(steps=30, learning_rate=2e-2, batch_size=16)

    def problem_of(chosen):
        inputs = classifier.inputs(samples, chosen)
        return Problem(model, inputs, predict=classifier.predict, order="source", collate=classifier.collate)

    start = {name: value.clone() for name, value in model.state_dict().items()}

    def refit(places):
        model.load_state_dict(start)
        fine_tune(problem_of(rows[places]), settings)
        return {name: value.clone() for name, value in model.state_dict().items()}

    model.load_state_dict(refit(np.arange(120)))
    problem = problem_of(rows)
    curve = curve_of(measure_problem(problem, None, refit, "auto", None), [120, 240, 480])
    assert result.forecast.loss.mean == pytest.approx(curve.loss.mean, rel=1e-5)  # six digits are stored
    assert result.forecast.slope == pytest.approx(curve.slope, rel=1e-6)
    assert result.forecast.penalty == pytest.approx(effective_penalty(problem, start), rel=1e-6)
    assert [measured.size for measured in result.measured] == [60, 96]
    assert (result.method, result.samples, result.test_samples) == ("lora(2)", 120, 0)
    assert (result.features, result.l2) == (None, None)
    times, counts = np.array([(gain.times.value, gain.samples) for gain in result.class_gains]).T
    assert np.average(times, weights=counts) == pytest.approx(1)
    assert counts.sum() == 120
    assert [answer.criterion for answer in result.answers] == ["target_loss"]
    assert result.forecast.status == "extrapolated"


def test_another_question_trains_nothing(made, monkeypatch):
    folder, first = made
    for name in ("fine_tune", "measure_problem"):
        monkeypatch.setattr(run, name, never)
    again = forecast(config_of(sizes=[480], target_accuracy=0.9), folder)
    assert again.forecast.loss.mean[-1] == first.forecast.loss.mean[-1]
    assert again.forecast.accuracy.high[-1] == first.forecast.accuracy.high[-1]
    assert again.forecast.penalty == first.forecast.penalty
    assert read_result(folder).answers == again.answers
    assert forecast(config_of(target_loss=0.8), folder).model_dump_json() == first.model_dump_json()


@pytest.mark.deep
def test_a_run_that_is_killed_trains_what_is_missing_and_ends_the_same(made, tmp_path, monkeypatch):
    _, whole = made
    kept, done = fine_tune, []

    def stops(problem, *arguments, **options):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(len(problem))
        return kept(problem, *arguments, **options)

    monkeypatch.setattr(run, "fine_tune", stops)
    with pytest.raises(KeyboardInterrupt):
        forecast(config_of(target_loss=0.8), tmp_path / "run")
    assert done == [120, 96, 96]
    done.clear()
    monkeypatch.setattr(
        run, "fine_tune", lambda problem, *rest, **options: done.append(len(problem)) or kept(problem, *rest, **options)
    )
    again = forecast(config_of(target_loss=0.8), tmp_path / "run")
    assert done == [96, 96, 96, 60, 60]
    assert again.model_dump_json() == whole.model_dump_json()


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Digits as images in folders: those at hand, and others to test on."""
    folder = tmp_path_factory.mktemp("digits")
    samples = load_samples("builtin:digits")
    for name, rows in {"train": range(150), "test": range(150, 450)}.items():
        for row in rows:
            place = folder / name / str(samples.labels[row])
            place.mkdir(parents=True, exist_ok=True)
            samples[row].save(place / f"{row}.png")
    return folder


@pytest.fixture(scope="module")
def tested_apart(tables, tmp_path_factory):
    """What was asked, its folder and its result, and on how many samples the model was trained."""
    kept, done = fine_tune, []
    asked = {"data": str(tables / "train"), "test": str(tables / "test"), "samples": None}
    folder = tmp_path_factory.mktemp("apart") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            run,
            "fine_tune",
            lambda problem, *rest, **options: done.append(len(problem)) or kept(problem, *rest, **options),
        )
        return asked, folder, forecast(config_of(**asked, sizes=[300]), folder), done


@pytest.mark.deep
def test_with_test_data_there_is_one_training_and_the_level_is_theirs(tested_apart, tmp_path):
    asked, _, result, done = tested_apart
    assert done == [150]
    assert (result.test_samples, [one.size for one in result.measured]) == (300, [150])
    assert result.forecast.level == pytest.approx(result.measured[0].loss, rel=1e-5)  # six digits are stored
    head = forecast(config_of(**asked | {"method": "head"}, sizes=[300]), tmp_path / "head")
    assert head.forecast.level == pytest.approx(head.measured[0].loss, rel=1e-5)
    assert head.test_samples == 300


@pytest.mark.deep
def test_the_slope_of_the_tangent_kernel_is_had_on_request_without_another_training(tested_apart, monkeypatch):
    asked, folder, first, _ = tested_apart
    monkeypatch.setattr(run, "fine_tune", never)
    result = forecast(config_of(**asked, estimator="information"), folder)
    assert (first.forecast.estimator, result.forecast.estimator) == ("combined", "information")
    assert result.forecast.level == first.forecast.level
    assert result.forecast.slope != pytest.approx(first.forecast.slope, rel=0.01)
    assert result.forecast.penalty == first.forecast.penalty


def test_test_samples_that_are_at_hand_are_refused(tables, tmp_path):
    both = tmp_path / "test"
    shutil.copytree(tables / "test", both)
    known = next((tables / "train" / "3").iterdir())
    shutil.copy(known, both / "5" / "renamed.png")  # another name and label, the same content
    with pytest.raises(InputError, match=r"SUF012: 1 of the test samples is among the training samples: .*renamed.png"):
        forecast(config_of(data=str(tables / "train"), test=str(both), samples=None), tmp_path / "run")


@pytest.mark.deep
def test_a_model_that_was_trained_elsewhere_is_taken_as_it_is(tables, tmp_path, monkeypatch):
    """Trained and saved by transformers' own means, then forecast; against the losses computed here."""
    samples, others = load_samples(str(tables / "train")), load_samples(str(tables / "test"))
    classifier = load_classifier("builtin:tiny-vit", samples, None, 0, False)

    def problem_of(data):
        inputs = classifier.inputs(data, np.arange(len(data)))
        return Problem(classifier.model, inputs, predict=classifier.predict, collate=classifier.collate, order="source")

    problem = problem_of(samples)
    fine_tune(problem, FineTuning(steps=30, learning_rate=1e-3))
    source = tmp_path / "model"
    classifier.model.config.id2label = {label: f"LABEL_{label}" for label in range(10)}
    classifier.model.config.label2id = {f"LABEL_{label}": label for label in range(10)}
    classifier.model.save_pretrained(source)
    for file in (files("suffice.models") / "tiny_vit").iterdir():
        if "preprocessor" in file.name:
            shutil.copy(str(file), source)
    monkeypatch.setattr(run, "fine_tune", never)
    asked = {"model": str(source), "data": str(tables / "train"), "test": str(tables / "test"), "samples": None}
    result = forecast(config_of(**asked, trained=True, method="full"), tmp_path / "run")
    with torch.no_grad():
        test = problem_of(others)
        losses = torch.cat([test.losses(test.batch(slice(one, one + 50))) for one in range(0, 300, 50)])
    assert result.forecast.level == pytest.approx(float(losses.mean()), rel=1e-4)
    assert result.forecast.penalty is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"method": "first_layers(1)"}, "is not a way to fine-tune"),
        ({"method": "last_layers(40)"}, "this model has"),
        ({"l2": 0.1}, "set --weight-decay"),
        ({"trained": True, "method": "full"}, "--trained needs --test"),
        ({"estimator": "noise"}, r"--method lora\(2\) has auto, combined, symmetric, information, gcv"),
        ({"estimator": "gcv", "method": "head"}, "information, noise"),
        ({"trained": True, "method": "head"}, "leave --trained out"),
        ({"trained": True, "method": "lora(2)"}, "give --method full"),
        ({"learning_rate": 1e6, "weight_decay": 0.5}, "diverged"),
        ({"test": "builtin:digits"}, "SUF012: 120 of the test samples are among the training samples"),
    ],
)
def test_bad_input_is_one_line(values, said, tmp_path):
    with pytest.raises(InputError, match=said) as error:
        forecast(config_of(**values), tmp_path / "run")
    assert "\n" not in str(error.value)
