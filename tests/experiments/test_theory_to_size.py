"""The experiment from theory to a sufficient size: order of the three kinds, and what k* does as things move."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from rich.console import Console
from scripts_of_project import script

from suffice import closed_form

SCRIPT = Path(__file__).parents[2] / "experiments" / "theory-to-size" / "run.py"


@pytest.fixture(scope="module")
def experiment():
    with script("experiments/theory-to-size/run.py") as module:
        yield module


@pytest.fixture(scope="module")
def plan(experiment):
    return experiment.Plan(
        seeds=1, samples=3, training_samples=16, training_steps=3, widths=(4,), heads=(1, 2), tokens=(2,),
        scales=(0.3, 1.0), norm_eps=(1e-5, 1e-2), compared=("attention",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def result(experiment, plan):
    return experiment.summarize(experiment.measure_all(plan, 0, Console(quiet=True)), plan, 0)


def test_sizes_are_ordered_at_every_point(experiment, result):
    points = result["bases"] + result["sweeps"]
    assert len(points) == 16 + 4 * 4 + 2
    for point in points:
        measured, data, a_priori = (np.array(point["kinds"][kind]["size"]) for kind in experiment.KINDS)
        assert (measured >= 1).all()
        assert (measured <= data).all()
        assert (data <= a_priori).all()


def test_constants_are_ordered_term_by_term_and_the_exact_norms_lie_between(experiment, result):
    for base in result["bases"]:
        constants = [np.array(base["kinds"][kind]["constants"]) for kind in experiment.KINDS]
        for lower, upper in itertools.pairwise(constants):
            assert (lower <= upper * (1 + 1e-4)).all()
        exact = np.array(base["S_h_of_exact_norms"])
        assert (constants[0][:, 2] <= exact * (1 + 1e-4)).all()
        assert (exact <= constants[1][:, 2] * (1 + 1e-4)).all()


def test_sizes_grow_with_the_distance_and_fall_with_the_tolerance(experiment, result):
    for base in result["bases"]:
        for kind in experiment.KINDS:
            assert (np.diff(base["kinds"][kind]["size_by_radius"]) >= 0).all()
            assert (np.diff(base["kinds"][kind]["size_by_tolerance"]) <= 0).all()


def test_a_priori_sizes_move_as_the_formulas_say_with_the_eps_of_the_norm(result):
    found = {point["setup"]: point["kinds"] for point in result["sweeps"] if point["sweep"] == "norm_eps"}
    # 1/eps in C where one bounded 1/s meets another, 1/eps^2 where two norms follow each other
    assert found["post"]["a_priori"]["exponents"]["all"] == pytest.approx([-4], abs=0.05)
    assert found["pre"]["a_priori"]["exponents"]["all"] == pytest.approx([-2], abs=0.5)
    for kinds in found.values():
        assert np.abs(kinds["measured"]["exponents"]["all"]).max() < 0.1


def test_sizes_are_those_of_sufficient_size(result):
    assert result["largest_difference_from_sufficient_size"] == 0


def test_norms_of_the_samples_hessians_are_exact(experiment, plan):
    point = experiment.on_normal("pre", plan, 1, width=4)
    H = closed_form.hessian(point.module, point.inputs, point.targets, "mse", reduction="none").dense()
    expected = torch.linalg.eigvalsh(H).abs().amax(1)
    np.testing.assert_allclose(experiment.Surfaces(point).norms(), expected, rtol=1e-6)


def test_the_slope_of_a_power_is_its_exponent(experiment):
    x = [1.0, 2.0, 4.0, 8.0]
    rows = np.array([[3 * value**2.5 for value in x]])
    assert experiment.exponents(x, rows, (2.0, 8.0)) == pytest.approx([2.5])
    assert experiment.exponents(x, rows, (5.0, 9.0)) == []


def test_files_and_tables_are_written(experiment, result, tmp_path, monkeypatch):
    for name, panels in (("draw_sizes", 24), ("draw_constants", 12)):
        assert len(getattr(experiment, name)(result).axes) == panels
        monkeypatch.setattr(experiment, name, lambda _: Figure((1, 1)))  # to lay the panels out takes long
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- sizes -->\nold\n<!-- /sizes -->\nafter\n")
    experiment.save(result, tmp_path)
    assert json.loads((tmp_path / "result.json").read_text()) == result
    text = readme.read_text()
    assert text == f"before\n<!-- sizes -->\n{experiment.size_table(result)}\n<!-- /sizes -->\nafter\n"
    for name in ("sizes", "constants"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_the_readme_shows_the_result_that_lies_beside_it(experiment):
    folder = SCRIPT.parent
    text = (folder / "README.md").read_text()
    result = json.loads((folder / "result.json").read_text())
    assert experiment.write_tables(text, result) == text
    assert result["largest_difference_from_sufficient_size"] < 1e-3
