"""The experiment on the claim that the surface settles because the Hessian does, in tiny sizes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scripts_of_project import script

SCRIPT = Path(__file__).parents[2] / "experiments" / "settling" / "run.py"

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def experiment():
    with script("experiments/settling/run.py") as module:
        yield module


@pytest.fixture(scope="module")
def plan(experiment):
    return experiment.QUICK


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("settling")


@pytest.fixture(scope="module")
def quick_run(folder):
    """The whole experiment, as on the command line; the types that tests check would take twice as long."""
    places = ["--out", folder / "out", "--pieces", folder / "pieces"]
    return subprocess.run([sys.executable, SCRIPT, "--quick", *places], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def result(quick_run, folder):
    return json.loads((folder / "out" / "result.json").read_text())


@pytest.mark.deep
def test_every_part_is_measured(experiment, plan, result):
    for name, (_, variants) in experiment.PARTS.items():
        assert list(result[name]) == [str(variant) for variant in variants(plan)], name


@pytest.mark.deep
def test_no_step_exceeds_the_bound_and_the_remainder(result):
    for found in result["claim"].values():
        for along_them in found["directions"].values():
            for ring, at in enumerate(along_them["radii"]):
                assert at["share_above_bound_and_remainder"] == 0
                # Minkowski over the samples
                assert along_them["spread"][ring] <= 1.001 * (at["constant"] + along_them["remainder_spread"][ring])
            assert np.allclose(np.sum(list(along_them["shares"].values()), axis=0), 1)


@pytest.mark.deep
def test_constants_are_those_of_the_spreads(result):
    for found in result["claim"].values():
        spreads = found["spreads"]
        for at in found["directions"]["random"]["radii"]:
            rho = at["radius"] * found["center_norm"]
            terms = (
                spreads["loss"],
                rho * spreads["gradient"],
                rho**2 / 2 * (spreads["hessian"] + spreads["residual"]),
            )
            assert at["constant"] == pytest.approx(sum(terms))
            assert at["gradient_share"] == pytest.approx(terms[1] / sum(terms))
            assert at["size_by_bound"] >= at["size_by_difference"] or at["radius"] > 1


@pytest.mark.deep
def test_all_orders_end_at_the_same_spectrum(plan, result):
    for found in result["along"].values():
        assert len(found["values"]) == plan.orders + 2
        for name in found["values"]:
            assert found["values"][name][-1] == found["whole"]
            assert found["overlap"][name][-1] == pytest.approx(1, abs=1e-6)


@pytest.mark.deep
def test_closed_form_bounds_are_above_the_measured_gaps(result):
    for found in result["block"].values():
        measured, data, a_priori = (np.array(found[kind]) for kind in ("measured", "data", "a_priori"))
        assert (measured <= 1.02 * data).all()
        assert (data <= a_priori).all()


@pytest.mark.deep
def test_a_second_run_takes_the_pieces_that_are_there(experiment, plan, folder, result, monkeypatch):
    def refuse(*_):
        raise AssertionError("measured again")

    parts = {name: (refuse, variants) for name, (_, variants) in experiment.PARTS.items()}
    monkeypatch.setattr(experiment, "PARTS", parts)
    again = experiment.measure(plan, folder / "pieces", [], QUIET)
    assert {name: again[name] for name in parts} == {name: result[name] for name in parts}


def test_only_measures_what_is_asked_for(experiment, plan, tmp_path, monkeypatch):
    asked = []

    def note(_, __, variant):
        asked.append(variant)
        return {}

    monkeypatch.setattr(experiment, "PARTS", {name: (note, lambda _, name=name: [name]) for name in experiment.PARTS})
    found = experiment.measure(plan, tmp_path, ["depth"], QUIET)
    assert asked == ["depth"]
    assert found["claim"] == {}
    assert list(found["depth"]) == ["depth"]


@pytest.mark.deep
def test_figures_are_written(experiment, result, folder):
    for name in experiment.FIGURES:
        assert (folder / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.deep
def test_the_tables_of_a_result_are_printed_again(experiment, quick_run, folder, capsys):
    experiment.main(["--tables", "--out", str(folder / "out")])
    assert capsys.readouterr().out == quick_run.stdout


@pytest.mark.deep
def test_tables_and_figures_of_parts_that_are_there_are_written(experiment, result, tmp_path):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- block -->\nold\n<!-- /block -->\nafter\n<!-- depth -->\nold\n<!-- /depth -->\n")
    some = {name: {} if name in experiment.PARTS and name != "block" else part for name, part in result.items()}
    experiment.save(some, tmp_path, [page, tmp_path / "absent.md"])
    assert json.loads((tmp_path / "result.json").read_text()) == some
    lines = "\n".join(experiment.block_table(result))
    assert page.read_text() == (
        f"before\n<!-- block -->\n{lines}\n<!-- /block -->\nafter\n<!-- depth -->\nold\n<!-- /depth -->\n"
    )
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", "block.png", "result.json"}


@pytest.mark.deep
def test_tables_have_one_shape(experiment, result):
    for table, _ in experiment.TABLES.values():
        lines = [line.replace("\\|", "") for line in table(result)]
        assert len(lines) > 2
        assert {line.count("|") for line in lines} == {lines[0].count("|")}


SHOWN = {0: "0", 0.12345: "0.123", 12.345: "12.3", 1234.5: "1,234", 12345: "1.23e+04", 1e-5: "1.00e-05"}


@pytest.mark.parametrize(("value", "shown"), SHOWN.items())
def test_numbers_have_three_digits(experiment, value, shown):
    assert experiment.number(value) == shown


def test_a_radius_that_is_not_between_those_measured_says_on_which_side(experiment):
    reason = "the quadratic radius is above 3, the largest measured: …"
    assert experiment.radius_in_words({"value": None, "reason": reason}) == "above 3"
    assert experiment.radius_in_words({"value": 0.25, "reason": None}) == "0.250"


def test_pages_have_the_markers_of_all_tables(experiment):
    for page in (SCRIPT.parent / "README.md", experiment.PAGE):
        text = page.read_text()
        for name in experiment.TABLES:
            assert f"<!-- {name} -->\n" in text, (page.name, name)
            assert f"<!-- /{name} -->" in text, (page.name, name)


def test_pages_show_the_result_that_lies_beside_them(experiment):
    stored = SCRIPT.parent / "result.json"
    for page in (SCRIPT.parent / "README.md", experiment.PAGE):
        text = page.read_text()
        assert experiment.write_tables(text, json.loads(stored.read_text())) == text


def test_the_committed_bound_is_never_exceeded_within_the_quadratic_radius():
    """docs/settling.md says so, and that it is exceeded beyond, along top eigenvectors alone."""
    stored = json.loads((SCRIPT.parent / "result.json").read_text())
    exceeded = [
        (directions, row["radius"], found["quadratic_radius"]["value"], row["share_above_bound"])
        for variant in stored["claim"].values()
        for directions, found in variant["directions"].items()
        for row in found["radii"]
        if row["share_above_bound"] > 0
    ]
    assert {directions for directions, *_ in exceeded} == {"eigenvectors"}
    assert all(radius > within for _, radius, within, _ in exceeded)
    assert max(share for *_, share in exceeded) < 0.085
