"""What it costs that a run knows its model and data by their contents.

Run as ``python benchmarks/hashing.py MODEL IMAGES --image-size N [--samples N]``, where IMAGES holds a folder of images
for each class, and again without arguments for the embedded model on written-out digits: seconds of all hashes that
`suffice analyze` takes before it stores anything, with an empty cache and a full one, against its first pass, the
losses of all samples at one point of the loss surface, with the reading of the images. The files are in the system's
cache for both. Each is the best of three.
"""

import argparse
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from environment import save

from suffice.configuration import AnalyzeConfig
from suffice.data import LabelledSamples, load_samples
from suffice.digest import digest
from suffice.models.contents import contents_of_model
from suffice.problem import Problem
from suffice.runs.analyze import _problems, load
from suffice.runs.watch import SILENT

REPEATS = 3


def seconds(call: Callable[[], Any]) -> float:
    """Of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def hashes(config: AnalyzeConfig, samples: LabelledSamples, problem: Problem) -> None:
    """All that are taken before the first pass; the data set takes those of the samples that were just computed."""
    contents_of_model(str(config.model))
    digest(samples)
    digest(problem.dataset)
    digest(dict(problem.model.named_buffers()) | problem.model.state_dict())


def costs(config: AnalyzeConfig) -> Mapping[str, float]:
    """Seconds of the hashes and of the first pass."""
    found: dict[str, list[float]] = {"hashes, empty cache": [], "hashes, full cache": [], "first pass": []}
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as cache:
            os.environ["SUFFICE_CACHE"] = cache
            for name in ("hashes, empty cache", "hashes, full cache"):
                if name == "hashes, empty cache":
                    samples, classifier, unseen, _ = load(config, SILENT)
                    shutil.rmtree(cache)
                fresh = load_samples(config.data)
                problem = _problems(config, fresh, classifier, unseen).at_hand
                found[name].append(seconds(functools.partial(hashes, config, fresh, problem)))
            found["first pass"].append(seconds(problem.all_losses))
    best = {f"seconds of {name}": min(taken) for name, taken in found.items()}
    first = best["seconds of first pass"]
    return best | {
        "samples": len(samples),
        "share of the first pass": best["seconds of hashes, empty cache"] / first,
        "share when repeated": best["seconds of hashes, full cache"] / first,
    }


def digits(folder: Path) -> Path:
    """The embedded digits as files."""
    samples = load_samples("builtin:digits")
    for row in np.arange(len(samples)):
        home = folder / samples.classes[int(samples.labels[row])]
        home.mkdir(exist_ok=True)
        samples[int(row)].save(home / f"{row}.png")
    return folder


def main() -> None:
    """Embedded digits, and what is given."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", nargs="?")
    arguments.add_argument("images", nargs="?")
    arguments.add_argument("--image-size", type=int)
    arguments.add_argument("--samples", type=int)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = {"tiny-vit on digits": costs(AnalyzeConfig(model="builtin:tiny-vit", data=str(digits(Path(folder)))))}
    if asked.model is not None:
        config = AnalyzeConfig(
            model=asked.model, data=asked.images, method="head", image_size=asked.image_size, samples=asked.samples
        )
        results[f"{Path(asked.model).name} on {Path(asked.images).name}"] = costs(config)
    save("hashing", results)


if __name__ == "__main__":
    main()
