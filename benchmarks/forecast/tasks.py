"""The tasks of the forecast benchmark: features of real data by frozen models, computed once."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from sklearn.datasets import load_digits

from suffice.configuration import StudyConfig
from suffice.studies import Learners, StudySamples
from suffice.studies.parts import ALL

TEST_SHARE = 0.33
"""Of the digits."""


@dataclass(frozen=True)
class Task:
    """Samples to draw pilots from, and others to test on.

    Attributes:
        name: of data and features.
        tuned: whether methods were chosen with this task in view. The others are what is reported.
        features, labels: of the pool.
        test_features, test_labels: of the test part.
        l2: penalty of the head, the same at all sizes.
    """

    name: str
    tuned: bool
    features: Float64[np.ndarray, "pool columns"]
    labels: Int64[np.ndarray, " pool"]
    test_features: Float64[np.ndarray, "test columns"]
    test_labels: Int64[np.ndarray, " test"]
    l2: float

    @property
    def classes(self) -> int:
        """K."""
        return int(self.labels.max()) + 1

    def subset(self, classes: list[int], tuned: bool) -> "Task":
        """The samples of some classes, counted anew."""
        new = np.full(self.classes, -1)
        new[classes] = np.arange(len(classes))
        pool, test = new[self.labels] >= 0, new[self.test_labels] >= 0
        return Task(
            f"{self.name}, {len(classes)} classes",
            tuned,
            self.features[pool],
            new[self.labels[pool]],
            self.test_features[test],
            new[self.test_labels[test]],
            self.l2,
        )


def all_tasks(shared: Path, folder: Path) -> list[Task]:
    """Eight tasks, half of them to tune on.

    Args:
        shared: where models and data are.
        folder: where features are kept.
    """
    digits = load_digits()
    test = np.random.default_rng(0).random(len(digits.target)) < TEST_SHARE
    pixels = Task(
        "digits, pixels",
        True,
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
        tuned=False,
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
        tuned=False,
        l2=3e-2,
    )
    reviews, very_positive = (
        _frozen(
            f"movie reviews {name}, MiniLM",
            folder / file,
            {
                "model": str(models / "minilm-l6-v2"),
                "data": str(data / "movie-reviews" / "movieReviewSnippets_GroundTruth.txt"),
                "text_column": "3",
                "label_column": "2",
                "threshold": threshold,
            },
            tuned=tuned,
            l2=1e-3,
        )
        for name, file, threshold, tuned in (
            ("above 0", "reviews.npz", 0.0, True),
            ("above 1.5", "reviews-positive.npz", 1.5, False),
        )
    )
    return [
        pixels,
        vit,
        fashion,
        reviews,
        very_positive,
        pixels.subset([1, 3, 5, 8, 9], tuned=False),
        vit.subset([0, 2, 4, 6, 7], tuned=True),
        fashion.subset([0, 2, 3, 4, 6], tuned=True),
    ]


def _frozen(name: str, file: Path, study: dict[str, Any], tuned: bool, l2: float) -> Task:
    """What the frozen part of a model makes of the samples, from the file where it is kept."""
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
        return Task(
            name,
            tuned,
            _with_intercept(kept["X"].astype(np.float64)),
            kept["y"],
            _with_intercept(kept["Xt"].astype(np.float64)),
            kept["yt"],
            l2,
        )


def _with_intercept(features: Float64[np.ndarray, "samples columns"]) -> Float64[np.ndarray, "samples more"]:
    return np.hstack([features, np.ones((len(features), 1))])
