"""The tasks of the forecast benchmark: features of real data by frozen models, computed once."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.datasets import load_digits

from suffice import forecasting
from suffice.configuration import StudyConfig
from suffice.forecasting import choose_penalty
from suffice.studies import StudySamples
from suffice.training import ALL, Learners

TEST_SHARE = 0.33
"""Of data that have no test part."""

PILOT = 0.1
"""Of the pool: the pilot on which a penalty is chosen, where none is set."""

TUNED_ON, IN_VIEW, NOT_IN_VIEW = "tuned on", "others, in view", "others, not in view"
"""Groups of tasks: methods were chosen by the first, with the second in view; the third was measured once, after it."""


@dataclass(frozen=True)
class Task:
    """Samples to draw pilots from, and others to test on.

    Attributes:
        name: of data and features.
        group: `TUNED_ON`, `IN_VIEW` or `NOT_IN_VIEW`.
        features, labels: of the pool.
        test_features, test_labels: of the test part.
        l2: penalty of the head, the same at all sizes.
    """

    name: str
    group: str
    features: Float64[np.ndarray, "pool columns"]
    labels: Int64[np.ndarray, " pool"]
    test_features: Float64[np.ndarray, "test columns"]
    test_labels: Int64[np.ndarray, " test"]
    l2: float

    @property
    def classes(self) -> int:
        """K."""
        return int(self.labels.max()) + 1

    def subset(self, classes: list[int], group: str) -> "Task":
        """The samples of some classes, counted anew."""
        new = np.full(self.classes, -1)
        new[classes] = np.arange(len(classes))
        pool, test = new[self.labels] >= 0, new[self.test_labels] >= 0
        return Task(
            f"{self.name}, {len(classes)} classes",
            group,
            self.features[pool],
            new[self.labels[pool]],
            self.test_features[test],
            new[self.test_labels[test]],
            self.l2,
        )


def all_tasks(shared: Path, folder: Path) -> list[Task]:
    """Eight tasks, half of them to tune on, and five that nothing was chosen by.

    Args:
        shared: where models and data are.
        folder: where features are kept.
    """
    digits = load_digits()
    test = np.random.default_rng(0).random(len(digits.target)) < TEST_SHARE
    pixels = Task(
        "digits, pixels",
        TUNED_ON,
        _with_intercept(digits.data[~test] / 16),
        digits.target[~test],
        _with_intercept(digits.data[test] / 16),
        digits.target[test],
        l2=1e-3,
    )
    data, models = shared / "data", shared / "models"
    vit = _frozen(
        "digits, embedded ViT",
        folder / "vit-digits.npz",
        {"model": "builtin:tiny-vit", "data": "builtin:digits", "test_share": TEST_SHARE, "validation_share": 0.01},
        IN_VIEW,
        l2=1e-2,
    )
    fashion = _frozen(
        "Fashion-MNIST, DINOv2-S",
        folder / "fashion.npz",
        {
            "model": str(models / "dinov2-small"),
            "data": str(data / "fashion-mnist" / "train-images-idx3-ubyte.gz"),
            "test": str(data / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"),
            "image_size": 56,
            "samples": 9000,
            "test_samples": 5000,
            "validation_share": 0.0112,
        },
        IN_VIEW,
        l2=3e-2,
    )
    reviews, very_positive, not_very_negative = (
        _frozen(
            f"movie reviews above {threshold:g}, MiniLM",
            folder / file,
            {
                "model": str(models / "minilm-l6-v2"),
                "data": str(data / "movie-reviews" / "movieReviewSnippets_GroundTruth.txt"),
                "text_column": "3",
                "label_column": "2",
                "threshold": threshold,
            },
            group,
            l2=1e-3,
        )
        for file, threshold, group in (
            ("reviews.npz", 0.0, TUNED_ON),
            ("reviews-positive.npz", 1.5, IN_VIEW),
            ("reviews-negative.npz", -1.5, NOT_IN_VIEW),
        )
    )
    dino_digits = _frozen(
        "digits, DINOv2-S",
        folder / "dino-digits.npz",
        {
            "model": str(models / "dinov2-small"),
            "data": "builtin:digits",
            "image_size": 56,
            "test_share": TEST_SHARE,
            "validation_share": 0.01,
        },
        NOT_IN_VIEW,
    )
    vit_fashion = _frozen(
        "Fashion-MNIST, embedded ViT",
        folder / "vit-fashion.npz",
        {
            "model": "builtin:tiny-vit",
            "data": str(data / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"),
            "test_share": TEST_SHARE,
            "validation_share": 0.01,
        },
        NOT_IN_VIEW,
    )
    return [
        pixels,
        vit,
        fashion,
        reviews,
        very_positive,
        pixels.subset([1, 3, 5, 8, 9], IN_VIEW),
        vit.subset([0, 2, 4, 6, 7], TUNED_ON),
        fashion.subset([0, 2, 3, 4, 6], TUNED_ON),
        dino_digits,
        vit_fashion,
        not_very_negative,
        dino_digits.subset([1, 3, 5, 8, 9], NOT_IN_VIEW),
        vit_fashion.subset([0, 2, 3, 4, 6], NOT_IN_VIEW),
    ]


def _frozen(name: str, file: Path, study: dict[str, Any], group: str, l2: float | None = None) -> Task:
    """What the frozen part of a model makes of the samples, from the file where it is kept.

    Without an l2 it is the one that folds of a pilot choose, as `suffice forecast` does.
    """
    if not file.exists():
        config = StudyConfig(**study, methods=["head"], seeds=1, sizes=[40], landscape_seeds=0)
        samples = StudySamples(config)
        with TemporaryDirectory() as folder:
            learners = Learners(config, samples.tasks, Path(folder))
            for shard in learners.plan_features("head"):
                learners.run_features("head", shard)
            features = learners.features("head").tensor.flatten(1).numpy()
        task = samples.tasks[ALL]
        labels = task.samples.labels[task.used]
        pool, test = (
            np.searchsorted(task.used, np.sort(rows))
            for rows in (np.concatenate([task.parts.pool, task.parts.validation]), task.parts.test)
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, X=features[pool], y=labels[pool], Xt=features[test], yt=labels[test])
    with np.load(file) as kept:
        features, labels = _with_intercept(kept["X"].astype(np.float64)), kept["y"]
        if l2 is None:
            rows = np.random.default_rng(0).permutation(len(labels))[: round(PILOT * len(labels))]
            l2 = choose_penalty(features[rows], labels[rows])
        return Task(
            name, group, features, labels, _with_intercept(kept["Xt"].astype(np.float64)), kept["yt"], float(l2)
        )


def _with_intercept(features: Float64[np.ndarray, "samples columns"]) -> Float64[np.ndarray, "samples more"]:
    return np.hstack([features, np.ones((len(features), 1))])


def kept(folder: Path, asked: int) -> Path:
    """A folder for what is finished, of its own for each state of the code and number of pilots or seeds asked for."""
    code = [*Path(__file__).parent.glob("*.py"), *Path(forecasting.__file__).parent.glob("*.py")]
    digest = hashlib.blake2b(b"".join(file.read_bytes() for file in sorted(code)), digest_size=8).hexdigest()
    made = folder / f"{digest}-{asked}"
    made.mkdir(parents=True, exist_ok=True)
    return made


def once(file: Path, compute: Callable[[], Any]) -> Any:
    """What is in a file; computed and written first, if it is not there."""
    if not file.exists():
        file.write_text(json.dumps(compute()))
    return json.loads(file.read_text())
