"""``suffice forecast`` from end to end: against what training on more samples brings, resumed, and bad input."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from suffice.configuration import ForecastConfig, read_configuration
from suffice.data import load_samples
from suffice.errors import InputError
from suffice.forecasting import choose_penalty, forecast_head
from suffice.forecasting.head import fit_head
from suffice.forecasting.losses import CrossEntropy
from suffice.models import load_classifier
from suffice.report.answers.forecast import forecast_answer
from suffice.results import read_result
from suffice.runs.forecast import forecast
from suffice.training import FrozenFeatures, learner

SMALL = {"model": "builtin:tiny-vit", "data": "builtin:digits", "samples": 300, "l2": 0.01}


def config_of(**values):
    return read_configuration(ForecastConfig, SMALL | values)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forecast") / "run"
    return folder, forecast(config_of(sizes=[600, 1200], target_accuracy=0.78), folder)


def test_the_forecast_is_that_of_a_head_on_the_features(made):
    folder, result = made
    features = FrozenFeatures(folder / "features" / "head").tensor.numpy()
    samples = load_samples("builtin:digits")
    rows = np.sort(np.random.default_rng(0).permutation(len(samples))[:300])
    curve = forecast_head(features, samples.labels[rows], [300, 600, 1200], 0.01)
    assert result.forecast.loss.mean == pytest.approx(curve.loss.mean, rel=1e-9)
    assert (result.samples, result.features, len(result.classes)) == (300, 64, 10)
    assert [measured.size for measured in result.measured] == [150, 270]
    assert result.measured[0].loss > result.measured[1].loss
    assert [gain.more for gain in result.gains] == [100, 1000, 10_000]
    assert result.gains[0].loss.value < result.gains[1].loss.value < result.gains[2].loss.value
    recalls = [gain.recall * gain.samples for gain in result.class_gains]
    assert sum(recalls) == pytest.approx(300 * result.measured[1].accuracy)
    assert sum(gain.samples for gain in result.class_gains) == 300
    assert {gain.name for gain in result.class_gains} == set(result.classes)
    times = [gain.times.value for gain in result.class_gains]
    assert times == sorted(times, reverse=True)
    assert np.average(times, weights=[gain.samples for gain in result.class_gains]) == pytest.approx(1)
    assert result.answers == [curve.sufficient_size(target_accuracy=0.78)]


def test_training_on_all_samples_brings_about_what_was_forecast(made, tmp_path):
    """1,197 training samples, and 600 that neither forecast nor training has seen."""
    _, result = made
    forecast(config_of(samples=None, sizes=[2000]), tmp_path / "all")
    features = FrozenFeatures(tmp_path / "all" / "features" / "head").tensor.double().numpy()
    with_ones = np.hstack([features, np.ones((len(features), 1))])
    labels = load_samples("builtin:digits").labels
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:1197], order[1197:]
    z = fit_head(with_ones[train], CrossEntropy(labels[train], 10), 10, 0.01).predict(with_ones[test])
    loss, accuracy = CrossEntropy(labels[test], 10).values(z).mean(), (z.argmax(1) == labels[test]).mean()
    assert result.forecast.loss.low[2] < loss < result.forecast.loss.high[2]
    assert result.forecast.accuracy.low[2] < accuracy < result.forecast.accuracy.high[2]


def test_another_question_runs_no_model_again(made, monkeypatch):
    folder, first = made
    monkeypatch.setattr(FrozenFeatures, "run", lambda *_: pytest.fail("the features are there"))
    again = forecast(config_of(sizes=[600], target_loss=0.7), folder)
    assert again.forecast.loss.mean[1] == first.forecast.loss.mean[1]
    assert [answer.criterion for answer in again.answers] == ["target_loss"]
    assert read_result(folder).answers == again.answers
    forecast(config_of(sizes=[600, 1200], target_accuracy=0.78), folder)


@pytest.mark.deep
def test_a_cost_is_weighed_against_the_forecast_of_any_sizes(made, monkeypatch):
    folder, _ = made
    monkeypatch.setattr(FrozenFeatures, "run", lambda *_: pytest.fail("the features are there"))
    tried = np.unique(np.geomspace(300, 5000, 100).round().astype(int))
    results = [forecast(config_of(sizes=sizes, cost_per_sample=2e-5), folder) for sizes in ([600], tried.tolist())]
    (one,), (other,) = (result.answers for result in results)
    assert one == other
    assert (one.criterion, one.status) == ("cost_per_sample", "extrapolated")
    assert one.low < one.size < one.high
    # the median of the draws' best sizes, and the best size of their medians
    best = tried[np.argmax(results[1].forecast.accuracy.mean - 2e-5 * tried)]
    assert abs(np.log(best / one.size)) < 0.1
    forecast(config_of(sizes=[600, 1200], target_accuracy=0.78), folder)


def test_a_run_that_was_stopped_goes_on(tmp_path, monkeypatch):
    whole = forecast(config_of(samples=600), tmp_path / "whole")
    kept = FrozenFeatures.run
    shards = []

    def stops(self, problem, cut, rows):
        if shards:
            raise KeyboardInterrupt
        shards.append(rows)
        kept(self, problem, cut, rows)

    monkeypatch.setattr(FrozenFeatures, "run", stops)
    with pytest.raises(KeyboardInterrupt):
        forecast(config_of(samples=600), tmp_path / "stopped")
    monkeypatch.setattr(FrozenFeatures, "run", kept)
    assert forecast(config_of(samples=600), tmp_path / "stopped").model_dump_json() == whole.model_dump_json()


def test_one_changed_bit_of_a_frozen_weight_is_noticed(tmp_path):
    load_classifier("builtin:tiny-vit", load_samples("builtin:digits")).model.save_pretrained(tmp_path / "model")
    config = config_of(model=str(tmp_path / "model"), samples=60)
    before = forecast(config, tmp_path / "run")
    assert forecast(config, tmp_path / "run").model_dump_json() == before.model_dump_json()
    weights = load_file(tmp_path / "model" / "model.safetensors")
    weights["vit.embeddings.position_embeddings"].view(torch.int32)[0, 5, 7] ^= 1
    save_file(weights, tmp_path / "model" / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"contents of the weights: changed"):
        forecast(config, tmp_path / "run")


@pytest.mark.deep
def test_the_penalty_is_chosen_by_the_samples_left_out(tmp_path):
    result = forecast(config_of(l2=None), tmp_path / "run")
    features = FrozenFeatures(tmp_path / "run" / "features" / "head").tensor.double().numpy()
    with_ones = np.hstack([features, np.ones((len(features), 1))])
    samples = load_samples("builtin:digits")
    labels = samples.labels[np.sort(np.random.default_rng(0).permutation(len(samples))[:300])]
    assert result.l2 == choose_penalty(with_ones, labels)
    assert result.forecast.level < forecast(config_of(l2=1.0), tmp_path / "other").forecast.level
    assert result.forecast.level < forecast(config_of(l2=1e-5), tmp_path / "third").forecast.level


@pytest.mark.deep
def test_the_recipe_of_the_penalty_is_a_setting_that_needs_no_new_features(tmp_path, monkeypatch):
    fixed = forecast(config_of(l2=None, sizes=[2400]), tmp_path / "run")
    monkeypatch.setattr(FrozenFeatures, "run", lambda *_: pytest.fail("the features are there"))
    tuned = forecast(config_of(l2=None, sizes=[2400], recipe="tuned"), tmp_path / "run")
    assert (fixed.forecast.recipe, tuned.forecast.recipe) == ("fixed", "tuned")
    assert (tuned.l2, tuned.forecast.level) == (fixed.l2, fixed.forecast.level)
    assert tuned.forecast.loss.mean[-1] < fixed.forecast.loss.mean[-1]
    assert tuned.gains[0].loss.value >= fixed.gains[0].loss.value
    words = forecast_answer(tuned).more[-1]
    assert words.startswith("This is with the penalty tuned again at each size; with the 300 at hand it is 0.0")
    assert not any("penalty" in sentence for sentence in forecast_answer(fixed).more)


def test_the_largest_size_need_not_be_given(tmp_path):
    assert forecast(config_of(), tmp_path / "run").forecast.sizes == [300, 600, 1200, 2400, 4800, 9600]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"samples": 5000}, "builtin:digits has 1797"),
        ({"samples": 12}, "has . of the 12 samples, and 2 are needed"),
        ({"sizes": [1, 50]}, "sizes"),
        ({"target_accuracy": 1.2}, "target_accuracy"),
        ({"cost_per_sample": 0.0}, "cost_per_sample = 0.0"),
        ({"classes": ["1"]}, "class"),
        ({"recipe": "tuned"}, "--recipe tuned chooses the penalty at each size: leave --l2 out"),
        ({"recipe": "tunde"}, "recipe = 'tunde'"),
        ({"recipe": "tuned", "l2": None, "method": "full"}, "--recipe is of the penalty of a head: leave it out with"),
    ],
)
def test_bad_input_is_refused_in_one_line(values, said, tmp_path):
    with pytest.raises(InputError, match=said) as error:
        forecast(config_of(**values), tmp_path / "run")
    assert "\n" not in str(error.value)


def test_a_model_that_cannot_be_cut_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(learner, "split", lambda *_: None)
    with pytest.raises(InputError, match="compute features, and use suffice.forecast_head"):
        forecast(config_of(), tmp_path / "run")
