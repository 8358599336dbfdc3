"""Labels that are numbers, or sets of labels: from a table to a result."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.metrics import f1_score, r2_score, recall_score
from transformers import BertConfig, BertForSequenceClassification

from suffice.cli.answer import print_answer
from suffice.configuration import AnalyzeConfig, ForecastConfig, StudyConfig, read_configuration
from suffice.data import Reading, load_samples
from suffice.errors import InputError
from suffice.forecasting import choose_regression_penalty, forecast_head
from suffice.models import load_classifier
from suffice.models.classifier import binary_cross_entropy
from suffice.problem import Problem
from suffice.report import write_report
from suffice.runs.analyze import analyze
from suffice.runs.forecast import forecast
from suffice.runs.held_out import of_numbers, of_sets
from suffice.runs.study import study

WORDS = ("a", "bad", "but", "dull", "film", "good", "great", "long", "poor", "very")
LIKED = {"good": 2.0, "great": 3.0, "bad": -2.0, "poor": -3.0, "dull": -1.0}


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """120 texts rated by their words, as a table; the unit is not 1 and the mean is not 0."""
    draw = np.random.default_rng(0)
    lines = ["text,label"]
    for _ in range(120):
        words = draw.choice(WORDS, size=8)
        lines.append(f"{' '.join(words)},{50 + 10 * sum(LIKED.get(word, 0.0) for word in words):.1f}")
    file = tmp_path_factory.mktemp("rated") / "rated.csv"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


@pytest.fixture(scope="module")
def tagged(tmp_path_factory):
    """Texts tagged by the words in them, as JSON lines with lists and as a table with a delimiter."""
    draw = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("tagged")
    rows = []
    for _ in range(90):
        words = [str(word) for word in draw.choice(WORDS, size=4)]
        rows.append((" ".join(words), [tag for tag in ("film", "good", "bad") if tag in words]))
    (folder / "tagged.jsonl").write_text("\n".join(json.dumps({"text": text, "label": tags}) for text, tags in rows))
    lines = [f"{text}\t{';'.join(tags) or ';'}" for text, tags in rows]
    (folder / "tagged.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    return folder, rows


NUMBERS, SETS = {"task": "regression"}, {"task": "multi-label"}


def test_numbers_are_read_from_a_column_and_from_names_of_classes(rated):
    samples = load_samples(rated, Reading(task="regression"))
    assert (samples.labels.dtype, list(samples.classes), len(samples)) == (np.float64, [], 120)
    written = [float(line.rpartition(",")[2]) for line in Path(rated).read_text().split("\n")[1:-1]]
    assert samples.labels.tolist() == written
    digits = load_samples("builtin:digits", Reading(task="regression"))
    assert digits.labels[:4].tolist() == [0, 1, 2, 3]
    assert digits.fingerprint() != load_samples("builtin:digits").fingerprint()


def test_sets_are_read_from_lists_and_with_a_delimiter(tagged):
    folder, rows = tagged
    lists = load_samples(str(folder / "tagged.jsonl"), Reading(task="multi-label"))
    column = load_samples(str(folder / "tagged.tsv"), Reading(task="multi-label", label_delimiter=";"))
    assert lists.classes == column.classes == ["bad", "film", "good"]
    np.testing.assert_array_equal(lists.labels, column.labels)
    assert [[name in tags for name in lists.classes] for _, tags in rows] == (lists.labels > 0).tolist()


@pytest.mark.parametrize(
    ("content", "reading", "said"),
    [
        (
            "text,label\nx,1\ny,two\nz,3\n",
            NUMBERS,
            "line 3 of .*: the label 'two' is no finite number: --task regression",
        ),
        ("text,label\nx,1\ny,-inf\nz,inf\n", NUMBERS, "the label '-inf' is no finite number, nor are those of 1 more"),
        ("text,label\nx,1\ny,1.0\nz,1\n", NUMBERS, "all labels are 1: there is nothing to learn"),
        ("text,label\nx,a\ny,b\nz,a\n", SETS, r"no label has '\|' in it.*--label-delimiter"),
        ("text,label\nx,a|\ny,a\nz,a\n", SETS, "labels: 'a'; at least two are needed"),
        ("text,label\nx,1\ny,2\nz,3\n", NUMBERS | {"threshold": 2.0}, "leave these out"),
        (
            "text,label\nx,1.5\ny,2\nz,3\n",
            {},
            "all 3 labels differ; if they are numbers, predict them with --task regression",
        ),
    ],
)
def test_labels_that_do_not_fit_the_task_are_said(content, reading, said, tmp_path):
    (tmp_path / "table.csv").write_text(content)
    with pytest.raises(InputError, match=said):
        load_samples(str(tmp_path / "table.csv"), Reading(**reading))


def test_metrics_agree_with_scikit_learn():
    draw = np.random.default_rng(0)
    z, y = draw.normal(size=(40, 4)), (draw.random((40, 4)) < 0.3).astype(float)
    y[:, 3] = 0
    found = of_sets(z, y, list("abcd"))
    assert math.isclose(found["macro F1"], f1_score(y, z > 0, average="macro", zero_division=0))
    recalls = recall_score(y, z > 0, average=None, zero_division=0)
    assert [found[f"recall of {name}"] for name in "abc"] == recalls[:3].tolist()
    assert "recall of d" not in found
    numbers = of_numbers(z[:, :1], y[:, :1])
    assert math.isclose(numbers["R²"], r2_score(y[:, 0], z[:, 0]))
    assert of_numbers(z[:, :1], np.ones((40, 1))).keys() == {"RMSE"}


def test_binary_cross_entropy_is_that_of_torch_with_right_second_derivatives():
    torch.manual_seed(0)
    z, y = torch.randn(5, 3, dtype=torch.float64, requires_grad=True), torch.rand(5, 3).round().double()
    losses = binary_cross_entropy(z, {"labels": y})
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="none").mean(1)
    torch.testing.assert_close(losses, expected)
    assert torch.autograd.gradgradcheck(lambda z: binary_cross_entropy(z, (None, y)), (z,))


def bert_with(folder, save_tokenizer, outputs, **settings):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=12, initializer_range=0.5, num_labels=outputs, **settings,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    save_tokenizer(folder)
    return str(folder)


def test_a_head_for_the_task_is_kept_and_another_is_not(tmp_path, save_tokenizer, rated, tagged):
    numbers = load_samples(rated, Reading(**NUMBERS))
    sets = load_samples(str(tagged[0] / "tagged.jsonl"), Reading(**SETS))
    one = bert_with(tmp_path / "one", save_tokenizer, 1)
    names = {"id2label": {0: "good", 1: "bad", 2: "film"}, "label2id": {"good": 0, "bad": 1, "film": 2}}
    several = bert_with(tmp_path / "several", save_tokenizer, 3, problem_type="multi_label_classification", **names)
    softmax = bert_with(tmp_path / "softmax", save_tokenizer, 3, problem_type="single_label_classification", **names)
    kept = load_classifier(one, numbers)
    assert (kept.has_new_head, kept.matched_by_name, kept.loss, kept.labels) == (False, True, "mse", ())
    assert load_classifier(several, sets).labels == (1, 2, 0)
    inputs = load_classifier(several, sets).inputs(sets, np.arange(20))
    for row in range(20):
        in_order = {name: float(there) for name, there in zip(sets.classes, sets.labels[row], strict=True)}
        assert inputs[row]["labels"].tolist() == [in_order["good"], in_order["bad"], in_order["film"]]
    for source, samples, said in (
        (softmax, numbers, "its head is one for one class out of several, not for a number"),
        (softmax, sets, "its head is one for one class out of several, not for any of several labels"),
        (several, numbers, "its head is one for multi label classification, not for a number"),
        (one, sets, "its head is one for regression"),
    ):
        with pytest.raises(InputError, match=said):
            load_classifier(source, samples)
        trained = load_classifier(source, samples, keep_head=False)
        assert trained.has_new_head
        outputs = 1 if samples is numbers else 3
        assert trained.model.classifier.out_features == outputs
    with pytest.raises(InputError, match="leave it out"):
        load_classifier(one, numbers, label_map=["a=b"])


def test_losses_of_numbers_are_squared_errors(tmp_path, save_tokenizer, rated):
    samples = load_samples(rated, Reading(**NUMBERS))
    classifier = load_classifier(bert_with(tmp_path, save_tokenizer, 1), samples)
    inputs = classifier.inputs(samples, np.arange(10))
    problem = Problem(classifier.model, inputs, classifier.loss, classifier.predict, collate=classifier.collate)
    with problem.measuring():
        batch = problem.batch(slice(None))
        losses, outputs = problem.losses(batch), problem.outputs(batch)
    assert outputs.shape == (10, 1)
    expected = (outputs[:, 0].double().numpy() - samples.labels[problem.index]) ** 2
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-5)


def test_analysis_of_numbers_and_of_sets(tiny_bert, rated, tagged, tmp_path):
    small = {"model": str(tiny_bert), "method": "head", "epochs": 2, "probes": 1}
    numbers = analyze(AnalyzeConfig(data=rated, **NUMBERS, **small), tmp_path / "numbers").problem
    assert (numbers.classes, numbers.held_out_accuracy) == (0, None)
    assert numbers.loss_at_center < 1.2 * load_samples(rated, Reading(**NUMBERS)).labels.var()  # it began at the mean
    assert math.isclose(numbers.held_out_metrics["RMSE"] ** 2, numbers.held_out_loss, rel_tol=1e-6)
    sets = analyze(AnalyzeConfig(data=str(tagged[0] / "tagged.jsonl"), **SETS, **small), tmp_path / "sets").problem
    assert (sets.classes, sets.held_out_accuracy) == (3, None)
    assert set(sets.held_out_metrics) == {"macro F1", "recall of bad", "recall of film", "recall of good"}
    with pytest.raises(InputError, match=r"no head for the numbers of .*: train one first"):
        analyze(AnalyzeConfig(data=rated, model=str(tiny_bert), **NUMBERS), tmp_path / "refused")


@pytest.mark.usefixtures("without_figure_files")
def test_a_forecast_of_numbers_is_that_of_their_features(tiny_bert, rated, tmp_path):
    config = ForecastConfig(model=str(tiny_bert), data=rated, target_loss=1.0, **NUMBERS)
    result = forecast(config, tmp_path / "run")
    assert (result.task, result.classes, result.features, result.measured) == ("regression", [], 16, [])
    curve = result.forecast
    assert set(curve.metrics) == {"RMSE"}
    now = curve.sizes.index(result.samples)
    samples = load_samples(rated, Reading(**NUMBERS))
    np.testing.assert_allclose(curve.metrics["RMSE"].mean[now] ** 2, curve.loss.mean[now], rtol=0.1)
    assert 0.2 < curve.loss.mean[now] / samples.labels.var() < 1.2
    assert curve.loss.mean[-1] < curve.loss.mean[0]
    assert curve.accuracy.mean[-1] > curve.accuracy.mean[0]
    assert result.answers[0].criterion == "target_loss"
    shown = io.StringIO()
    print_answer(result, Console(file=shown, width=200))
    page = write_report(result, tmp_path).with_suffix(".md").read_text()
    for told in (shown.getvalue(), page.partition("## All sizes")[0]):
        assert "R²" in told
        assert "mean squared error" in told
        assert "accuracy" not in told
        assert "nan" not in told.split()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (SETS, "--task multi-label: sets of labels are not forecast"),
        (NUMBERS | {"method": "full"}, "--task regression: numbers are forecast of a head; leave --method full out"),
        (NUMBERS | {"target_accuracy": 0.9}, "--target-accuracy is of classes; .* --target-loss, a mean squared error"),
        (NUMBERS | {"metrics": ["macro F1"]}, "--metrics is of classes"),
    ],
)
def test_what_is_not_forecast_is_said(asked, said, tiny_bert, rated, tmp_path):
    config = read_configuration(ForecastConfig, {"model": str(tiny_bert), "data": rated} | asked)
    with pytest.raises(InputError, match=said):
        forecast(config, tmp_path / "run")


def test_a_study_is_of_classes(tiny_bert, rated, tmp_path):
    with pytest.raises(InputError, match="--task regression: a study is of classes"):
        study(StudyConfig(model=str(tiny_bert), data=rated, **NUMBERS), tmp_path / "run", 1)


def test_the_penalty_of_numbers_is_where_the_folds_lose_least():
    draw = np.random.default_rng(0)
    x = np.hstack([draw.normal(size=(80, 40)), np.ones((80, 1))])
    y = x[:, :1] + 2 * draw.normal(size=(80, 1))
    chosen = choose_regression_penalty(x, (y - y.mean()) / y.std())
    small, at_chosen = (
        forecast_head(x[:, :-1], y[:, 0], [80], l2, loss="squared").loss.mean[0] for l2 in (chosen / 1e3, chosen)
    )
    assert at_chosen < small
