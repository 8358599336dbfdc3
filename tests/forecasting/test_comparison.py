"""Which method from which size on: crossings that are known, noise that methods share, and intervals that hold."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, norm

from suffice.forecasting import compare
from suffice.forecasting.comparison import MOST_ALIKE, paired, shared_noise
from suffice.results import Band, Curve, Draws, LearningCurve
from suffice.training import Predictions

DRAWS = 1024
HAND = 100


def shuffled(seed):
    """Standard normal numbers, evenly spread."""
    return norm.ppf((np.random.default_rng(seed).permutation(DRAWS) + 0.5) / DRAWS)


def curve_of(level, slope, spread=0.01, slope_error=0.2, seed=0, metric="accuracy"):
    """The error rate is level at 100 samples, and falls by slope (1/100 - 1/n); both are uncertain."""
    levels = level + spread * shuffled(2 * seed) if np.isscalar(level) else level
    falls = slope / HAND * np.exp(slope_error * shuffled(2 * seed + 1))
    draws = Draws(smallest=50, largest=HAND, level=levels, slope=falls, exponent=[1.0], noise=[0.01])
    return Curve(metric=metric, sizes=[HAND, 3200], draws=draws)


def forecast_of(*arguments, **named):
    accuracy = curve_of(*arguments, **named)
    loss = curve_of(*arguments, **named | {"metric": "loss"})
    return LearningCurve(sizes=[HAND, 3200], loss=loss, accuracy=accuracy, samples=HAND, status="extrapolated")


def unseen(wrong, samples=100.0):
    outputs = np.zeros((len(wrong), 2))
    outputs[np.arange(len(wrong)), np.asarray(wrong, dtype=int)] = 1.0
    return Predictions(samples, outputs, np.zeros(len(wrong), dtype=np.int64))


def alike(shared, count=400):
    """Errors of two methods on a fifth of the samples each, a share of them the same."""
    errors = count // 5
    first, second = np.zeros(count), np.zeros(count)
    first[:errors] = 1
    start = errors - round(shared * errors)
    second[start : start + errors] = 1
    return {"head": unseen(first), "lora(4)": unseen(second)}


CROSSING = {"head": forecast_of(0.20, 4.0, seed=0), "lora(4)": forecast_of(0.24, 14.0, seed=1)}
"""Equal where 10 (1/100 - 1/n) = 0.04: at 166.7 samples."""


def test_a_known_crossing_is_found():
    found = compare(CROSSING, alike(0.8), [100, 200, 3200])
    (takeover,) = found.takeovers
    assert (takeover.before, takeover.after) == ("head", "lora(4)")
    assert takeover.size == pytest.approx(500 / 3, rel=0.02)
    assert takeover.low < takeover.size < takeover.high
    first, second = found.advice
    assert (first.methods, second.methods) == (["head"], ["lora(4)"])
    # the expensive method is used from where it is better with probability 0.8, which is later
    assert takeover.size < second.first < takeover.high
    assert found.told.lead == ["head", "lora(4)", "lora(4)"]
    (undecided,) = found.undecided
    assert undecided.methods == ["head", "lora(4)"]
    assert undecided.first < takeover.size < undecided.last == second.first - 1


def test_the_interval_of_a_crossing_has_the_probabilities_of_its_ends():
    found = compare(CROSSING, alike(0.8), [100, 3200])
    (takeover,) = found.takeovers
    at = compare(CROSSING, alike(0.8), [takeover.low, takeover.size, takeover.high, 3200])
    assert at.told.better["lora(4)"]["head"][:3] == pytest.approx([0.05, 0.5, 0.95], abs=0.015)


def test_noise_that_is_shared_makes_answers_sharper():
    apart, together = (compare(CROSSING, alike(shared), [100, 250, 3200]) for shared in (0.2, 0.9))
    assert together.correlation["head"]["lora(4)"] > 0.8
    assert apart.correlation["head"]["lora(4)"] == pytest.approx(0)
    (wide,), (narrow,) = apart.takeovers, together.takeovers
    assert np.log(narrow.high / narrow.low) < 0.8 * np.log(wide.high / wide.low)
    assert narrow.size == pytest.approx(wide.size, rel=0.03)
    for index, sign in ((0, -1), (1, 1)):
        before, after = (found.told.better["lora(4)"]["head"][index] for found in (apart, together))
        assert sign * after > sign * before


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.95, 0.95), st.integers(0, 1000))
def test_pairing_keeps_each_forecast_and_correlates_the_levels_alone(correlation, seed):
    curves = {"a": curve_of(0.2, 4.0, seed=0), "b": curve_of(0.3, 14.0, seed=1)}
    made = paired(curves, [100.0, 100.0], np.array([[1, correlation], [correlation, 1]]), seed)
    for rows in made.rows:
        assert (np.bincount(rows) == len(rows) // DRAWS).all()
    levels = [curve.draws.level[rows] for curve, rows in zip(curves.values(), made.rows, strict=True)]
    slopes = [np.log(curve.draws.slope[rows]) for curve, rows in zip(curves.values(), made.rows, strict=True)]
    assert np.corrcoef(*levels)[0, 1] == pytest.approx(MOST_ALIKE * correlation, abs=0.05)
    assert abs(np.corrcoef(*slopes)[0, 1]) < 0.1
    assert abs(np.corrcoef(levels[0], slopes[1])[0, 1]) < 0.1


def test_the_level_is_paired_where_it_was_measured():
    """Folds are trained on fewer samples than all: there levels have their correlation, and not beyond."""
    curves = {"a": curve_of(0.2, 20.0, 0.01, 0.5, seed=0), "b": curve_of(0.3, 20.0, 0.01, 0.5, seed=1)}
    made = paired(curves, [80.0, 90.0], np.array([[1, 0.9], [0.9, 1]]))
    measured = [
        curve.draws.means(np.array([size]))[rows, 0]
        for (curve, rows, size) in zip(curves.values(), made.rows, (80.0, 90.0), strict=True)
    ]
    assert np.corrcoef(*measured)[0, 1] == pytest.approx(0.9, abs=0.04)


def test_equal_methods_are_indistinguishable_and_the_cheaper_one_is_used():
    same = forecast_of(0.2, 4.0)
    found = compare({"full": same, "head": same}, {"full": unseen([1, 0, 0]), "head": unseen([1, 0, 0])}, [100, 3200])
    (advice,), (undecided,) = found.advice, found.undecided
    assert advice.methods == ["head"]
    assert (undecided.first, undecided.last) == (50, 3200)
    assert found.told.better["full"]["head"] == pytest.approx([0.5, 0.5], abs=0.03)


def test_an_expensive_method_is_kept_where_farther_sizes_are_uncertain():
    """Surely better at hand, and ahead with less than 0.8 far away: uncertainty is no reason to change back."""
    curves = {"head": forecast_of(0.25, 8.0, slope_error=1.2, seed=0), "full": forecast_of(0.15, 0.5, seed=1)}
    found = compare(curves, alike(0.5) | {"full": alike(0.5)["head"]}, [100, 3200])
    assert found.told.better["full"]["head"][0] > 0.99
    assert 0.5 < found.told.better["full"]["head"][1] < 0.8
    assert found.told.use == ["full", "full"]
    assert [stretch.methods for stretch in found.advice] == [["full"]]
    assert [stretch.last for stretch in found.undecided] == [3200]


def test_an_expensive_method_gives_way_to_a_cheaper_one_that_leads():
    first, second = alike(0.8).values()
    forecasts = {"full": CROSSING["head"], "head": CROSSING["lora(4)"]}
    found = compare(forecasts, {"full": first, "head": second}, [100, 3200])
    assert [stretch.methods for stretch in found.advice] == [["full"], ["head"]]
    assert found.advice[1].first == pytest.approx(found.takeovers[0].size, rel=0.05)


def test_company_changes_no_comparison():
    errors = alike(0.8)
    pair = compare(CROSSING, errors, [100, 170, 3200])
    three = compare(
        CROSSING | {"full": forecast_of(0.22, 9.0, seed=2)}, errors | {"full": errors["head"]}, [100, 170, 3200]
    )
    assert three.told.better["lora(4)"]["head"] == pytest.approx(pair.told.better["lora(4)"]["head"], abs=0.03)
    assert [sum(shares) for shares in zip(*three.told.best.values(), strict=True)] == pytest.approx([1, 1, 1], abs=1e-3)
    for one, other in itertools.permutations(CROSSING, 2):
        both = zip(three.told.better[one][other], three.told.better[other][one], strict=True)
        assert [sum(shares) for shares in both] == pytest.approx([1, 1, 1], abs=1e-3)


def test_the_target_goes_to_the_method_with_the_fewest_samples():
    """0.20 - 4 (1/100 - 1/n) = 0.18 at 200 samples, and 0.24 - 14 (1/100 - 1/n) = 0.18 at 175."""
    found = compare(CROSSING, alike(0.8), [100, 3200], targets=[("target_accuracy", 0.82), ("target_accuracy", 0.999)])
    reached, never = found.fewest
    assert reached.method == "lora(4)"
    assert 0.5 < reached.fewer["head"] < 0.8
    assert (never.method, never.fewer) == (None, {})
    # beyond the limit of the head; where neither reaches it, half counts
    (beyond,) = compare(CROSSING, alike(0.8), [100, 3200], targets=[("target_accuracy", 0.87)]).fewest
    reaching = (CROSSING["lora(4)"].accuracy.draws.means(np.array([1024.0 * HAND])) <= 0.13).mean()
    assert beyond.fewer["head"] == pytest.approx((1 + reaching) / 2, abs=0.01)


def test_losses_are_compared_where_they_are_asked_for():
    found = compare(CROSSING, alike(0.8), [100, 3200], "loss", [("target_loss", 0.18)])
    assert found.metric == "loss"
    assert found.takeovers[0].size == pytest.approx(500 / 3, rel=0.02)
    assert found.fewest[0].method == "lora(4)"


def test_a_method_without_a_forecast_is_left_out():
    nothing = Band(**dict.fromkeys(("mean", "low", "high"), np.full(2, np.nan)))
    silent = LearningCurve(sizes=[100, 3200], loss=nothing, accuracy=nothing, samples=HAND, status="cannot_tell")
    errors = alike(0.8) | {"full": alike(0.8)["head"]}
    found = compare(CROSSING | {"full": silent}, errors, [100, 3200])
    assert found.told == compare(CROSSING, alike(0.8), [100, 3200]).told
    assert compare({"head": CROSSING["head"], "full": silent}, errors, [100, 3200]) is None


def test_noise_is_shared_by_predictions_for_the_same_samples_alone():
    one, other = unseen([1, 0, 0, 1]), unseen([1, 0, 0, 1])
    assert shared_noise([one, other], "accuracy")[0, 1] == pytest.approx(1)
    elsewhere = Predictions(100.0, other.outputs, 1 - other.labels)
    assert shared_noise([one, elsewhere], "loss")[0, 1] == 0
    assert shared_noise([one, unseen([0, 0, 0, 0])], "accuracy")[0, 1] == 0
    assert shared_noise([one, unseen([0, 0])], "accuracy")[0, 1] == 0


def measured_again(random, rates, correlation, count, slopes, error):
    """Forecasts from one draw of test samples and of slopes: the levels are Jeffreys' posteriors."""
    latent = random.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], count)
    forecasts, errors = {}, {}
    for row, (name, rate, slope) in enumerate(zip(("head", "lora(4)"), rates, slopes, strict=True)):
        wrong = latent[:, row] < norm.ppf(rate)
        score = norm.cdf(shuffled(int(random.integers(2**31))))
        level = beta.ppf(score, wrong.sum() + 0.5, count - wrong.sum() + 0.5)
        seen = slope * np.exp(error * random.normal())
        forecasts[name] = forecast_of(level, seen, slope_error=error, seed=int(random.integers(2**30)))
        errors[name] = unseen(wrong)
    return forecasts, errors


@pytest.mark.deep
@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_the_interval_of_a_crossing_holds_it(correlation):
    """It is where the probability is 0.05 to 0.95: at the true crossing this is so in 90% of the pilots."""
    random = np.random.default_rng(1)
    crossing = np.array([167.0])
    held, held_if_apart = [], []
    for _ in range(500):
        forecasts, errors = measured_again(random, (0.20, 0.24), correlation, 300, (4.0, 14.0), 0.15)
        curves = {name: forecast.accuracy for name, forecast in forecasts.items()}
        for noise, found in ((shared_noise([*errors.values()], "accuracy"), held), (np.eye(2), held_if_apart)):
            probability = paired(curves, [100.0, 100.0], noise).better(crossing)[1, 0, 0]
            found.append(0.05 <= probability <= 0.95)
    assert 0.87 <= np.mean(held) <= 0.93
    # as if no noise were shared: far too wide where it is
    assert np.mean(held_if_apart) > 0.98 or correlation == 0
