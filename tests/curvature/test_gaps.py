"""Gaps between the next sample and those before it, against dense Hessians and gradients of single samples."""

import inspect

import numpy as np
import pytest
import torch
from curvature_oracles import mlp_problem
from small_models import SAMPLES, SOUND, problem_of

from suffice import InputError
from suffice.curvature import Hessian, gaps, loss_gradients, spectral_norm

pytestmark = pytest.mark.filterwarnings("ignore:SUF010")


def dense_gaps(problem, sizes):
    """Of every quantity one sample at a time."""
    count = len(problem)
    with problem.measuring():
        losses = problem.losses(problem.batch(slice(None))).double()
    gradients = loss_gradients(problem, np.arange(count)).double()
    eye = torch.eye(gradients.shape[1], dtype=torch.float64)
    hessians = torch.stack([Hessian(problem, positions=np.array([one])) @ eye for one in range(count)])
    return np.array(
        [
            [
                float((losses[size] - losses[:size].mean()).abs()),
                float((gradients[size] - gradients[:size].mean(0)).norm()),
                float(torch.linalg.eigvalsh(hessians[size] - hessians[:size].mean(0)).abs().max()),
            ]
            for size in sizes
        ]
    ).T


KINDS = [
    "norm_mlp",
    "regression",
    "experts",
    pytest.param("transformer_layer", marks=pytest.mark.deep),
    pytest.param("lora_at_start", marks=pytest.mark.deep),
]


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_those_of_dense_matrices(kind):
    problem = SOUND[kind]()
    sizes = [1, 2, SAMPLES - 1]
    found = gaps(problem, sizes, tolerance=1e-4)
    loss, gradient, hessian = dense_gaps(problem, sizes)
    assert found.sizes.tolist() == sizes
    assert np.allclose(found.loss, loss, rtol=1e-10, atol=1e-14)
    assert np.allclose(found.gradient, gradient, rtol=1e-8, atol=1e-12)
    assert np.allclose(found.hessian, hessian, rtol=1e-4)
    assert (found.hessian <= hessian * (1 + 1e-9)).all()
    assert (found.residual <= 1e-4 * found.hessian * 1.01).all()


@pytest.mark.deep
def test_chunks_rests_and_memory_change_nothing():
    problem = mlp_problem([5, 4, 3], 100)
    sizes = [3, 31, 32, 33, 64, 99]
    found = gaps(problem, sizes, tolerance=1e-6)
    assert np.allclose(found.hessian, dense_gaps(problem, sizes)[2], rtol=1e-5)
    for other in (gaps(problem, sizes, tolerance=1e-6, memory=0), gaps(problem, sizes, tolerance=1e-6)):
        assert np.array_equal(other.hessian, found.hessian)
        assert np.array_equal(other.gradient, found.gradient)


def test_sizes_do_not_depend_on_each_other():
    problem = mlp_problem([5, 4, 3], 50)
    together = gaps(problem, [7, 20, 40])
    for number, size in enumerate([7, 20, 40]):
        alone = gaps(problem, [size])
        for name in ("loss", "hessian", "residual"):
            assert getattr(alone, name)[0] == getattr(together, name)[number]
        assert alone.gradient[0] == pytest.approx(together.gradient[number], rel=1e-10)


def test_another_start_confirms_the_norm_at_every_fifth_size():
    problem = mlp_problem([5, 4, 3], 50)
    found = gaps(problem, list(range(1, 13)))
    assert np.isfinite(found.independent).nonzero()[0].tolist() == [0, 5, 10]
    checked = found.independent[::5]
    assert np.allclose(checked, found.hessian[::5], rtol=1e-2)
    assert not np.array_equal(checked, found.hessian[::5])


def test_sizes_that_are_not_whole_are_refused():
    without_types = inspect.unwrap(gaps)  # the tests' own look at types would be first
    with pytest.raises(InputError, match=r"sizes \[2\.7, 3\] must be whole numbers"):
        without_types(SOUND["linear"](), [2.7, 3])


def test_progress_counts_sizes():
    done = []
    gaps(mlp_problem([3, 2], 10), [2, 5, 9], progress=done.append)
    assert done == [1, 1, 1]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([], "must ascend from 1"),
        ([0, 3], "must ascend from 1"),
        ([3, 3], "must ascend from 1"),
        ([4, 2], "must ascend from 1"),
        ([2, 6], "size 6: the gap at k needs sample k \\+ 1, so sizes go to 5 for 6 samples"),
    ],
)
def test_sizes_that_are_not_there_are_refused(sizes, message):
    with pytest.raises(InputError, match=message):
        gaps(SOUND["linear"](), sizes)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_equal_samples_have_no_gap_of_hessians(dtype):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 3))
    x = torch.cat([torch.randn(1, 4).repeat(5, 1), torch.randn(15, 4)])
    problem = problem_of(model, x.to(dtype), torch.ones(20, dtype=torch.long), dtype=dtype, order="source")
    found = gaps(problem, [2, 4, 10])
    scale = abs(spectral_norm(Hessian(problem, positions=slice(0, 1))).value)
    rounding = 100 * torch.finfo(dtype).eps
    assert found.hessian[:2].max() < rounding * scale
    assert found.gradient[:2].max() < rounding * found.gradient[2]
    assert found.hessian[2] > 1e-2 * scale
