"""What holds of every way to take first derivatives, on every kind of model: one abstract case, inherited by each."""

import functools

import numpy as np
import pytest
import torch
from curvature_oracles import central_differences, directions_of
from small_models import SAMPLES, SOUND, few_of

from suffice import InputError
from suffice.curvature import (
    flattened,
    loss_gradients,
    mean_gradient,
    output_gradients,
    parameter_count,
    prefix_gradients,
    unflattened,
    vmap_or_plain,
)

pytestmark = pytest.mark.filterwarnings("ignore:SUF010")  # of parameters without gradient, see tests/checks


def pytest_generate_tests(metafunc):
    if metafunc.cls is not None:
        on_all = metafunc.function.__name__ == "test_losses_move_as_the_gradients_say"
        metafunc.parametrize("kind", sorted(metafunc.cls.kinds) if on_all else few_of(metafunc.cls.kinds))


@functools.cache
def moved_losses(kind):
    """Of each parameter by itself, and of all: a random direction, and the central differences along it."""
    problem = SOUND[kind]()
    directions = directions_of(problem)
    return {
        name: (flattened(problem, direction), central_differences(problem, direction))
        for name, direction in directions.items()
    }


class DerivativesOfLosses:
    """A way to take the gradients of the losses of single samples. A new one defines `rows` and inherits the tests."""

    @staticmethod
    def rows(problem, batch_size=4):
        """g_i of all samples, (m, P), in the problem's order."""
        raise NotImplementedError

    kinds = SOUND.keys()
    """Those that this way is meant for."""

    @pytest.fixture
    def problem(self, kind):
        return SOUND[kind]()

    def test_losses_move_as_the_gradients_say(self, kind, problem):
        rows = self.rows(problem)
        assert rows.shape == (SAMPLES, parameter_count(problem))
        for name, (direction, expected) in moved_losses(kind).items():
            assert torch.allclose(rows.double() @ direction, expected, rtol=1e-6, atol=1e-8), name

    def test_a_float32_model_has_the_same_gradients(self, kind):
        single, double = (self.rows(SOUND[kind](dtype)).double() for dtype in (torch.float32, torch.float64))
        assert torch.allclose(single, double, rtol=1e-3, atol=2e-5 * float(double.abs().max()))

    def test_nothing_depends_on_the_batches(self, problem):
        rows = self.rows(problem)
        for batch_size in (1, SAMPLES):
            assert torch.allclose(self.rows(problem, batch_size), rows, rtol=1e-10, atol=1e-13)

    def test_the_model_is_left_as_it_was(self, problem):
        parameters = dict(problem.model.named_parameters())
        first = next(iter(problem.moving.values()))
        first.requires_grad_(False)
        first.grad = torch.ones_like(first)
        before = {name: (value.data_ptr(), value.clone(), value.requires_grad) for name, value in parameters.items()}
        self.rows(problem)
        after = dict(problem.model.named_parameters())
        for name, (pointer, value, required) in before.items():
            assert after[name] is parameters[name]
            assert (after[name].data_ptr(), after[name].requires_grad) == (pointer, required)
            assert torch.equal(after[name], value)
            assert (after[name].grad is None) == (after[name] is not first)
        assert torch.equal(first.grad, torch.ones_like(first))


class TestLossGradients(DerivativesOfLosses):
    @staticmethod
    def rows(problem, batch_size=4):
        parts = [np.arange(SAMPLES)[start : start + batch_size] for start in range(0, SAMPLES, batch_size)]
        return torch.cat([loss_gradients(problem, part) for part in parts])


class TestOutputGradients(DerivativesOfLosses):
    """Contracted with the gradients of the losses in the outputs, by plain autograd here."""

    kinds = SOUND.keys() - {"own_loss"}

    @staticmethod
    def rows(problem, batch_size=4):
        found = []
        for positions, batch in problem.batches(batch_size):
            outputs = problem.outputs(batch).detach().requires_grad_()
            (residuals,) = torch.autograd.grad(problem.losses_of(outputs, batch).sum(), outputs)
            found.append(output_gradients(problem, positions, residuals.flatten(1)))
        return torch.cat(found)


class TestPlainRoute(TestOutputGradients):
    """The same where vmap runs no model at all."""

    @pytest.fixture(autouse=True)
    def _no_vmap(self, monkeypatch):
        def refuse(function):
            raise RuntimeError("not today")

        monkeypatch.setattr(vmap_or_plain, "vmap", refuse)


class TestMeanGradient(DerivativesOfLosses):
    """Of one sample each."""

    @staticmethod
    def rows(problem, batch_size=4):
        return torch.stack([mean_gradient(problem, batch_size, slice(one, one + 1)) for one in range(SAMPLES)])


