"""What the kernel says against the dense Gauss-Newton matrix, and its parts against each other."""

import sys

import numpy as np
import pytest
import torch
from curvature_oracles import SAMPLES, dense_jacobians, mlp_problem, transformer
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from suffice import InputError, Problem
from suffice.curvature import TangentKernel, plan_tangent_kernel, tangent_kernel

MODULE = sys.modules["suffice.curvature.tangent_kernel"]


def dense_gauss_newton(problem, positions=slice(None)):
    """H0: the mean over some samples of J' S J, with S by double backward."""
    jacobians = dense_jacobians(problem)[positions]
    targets = problem.targets(problem.batch(slice(None)))[positions]
    outputs = problem.outputs(problem.batch(slice(None))).detach()[positions]

    def loss(z, target):
        return functional.cross_entropy(z, target) if problem.loss == "cross_entropy" else ((z - target) ** 2).mean()

    parts = [
        jacobian.T @ torch.autograd.functional.hessian(lambda z, target=target: loss(z, target), output) @ jacobian
        for jacobian, output, target in zip(jacobians, outputs, targets, strict=True)
    ]
    return sum(parts) / len(parts)


def dense_traces(hessian, ridge):
    """Tr(H0 H^-1) and Tr[(H0 H^-1)^2]."""
    product = hessian @ torch.linalg.inv(hessian + torch.diag(ridge))
    return float(product.trace()), float((product @ product).trace())


def both(kernel, factor=1.0):
    return kernel.effective_dimension(factor), kernel.df2(factor)


def drawn_ridge(problem, seed=0):
    count = sum(value.numel() for value in problem.moving.values())
    return 10 ** torch.empty(count, dtype=torch.float64).uniform_(-3, 0, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=15)
