"""The commands for language models with `--unit token`."""

import json

import numpy as np
import pytest
import torch

from suffice import InputError
from suffice.cli.main import commands
from suffice.configuration.language import (
    LanguageAnalyzeConfig,
    LanguageCurvatureConfig,
    LanguageForecastConfig,
    LanguageStudyConfig,
)
from suffice.models.language import load_language_model
from suffice.report.figures.analysis import analysis_figures
from suffice.report.pages import page_of
from suffice.report.pages.settings import command_of
from suffice.results import read_recording
from suffice.runs.analyze import analyze
from suffice.runs.curvature import measure_curvature
from suffice.runs.language import forecast_language, prepare
from suffice.runs.language_study import _few_long, _Work, look_at, study_language


@pytest.fixture(scope="module")
def words(language_desk):
    """Sums whose answers have 2 to 20 tokens."""
    file = language_desk / "words.jsonl"
    draw = np.random.default_rng(0)
    rows = [
        {"prompt": f"{a} and {b}?", "completion": " ".join([str(a + b)] * int(draw.integers(1, 6)))}
        for a, b in (divmod(number, 97) for number in draw.permutation(97 * 97)[:460].tolist())
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"model": str(language_desk / "model"), "data": str(file)}


def test_an_analysis_in_tokens(words, tmp_path):
    settings = {"samples": 60, "probes": 1, "curvature": True, "parameters": ["model.norm.weight"]}
    by_sample, by_token = (
        analyze(LanguageAnalyzeConfig(**words, **settings, unit=unit), tmp_path / unit) for unit in ("sample", "token")
    )
    assert by_token.problem.loss_at_center != pytest.approx(by_sample.problem.loss_at_center, rel=1e-4)
    assert (by_sample.landscape.sizes[0], by_token.landscape.sizes[0]) == (1, 20)
    assert [settling.least for settling in by_token.settling] == [20, 20]
    assert any("All tokens count alike" in note for note in by_token.problem.notes)
    gaps = by_token.curvature.gaps
    assert by_sample.curvature.gaps.ratio is None
    assert gaps.sizes[0] == 1
    assert len(gaps.ratio) == len(gaps.sizes)
    assert any("per token of sample k + 1" in figure.caption for figure in analysis_figures(by_token))
    assert page_of(by_token).answer.sentence
    with pytest.raises(InputError, match="16 samples with weights: curves begin at 20"):
        analyze(LanguageAnalyzeConfig(**words, samples=20, unit="token"), tmp_path / "few")
    assert not (tmp_path / "few").exists()
    with pytest.raises(InputError, match="unit"):
        analyze(LanguageAnalyzeConfig(**words, **settings, unit="sample"), tmp_path / "token")


@pytest.mark.deep
def test_the_loss_of_a_curvature_in_tokens(words, tmp_path):
    asked = {"samples": 24, "parameters": ["model.norm.weight"], "count": 2, "points": 2, "draws": 2}
    found = {
        unit: measure_curvature(LanguageCurvatureConfig(**words, **asked, unit=unit), tmp_path / unit)
        for unit in ("sample", "token")
    }
    assert found["token"].spectrum.loss != pytest.approx(found["sample"].spectrum.loss, rel=1e-4)
    values = [[one.value for one in found[unit].spectrum.eigenvalues] for unit in ("sample", "token")]
    assert values[0] != pytest.approx(values[1], rel=1e-4)


def test_a_forecast_in_tokens(words, tmp_path, capsys):
    asked = LanguageForecastConfig(**words, method="full", train_batch_size=4, learning_rate=3e-3, unit="token")
    _, result = forecast_language(asked, tmp_path / "run")
    recording = read_recording(tmp_path / "run" / "recording.json")
    assert result.one_run.unit == "token"
    prepared = prepare(asked)
    assert recording.holdout_tokens == prepared.held.sample_weights.tolist()
    last = np.average(recording.holdouts[-1].losses, weights=recording.holdout_tokens)
    assert result.predicted.score.mean[0] == pytest.approx(last, abs=0.02)
    assert any("All tokens count alike" in str(section) for section in page_of(result).sections)
    file = str(tmp_path / "run" / "recording.json")
    commands(
        ["forecast", "--from", file, "--unit", "token", "--json", "--out", str(tmp_path / "again")],
        standalone_mode=False,
    )
    again = json.loads(capsys.readouterr().out)
    assert again["one_run"]["slope"] == json.loads(result.model_dump_json())["one_run"]["slope"]
    assert again["one_run"]["unit"] == "token"


STUDY = {
    "methods": ["full"],
    "sizes": [12, 24],
    "seeds": 2,
    "train_batch_size": 4,
    "warm_up": 1,
    "learning_rate": 3e-3,
    "test_samples": 30,
    "unit": "token",
}


@pytest.fixture(scope="module")
def studied(words, tmp_path_factory):
    """A finished study by token: its settings, folder and result."""
    asked, out = LanguageStudyConfig(**words, **STUDY), tmp_path_factory.mktemp("study") / "run"
    return asked, out, study_language(asked, out, workers=1)


