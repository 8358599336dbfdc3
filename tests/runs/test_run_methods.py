"""``suffice forecast`` of several methods from end to end: each is a run of its own, resumed, and bad input."""

import numpy as np
import pytest

from suffice.configuration import ForecastConfig, read_configuration
from suffice.errors import InputError
from suffice.results import ForecastResult, read_result
from suffice.runs import evidence as trainings
from suffice.runs.forecast import forecast, forecast_and_evidence
from suffice.runs.methods import forecast_methods

SMALL = {
    "model": "builtin:tiny-vit",
    "data": "builtin:digits",
    "samples": 150,
    "method": "head,last_layers(1)",
    "steps": 30,
    "learning_rate": 2e-2,
    "l2": 0.01,
    "sizes": [300, 1200],
}


def config_of(**values):
    return read_configuration(ForecastConfig, SMALL | values)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("methods") / "run"
    return folder, forecast_methods(config_of(target_accuracy=0.8), folder)


def never(*_, **__):
    pytest.fail("this has been done before")


def test_each_method_is_forecast_as_it_is_alone(made, tmp_path):
    folder, result = made
    assert [of.method for of in result.methods] == ["head", "last_layers(1)"]
    for of in result.methods:
        own = read_result(folder / of.folder)
        assert isinstance(own, ForecastResult)
        assert own.forecast.model_dump_json() == of.forecast.model_dump_json()
        assert own.answers == of.answers
        assert of.trust is not None
        assert own.trust == of.trust
        assert own.configuration["method"] == of.method
        # the smallest class is named as the data set names it
        (smallest,) = [finding.what for finding in own.forecast.findings if finding.code == "SUF017"]
        assert any(f"of the class {name!r}" in smallest for name in result.classes)
    alone = forecast(config_of(method="head", target_accuracy=0.8), tmp_path / "head")
    assert alone.forecast.model_dump_json() == result.methods[0].forecast.model_dump_json()
    assert alone.answers == result.methods[0].answers


def test_the_comparison_is_at_the_sizes_asked_for_with_the_noise_that_is_shared(made):
    folder, result = made
    comparison = result.comparison
    assert (result.samples, result.test_samples, comparison.metric) == (150, 0, "accuracy")
    assert comparison.told.sizes == [150, 300, 1200]
    wrong = [
        forecast_and_evidence(config_of(method=of.method, l2=l2), folder / of.folder)[1].classified.wrong
        for of, l2 in zip(result.methods, (0.01, None), strict=True)
    ]
    correlation = np.corrcoef(*wrong)[0, 1]
    assert comparison.correlation["head"]["last_layers(1)"] == pytest.approx(correlation, abs=1e-4)
    assert correlation > 0.2  # both fail on the same samples
    assert comparison.fewest[0].tolerance == 0.8
    assert result.comparison == read_result(folder).comparison


def test_another_question_trains_nothing(made, monkeypatch):
    folder, first = made
    for name in ("fine_tune", "measure_problem"):
        monkeypatch.setattr(trainings, name, never)
    again = forecast_methods(config_of(target_loss=0.9), folder)
    assert again.comparison.metric == "loss"
    assert again.methods[1].forecast.loss.mean.tolist() == first.methods[1].forecast.loss.mean.tolist()
    assert [fewest.criterion for fewest in again.comparison.fewest] == ["target_loss"]


def test_a_method_may_be_added_or_left_out_later(made, monkeypatch):
    folder, first = made
    monkeypatch.setattr(trainings, "measure_problem", never)
    both = forecast_methods(config_of(method="last_layers(1),head", target_accuracy=0.8), folder)
    assert [of.method for of in both.methods] == ["last_layers(1)", "head"]
    assert both.methods[1].answers == first.methods[0].answers
    assert both.comparison.told.use == first.comparison.told.use


def test_a_folder_of_one_method_is_not_one_of_several(made, tmp_path):
    folder, _ = made
    with pytest.raises(InputError, match=r"holds a run with other settings \(method: .*, now head\)"):
        forecast(config_of(method="head"), folder)
    forecast(config_of(method="head"), tmp_path / "run")
    with pytest.raises(InputError, match=r"method: head, now head,last_layers\(1\)"):
        forecast_methods(config_of(), tmp_path / "run")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"method": "head,first_layers(1)"}, "is not a way to fine-tune"),
        ({"method": "head,last_layers(40)"}, "this model has"),
        (
            {"method": "last_layers(1),full", "l2": None, "recipe": "tuned"},
            "--recipe is of the penalty of a head, and the methods are last_layers",
        ),
        ({"method": "last_layers(1),full"}, "--l2 is the penalty of a head, and the methods are last_layers"),
        ({"trained": True}, "--trained is for one method"),
        ({"estimator": "noise"}, r"--method last_layers\(1\) has auto"),
        ({"test": "builtin:digits"}, "SUF012"),
    ],
)
def test_bad_input_is_one_line_and_found_before_anything_is_trained(values, said, tmp_path, monkeypatch):
    monkeypatch.setattr(trainings, "fine_tune", never)
    with pytest.raises(InputError, match=said) as error:
        forecast_methods(config_of(**values), tmp_path / "run")
    assert "\n" not in str(error.value)