@given(
    widths=st.lists(st.integers(2, 5), min_size=2, max_size=4),
    samples=st.integers(3, 8),
    seed=st.integers(0, 1000),
    loss=st.sampled_from(["cross_entropy", "mse"]),
    factor=st.floats(0.1, 10),
)
def test_both_degrees_of_freedom_are_those_of_the_dense_matrices(widths, samples, seed, loss, factor):
    problem = mlp_problem(widths, samples, seed, loss)
    ridge, hessian = drawn_ridge(problem, seed), dense_gauss_newton(problem)
    kernel = tangent_kernel(problem, ridge, share=0)
    assert both(kernel) == pytest.approx(dense_traces(hessian, ridge), rel=1e-8)
    assert both(kernel, factor) == pytest.approx(dense_traces(hessian, factor * ridge), rel=1e-8)
    chosen = np.random.default_rng(seed).permutation(samples)[: 1 + samples // 2]
    part = kernel.subset(chosen)
    assert both(part) == pytest.approx(dense_traces(dense_gauss_newton(problem, chosen), ridge), rel=1e-8)
    assert both(part.subset(chosen[:1])) == pytest.approx(both(kernel.subset(chosen[:1])))


@pytest.mark.parametrize(
    ("kind", "method"), [("vit", "lora(2)"), ("bert", "lora(2)"), ("dinov2", "head"), ("bert", "last_layers(1)")]
)
def test_transformers(kind, method):
    problem = transformer(kind, method)
    kernel = tangent_kernel(problem, 0.01, share=0)
    assert (kernel.directions.shape[1], len(kernel.kernel)) == (3, 2 * SAMPLES)
    # Tr(H0 H^-1) on the side of the parameters, where it is one
    jacobians, outputs = dense_jacobians(problem), problem.outputs(problem.batch(slice(None))).detach()
    p = outputs.softmax(1)
    root = torch.linalg.cholesky(torch.diag_embed(p) - p[:, :, None] * p[:, None] + 1e-15 * torch.eye(3).double())
    rows = (root.mT @ jacobians).flatten(0, 1) / SAMPLES**0.5
    eigenvalues = torch.linalg.svdvals(rows) ** 2 / 0.01
    filtered = eigenvalues / (1 + eigenvalues)
    assert both(kernel) == pytest.approx((float(filtered.sum()), float((filtered**2).sum())), rel=1e-6)


def test_one_penalty_is_that_penalty_for_all():
    problem = mlp_problem([3, 4, 3], 6)
    one, all_alike = tangent_kernel(problem, 0.1), tangent_kernel(problem, torch.full((31,), 0.1))
    assert np.allclose(one.kernel, all_alike.kernel, rtol=1e-6)
    assert both(one, 2.0) == pytest.approx(both(tangent_kernel(problem, 0.2)))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_several_passes_give_what_one_gives(dtype, monkeypatch):
    problem = mlp_problem([6, 10, 4], 9)
    problem.model.to(dtype)
    ridge = drawn_ridge(problem)
    whole = tangent_kernel(problem, ridge)
    rounding = 1e-12 if dtype == torch.float64 else 1e-5
    assert np.array_equal(whole.kernel, whole.kernel.T)
    monkeypatch.setattr(MODULE, "PRODUCT_ROWS", 4)
    monkeypatch.setattr(MODULE, "PRODUCT_COLUMNS", 5)
    for columns in (114, 113, 20):  # of 114
        memory = columns * len(whole.kernel) * dtype.itemsize
        done = []
        parts = tangent_kernel(problem, ridge, memory=memory, progress=done.append)
        assert np.allclose(parts.kernel, whole.kernel, rtol=rounding, atol=rounding)
        assert np.array_equal(parts.kernel, parts.kernel.T)
        plan = plan_tangent_kernel(problem, memory=memory)
        assert plan.passes == -(-114 // columns)
        assert sum(done) == plan.passes * plan.rows
        assert (plan.rows, plan.parameters, plan.samples) == (len(whole.kernel), 114, 9)
        assert plan.seconds > 0


def test_the_groups_of_parameters_fit_into_memory(monkeypatch):
    problem, largest = mlp_problem([6, 10, 4], 9), 0
    rows = MODULE.GradientRows.__call__

    def look(*arguments):
        nonlocal largest
        found = rows(*arguments)
        largest = max(largest, found.numel() * found.element_size())
        return found

    monkeypatch.setattr(MODULE.GradientRows, "__call__", look)
    for memory in (30_000, 5_000, 1_000):
        largest = 0
        tangent_kernel(problem, 0.1, memory=memory)
        assert memory / 2 < largest <= memory or memory == 30_000


@pytest.mark.parametrize("share", [1e-4, 1e-2, 0.3])
def test_dropped_rows_matter_no_more_than_is_said(share):
    """df1 loses at most Tr D, df2 at most 8/27 Tr D, with D what was dropped."""
    problem = mlp_problem([5, 8, 4], 40)
    problem.model[-1].weight.data *= 8  # so that some samples are certain
    full, some = (tangent_kernel(problem, 0.01, share=part) for part in (0, share))
    assert full.dropped == 0
    assert len(some.kernel) < len(full.kernel) == 3 * 40
    assert 0 < some.dropped <= share
    dropped = np.trace(full.kernel) - np.trace(some.kernel)
    lost = np.subtract(both(full), both(some))
    assert (lost >= 0).all()
    assert (lost <= np.array([1, 8 / 27]) * dropped).all()
    if share == 1e-4:
        assert lost[1] < 1e-3 * full.df2()


def test_rows_are_those_of_the_largest_curvature_over_all_samples():
    problem = Problem(
        nn.Linear(2, 2, bias=False).double(),
        TensorDataset(torch.tensor([[1.0, 0], [0, 1.0], [1, 1]]).double(), torch.tensor([0, 1, 0])),
        order="source",
    )
    problem.model.weight.data = torch.tensor([[4.0, 0], [0, 4.0]]).double()
    # p (1 - p) of a certain sample is 0.0177, and 0.25 at logits that are equal
    kernel = tangent_kernel(problem, 1.0, share=0.2)
    assert kernel.owners.tolist() == [2]
    assert kernel.dropped == pytest.approx(2 * 0.01766 / (2 * 0.01766 + 0.25), rel=1e-3)
    # F = sqrt(1/2 / 3) u' J with J = x (x) I, |x|^2 = 2
    assert kernel.kernel == pytest.approx(np.array([[2 * 0.5 / 3]]))


def test_samples_that_are_certain_leave_no_rows_and_no_dimension():
    problem = mlp_problem([3, 3], 5)
    problem.model[0].weight.data *= 1e6
    kernel = tangent_kernel(problem, 0.1)
    assert kernel.kernel.shape == (0, 0)
    assert both(kernel) == (0, 0)
    assert len(kernel.subset(np.array([1, 2])).kernel) == 0
    assert plan_tangent_kernel(problem).rows == 0


def test_nearly_certain_samples_keep_their_relative_precision():
    """1 - p of 1e-18 is lost in float64; the curvature is not."""
    x = torch.eye(3).double()
    model = nn.Linear(3, 2, bias=False).double()
    model.weight.data = torch.tensor([[42.0] * 3, [0.0] * 3]).double()
    problem = Problem(model, TensorDataset(x, torch.zeros(3).long()))
    kernel = tangent_kernel(problem, 1.0, share=0)
    assert np.allclose(kernel.kernel, np.eye(3) * 2 * np.exp(-42) / 3, rtol=1e-10, atol=0)


def test_slope_of_a_ridge_regression():
    """H0 = 2 x'x / k of one output: df2 in closed form from the singular values of x."""
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).double()
    problem = Problem(nn.Linear(4, 1, bias=False).double(), TensorDataset(x, x[:, 0]), "mse")
    eigenvalues = 2 * torch.linalg.svdvals(x) ** 2 / 50
    assert tangent_kernel(problem, 0.3).df2() == pytest.approx(float(((eigenvalues / (eigenvalues + 0.3)) ** 2).sum()))


def test_rows_and_their_owners_do_not_depend_on_the_batches(monkeypatch):
    problem = mlp_problem([5, 8, 4], 15)
    kernel = tangent_kernel(problem, 0.01)
    monkeypatch.setattr(sys.modules["suffice.problem"], "TOGETHER", 7)
    monkeypatch.setattr(MODULE, "CHUNK_BYTES", 500)
    monkeypatch.setattr(sys.modules["suffice.curvature.jacobians"], "CHUNK_BYTES", 3000)
    other = tangent_kernel(problem, 0.01)
    assert np.array_equal(kernel.owners, other.owners)
    assert both(kernel) == pytest.approx(both(other), rel=1e-12)
    assert kernel.eigenvalues == pytest.approx(other.eigenvalues, abs=1e-10)


def callable_loss(outputs, batch):
    return outputs[:, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"penalty": 0.0}, "the penalty must be positive"),
        ({"penalty": torch.full((20,), -1.0)}, "the penalty must be positive"),
        ({"penalty": float("inf")}, "the penalty must be positive"),
        ({"penalty": torch.ones(3)}, "a penalty of 3 values, but 20 parameters move: give one each"),
        ({"share": 1.0}, "share = 1.0: must be at least 0 and less than 1"),
        ({"memory": 10}, "memory = 10 bytes: the gradients in one parameter alone take 144; give more"),
    ],
)
def test_bad_input(change, message):
    problem = mlp_problem([4, 4], 6)
    with pytest.raises(InputError, match=message) as found:
        tangent_kernel(problem, **({"penalty": 1.0, "share": 0} | change))
    assert "\n" not in str(found.value)