class TestPrefixGradients(DerivativesOfLosses):
    """g_k = k G_k - (k - 1) G_{k-1}."""

    @staticmethod
    def rows(problem, batch_size=4):
        sizes = torch.arange(1, SAMPLES + 1)
        means = torch.stack(list(prefix_gradients(problem, sizes.tolist(), batch_size)))
        return (means * sizes[:, None]).diff(dim=0, prepend=torch.zeros_like(means[:1]))


@pytest.mark.parametrize("kind", SOUND)
def test_a_mean_is_the_mean_whatever_the_batches_and_the_order(kind):
    problem = SOUND[kind]()
    rows = TestMeanGradient.rows(problem)
    for batch_size in (1, 4, SAMPLES, 100):
        assert torch.allclose(mean_gradient(problem, batch_size), rows.mean(0), rtol=1e-10, atol=1e-13)
    some = np.array([4, 1, 5])
    assert torch.allclose(mean_gradient(problem, 2, some), rows[some].mean(0), rtol=1e-10, atol=1e-13)
    assert torch.allclose(mean_gradient(problem, 2, some[::-1].copy()), rows[some].mean(0), rtol=1e-10, atol=1e-13)
    for size, prefix in zip((2, 5), prefix_gradients(problem, [2, 5], 2), strict=True):
        assert torch.allclose(prefix, rows[:size].mean(0), rtol=1e-10, atol=1e-13)


def test_what_has_no_part_in_a_loss_has_zeros():
    """Unused and unrouted parameters, tokens that do not occur, keys' biases, A of LoRA at B = 0."""
    zeros = {
        "spare_layer": ["spare.weight", "spare.bias"],
        "dinov2": ["dinov2.embeddings.mask_token"],
        "experts": ["experts.1.weight", "experts.3.bias"],
    }
    for kind, names in zeros.items():
        problem = SOUND[kind]()
        parts = unflattened(problem, mean_gradient(problem))
        assert all(not parts[name].any() for name in names)
    problem = SOUND["lora_at_start"]()
    for name, part in unflattened(problem, mean_gradient(problem)).items():
        assert part.any() == ("lora_A" not in name)
    problem = SOUND["sparse_embedding"]()
    gradient = unflattened(problem, mean_gradient(problem))["body.weight"]
    assert gradient.any(1).tolist() == [False, *[True] * 6, False, False]


def test_shared_weights_count_once():
    problem = SOUND["tied_weights"]()
    assert (list(problem.moving), parameter_count(problem)) == (["embedding.weight"], 36)


def test_vectors_and_named_values_are_each_others_inverse():
    problem = SOUND["norm_mlp"]()
    vector = torch.randn(parameter_count(problem), dtype=torch.float64)
    parts = unflattened(problem, vector)
    assert list(parts) == list(problem.moving)
    assert torch.equal(flattened(problem, dict(reversed(parts.items()))), vector)
    parts["0.bias"].zero_()  # a view
    assert vector.count_nonzero() == len(vector) - 6


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda problem: mean_gradient(problem, 0), "batch_size = 0: must be at least 1"),
        (lambda problem: mean_gradient(problem, 4, slice(0, 0)), "at least one sample"),
        (
            lambda problem: mean_gradient(problem, 4, np.array([6])),
            "positions go from 6 to 6: there are samples 0 to 5",
        ),
        (lambda problem: list(prefix_gradients(problem, [3, 3])), r"sizes \[3, 3\] must ascend, from 1 to at most 6"),
        (lambda problem: list(prefix_gradients(problem, [0, 3])), "must ascend"),
        (lambda problem: list(prefix_gradients(problem, [7])), "must ascend"),
        (lambda problem: loss_gradients(problem, np.array([-1])), "positions go from -1 to -1"),
    ],
)
def test_bad_input(take, message):
    with pytest.raises(InputError, match=message) as refusal:
        take(SOUND["linear"]())
    assert "\n" not in str(refusal.value)


def test_a_gradient_that_is_not_finite_names_its_sample():
    problem = SOUND["own_loss"]()
    problem.loss = lambda outputs, batch: (outputs["mean"][:, 0] * (batch[0][:, 0] != 0)).sqrt()
    problem.dataset.tensors[0][:, 0] = 1
    problem.model.weight.data[0], problem.model.bias.data[0] = 0, 1
    row = int(problem.index[3])
    problem.dataset.tensors[0][row, 0] = 0
    for take in (mean_gradient, lambda problem: list(prefix_gradients(problem, [2, 5]))):
        with pytest.raises(InputError, match=f"the gradient of data set row {row} is not finite: look at that sample"):
            take(problem)
