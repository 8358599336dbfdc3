"""Every command of README, of the documentation and of the help: known to the application, and, in the deep tests, run.

Commands run in a folder with data and models under the names that the pages use.
"""

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from documents import ROOT, commands, documentation
from sklearn.linear_model import LogisticRegression
from transformers import AutoImageProcessor, ViTForImageClassification

import suffice
from suffice.cli.main import commands as application
from suffice.data import ImageFolder, load_samples
from suffice.results import Holdout, OnlineBatch, Recording

NOT_RUN = {
    r"make (demo|test)$": "continuous integration runs it by itself",
    r"suffice demo$": "continuous integration runs it from the wheel",
    r"python -m pip install": "continuous integration installs the wheel so",
    r"python (experiments|benchmarks)/": "takes minutes to hours; what it made is committed",
    r"suffice \w+ --config experiments/": "takes minutes to hours; what it made is committed",
}
"""Patterns of commands that no test here runs, and why; that the files they name exist is tested."""

ALL = sorted({command for page in documentation() for command in commands(page)})
OF_SUFFICE = [command for command in ALL if command.startswith("suffice ")]


def helped() -> list[str]:
    """The examples in the help of every command."""
    group = typer.main.get_command(application)
    context = group.make_context("suffice", [], resilient_parsing=True)
    help_texts = [group.get_command(context, name).help for name in group.list_commands(context)]
    return [line for text in help_texts for line in re.findall(r"^ {4}(suffice .*)$", text, re.MULTILINE)]


def why_not_run(command: str) -> str | None:
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, command)), None)


RUN = [command for command in ALL if why_not_run(command) is None]


@pytest.mark.parametrize("command", [*OF_SUFFICE, *helped()], ids=str)
def test_the_application_knows_every_flag(command):
    _, name, *words = shlex.split(command)
    arguments = list(itertools.takewhile(lambda word: word != ">", words))  # the shell takes the rest
    group = typer.main.get_command(application)
    context = group.make_context("suffice", [], resilient_parsing=True)
    parsed = group.get_command(context, name).make_context(name, arguments, parent=context)
    assert parsed.command.name == name


@pytest.mark.parametrize("command", [command for command in ALL if why_not_run(command)])
def test_what_no_test_runs_names_files_and_targets_that_exist(command):
    program, *arguments = shlex.split(command)
    if program == "make":
        assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in arguments)
    files = [word for word in arguments if re.match(r"(experiments|benchmarks|scripts|constraints)\b.*\.\w+$", word)]
    assert all((ROOT / file).is_file() for file in files)
    assert files or program == "make" or command == "suffice demo" or "torch==" in command


def test_only_programs_of_the_project_are_named():
    assert {shlex.split(command)[0] for command in ALL} <= {"make", "python", "suffice"}


CLASSES = 10
"""Digits, whose names are those of the classes."""


@pytest.fixture(scope="session")
def desk(tmp_path_factory, tiny_bert) -> Path:
    """A folder with what the pages call images, others, my-classifier, reviews.csv and so on; all small."""
    folder = tmp_path_factory.mktemp("desk")
    _write_images(folder)
    _write_models(folder, tiny_bert)
    draw = np.random.default_rng(0)
    words = {"good": ("good", "great", "film", "a", "very"), "bad": ("bad", "dull", "film", "poor", "long")}
    reviews, ratings = ["text,label"], ["review,stars"]
    for row in range(160):
        label = ("good", "bad")[row % 2]
        text = " ".join(draw.choice(words[label], size=4)) + f" {' '.join(draw.choice(words['bad'], size=2))}"
        reviews.append(f"{text},{label}")
        ratings.append(f"{text},{5 if label == 'good' else 1}")
    (folder / "reviews.csv").write_text("\n".join(reviews) + "\n")
    topics = ["text,label", *(f"{line.split(',')[0]},film|{line.split(',')[1]}" for line in reviews[1:])]
    (folder / "topics.csv").write_text("\n".join(topics) + "\n")
    (folder / "ratings.csv").write_text("\n".join(ratings) + "\n")
    notes = [f"{line},{'patient' if row == 0 else f'p{row // 3}'}" for row, line in enumerate(reviews)]
    (folder / "notes.csv").write_text("\n".join(notes) + "\n")
    images = sorted((folder / "images").rglob("*.png"))
    scans = [f"{file.relative_to(folder)},{file.parent.name},p{row // 2}" for row, file in enumerate(images)]
    (folder / "scans.csv").write_text("\n".join(["image,label,patient", *scans]) + "\n")
    sizes, scores = [50, 100, 200, 400], [0.77, 0.89, 0.91, 0.94]
    lines = [f"{size},{score}" for size, score in zip(sizes, scores, strict=True)]
    (folder / "scores.csv").write_text("\n".join(["size,score", *lines]) + "\n")
    rows = [f"{100 * t},{0.9 - 0.6 / t:.3f}" for t in range(1, 9)]
    (folder / "labels.csv").write_text("\n".join(["size,score", *rows]) + "\n")
    right = np.random.default_rng(1).random(300) < (0.9 - 0.6 / np.arange(1, 9))[:, None]
    np.savez(folder / "looks.npz", sizes=100 * np.arange(1, 9), sample_scores=right)
    (folder / "losses.csv").write_text("size,score\n1000,2.61\n2000,2.48\n4000,2.36\n8000,2.27\n")
    (folder / "learning_curve.json").write_text(_recording().model_dump_json())
    sums = [(a, b, a + b) for a, b in draw.integers(2, 99, (600, 2)).tolist()]
    spoken = [json.dumps({"prompt": f"What is {a} + {b}?", "completion": f"{a} + {b} = {c}"}) for a, b, c in sums]
    (folder / "sums.jsonl").write_text("\n".join(spoken))
    (folder / "detection.csv").write_text("images,mAP\n500,31\n1000,35.5\n2000,38.8\n4000,40.1\n")
    np.savez(folder / "curve.npz", train_sizes=sizes, test_scores=np.array([scores, scores]).T)
    for run, score in (("a", 0.81), ("b", 0.86)):
        (folder / "runs" / run).mkdir(parents=True)
        state = {"log_history": [{"eval_accuracy": score, "step": 10}]}
        (folder / "runs" / run / "trainer_state.json").write_text(json.dumps(state))
    return folder


