"""Fitted learning curves against exact curves, a grid search with another solver, and what every fit has to keep."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from suffice.errors import InputError
from suffice.forecasting import (
    FAMILIES,
    CurveFit,
    Estimator,
    NoImprovement,
    TwoPoint,
    fit_curve,
    sufficient_size,
)

K = np.array([40.0, 60.0, 90.0, 130.0, 200.0, 300.0, 450.0, 680.0])
BEYOND = np.geomspace(20, 10 * K[-1], 30)
ALIKE = np.full(len(K), 0.01)

FAMILY = st.sampled_from(sorted(FAMILIES))
LOSSES = st.lists(st.floats(0, 10), min_size=len(K), max_size=len(K)).map(np.array)
ERRORS = st.lists(st.floats(1e-3, 1), min_size=len(K), max_size=len(K)).map(np.array)
IDENTIFIABLE = {"b": st.floats(0.05, 3), "s": st.floats(K[0], K[-1]), "g": st.floats(0.4, 4)}
"""Parameters of f that eight sizes of a factor of 17 tell apart."""


@st.composite
def exact_curves(draw, families=FAMILY):
    """A curve whose loss falls by a given height from the smallest size to the largest."""
    name = draw(families)
    family = FAMILIES[name]
    of_shape = {parameter: draw(IDENTIFIABLE[parameter]) for parameter in family.parameters}
    shape = family.shape(K, **of_shape)
    a = draw(st.floats(0.1, 2)) / (shape[0] - shape[-1])
    c = draw(st.floats(0, 1)) if family.limits[1] else 0.0
    c += 20 * a if name == "logarithm" else 0.0
    return CurveFit(name, 680, {"a": a, "c": c} | of_shape, residual=0.0)


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=6)
@given(st.data(), ERRORS)
def test_an_exact_curve_is_recovered_in_and_beyond_the_sizes(name, data, errors):
    curve = data.draw(exact_curves(st.just(name)))
    fit = fit_curve(curve.family, K, curve(K), errors, 680)
    scale = 1e-6 * (curve(K[:1]) - curve(K[-1:]))
    assert np.abs(fit(BEYOND) - curve(BEYOND)).max() < scale
    assert np.abs(fit.gain(BEYOND) - curve.gain(BEYOND)).max() < scale


def searched(name, losses, errors):
    """The least weighted sum of squares over a grid of f, with a and c by SciPy's non-negative least squares."""
    family = FAMILIES[name]
    axes = {"b": np.geomspace(1e-3, 10, 200), "s": np.geomspace(1e-3, 1e5, 50), "g": np.geomspace(0.1, 9, 8)}
    grids = np.meshgrid(*(axes[parameter] for parameter in family.parameters))
    ones = [np.ones(len(K)), -np.ones(len(K))][: sum(limit != 0 for limit in family.limits)]
    return min(
        nnls(np.stack([family.shape(K, *point), *ones], 1) / errors[:, None], losses / errors)[1] ** 2
        for point in zip(*(grid.ravel() for grid in grids), strict=True)
    )


@pytest.mark.parametrize("name", FAMILIES)
@settings(max_examples=6)
@given(exact_curves(), LOSSES, st.sampled_from([0, 0.01, 0.1, 1]), ERRORS)
def test_no_point_of_a_dense_grid_is_better(name, curve, noise, share, errors):
    losses = (1 - share) * curve(K) + share * noise
    fit = fit_curve(name, K, losses, errors, 680)
    assert fit.residual <= searched(name, losses, errors) * (1 + 1e-9) + 1e-12
    assert fit.residual == pytest.approx(np.square((losses - fit(K)) / errors).sum(), rel=1e-6, abs=1e-9)


@settings(max_examples=12)
@given(FAMILY, LOSSES, ERRORS)
@example("algebraic_root", np.zeros(len(K)), ALIKE)
@example("power_law", np.eye(len(K))[0], ALIKE)
@example("logarithm", np.eye(len(K))[-1], ALIKE)
def test_any_losses_give_a_curve_that_never_rises_and_is_no_worse_than_a_constant(name, losses, errors):
    fit = fit_curve(name, K, losses, errors, 680)
    curve = fit(np.geomspace(1, 1e9, 50))
    assert np.isfinite(curve).all()
    assert (np.diff(curve) <= 1e-9 * np.abs(curve[1:])).all()
    assert curve[-1] >= fit.limit
    mean = np.average(losses, weights=errors**-2)
    assert fit.residual <= np.square((losses - mean) / errors).sum() * (1 + 1e-9) + 1e-9


@settings(max_examples=15)
@given(FAMILY, st.floats(0, 10), ERRORS, st.booleans())
def test_losses_that_do_not_fall_give_their_mean(name, loss, errors, rise):
    losses = loss + np.log(K) * rise
    fit = fit_curve(name, K, losses, errors, 680)
    assert fit.parameters["a"] == 0
    assert fit.limit == fit.parameters["c"] == pytest.approx(np.average(losses, weights=errors**-2))
    assert (fit.gain(BEYOND) == 0).all()


