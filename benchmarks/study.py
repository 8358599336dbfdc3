"""What `suffice study` costs over what it cannot do without: one pass of the frozen part, and a bare training loop.

Run as ``python benchmarks/study.py DINOV2_SMALL FASHION_MNIST [--part head|lora]`` on an idle machine. Both sides run
on one thread, in turn. The answers are compared first.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import RESULTS, alternate, save
from torch.nn import functional

import suffice
from suffice.configuration import StudyConfig
from suffice.data import load_samples
from suffice.models import adapted, load_classifier
from suffice.problem import Problem
from suffice.runs.study import study
from suffice.studies import StudySamples
from suffice.training import ALL, FineTuning, fine_tune

PIXELS = 56
BATCH = 16
STEPS = 12
PASS_BATCH = 32


def head(model: str, data: str) -> dict[str, Any]:
    """All sizes and seeds of a head, against one bare pass over the samples used and the trainings by themselves."""
    config = StudyConfig(
        model=model,
        data=f"{data}/train-images-idx3-ubyte.gz",
        test=f"{data}/t10k-images-idx3-ubyte.gz",
        image_size=PIXELS,
        samples=4500,
        validation_share=0.1111,
        sizes=[50, 100, 250, 500, 1000, 2000, 4000],
        methods=["head"],
        steps=1000,
        landscape_seeds=0,
    )
    used = StudySamples(config).tasks[ALL].used
    samples = suffice.data.Joined(load_samples(config.data), load_samples(str(config.test)))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        result = study(config, Path(folder), workers=1)
        whole = time.perf_counter() - start
        start = time.perf_counter()
        bare = bare_pass(model, samples, used)
        one_pass = time.perf_counter() - start
        ours = suffice.training.Learners(config, StudySamples(config).tasks, Path(folder)).features("head").tensor
        difference = float((ours - bare).abs().max())
    assert difference < 1e-3, f"the features differ by {difference}"
    fits = sum(cell.seconds or 0.0 for cell in result.study.cells)
    curve = result.study.curves["head"]
    at = curve.sizes.index(1000)
    return {
        "samples_used": len(used),
        "trainings": len(result.study.cells),
        "largest_difference_of_features": difference,
        "study_seconds": whole,
        "bare_pass_seconds": one_pass,
        "fits_seconds": fits,
        "ratio": whole / (one_pass + fits),
        "accuracy_at_1000_on_10000_test_images": {
            name: float(getattr(curve.accuracy, name)[at]) for name in ("mean", "low", "high")
        },
    }


def bare_pass(model: str, samples: suffice.data.LabelledSamples, rows: np.ndarray) -> torch.Tensor:
    """What one would write by hand: images through processor and model, the input of the classifier kept."""
    classifier = load_classifier(model, samples, PIXELS)
    inputs = classifier.inputs(samples, rows)
    base, features = classifier.model.dinov2, []
    with torch.no_grad():
        for start in range(0, len(rows), PASS_BATCH):
            items = inputs.__getitems__(list(range(start, min(start + PASS_BATCH, len(rows)))))
            tokens = base(torch.stack([item["pixel_values"] for item in items])).last_hidden_state
            features.append(torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1))
    return torch.cat(features)


def lora(model: str, data: str) -> dict[str, Any]:
    """Training images a second, against a loop of transformers and PEFT over pixels that were made before."""
    samples = load_samples(f"{data}/train-images-idx3-ubyte.gz")
    rows = np.arange(BATCH * STEPS)

    def made() -> tuple[Problem, torch.nn.Module]:
        classifier = load_classifier(model, samples, PIXELS)
        wrapped = adapted(classifier.model, "lora(4)")
        inputs = classifier.inputs(samples, rows)
        return Problem(wrapped, inputs, predict=classifier.predict, order="source"), wrapped

    problem, _ = made()
    settings = FineTuning(steps=STEPS, batch_size=BATCH, learning_rate=1e-3)
    start_weights = problem.center()
    ends: dict[str, list[float]] = {}

    def ours() -> None:
        with torch.no_grad():
            for name, parameter in problem.moving.items():
                parameter.copy_(start_weights[name])
        ends["ours"] = fine_tune(problem, settings)

    _, bare_model = made()
    # the batches of the other side, in its order
    draw = np.random.default_rng([settings.seed, 0])
    draw.integers(2**63)
    order = draw.permutation(len(rows))
    with problem.measuring():
        batches = [problem.batch(order[start : start + BATCH]) for start in range(0, len(rows), BATCH)]
    moving = {name: parameter for name, parameter in bare_model.named_parameters() if parameter.requires_grad}
    bare_start = {name: parameter.detach().clone() for name, parameter in moving.items()}

    def bare() -> None:
        with torch.no_grad():
            for name, parameter in moving.items():
                parameter.copy_(bare_start[name])
        bare_model.train()
        optimizer = torch.optim.AdamW(moving.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        warm_up = max(1, round(0.1 * STEPS))
        total = 0.0
        for step, batch in enumerate(batches):
            cosine = 0.5 * (1 + np.cos(np.pi * (step - warm_up) / (STEPS - warm_up)))
            share = (step + 1) / warm_up if step < warm_up else cosine
            optimizer.param_groups[0]["lr"] = settings.learning_rate * share
            optimizer.zero_grad()
            loss = functional.cross_entropy(bare_model(pixel_values=batch["pixel_values"]).logits, batch["labels"])
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * BATCH
        ends["bare"] = [total / len(rows)]

    ours()
    bare()
    assert abs(ends["ours"][0] - ends["bare"][0]) < 1e-3 * ends["bare"][0], ends
    seconds = alternate({"ours": ours, "bare": bare}, 5)
    rates = {name: [len(rows) / taken for taken in each] for name, each in seconds.items()}
    median = {name: statistics.median(each) for name, each in rates.items()}
    return {
        "mean_losses": {name: losses[0] for name, losses in ends.items()},
        "images_a_second": median,
        "spread": rates,
        "throughput_of_bare": median["ours"] / median["bare"],
        "batch_size": BATCH,
        "kernel": "scaled dot product attention of torch, both",
    }


def main() -> None:
    """Both parts, or one beside the stored other."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", help="folder of DINOv2-small")
    arguments.add_argument("data", help="folder of Fashion-MNIST's IDX files")
    arguments.add_argument("--part", choices=["head", "lora"])
    asked = arguments.parse_args()
    torch.set_num_threads(1)
    stored = RESULTS / "study.json"
    results = json.loads(stored.read_text()) if asked.part and stored.exists() else {}
    results.pop("environment", None)
    for name, measure in (("lora", lora), ("head", head)):
        if asked.part in (None, name):
            results[name] = measure(asked.model, asked.data)
    save("study", results)


if __name__ == "__main__":
    main()
