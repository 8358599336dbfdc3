"""What makes a forecast doubtful is told, and nothing is where all is well."""

from dataclasses import replace

import numpy as np
import pytest

from suffice.forecasting import curve_of, forecast_head, measure_head


def drawn(samples, columns=6, seed=0, noise=1.0):
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, columns))
    y = (1.5 * x[:, :3] + np.reshape(noise, (-1, 1)) * random.gumbel(size=(samples, 3))).argmax(1)
    return x, y


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_doubted_of_samples_in_random_order(seed):
    assert forecast_head(*drawn(400, seed=seed), [800], l2=0.01).doubts == []


def test_samples_sorted_by_their_class_are_as_good_as_any():
    x, y = drawn(400)
    order = np.argsort(y, kind="stable")
    assert forecast_head(x[order], y[order], [800], l2=0.01).doubts == []


def test_samples_that_become_harder_along_their_order_are_doubted():
    x, y = drawn(600, noise=np.linspace(0.2, 4, 600))
    (doubt,) = forecast_head(x, y, [1200], l2=0.01).doubts
    assert "not exchangeable" in doubt
    shuffled = np.random.default_rng(0).permutation(600)
    assert forecast_head(x[shuffled], y[shuffled], [1200], l2=0.01).doubts == []


def test_sizes_far_below_those_at_hand_are_named_and_change_no_confidence():
    x, y = drawn(400)
    near, far = forecast_head(x, y, [100, 800], l2=0.01), forecast_head(x, y, [40, 99, 800], l2=0.01)
    assert near.findings == []
    (finding,) = far.findings
    assert (finding.code, finding.severity) == ("SUF033", "note")
    assert finding.what.startswith("40 and 99 samples are fewer than a quarter of the 400 at hand")
    assert far.loss.mean[-1] == near.loss.mean[-1]


@pytest.mark.deep
def test_copies_do_not_make_random_labels_look_learned():
    """Labels of copies go together: taken one by one, half of such data sets pass."""
    passed = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        x, y = np.repeat(random.normal(size=(24, 5)), 10, axis=0), np.repeat(np.arange(24) % 2, 10)
        curve = forecast_head(x, y, [480], l2=0.1)
        passed += not {"SUF028", "SUF029"} & {finding.code for finding in curve.findings}
    assert passed <= 3


def test_a_head_that_follows_each_sample_is_doubted():
    curve = forecast_head(*drawn(150, columns=40), [300], l2=1e-3)
    assert any("150 samples for 77 free weights" in doubt for doubt in curve.doubts)


def test_halves_that_the_slope_does_not_foretell_are_doubted():
    x, y = drawn(400)
    evidence = measure_head(np.hstack([x, np.ones((400, 1))]), y, 0.01)
    assert curve_of(evidence, [800]).doubts == []
    worse = replace(evidence.halves, outputs=4 * evidence.halves.outputs)
    (doubt,) = curve_of(replace(evidence, halves=worse), [800]).doubts
    assert "the curve has another shape" in doubt