def test_bad_problems():
    model, data = nn.Linear(2, 2).double(), TensorDataset(torch.ones(4, 2).double(), torch.zeros(4).long())
    with pytest.raises(InputError, match="must be .cross_entropy. or .mse. here, not a callable"):
        tangent_kernel(Problem(model, data, callable_loss), 1.0)
    with pytest.raises(InputError, match="the outputs are a tuple"):
        tangent_kernel(Problem(model, data, predict=lambda model, batch: (model(batch[0]),)), 1.0)
    with pytest.raises(InputError, match=r"takes logits \(batch, classes\), not \(4, 2, 1\)"):
        tangent_kernel(Problem(model, data, predict=lambda model, batch: model(batch[0])[..., None]), 1.0)
    data.tensors[0][2] = torch.nan
    with pytest.raises(InputError, match="the outputs of data set row 2 are not finite"):
        tangent_kernel(Problem(model, data), 1.0)


@pytest.mark.parametrize("positions", [[], [0, 0], [0, 5]])
def test_bad_subsets(positions):
    kernel = TangentKernel(np.eye(2), np.arange(2), np.arange(2), np.ones((2, 1)), 0.0)
    with pytest.raises(InputError, match="one or more of the kernel's own samples, each once"):
        kernel.subset(np.array(positions, dtype=np.int64))
    with pytest.raises(InputError, match="factor = 0: the penalty is multiplied by it"):
        kernel.df2(0)
