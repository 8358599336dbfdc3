"""The experiment on the scale of the embeddings: exponents that follow from the formulas, and what it writes."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts_of_project import script

FOLDER = Path(__file__).parents[2] / "experiments" / "embedding-scale"


@pytest.fixture(scope="module")
def run():
    with script("experiments/embedding-scale/run.py") as module:
        module.ADDITIONS = {"none": 3, "pre": 3}  # seconds instead of minutes
        yield module


def norms(run, name, sigmas, repeats=2):
    """Frobenius norms of a set-up by part and block: (repeats, sigmas)."""
    rows = []
    for repeat in range(repeats):
        torch.manual_seed(repeat)
        measure = run.SETUPS[name].draw()
        rows.append([run.norms_of(measure(sigma)) for sigma in sigmas])
    return {
        place: np.array([[at[*place, "frobenius"] for at in row] for row in rows]) for place in run.SETUPS[name].laws
    }


@pytest.mark.parametrize(
    "name",
    ["attention_cross_entropy", "attention_mse", "linear_cross_entropy", "linear_mse", "post_norm", "gpt"],
)
def test_small_embeddings_have_the_exponents_of_the_formulas(run, name):
    sigmas = [0.01, 0.02, 0.05]
    for place, values in norms(run, name, sigmas).items():
        law = run.SETUPS[name].laws[place]
        if law is None:
            assert not values.any(), place
        else:
            fit = run.exponent(sigmas, values, run.RANGES["small"])
            assert fit["mean"] == pytest.approx(law.small, abs=0.1), place
            assert fit["norms_left_out"] == 0


def test_the_published_exponents_of_small_embeddings_are_those_of_the_formulas(run):
    for (part, block, where), value in run.PUBLISHED.items():
        if where == "small":
            assert value == pytest.approx(run.ATTENTION[part, block].small, abs=0.05)


def test_linear_attention_with_squared_error_grows_with_the_sixth_power_at_every_scale(run):
    sigmas = [0.1, 1.0, 10.0]
    for (part, _), values in norms(run, "linear_mse", sigmas, repeats=1).items():
        if part == "outer":
            np.testing.assert_allclose(values[0] / values[0, 0], [1, 1e6, 1e12], rtol=1e-9)


def test_large_embeddings_before_a_last_normalisation_have_the_exponents_of_the_formulas(run):
    sigmas = [10.0, 30.0, 100.0]
    for place, values in norms(run, "gpt_pre_norm", sigmas, repeats=1).items():
        expected = run.SETUPS["gpt_pre_norm"].laws[place].large[0]
        assert run.exponent(sigmas, values, run.RANGES["large"])["mean"] == pytest.approx(expected, abs=0.1), place


def test_outer_part_in_the_logits_is_the_same_by_both_routes(run, monkeypatch):
    # where nothing but the logits' matrix follows the block, the loss's Hessian in the outputs has the same outer part
    torch.manual_seed(0)
    direct = run.small_gpt("none", last_norm=False)()(1.0)
    monkeypatch.setattr(run.closed_form.layers, "normalize", lambda x, eps: x)
    torch.manual_seed(0)
    through_logits = run.small_gpt("none", last_norm=True)()(1.0)
    for place, block in direct.items():
        torch.testing.assert_close(through_logits[place], block, rtol=1e-10, atol=1e-12)


def test_additions_are_right(run):
    torch.manual_seed(0)
    for row in run.additions(20).tolist():
        text = "".join("0123456789+="[word] for word in row)
        terms, total = text.split("=")
        assert sum(map(int, terms.split("+"))) == int(total)
        assert len(text) == 3 * run.DIGITS + 3


def test_a_fit_leaves_out_zeros_and_says_how_many(run):
    sigmas = [1.0, 2.0, 4.0, 8.0, 16.0]
    powers = np.array([[sigma**3 for sigma in sigmas], [sigma**5 for sigma in sigmas]])
    powers[0, -1] = 0.0
    fit = run.exponent(sigmas, powers, (1.0, math.inf))
    assert (fit["norms"], fit["norms_left_out"], fit["repeats"]) == (10, 1, 2)
    assert fit["mean"] == pytest.approx(4.0, abs=1e-4)
    assert fit["high"] - fit["mean"] == pytest.approx(6.3138, abs=1e-3)  # Student's t with one degree of freedom
    empty = run.exponent(sigmas, np.zeros((2, 5)), (1.0, math.inf))
    assert (empty["mean"], empty["repeats"], empty["norms_left_out"]) == (None, 0, 10)


def test_the_slope_of_the_mean_norm_is_carried_by_the_large_ones(run):
    sigmas = [1.0, 10.0, 100.0]
    fit = run.exponent(sigmas, np.array([[1.0, 10.0, 100.0], [1.0, 1e-9, 1e-30]]), (1.0, math.inf))
    assert fit["mean"] < -5
    assert 0.8 < fit["of_mean"][0] < 1.0


def test_the_command_writes_a_result_a_figure_and_the_tables(run, monkeypatch, tmp_path, capsys):
    kept = ["attention_cross_entropy", "gpt", "gpt_pre_norm", "linear_mse"]
    monkeypatch.setattr(run, "SETUPS", {name: run.SETUPS[name] for name in kept})
    monkeypatch.setattr(run, "SIGMAS", [0.1, 0.0, 1.0])
    (tmp_path / "README.md").write_text("before\n<!-- table -->\nold\n<!-- /table -->\nafter\n")
    threads = torch.get_num_threads()
    run.main(["--quick", "--out", str(tmp_path)])
    torch.set_num_threads(threads)
    result = json.loads((tmp_path / "result.json").read_text())
    assert set(result["setups"]) == set(kept)
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "README.md").read_text()
    assert page.startswith("before\n<!-- table -->\n| set-up |")
    assert page.endswith("<!-- /table -->\nafter\n")
    assert "Small GPT" in capsys.readouterr().out


def test_the_committed_tables_are_those_of_the_committed_result(run):
    result = json.loads((FOLDER / "result.json").read_text())
    page = (FOLDER / "README.md").read_text()
    assert run.write_tables(page, result) == page
    for name in ("result.json", "growth.png"):
        assert (FOLDER / name).stat().st_size <= 300_000


def test_the_committed_exponents_agree_with_the_formulas(run):
    for name, setup in json.loads((FOLDER / "result.json").read_text())["setups"].items():
        assert len(setup["blocks"]) == len(run.SETUPS[name].laws)
        for entry in setup["blocks"]:
            assert entry["exactly_zero"] == (entry["expected"] is None), (name, entry["short"])
            small = entry["exponents"].get("small")
            if entry["expected"] is not None and small is not None:
                # eps = 1e-5 shows where the variance of a token is 1e-4
                loose = 0.3 if "pre_norm" in name else 0.05
                assert small["mean"] == pytest.approx(entry["expected"]["small"], abs=loose), (name, entry["short"])
