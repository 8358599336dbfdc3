"""`suffice analyze` and `suffice curvature` of language models."""

import json
import math

import numpy as np
import pytest
import torch
import yaml

from suffice import InputError
from suffice.cli.main import commands
from suffice.configuration.language import LanguageAnalyzeConfig, LanguageCurvatureConfig
from suffice.data.completions import load_completions
from suffice.models.language import load_language_model, moved
from suffice.report.pages import page_of
from suffice.report.pages.settings import command_of
from suffice.results import read_result
from suffice.runs.analyze import _there, analyze
from suffice.runs.curvature import measure_curvature
from suffice.runs.folder import open_folder


def asked(kind, desk, **settings):
    return kind(model=str(desk / "model"), data=str(desk / "sums.jsonl"), **settings)


@pytest.fixture(scope="module")
def analyzed(language_desk, tmp_path_factory):
    """A finished analysis: its settings, folder and result."""
    out = tmp_path_factory.mktemp("analyzed") / "run"
    config = asked(LanguageAnalyzeConfig, language_desk, method="lora(2)", samples=60, probes=2)
    return config, out, analyze(config, out)


def test_the_ledger_of_a_language_model_settles(analyzed):
    _, out, result = analyzed
    problem = result.problem
    assert (problem.classes, problem.samples, problem.held_out_samples) == (0, 48, 12)
    assert (problem.fine_tuning, problem.moving_parameters) == ("lora(2)", 2 * 2 * (16 + 16))
    assert problem.held_out_accuracy is None
    assert problem.held_out_metrics == {"perplexity": pytest.approx(math.exp(problem.held_out_loss))}
    assert [answer.criterion for answer in result.sufficient_sizes[:2]] == ["remaining", "difference"]
    assert all(answer.size is not None for answer in result.sufficient_sizes[:2])
    assert read_result(out).model_dump_json() == result.model_dump_json()


def test_losses_and_problem_are_those_of_the_trained_model(analyzed):
    """By another process, which reads the trained adapter, and with all logits at once."""
    config, out, result = analyzed
    contents = ()  # as it would be if the files had not changed
    with pytest.raises(InputError, match="changed while suffice was running"):
        _there(type(config), config.model_dump_json(), contents, "", str(out))
    contents = tuple(yaml.safe_load((out / "config.yaml").read_text())["contents"].items())
    with open_folder(out, config, dict(contents), overwrite=False) as run:
        identity = run.identity
    problem = _there(type(config), config.model_dump_json(), contents, identity, str(out))[0].at_hand
    losses = []
    for position in range(len(problem)):
        batch = problem.batch(slice(position, position + 1))
        logits = problem.model(input_ids=batch["input_ids"]).logits[0].double()
        each = torch.log_softmax(logits, 1)[batch["answers"][0], batch["labels"][0]]
        losses.append(-float(each.mean()))
    assert result.problem.loss_at_center == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_page_names_commands_of_language_models(analyzed, language_desk):
    config, _, result = analyzed
    model, data = language_desk / "model", language_desk / "sums.jsonl"
    assert page_of(result).answer.next_steps[-1].endswith(f"run `suffice forecast {model} {data}`.")
    assert command_of(result).startswith(f"suffice analyze {model} {data} ")
    assert "label_column" not in result.configuration
    assert LanguageAnalyzeConfig.model_validate(result.configuration) == config


def test_eigenvalues_are_those_of_central_differences(language_desk, tmp_path):
    config = asked(
        LanguageCurvatureConfig, language_desk, samples=20, parameters=["model.norm.weight"], count=3, points=2, draws=2
    )
    result = measure_curvature(config, tmp_path / "run")
    language = moved(load_language_model(str(language_desk / "model")), "full")
    rows = np.sort(np.random.default_rng(0).permutation(460)[:20])
    texts = load_completions(str(language_desk / "sums.jsonl")).subset(rows.tolist())
    problem = language.problem(language.tokens(texts), order="source")
    language.model.double()
    weight = language.model.model.norm.weight
    batch = problem.batch(slice(None))

    def gradient():
        return torch.autograd.grad(problem.losses(batch).mean(), weight)[0]

    step, columns = 1e-4, []
    for entry in range(len(weight)):
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[entry] += sign * step
            ends.append(gradient())
            with torch.no_grad():
                weight[entry] -= sign * step
        columns.append((ends[0] - ends[1]) / (2 * step))
    expected = torch.linalg.eigvalsh(torch.stack(columns)).numpy()
    largest = expected[np.argsort(-np.abs(expected))][:3]
    found = [eigenvalue.value for eigenvalue in result.spectrum.eigenvalues]
    assert found == pytest.approx(largest.tolist(), rel=1e-3)
    assert result.spectrum.trace.value == pytest.approx(expected.sum(), abs=4 * result.spectrum.trace.error + 1e-4)
    assert (result.classes, result.moving_parameters) == (0, 16)


@pytest.mark.deep
def test_the_commands_tell_language_models_by_their_files(language_desk, tmp_path, capsys):
    model, data = str(language_desk / "model"), str(language_desk / "sums.jsonl")
    for name in ("analyze", "curvature"):
        commands([name, model, data, "--out", str(tmp_path / "out"), "--dry-run"], standalone_mode=False)
        assert capsys.readouterr().out.startswith("460 samples, with 3.5")
    flags = ["--label-column", "completion", "--whole-text"]
    with pytest.raises(InputError, match="--label-column is for classifiers, and --whole-text for language models"):
        commands(["analyze", model, data, *flags], standalone_mode=False)
    assert not (tmp_path / "out").exists()
    flags = ["--samples", "24", "--probes", "1", "--held-out", "0", "--method", "last_layers(1)", "--json"]
    flags += ["--curvature", "--parameters", "model.norm.weight"]
    commands(["analyze", model, data, *flags, "--out", str(tmp_path / "out")], standalone_mode=False)
    result = json.loads(capsys.readouterr().out)
    assert (result["problem"]["fine_tuning"], result["problem"]["moving_parameters"]) == ("last_layers(1)", 16)
    assert len(result["curvature"]["spectrum"]["eigenvalues"]) == 10
