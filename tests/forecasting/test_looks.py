"""What a hold-out has measured: intervals that hold at all looks together, where peeked ones do not."""

import numpy as np
import pytest
from scipy.stats import norm

from suffice.errors import InputError
from suffice.forecasting.looks import betting_interval, measured, spent

LOOKS = 15
SIZES = 50.0 * np.arange(1, LOOKS + 1)
TRUE = 0.85 - 0.35 * SIZES**-0.3


def right(draw, holdout):
    """Whether each sample of a hold-out is right at each look: hard samples stay hard, as those of real models do."""
    hard = draw.normal(size=holdout)
    own = draw.normal(size=(LOOKS, holdout))
    return (np.sqrt(0.8) * hard + np.sqrt(0.2) * own < norm.ppf(TRUE)[:, None]).astype(float)


def failed(looks):
    """Whether an interval of any look leaves the truth out."""
    for look, true in zip(looks, TRUE, strict=True):
        if not look.low <= true <= look.high:
            return True
        if look.gain is not None:
            gain = true - TRUE[np.flatnonzero(look.since == SIZES)[0]]
            if not look.gain.low <= gain <= look.gain.high:
                return True
    return False


@pytest.mark.deep
def test_betting_intervals_fail_at_no_look_in_95_of_100_sequences():
    draw = np.random.default_rng(0)
    failures = [failed(measured(SIZES, (x := right(draw, 80)).mean(1), "accuracy", samples=x)) for _ in range(80)]
    assert np.mean(failures) <= 0.05


def test_normal_intervals_hold_at_all_looks_and_peeked_ones_do_not():
    draw = np.random.default_rng(1)
    failures, peeked = [], []
    for _ in range(400):
        scores = right(draw, 300).mean(1)
        errors = np.sqrt(scores * (1 - scores) / 300)
        failures.append(failed(measured(SIZES, scores, "accuracy", errors=errors)))
        peeked.append((np.abs(scores - TRUE) > 1.96 * errors).any())
    assert np.mean(failures) <= 0.05
    assert np.mean(peeked) > 0.1


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_one_betting_interval_holds_as_often_as_it_says(share):
    draw = np.random.default_rng(2)
    missed = 0
    for _ in range(150):
        low, high = betting_interval((draw.random(60) < share).astype(float), 0.1)
        missed += not low <= share <= high
    assert missed / 150 <= 0.1


def test_pairs_tell_gains_better_than_scores_do():
    x = right(np.random.default_rng(3), 400)
    errors = x.std(1) / 20
    paired, apart = measured(SIZES, x.mean(1), "accuracy", samples=x), measured(SIZES, x.mean(1), "accuracy", errors)
    widths = [look[-1].gain.high - look[-1].gain.low for look in (paired, apart)]
    assert widths[0] < 0.8 * widths[1]
    assert paired[-1].gain.value == pytest.approx(apart[-1].gain.value)


def test_a_gain_is_better_whatever_the_metric():
    loss = measured(np.array([100.0, 200.0]), np.array([1.0, 0.8]), "loss", np.array([0.1, 0.1]))
    assert loss[1].gain.value == pytest.approx(0.2)
    assert (loss[1].since, loss[0].gain, loss[0].since) == (100, None, None)
    width = -norm.ppf(spent(2) / 4) * np.hypot(0.1, 0.1)
    assert loss[1].gain.high - loss[1].gain.value == pytest.approx(width)


def test_without_the_error_of_the_hold_out_nothing_is_said():
    looks = measured(np.array([100.0, 200.0]), np.array([0.7, 0.8]), "accuracy")
    assert [(look.low, look.high, look.gain) for look in looks] == [(None, None, None)] * 2


def test_values_out_of_bounds_are_refused():
    for values in ([0.5, 1.5], [-0.1], []):
        with pytest.raises(InputError, match="between 0 and 1"):
            betting_interval(np.array(values), 0.05)


def test_equal_values_have_an_interval_that_shrinks_with_their_number():
    few, many = (betting_interval(np.ones(count), 0.05) for count in (20, 400))
    assert few[1] == many[1] == 1.0
    assert 0.7 < few[0] < many[0] < 1.0
