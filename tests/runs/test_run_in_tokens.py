"""The commands for language models with `--unit token`."""

import json

import numpy as np
import pytest

from suffice import InputError
from suffice.cli.main import commands
from suffice.configuration.language import LanguageAnalyzeConfig, LanguageCurvatureConfig, LanguageForecastConfig
from suffice.report.figures.analysis import analysis_figures
from suffice.report.pages import page_of
from suffice.results import read_recording
from suffice.runs.analyze import analyze
from suffice.runs.curvature import measure_curvature
from suffice.runs.language import forecast_language, prepare


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


def test_a_classifier_has_no_tokens_to_count(tmp_path):
    with pytest.raises(InputError, match="--label-column is for classifiers, and --unit for language models"):
        commands(
            ["analyze", "builtin:tiny-vit", "builtin:digits", "--label-column", "a", "--unit", "token"],
            standalone_mode=False,
        )