@settings(max_examples=6)
@given(FAMILY, LOSSES, ERRORS)
def test_losses_of_one_size_count_as_their_weighted_mean(name, losses, errors):
    several = fit_curve(name, np.tile(K, 2), np.tile(losses, 2), np.tile(errors, 2) * math.sqrt(2), 680)
    assert np.allclose(several(K), fit_curve(name, K, losses, errors, 680)(K), rtol=1e-4, atol=1e-4)


def test_only_a_falling_logarithm_has_no_limit():
    limits = {name: fit_curve(name, K, 0.2 + 3 / np.sqrt(K), ALIKE, 680).limit for name in FAMILIES}
    assert limits["logarithm"] == -math.inf
    assert limits["power_law"] == 0
    assert limits["power_law_with_limit"] == pytest.approx(0.2)
    assert all(math.isfinite(limit) for name, limit in limits.items() if name != "logarithm")


@given(exact_curves(), st.floats(-0.5, 2), st.floats(0, 0.2))
def test_the_sufficient_size_is_the_first_that_gets_there(curve, share, correction):
    target = float(curve(K[:1])[0]) * share
    size = sufficient_size(curve, target, correction)
    if size is None:
        assert curve.limit >= target - correction or curve(np.array([1e18]))[0] > target - correction
    else:
        assert curve(np.array([float(size)]))[0] <= target - correction
        assert size == 1 or curve(np.array([size - 1.0]))[0] > target - correction


@given(st.floats(0.3, 3), st.floats(1e-3, 1))
def test_the_sufficient_size_of_a_power_law_is_its_inverse(b, goal):
    curve = CurveFit("power_law", 100, {"a": 1.0, "b": b, "c": 0.0}, residual=0.0)
    inverse = goal ** (-1 / b)
    size = sufficient_size(curve, goal, 0.0)
    assert inverse * (1 - 1e-9) <= size <= inverse * (1 + 1e-9) + 1


def test_a_constant_is_sufficient_at_once_or_never():
    constant = CurveFit("logarithm", 100, {"a": 0.0, "s": 1.0, "c": 0.5}, residual=0.0)
    assert sufficient_size(constant, 0.5, 0.0) == 1
    assert sufficient_size(constant, 0.5, 0.1) is None


@given(st.floats(0, 1), st.floats(0, 1000), st.integers(1, 500))
def test_two_points_are_exact_for_a_loss_of_one_over_k(limit, slope, half):
    def loss(size):
        return limit + slope / size

    estimate = TwoPoint(2 * half, loss(half), loss(2 * half))
    assert np.allclose(estimate.gain(K), loss(2 * half) - loss(K), rtol=1e-9, atol=1e-9)


def test_all_are_estimators():
    fit = fit_curve("power_law", K, 1 / K, ALIKE, 680)
    for estimate in (fit, NoImprovement(680), TwoPoint(680, 0.5, 0.4)):
        assert isinstance(estimate, Estimator)
        assert estimate.samples == 680
        assert estimate.gain(np.array([680.0])) == pytest.approx(0)
    assert (NoImprovement(680).gain(K) == 0).all()
    assert [fit.name, NoImprovement(680).name, TwoPoint(680, 1, 1).name] == [
        "power law",
        "no improvement",
        "two points",
    ]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: fit_curve("power_low", K, 1 / K, ALIKE, 1), 'did you mean "power_law"?'),
        (lambda: fit_curve("arctan", K, 1 / K[1:], ALIKE, 1), "8 sizes, 7 losses, 8 errors: give one of each a model"),
        (lambda: fit_curve("arctan", K - 40, ALIKE, ALIKE, 1), "sizes: all must be finite and above 0"),
        (lambda: fit_curve("arctan", K, 1 / K, ALIKE * 0, 1), "errors: all must be finite and above 0"),
        (lambda: fit_curve("arctan", K, 1 / K, ALIKE / 0.0, 1), "errors: all must be finite and above 0"),
        (lambda: fit_curve("arctan", K, K * np.nan, ALIKE, 1), "losses: all must be finite and at least 0"),
        (lambda: fit_curve("arctan", K, -K, ALIKE, 1), "losses: all must be finite and at least 0"),
        (lambda: fit_curve("arctan", K, 1 / K, ALIKE, 0), "samples = 0: must be at least 1"),
        (lambda: fit_curve("power_law", K[:1], K[:1], K[:1], 1), "1 different sizes: power_law needs at least 2"),
        (lambda: fit_curve("arctan", K[[0, 0, 1]], K[:3], K[:3], 1), "2 different sizes: arctan needs at least 3"),
        (lambda: fit_curve("algebraic_root", K[:3], K[:3], K[:3], 1), "algebraic_root needs at least 4"),
        (lambda: sufficient_size(CurveFit("power_law", 1, {}, 0), math.nan, 0), "target = nan, correction = 0"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_is_one_line(call, said):
    with pytest.raises(InputError) as error:
        call()
    assert said in str(error.value)
    assert "\n" not in str(error.value)