def _recording() -> Recording:
    """Of a run of 300 updates whose loss falls by 0.2 with each doubling."""
    losses = 2.5 - 0.2 * np.log2(np.maximum(np.arange(300), 1) / 300)
    batches = [
        OnlineBatch(step=step + 1, seen=8 * step, samples=8, tokens=80, loss=loss, token_loss=loss, rate=1e-3)
        for step, loss in enumerate(losses.tolist())
    ]
    hard = np.random.default_rng(0).normal(size=50)
    at = [Holdout(seen=n, losses=2.5 - 0.2 * np.log2(n / 2400) + hard) for n in (300, 600, 1200, 2400)]
    return Recording(samples=2400, batches=batches, holdouts=at, holdout_tokens=[10] * 50)


def _write_images(folder: Path) -> None:
    digits = load_samples("builtin:digits")
    for row in range(600):
        part = ("images", "others", "validation-images")[row % 3]
        target = folder / part / str(digits.labels[row])
        target.mkdir(parents=True, exist_ok=True)
        digits[row].save(target / f"{row}.png")


def _write_models(folder: Path, tiny_bert: Path) -> None:
    """The embedded Vision Transformer, as it is and with a head that was fitted to the images."""
    embedded = Path(suffice.models.__file__).parent / "tiny_vit"
    shutil.copytree(embedded, folder / "dinov2-small")
    shutil.copytree(tiny_bert, folder / "minilm")
    shutil.copytree(embedded, folder / "my-classifier")
    settings = json.loads((embedded / "config.json").read_text())
    names = {str(index): str(index) for index in range(CLASSES)}
    settings |= {"id2label": names, "label2id": {name: int(index) for index, name in names.items()}}
    (folder / "my-classifier" / "config.json").write_text(json.dumps(settings))

    model = ViTForImageClassification.from_pretrained(folder / "my-classifier").eval()
    images = ImageFolder(folder / "images")
    processor = AutoImageProcessor.from_pretrained(folder / "my-classifier")
    pixels = processor([images[row].convert("L") for row in range(len(images))], return_tensors="pt").pixel_values
    with torch.no_grad():
        features = model.vit(pixels).last_hidden_state[:, 0].numpy()
    head = LogisticRegression(C=1.0, max_iter=500).fit(features, images.labels)
    model.classifier.weight.data = torch.tensor(head.coef_, dtype=torch.float32)
    model.classifier.bias.data = torch.tensor(head.intercept_, dtype=torch.float32)
    model.save_pretrained(folder / "my-classifier")


def shorter(command):
    """A command whose trainings take seconds: such that are long enough for an answer take minutes."""
    sizes = "--sizes 20,50,100,200"  # of a study, with 500 steps by default
    short = command.replace("--steps 300", "--steps 30").replace(sizes, f"{sizes} --steps 30")
    if short.startswith("suffice curvature"):
        return short.replace("--samples 100", "--samples 30")
    return f"{short} --samples 20" if short == "suffice hessian" else short


@pytest.mark.deep
@pytest.mark.parametrize("command", RUN, ids=str)
def test_every_command_runs(command, desk, tmp_path):
    for path in desk.iterdir():
        (shutil.copytree if path.name == "runs" else os.symlink)(path, tmp_path / path.name)
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        [shutil.which("bash"), "-euo", "pipefail", "-c", shorter(command)],
        cwd=tmp_path,
        env=os.environ | {"PATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert command.startswith("suffice check ") or list((tmp_path / "runs").glob("*/report.html"))
