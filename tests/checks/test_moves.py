"""Moved parameters move the losses, and probes are where they should be."""

import numpy as np
import pytest
import torch
from more_sound_models import MORE_SOUND
from small_models import CLASSES, SAMPLES, SOUND, WIDTH, WRONG_GRADIENT, drawn, labels
from torch import nn
from torch.utils.data import TensorDataset
from wrong_derivatives import WRONG, Merging

from suffice import InputError, Ledger, Probes, Problem, record

NOT_READ = ["weights_merged_in_evaluation_mode", "weights_copied_into_a_list"]


def restricted(kind):
    problem = WRONG[kind].build(torch.float32)
    if kind == "weights_merged_in_evaluation_mode":  # only what is merged moves
        return Problem(problem.model, problem.dataset, parameters=["0.a", "0.b"])
    return problem


@pytest.mark.parametrize("kind", NOT_READ)
def test_parameters_that_forward_does_not_read_are_found(kind, tmp_path):
    problem = restricted(kind)
    with pytest.raises(
        InputError, match=r"^SUF005: moving the parameters \(.* and 1 more\) does not change any output"
    ):
        record(problem, Probes.sphere(problem), tmp_path)
    with pytest.raises(InputError, match="SUF005"):  # what was stored does not hide it
        record(problem, Probes.sphere(problem), tmp_path)
    problem.checks = False
    losses = record(problem, Probes.sphere(problem)).losses
    assert (losses == losses[:, :1]).all()


def test_an_adapter_that_eval_merges_is_found_before_it_is_measured():
    model = nn.Sequential(Merging(), nn.Linear(WIDTH, CLASSES))  # in training mode: eval() merges what stands then
    problem = Problem(model, TensorDataset(drawn(SAMPLES, WIDTH), labels()), parameters=["0.a", "0.b"])
    with pytest.raises(InputError, match=r"^SUF014: eval\(\) changes the parameter 0\.weight"):
        record(problem, Probes.sphere(problem))


@pytest.mark.filterwarnings("ignore:SUF010")
@pytest.mark.parametrize("kind", SOUND | MORE_SOUND | WRONG_GRADIENT)
def test_probes_of_sound_models_move_the_losses(kind):
    problem = (SOUND | MORE_SOUND | WRONG_GRADIENT)[kind](torch.float32)
    losses = record(problem, Probes.sphere(problem, count=2)).losses
    assert np.isfinite(losses).all()


def test_losses_that_are_equal_are_no_fault_where_outputs_differ():
    problem = MORE_SOUND["losses_of_zero_and_one"]()
    losses = record(problem, Probes.sphere(problem, radius=1e-6)).losses
    assert (losses == losses[:, :1]).all()


def test_a_given_point_may_be_the_centre():
    problem = SOUND["linear"]()
    losses = record(problem, Probes.points(problem, [problem.center()])).losses
    assert (losses[:, 0] == losses[:, 1]).all()


@pytest.mark.parametrize(
    ("dtype", "radius"), [(torch.float32, 1e-9), (torch.float32, 1e-8), (torch.bfloat16, 1e-4), (torch.float16, 1e-5)]
)
def test_a_radius_that_rounding_swallows_is_refused(dtype, radius):
    problem = SOUND["norm_mlp"](dtype)
    with pytest.raises(InputError, match=r"^SUF006: a probe at distance .* is at .* after rounding to .*float"):
        record(problem, Probes.sphere(problem, radius=radius))
    with pytest.raises(InputError, match="SUF006"):
        record(problem, Probes.gaussian(problem, sigma=radius * 1e-2, count=2))


@pytest.mark.parametrize(
    ("dtype", "radius"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.1), (torch.float16, 1e-2)]
)
def test_a_radius_that_the_precision_allows_is_taken(dtype, radius):
    problem = SOUND["norm_mlp"](dtype)
    probes = Probes.sphere(problem, radius=radius, count=3)
    distances = [
        float(sum((probes[probe][name].double() - value.double()).square().sum() for name, value in probes[0].items()))
        for probe in range(1, 4)
    ]
    assert np.allclose(np.sqrt(distances), probes.distance[1:], rtol=0.1)
    assert isinstance(record(problem, probes), Ledger)


def test_outputs_that_do_not_change_at_a_small_radius_are_told_from_parameters_that_are_not_read():
    class Coarse(nn.Linear):
        def forward(self, x):
            return super().forward(x).round()

    torch.manual_seed(0)
    problem = Problem(Coarse(WIDTH, CLASSES).double(), TensorDataset(drawn(SAMPLES, WIDTH), labels()))
    with pytest.raises(InputError, match="^SUF006: at probe 1 all outputs equal those at the centre to the bit"):
        record(problem, Probes.sphere(problem, radius=1e-9))
    assert len(record(problem, Probes.sphere(problem, radius=1.0)).losses) == SAMPLES
