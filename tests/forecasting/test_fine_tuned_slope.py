"""The slope of fine-tuned models from two losses: where the curve is known, and that its error is right."""

import numpy as np
import pytest

from suffice import InputError
from suffice.forecasting.slopes.fine_tuned import fine_tuned_slope, part_errors


def losses(mean, count, random, shape=1.0):
    """Positive, with the mean and, over it, a standard deviation of shape^-1/2."""
    return random.gamma(shape, mean / shape, size=count)


@pytest.mark.parametrize("unseen_samples", [1000.0, 800.0, 500.0])
def test_both_losses_of_a_curve_of_first_order_give_its_slope_whatever_the_size_of_the_unseen_ones(unseen_samples):
    """Least squares with p weights: L(k) = 1 + p / k, the training loss is 1 - p / k, and all leverages are p / k."""
    weights, samples = 20, 1000
    own, unseen = np.full(50, 1 - weights / samples), np.full(50, 1 + weights / unseen_samples)
    slope = fine_tuned_slope(own, unseen, samples, unseen_samples, directions=weights)
    assert slope.value == pytest.approx(weights, rel=0.01)
    assert slope.level == pytest.approx(1 + weights / samples, rel=1e-9)
    assert [slope.noise, slope.level_error] == pytest.approx([0, 0], abs=1e-12)


def test_the_slope_is_the_gain_of_many_least_squares_fits():
    random = np.random.default_rng(0)
    weights, samples = 10, 200

    def fitted(count):
        x = random.normal(size=(count, weights))
        y = random.normal(size=count)
        w = np.linalg.lstsq(x, y, rcond=None)[0]
        # the expected loss of a new sample is 1 + |w|^2
        return (y - x @ w) ** 2, 1 + w @ w

    pilots = [fitted(samples) for _ in range(400)]
    own = np.concatenate([of for of, _ in pilots])
    test = np.array([loss for _, loss in pilots])
    more = np.mean([fitted(2 * samples)[1] for _ in range(400)])
    slope = fine_tuned_slope(own, test, samples, samples, directions=weights).value
    gain = test.mean() - more
    assert slope * (1 / samples - 1 / (2 * samples)) == pytest.approx(gain, rel=0.15)


def test_for_a_model_that_interpolates_the_gain_left_is_the_loss_over_root_two():
    slope = fine_tuned_slope(np.full(9, 1e-9), np.full(9, 2.0), 100, 100, directions=1e6)
    assert slope.value / 100 == pytest.approx(2 / np.sqrt(2), rel=1e-3)


@pytest.mark.parametrize(("own_mean", "shape"), [(0.01, 1.0), (0.3, 1.0), (0.7, 4.0)])
def test_the_stated_noise_is_the_spread_over_draws_and_moves_the_level_too(own_mean, shape):
    random = np.random.default_rng(1)
    draws = [
        fine_tuned_slope(losses(own_mean, 200, random, 9.0), losses(1.0, 200, random, shape), 200, 160, directions=1e5)
        for _ in range(400)
    ]
    logs, levels = np.log([draw.value for draw in draws]), np.array([draw.level for draw in draws])
    assert np.median([draw.noise for draw in draws]) == pytest.approx(logs.std(), rel=0.15)
    assert np.median([draw.level_error for draw in draws]) == pytest.approx(levels.std(), rel=0.15)
    assert np.corrcoef(logs, levels)[0, 1] > 0.8


def test_a_gap_that_is_negative_by_chance_gives_a_small_slope_with_a_large_error():
    random = np.random.default_rng(2)
    own, unseen = losses(1.0, 100, random), losses(1.0, 100, random)
    unseen *= (own.mean() - 0.5 * np.std(unseen - own) / 10) / unseen.mean()
    slope = fine_tuned_slope(own, unseen, 100, 80, directions=1e5)
    clear = fine_tuned_slope(own / 3, unseen, 100, 80, directions=1e5)
    assert 0 < slope.value < 0.3 * clear.value
    assert slope.noise > 0.7 > 3 * clear.noise
    assert slope.log_error == pytest.approx(np.hypot(slope.noise, slope.between))
    assert slope.level > own.mean()


@pytest.mark.parametrize("unseen", [np.full(20, 0.1), np.full(20, 0.5), np.linspace(0.1, 0.2, 20)])
def test_unseen_losses_below_the_training_loss_are_refused(unseen):
    with pytest.raises(InputError, match=r"is not above the training loss \(0.5\)"):
        fine_tuned_slope(np.full(20, 0.5), unseen, 100, 80, directions=1e5)


def test_whole_models_have_the_same_slope_with_a_larger_error():
    own, unseen = np.full(9, 0.1), np.linspace(0.5, 1.5, 9)
    part, full = (fine_tuned_slope(own, unseen, 100, 80, 1e5, of) for of in ("part", "full"))
    assert part.value == full.value
    assert part.between == part_errors("part").between < full.between == part_errors("full").between


def test_halves_on_the_same_curve_change_no_slope_and_make_it_surer():
    weights, samples = 20, 1000
    own, unseen, halves = (np.full(50, 1 + weights / of) for of in (-samples, 800, 500))
    alone = fine_tuned_slope(own, unseen, samples, 800, weights, "full")
    both = fine_tuned_slope(own, unseen, samples, 800, weights, "full", halves, 500)
    assert both.value == pytest.approx(alone.value, rel=0.01)
    errors = part_errors("full")
    assert both.between == pytest.approx((errors.between**-2 + errors.falls**-2) ** -0.5, rel=0.05)


def test_halves_that_fall_faster_raise_the_slope_by_their_weight():
    own, unseen = np.full(50, 0.1), np.full(50, 1.0)
    alone = fine_tuned_slope(own, unseen, 1000, 800, 1e5, "full")
    errors = part_errors("full")
    falling = unseen + 3 * alone.value * (1 / 500 - 1 / 800)
    both = fine_tuned_slope(own, unseen, 1000, 800, 1e5, "full", falling, 500)
    share = errors.falls**-2 / (errors.falls**-2 + errors.between**-2)
    assert both.value / alone.value == pytest.approx(3**share, rel=0.05)
    assert both.level == alone.level


def test_the_noise_of_halves_takes_their_weight():
    random = np.random.default_rng(3)
    own, unseen = np.full(100, 0.1), np.full(100, 1.0)
    quiet, loud = unseen + 1.0, unseen + 1.0 + random.normal(size=100) * 10
    loud += 1.0 - (loud - unseen).mean()
    alone, of_quiet, of_loud = (
        fine_tuned_slope(own, unseen, 100, 80, 1e5, "full", halves, 50).value for halves in (None, quiet, loud)
    )
    assert abs(np.log(of_loud / alone)) < 0.3 * abs(np.log(of_quiet / alone))


def test_halves_that_are_better_lower_the_slope():
    own, unseen, noise = np.full(100, 0.1), np.full(100, 1.0), np.random.default_rng(4).normal(size=100)
    alone, both = (fine_tuned_slope(own, unseen, 100, 80, 1e5, "full", of, 50) for of in (None, unseen - 0.1 + noise))
    assert 0 < both.value < 0.9 * alone.value


def test_halves_have_no_say_for_a_part():
    own, unseen = np.full(9, 0.1), np.full(9, 1.0)
    alone, both = (fine_tuned_slope(own, unseen, 100, 80, 1e5, "part", of, 50) for of in (None, unseen + 2))
    assert both == alone
