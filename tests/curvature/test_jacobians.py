"""Rows of Jacobians against plain reverse passes of the whole batch, and against finite differences."""

import jaxtyping
import numpy as np
import pytest
import torch
from curvature_oracles import CONFIGURATIONS, SAMPLES, dense_jacobians, mlp_problem, transformer
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import SOUND
from torch import nn
from torch.utils.data import TensorDataset

from suffice import InputError, Problem
from suffice.curvature import jacobians, loss_gradients, output_gradients


def all_rows(problem, outputs, **arguments):
    """J_i of all samples, row by row."""
    positions = np.repeat(np.arange(len(problem)), outputs)
    directions = torch.eye(outputs, dtype=torch.float64).repeat(len(problem), 1)
    return output_gradients(problem, positions, directions, **arguments).unflatten(0, (len(problem), outputs))


@pytest.mark.parametrize("kind", CONFIGURATIONS)
@pytest.mark.parametrize("method", ["lora(2)", "last_layers(1)", "head"])
def test_the_rows_are_those_of_the_dense_jacobian(kind, method):
    problem = transformer(kind, method)
    before = {name: (id(value), value.clone()) for name, value in problem.model.named_parameters()}
    rows, expected = all_rows(problem, 3), dense_jacobians(problem)
    assert expected.abs().sum((0, 1)).count_nonzero() > 0.5 * expected.shape[-1]
    assert torch.allclose(rows, expected, rtol=1e-9, atol=1e-11)
    after = dict(problem.model.named_parameters())
    assert all(id(after[name]) == kept and torch.equal(after[name], value) for name, (kept, value) in before.items())


@settings(max_examples=20)
@given(
    widths=st.lists(st.integers(1, 5), min_size=2, max_size=4),
    samples=st.integers(3, 6),
    rows=st.integers(0, 12),
    seed=st.integers(0, 1000),
)
def test_rows_in_any_directions_of_any_samples_and_columns(widths, samples, rows, seed):
    widths[-1] += 1  # a softmax has at least two outputs
    problem = mlp_problem(widths, samples, seed)
    draw = np.random.default_rng(seed)
    positions = draw.integers(samples, size=rows)
    directions = torch.from_numpy(draw.standard_normal((rows, widths[-1])))
    expected = torch.einsum("ra,rap->rp", directions, dense_jacobians(problem)[positions])
    first, last = sorted(draw.integers(expected.shape[1] + 1, size=2).tolist())
    found = output_gradients(problem, positions, directions, slice(first, last))
    assert found.shape == (rows, last - first)
    assert torch.allclose(found, expected[:, first:last], rtol=1e-10, atol=1e-12)


def test_outputs_move_as_the_rows_say():
    """Central differences along a random change of the parameters."""
    problem = transformer("dinov2", "lora(2)")
    draw = torch.Generator().manual_seed(3)
    change = {name: torch.randn(value.shape, generator=draw).double() for name, value in problem.moving.items()}
    center, step = problem.center(), 1e-5
    sides = []
    for sign in (1, -1):
        with problem.measuring(), problem.at({name: center[name] + sign * step * change[name] for name in center}):
            sides.append(problem.outputs(problem.batch(slice(None))))
    along = all_rows(problem, 3) @ torch.cat([value.flatten() for value in change.values()])
    assert torch.allclose(along, (sides[0] - sides[1]) / (2 * step), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("kind", ["vit", "bert"])
def test_rows_do_not_depend_on_how_samples_are_batched(kind, monkeypatch):
    problem = transformer(kind, "lora(2)")
    expected = all_rows(problem, 3)
    done = []
    for size in (1, 150_000):
        monkeypatch.setattr(jacobians, "CHUNK_BYTES", size)
        done.clear()
        assert torch.allclose(all_rows(problem, 3, progress=done.append), expected, rtol=1e-12, atol=1e-14)
        assert sum(done) == 3 * SAMPLES
        assert 1 < len(done) < SAMPLES if size > 1 else len(done) == 3 * SAMPLES


def test_the_model_is_measured_in_evaluation_mode_and_put_back():
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)).double()
    problem = Problem(model, TensorDataset(torch.randn(5, 2).double(), torch.tensor([0, 1, 0, 1, 1])))
    model.train()
    with pytest.warns(UserWarning, match="evaluation mode"):
        rows = all_rows(problem, 2)
    assert all(module.training for module in model.modules())
    assert int(model[1].num_batches_tracked) == 0
    model.eval()
    assert torch.equal(rows, all_rows(problem, 2))
    assert torch.allclose(rows, dense_jacobians(problem), rtol=1e-10, atol=1e-12)