def test_a_study_in_tokens_has_the_losses_of_all_tokens(studied, tmp_path):
    asked, out, result = studied
    assert result.unit == "token"
    held = _Work(asked, tmp_path)._held
    tokens = np.array(held.answer_tokens)
    assert np.ptp(tokens) > 5
    before = load_language_model(asked.model).problem(held).all_losses(7, np.arange(30)).numpy()
    order = load_language_model(asked.model).problem(held).index
    assert result.pretrained_loss == pytest.approx(np.average(before, weights=tokens[order]), rel=1e-5)
    (method,) = result.methods
    for at, size in enumerate(asked.sizes):
        stored = [np.load(out / "cells" / f"0-full-{size}-{seed}.npy")[0] for seed in (0, 1)]
        cells = [cell for cell in result.cells if cell.size == size]
        for losses, cell in zip(stored, cells, strict=True):
            mean = np.average(losses, weights=tokens)
            error = np.std(tokens / tokens.mean() * (losses - mean), ddof=1) / np.sqrt(30)
            assert [cell.test_loss, cell.test_loss_error] == pytest.approx([mean, error], rel=1e-5)
            assert cell.perplexity == pytest.approx(np.exp(mean), rel=1e-5)
            assert abs(losses.mean() / mean - 1) > 1e-4
        assert method.loss.mean[at] == pytest.approx(np.mean([cell.test_loss for cell in cells]), rel=1e-5)
        assert method.loss.low[at] < method.loss.mean[at] < method.loss.high[at]
    assert method.last_fall.value == pytest.approx(method.loss.mean[0] - method.loss.mean[1], abs=1e-5)


def test_the_trainings_of_a_study_in_tokens_minimise_what_is_measured(studied, tmp_path):
    """AdamW over shuffled batches, on the sum of the losses of all tokens over their number."""
    asked, _, result = studied
    work = _Work(asked, tmp_path)
    chosen = work._tokens.subset(work.orders[0][:12].tolist())
    counts = torch.tensor(chosen.answer_tokens, dtype=torch.float64)
    problem = load_language_model(asked.model).problem(chosen, order="source")
    before = problem.center()
    optimizer = torch.optim.AdamW(problem.moving.values(), weight_decay=0.01)
    draw = np.random.default_rng([0, 0])
    draw.integers(2**63)
    order = draw.permutation(12)
    for step, rows in enumerate(order.reshape(3, 4)):
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1, (step + 1) / 2)
        optimizer.zero_grad()
        losses = problem.losses(problem.batch(rows)).double()
        ((counts[rows] * losses).sum() / counts[rows].sum()).backward()
        optimizer.step()
    after = problem.center()
    moved = sum(float((after[name] - before[name]).square().sum()) for name in after) ** 0.5
    assert result.cells[0].distance == pytest.approx(moved, rel=1e-4)


def test_a_study_in_tokens_says_so_and_is_not_that_of_samples(studied, words):
    asked, out, result = studied
    page = page_of(result)
    assert any("The trainings minimise the mean over the tokens" in str(section) for section in page.sections)
    assert any("All tokens count alike" in note for note in result.notes)
    assert any("Test loss by token on 30 unseen samples" in sentence for sentence in page.answer.more)
    assert "of which all tokens count alike" in page.picture.figure.caption
    assert "--unit token" in command_of(result)
    assert any("All tokens count alike" in sentence for sentence in look_at(asked, 1, None))
    with pytest.raises(InputError, match="unit: token, now sample"):
        study_language(LanguageStudyConfig(**words, **STUDY | {"unit": "sample"}), out, workers=1)


def test_a_few_long_answers_to_test_on_are_said():
    assert _few_long(np.ones(30)) == []
    (told,) = _few_long(np.array([1.0] * 390 + [1000.0] * 10))
    assert told.startswith("A few long answers have most of the tokens: the 400 samples to test on count like 11 of")


@pytest.mark.usefixtures("without_figure_files")
def test_the_command_studies_in_tokens(words, tmp_path, capsys):
    settings = ["--methods", "full", "--sizes", "12,24", "--seeds", "1", "--train-batch-size", "4", "--warm-up", "1"]
    out = ["--out", str(tmp_path / "run"), "--workers", "1", "--test-samples", "30"]
    commands(["study", words["model"], words["data"], *settings, *out, "--unit", "token"], standalone_mode=False)
    assert "Test loss by token on 30 unseen samples" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "run" / "result.json").read_text())["unit"] == "token"
    with pytest.raises(InputError, match="unit = 'word': input should be 'sample' or 'token'"):
        commands(["study", words["model"], words["data"], "--unit", "word"], standalone_mode=False)


@pytest.mark.parametrize("command", ["analyze", "study"])
def test_a_classifier_has_no_tokens_to_count(command):
    about = [command, "builtin:tiny-vit", "builtin:digits"]
    with pytest.raises(InputError, match="--label-column is for classifiers, and --unit for language models"):
        commands([*about, "--label-column", "a", "--unit", "token"], standalone_mode=False)
    with pytest.raises(InputError, match="builtin:digits: no such file or folder; give JSONL, CSV, Parquet or a fold"):
        commands([*about, "--unit", "token"], standalone_mode=False)
