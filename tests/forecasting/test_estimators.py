"""The slope of a head by each estimator."""

from dataclasses import replace

import numpy as np
import pytest

from suffice import InputError
from suffice.forecasting import estimators_of, measure_head
from suffice.forecasting.estimators import check_name
from suffice.forecasting.slopes import Slope, effective_dimension_slope, geometric_mean, sandwich_slope


def classified(samples, seed=0, classes=3, columns=6):
    random = np.random.default_rng(seed)
    x = random.normal(size=(samples, columns))
    labels = (1.5 * x[:, :classes] + random.gumbel(size=(samples, classes))).argmax(1)
    labels[: 2 * classes] = np.repeat(np.arange(classes), 2)
    return x, labels


@pytest.mark.parametrize("samples", [90, 300])
def test_the_default_of_heads_is_calibrated_and_others_are_no_more_certain(samples):
    evidence = measure_head(*classified(samples), l2=0.01)
    estimators = estimators_of(evidence)
    assert list(estimators) == ["calibrated", "noise", "information", "symmetric", "combined"]
    slopes = {name: estimator.slope for name, estimator in estimators.items()}
    assert slopes["combined"].value ** 2 == pytest.approx(slopes["noise"].value * slopes["information"].value)
    assert slopes["information"].value == pytest.approx(effective_dimension_slope(evidence.head).value)
    default, *others = (slope.error / slope.value for slope in slopes.values())
    assert all(other > default for other in others)
    apart = abs(np.log(slopes["symmetric"].value / slopes["calibrated"].value))
    assert slopes["symmetric"].error > apart * slopes["symmetric"].value


def test_the_default_of_other_models_is_less_certain_where_nothing_is_known_of_the_training():
    head = measure_head(*classified(200), l2=0.01)
    known = replace(head, head=None)
    unknown = replace(known, recipe_known=False)
    (name, first), *_ = estimators_of(known).items()
    assert name == "combined"
    assert estimators_of(unknown)["combined"].slope.value == first.slope.value
    assert estimators_of(unknown)["combined"].slope.error == pytest.approx(2 * first.slope.error)


def test_a_name_that_there_is_not_is_refused_with_those_there_are():
    with pytest.raises(InputError, match='estimator "sandwich": must be one of auto, calibrated, combined'):
        check_name(measure_head(*classified(90), l2=0.01), "sandwich")


def test_residuals_are_half_way_with_enough_samples_of_a_class_and_nearer_to_those_left_out_with_fewer():
    many = measure_head(*classified(300), l2=0.01)
    middle = (many.head.outputs + many.folds.outputs) / 2
    assert estimators_of(many)["noise"].slope.value == sandwich_slope(many.head, middle).value
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
