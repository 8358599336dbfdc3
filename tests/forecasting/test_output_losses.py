"""Derivatives of the losses of a head, against automatic differentiation in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import grad, jvp
from torch.nn import functional

from suffice.forecasting.losses import CrossEntropy, SquaredError

SEEDS = st.integers(0, 2**32 - 1)


def cases(seed):
    """A loss of ours with outputs, and the same written in torch."""
    random = np.random.default_rng(seed)
    samples, outputs = int(random.integers(1, 6)), int(random.integers(2, 5))
    z = random.normal(scale=3, size=(samples, outputs))
    labels, targets = random.integers(outputs, size=samples), random.normal(size=z.shape)
    a, b = random.normal(size=z.shape), random.normal(size=z.shape)
    yield (
        CrossEntropy(labels, outputs),
        z,
        a,
        b,
        lambda z: functional.cross_entropy(z, torch.from_numpy(labels), reduction="sum"),
    )
    yield SquaredError(targets), z, a, b, lambda z: ((z - torch.from_numpy(targets)) ** 2).mean(1).sum()


def along(function, vector):
    return lambda z: jvp(function, (z,), (vector,))[1]


@given(SEEDS)
def test_derivatives_are_those_of_automatic_differentiation(seed):
    for ours, z, a, b, theirs in cases(seed):
        at, where, first, second = (torch.from_numpy(value) for value in (z, z, a, b))
        derivatives = ours.at(z)
        assert ours.values(z).sum() == pytest.approx(float(theirs(at)), rel=1e-12)
        assert derivatives.residuals == pytest.approx(grad(theirs)(at).numpy(), rel=1e-9, abs=1e-12)
        curved = along(grad(theirs), first)
        assert derivatives.curvature(a) == pytest.approx(curved(where).numpy(), rel=1e-9, abs=1e-12)
        each = np.eye(z.shape[1])[:, None, :] * np.ones_like(z)
        assert derivatives.mean_curvature == pytest.approx(derivatives.curvature(each).mean(1), abs=1e-12)
        bent = along(curved, second)(where)
        assert derivatives.bend(a, b) == pytest.approx(bent.numpy(), rel=1e-7, abs=1e-10)
        third = float((along(curved, first)(where) * second).sum())
        assert derivatives.third(a, b).sum() == pytest.approx(third, rel=1e-7, abs=1e-10)


@given(SEEDS)
def test_draws_have_the_curvature_as_covariance(seed):
    for ours, z, *_ in cases(seed):
        draws = ours.at(z).draw(4000, np.random.default_rng(0))
        each = np.eye(z.shape[1])[:, None, :] * np.ones_like(z)
        expected = ours.at(z).curvature(each).transpose(1, 0, 2)
        found = np.einsum("dsa,dsb->sab", draws, draws) / len(draws)
        assert np.abs(found - expected).max() < 0.1 * expected.max() + 0.03
        assert np.abs(draws.mean(0)).max() < 0.1


@given(SEEDS)
def test_some_of_the_samples_have_the_losses_that_they_have_among_all(seed):
    for ours, z, *_ in cases(seed):
        rows = np.arange(0, len(z), 2)
        assert np.array_equal(ours.take(rows).values(z[rows]), ours.values(z)[rows])
