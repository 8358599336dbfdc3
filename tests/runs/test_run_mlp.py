"""The MLP experiment: what it stores is what a computation by hand gives, and it resumes."""

import numpy as np
import pytest
import torch

from suffice import Probes, Problem
from suffice.configuration import MLPConfig, read_analysis
from suffice.data import SyntheticRegression
from suffice.errors import InputError
from suffice.results import read_result
from suffice.runs import mlp as run
from suffice.runs.mlp import measure_mlps

SMALL = {
    "model": "builtin:mlp",
    "targets": ["linear", "teacher"],
    "widths": [3],
    "depths": [2, 1],
    "samples": 120,
    "dimension": 2,
    "radii": [0.5, 0.1],
    "probes": 3,
    "epochs": 2,
}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlp") / "run"
    return folder, measure_mlps(read_analysis(SMALL), folder)


@pytest.fixture(scope="module")
def trained():
    """The networks of the small run, trained again, with the losses of their samples at every place around w*."""
    config = read_analysis(SMALL)
    found = []
    for target in config.targets:
        regression = SyntheticRegression(target, config.dimension, config.noise, config.seed)
        for depth in config.depths:
            asked = run._Asked(target, 3, depth)
            problem, fresh = run._problem(config, regression, asked)
            before = _losses(problem, problem.center()).mean()
            run.fine_tune(problem, run._settings(config, asked))
            places = [[problem.center()]]
            for radius in sorted(config.radii):
                probes = Probes.sphere(problem, radius, config.probes, config.seed)
                places.append([probes[probe] for probe in range(1, 4)])
            found.append(
                (before, problem, fresh, [np.stack([_losses(problem, state) for state in at]) for at in places])
            )
    return found


def _losses(problem: Problem, state):
    x, y = problem.dataset.tensors
    outputs = torch.func.functional_call(problem.model, dict(state), (x,))
    return ((outputs - y) ** 2)[:, 0].detach().numpy()


def test_a_network_for_each_target_width_and_depth_in_order(small):
    _, result = small
    asked = [(network.target, network.width, network.depth) for network in result.networks]
    assert asked == [("linear", 3, 2), ("linear", 3, 1), ("teacher", 3, 2), ("teacher", 3, 1)]
    assert [place.radius for place in result.networks[0].surroundings] == [0, 0.1, 0.5]


def test_curves_in_order_are_the_differences_of_the_mean_losses(small, trained):
    _, result = small
    for network, (*_, places) in zip(result.networks, trained, strict=True):
        for surrounding, losses in zip(network.surroundings, places, strict=True):
            steps = [np.sqrt(np.mean((losses[:, : k + 1].mean(1) - losses[:, :k].mean(1)) ** 2)) for k in range(1, 120)]
            smoothed = [steps[0]]
            for step in steps[1:]:
                smoothed.append(0.99 * smoothed[-1] + 0.01 * step)
            at = np.array(result.sizes) - 1
            assert np.allclose(surrounding.in_order, np.array(steps)[at], rtol=1e-3)
            assert np.allclose(surrounding.smoothed, np.array(smoothed)[at], rtol=1e-3)
            chosen = np.array(result.slope_sizes)
            line = np.polyfit(np.log(chosen), np.log(np.array(steps)[chosen - 1]), 1)
            assert surrounding.slope == pytest.approx(line[0], rel=1e-3)


def test_losses_and_spreads_are_those_of_the_samples(small, trained):
    _, result = small
    for network, (_, _, fresh, places) in zip(result.networks, trained, strict=True):
        for surrounding, losses in zip(network.surroundings, places, strict=True):
            assert surrounding.loss == pytest.approx(losses.mean(), rel=1e-3)
            assert surrounding.spread == pytest.approx(np.sqrt(losses.var(1, ddof=1).mean()), rel=1e-3)
            assert surrounding.spread_interval[0] <= surrounding.spread <= surrounding.spread_interval[1]
        assert network.training_loss == network.surroundings[0].loss
        unseen = _losses(fresh, fresh.center())
        assert network.fresh_loss == pytest.approx(unseen.mean(), rel=1e-3)
        assert network.fresh_spread == pytest.approx(unseen.std(ddof=1), rel=1e-3)


def test_expected_curves_are_the_law_and_have_its_slope(small):
    _, result = small
    k = np.array(result.sizes)
    for network in result.networks:
        for surrounding in network.surroundings:
            assert np.allclose(surrounding.expected, surrounding.spread / np.sqrt(k * (k + 1)), rtol=1e-3)
            assert np.all(np.array(surrounding.band[0]) <= surrounding.band[1])
    at = np.array(result.slope_sizes)
    assert result.law_slope == pytest.approx(np.polyfit(np.log(at), -np.log(at * (at + 1)) / 2, 1)[0], abs=1e-9)
    assert result.noise_floor == pytest.approx(0.09)


def test_training_lowers_the_loss_and_networks_have_samples_of_their_own(trained):
    config = read_analysis(SMALL)
    for before, problem, fresh, places in trained:
        depth = sum(isinstance(layer, torch.nn.Tanh) for layer in problem.model)
        assert depth in config.depths
        assert not torch.isclose(problem.dataset.tensors[0], fresh.dataset.tensors[0]).any()
        assert places[0].mean() < before
    first, second = (problem.dataset.tensors[0] for _, problem, *_ in trained[:2])
    assert not torch.isclose(first, second).any()


def test_an_interrupted_run_goes_on_to_the_same_file(small, tmp_path, monkeypatch):
    folder, _ = small
    done = []
    original = run._network

    def interrupted(config, regression, asked):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(asked)
        return original(config, regression, asked)

    config = read_analysis(SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(run, "_network", interrupted)
        with pytest.raises(KeyboardInterrupt):
            measure_mlps(config, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(run, "_network", lambda *given: done.append(given[-1]) or original(*given))
        measure_mlps(config, tmp_path / "run")
    assert len(done) == len(set(done)) == 4
    assert (tmp_path / "run" / "result.json").read_bytes() == (folder / "result.json").read_bytes()


def test_the_result_reads_back(small):
    folder, result = small
    assert read_result(folder) == result


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"width": [4]}, "unknown key 'width'; did you mean \"widths\"?"),
        ({"radius": 0.1}, "unknown key 'radius'; did you mean \"radii\"?"),
        ({"image_size": 8}, "unknown key 'image_size'"),
        ({"widths": [4, 8, 4]}, "widths = [4, 8, 4]: each may be named once"),
        ({"depths": []}, "depths = []"),
        ({"targets": ["quadratic"]}, "targets = 'quadratic'"),
        ({"samples": 20}, "samples = 20"),
        ({"smoothing": 1.0}, "smoothing = 1.0"),
    ],
)
def test_bad_configurations_are_one_line(values, said):
    with pytest.raises(InputError) as error:
        read_analysis({"model": "builtin:mlp"} | values)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_training_that_diverges_names_its_network(tmp_path):
    config = MLPConfig(**SMALL | {"learning_rate": 1e200})
    with pytest.raises(InputError, match=r"^linear, width 3, depth 2: training diverged in epoch \d"):
        measure_mlps(config, tmp_path / "run")
