"""The slope of a head by each estimator."""

import numpy as np
import pytest

from suffice.forecasting import estimators_of, measure_head
from suffice.forecasting.slopes import Slope, effective_dimension_slope, geometric_mean, sandwich_slope


def classified(samples, seed=0, classes=3, columns=6):
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, columns))
    labels = (1.5 * x[:, :classes] + random.gumbel(size=(samples, classes))).argmax(1)
    labels[: 2 * classes] = np.repeat(np.arange(classes), 2)
    return x, labels


@pytest.mark.parametrize("samples", [90, 300])
def test_by_default_it_is_the_geometric_mean_of_noise_and_information(samples):
    evidence = measure_head(*classified(samples), l2=0.01)
    slopes = {name: estimator.slope.value for name, estimator in estimators_of(evidence).items()}
    assert next(iter(slopes)) == "combined"
    assert slopes["combined"] ** 2 == pytest.approx(slopes["noise"] * slopes["information"])
    assert slopes["information"] == pytest.approx(effective_dimension_slope(evidence.head).value)


def test_residuals_are_half_way_with_enough_samples_of_a_class_and_nearer_to_those_left_out_with_fewer():
    many = measure_head(*classified(300), l2=0.01)
    middle = (many.head.outputs + many.folds.outputs) / 2
    assert estimators_of(many)["noise"].slope == sandwich_slope(many.head, middle)
    few = measure_head(*classified(30), l2=0.01)
    own, left_out = few.head.outputs, few.folds.outputs
    half, told, far = (
        slope.value
        for slope in (
            sandwich_slope(few.head, (own + left_out) / 2),
            estimators_of(few)["noise"].slope,
            sandwich_slope(few.head, left_out),
        )
    )
    assert half < told < far


def test_the_mean_of_two_slopes_does_not_depend_on_their_order_and_is_the_less_certain_the_further_they_are_apart():
    near, far = Slope(10.0, 1.0), Slope(40.0, 2.0)
    assert geometric_mean(near, far, off=0.5) == geometric_mean(far, near, off=0.5)
    assert geometric_mean(near, near, off=0.5) == pytest.approx(Slope(10.0, 1 / np.sqrt(2)))
    errors = [geometric_mean(near, Slope(value, 1.0), off=0.5).error / np.sqrt(value) for value in (10.0, 20.0, 80.0)]
    assert errors == sorted(errors)