def test_only_what_moves_has_columns_and_low_precision_is_raised():
    problem = mlp_problem([3, 4, 2], 5)
    problem.model.bfloat16()
    moving = Problem(problem.model, problem.dataset, parameters="0.weight", order="source")
    found = output_gradients(moving, np.array([0, 1]), torch.eye(2, dtype=torch.float64))
    assert found.shape == (2, 12)
    assert found.dtype == torch.float32


def test_nested_samples_and_outputs_of_more_dimensions():
    torch.manual_seed(0)
    model = nn.Linear(3, 4).double()
    data = [{"in": (torch.randn(3).double(), "name"), "labels": torch.zeros(2, 2)} for _ in range(4)]
    problem = Problem(
        model, data, "mse", predict=lambda model, batch: model(batch["in"][0]).unflatten(1, (2, 2)), order="source"
    )
    found = all_rows(problem, 4)
    for sample, rows in zip(data, found, strict=True):
        weight, bias = rows.split([12, 4], dim=1)
        assert torch.allclose(bias, torch.eye(4).double())
        assert torch.allclose(weight.reshape(4, 4, 3), torch.eye(4).double()[..., None] * sample["in"][0])


def test_samples_may_hold_what_is_no_tensor_and_what_is_shared():
    """Text, numbers of the whole batch and tensors without a row for each sample: one sample alone is always right."""
    torch.manual_seed(0)
    model, x = nn.Linear(3, 2).double(), torch.randn(5, 3).double()

    def collate(items):
        names, rows = zip(*items, strict=True)
        shared = torch.tensor([2.0, 3.0]).double()  # its rows are no samples
        return {"names": list(names), "x": torch.stack(rows), "shared": shared, "labels": torch.zeros(len(rows)).long()}

    def predict(model, batch):
        lengths = torch.tensor([len(name) for name in batch["names"]]).double()
        return model(batch["x"] * lengths[:, None]) * batch["shared"]

    items = [("a" * (1 + row), x[row]) for row in range(5)]
    problem = Problem(model, items, predict=predict, collate=collate)
    assert torch.allclose(all_rows(problem, 2), dense_jacobians(problem), rtol=1e-10, atol=1e-12)


def test_bad_input():
    problem = mlp_problem([3, 2], 4)
    with pytest.raises(InputError, match="positions go from 0 to 4: there are samples 0 to 3"):
        output_gradients(problem, np.array([0, 4]), torch.ones(2, 2))
    with pytest.raises(InputError, match="directions of 3 outputs, but the model has 2"):
        output_gradients(problem, np.array([0]), torch.ones(1, 3))
    several = Problem(problem.model, problem.dataset, predict=lambda model, batch: (model(batch[0]),))
    with pytest.raises(InputError, match="the outputs are a tuple, not a tensor: take it out with predict="):
        output_gradients(several, np.array([0]), torch.ones(1, 2))


@pytest.fixture
def _any_types():
    """Types are left to suffice, as for its users."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("_any_types")
@pytest.mark.parametrize(
    ("directions", "columns", "message"),
    [
        (torch.ones(1, 3), slice(None), "one direction for each of the 2 positions"),
        (torch.ones(3, 3), slice(None), "one direction for each of the 2 positions"),
        (np.ones((2, 3)), slice(None), "directions: a ndarray, not a tensor"),
        (torch.ones(2, 3), slice(0, 9, 2), "columns have a step of 2"),
    ],
)
def test_rows_that_cannot_be_made_are_refused(directions, columns, message):
    with pytest.raises(InputError, match=message):
        output_gradients(SOUND["linear"](), np.arange(2), directions, columns)


def test_the_last_of_several_batches_may_be_one_sample_that_loses_its_dimension():
    class Squeezed(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x).squeeze()

    x = torch.randn(65, 4, dtype=torch.float64)
    problem = Problem(Squeezed(4, 1).double(), TensorDataset(x, x[:, 0]), "mse", order="source")
    rows = loss_gradients(problem, np.arange(65))
    errors = 2 * (problem.model(x) - x[:, 0])[:, None]
    assert torch.allclose(rows, torch.cat([errors * x, errors], 1).detach())
    assert problem.all_outputs().shape == (65, 1)
