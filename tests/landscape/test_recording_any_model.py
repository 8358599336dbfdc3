"""Losses and probes of every kind of model, those without derivatives too."""

import numpy as np
import pytest
import torch
from small_models import SAMPLES, SOUND, WRONG_GRADIENT, fourier

from suffice import InputError, Probes, record

pytestmark = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # reentrant checkpoints

KINDS = SOUND | WRONG_GRADIENT | {"moving_complex_layer": fourier}


def recorded(problem, probes):
    return record(problem, probes, batch_size=4).losses


def distances(problem, probes):
    """||w - w*|| of each probe, with real and imaginary parts side by side."""

    def parts(state):
        wide = [torch.view_as_real(value) if value.is_complex() else value for value in state.values()]
        return torch.cat([part.flatten().double() for part in wide])

    return [float((parts(probes[number]) - parts(probes[0])).norm()) for number in range(len(probes))]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_losses_at_probes_are_those_of_a_model_that_was_moved_there(kind, dtype):
    problem = KINDS[kind](dtype)
    sphere, gaussian = Probes.sphere(problem, 0.1, 3), Probes.gaussian(problem, 0.02, 3)
    center = problem.center()
    length = 0.1 * distances(problem, Probes.points(problem, [{name: 0 * center[name] for name in center}]))[1]
    for probes in (sphere, gaussian):
        assert distances(problem, probes) == pytest.approx(probes.distance, rel=1e-4)
        losses = recorded(problem, probes)
        given = Probes.points(problem, [probes[number] for number in range(1, 4)])
        assert given.distance == pytest.approx(probes.distance, rel=1e-4)
        assert np.array_equal(recorded(problem, given), losses)
        for number in range(4):
            for name, parameter in problem.moving.items():
                parameter.data = probes[number][name].clone()
            expected = [float(problem.losses(batch).detach()) for _, batch in problem.batches(1)]
            assert losses[:, number] == pytest.approx(expected, rel=1e-5 if dtype == torch.float32 else 1e-10)
        for name, parameter in problem.moving.items():
            parameter.data = center[name]
    assert sphere.distance[1:] == pytest.approx([length] * 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_dict_of_the_model_is_a_point(kind):
    problem = KINDS[kind]()
    probes = Probes.points(problem, [problem.model.state_dict()])
    losses = recorded(problem, probes)
    assert losses.shape == (SAMPLES, 2)
    assert np.array_equal(losses[:, 0], losses[:, 1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_is_found_again_and_another_model_is_refused(kind, tmp_path):
    problem = KINDS[kind]()
    probes = Probes.sphere(problem, count=2)
    done = []
    losses = record(problem, probes, tmp_path, 4).losses
    assert np.array_equal(record(problem, probes, tmp_path, 4, done.append).losses, losses)
    with torch.no_grad():
        parameter = next(iter(problem.model.parameters()))
        parameter.add_(1j if parameter.is_complex() else 1)
    with pytest.raises(InputError, match="weights"):
        record(problem, Probes.sphere(problem, count=2), tmp_path, 4)


def test_complex_noise_is_as_large_as_real_noise_in_both_of_its_parts():
    problem = fourier(torch.float64)
    probes = Probes.gaussian(problem, 1.0, 200)
    noise = (
        torch.stack([probes[number]["frequencies"] for number in range(1, 201)])
        - problem.moving["frequencies"].detach()
    )
    assert noise.real.std() == pytest.approx(1, abs=0.05)
    assert noise.imag.std() == pytest.approx(1, abs=0.05)
    assert abs(float((noise.real * noise.imag).mean())) < 0.05
