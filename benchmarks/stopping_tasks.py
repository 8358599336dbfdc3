"""Simulated labelling: what a person who labels in batches sees after each batch, and what more labels would bring.

Run as ``PYTHONPATH=benchmarks:benchmarks/forecast python benchmarks/stopping_tasks.py SHARED --cache FOLDER``, SHARED
being the folder of models and data. It writes ``FOLDER/sequences/TASK.npz`` for each task and goes on where it was
stopped. One core takes about ten minutes.

A sequence is a random split of a data set into a hold-out, a pool that is labelled in `LOOKS` equal batches in random
order, and the rest. After each batch a logistic regression is fitted to all labels so far, on frozen features, as
`features_of` makes them. The true gain of a look is the mean over the sequences of the accuracy on the rest with twice
the labels, less that with the labels; the labels beyond the pool are taken from a part that no rule sees.

With S sequences, a file has ``sizes`` (looks,); ``later`` (trainings,), all sizes that were trained on; ``right``
(S, looks, hold-out), whether a sample of the hold-out is classified rightly; ``losses`` (S, looks, hold-out);
``accuracy`` and ``loss`` (S, trainings), on the rest; ``named`` (S, looks, stop set), the classes that are given to a
part of the rest; ``entropy`` (S, looks), of these, over the logarithm of the number of classes; ``classes``.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from outside_tasks import FEWEST, Made, embedded_images, embedded_texts, makers
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from suffice.data import load_samples

LOOKS = 20
"""Batches of a pool; the labels of the last look are the whole pool."""

SEQUENCES = 60
"""Of each task."""

POOL, HOLDOUT, REST, TESTED, STOP_SET = 1000, 1000, 150, 1500, 300
"""The most labels and samples of the hold-out, the fewest and most of the rest, and those that agreement is told by."""

COLUMNS = 64
"""Principal components of embeddings, and random Fourier features that are added to the columns of tables."""

EMBEDDED = 5000
"""Reviews and pictures of clothes that are embedded."""

DEVELOPMENT = (
    "letter",
    "waveform5000",
    "car",
    "nursery",
    "cmc",
    "anneal",
    "steps, MiniLM",
    "docstrings, MiniLM",
    "glyphs, DINOv2-S",
    "clothes, DINOv2-S",
)
"""Tasks by which the settings of the rule were chosen."""

HELD_OUT = (
    "optdigits",
    "sick",
    "mushroom",
    "solar_flare2",
    "tic_tac_toe",
    "diabetes",
    "reviews, MiniLM",
    "speakers, MiniLM",
    "time zones, MiniLM",
    "patches, DINOv2-S",
)
"""Tasks that were looked at once, at the end."""


def features_of(
    shared: Path, cache: Path, name: str
) -> tuple[Float64[np.ndarray, "n columns"], Int64[np.ndarray, " n"]]:
    """Frozen features of a data set, standardised, and its labels.

    Embeddings have their first principal components. Tables have random Fourier features beside their columns (Rahimi
    and Recht 2007), so that a linear model on them goes on learning.
    """
    file = cache / "features" / f"{name}.npz"
    if not file.exists():
        x, y = (makers(shared) | own_makers(shared))[name]()
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, x=np.asarray(x, dtype=np.float32), y=np.unique(y, return_inverse=True)[1])
    with np.load(file) as kept:
        x, y = kept["x"].astype(np.float64), kept["y"].astype(np.int64)
    enough = np.bincount(y)[y] >= FEWEST
    x, y = x[enough], np.unique(y[enough], return_inverse=True)[1]
    spread = x.std(0)
    x = (x - x.mean(0))[:, spread > 0] / spread[spread > 0]
    if "MiniLM" in name or "DINO" in name:
        x = x @ np.linalg.svd(x, full_matrices=False)[2][:COLUMNS].T
    else:
        random = np.random.default_rng(0)
        directions = random.normal(size=(x.shape[1], COLUMNS)) / np.sqrt(x.shape[1])
        x = np.hstack([x, np.sqrt(2) * np.cos(x @ directions + random.uniform(0, 2 * np.pi, COLUMNS))])
    return x / x.std(0), y


def own_makers(shared: Path) -> dict[str, Any]:
    """Two data sets with more samples than others have."""
    return {"reviews, MiniLM": partial(_reviews, shared), "clothes, DINOv2-S": partial(_clothes, shared)}


def _reviews(shared: Path) -> Made:
    lines = next((shared / "data" / "movie-reviews").glob("*.txt")).read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line.count("\t") == 2]
    chosen = np.random.default_rng(0).permutation(len(rows))[:EMBEDDED]
    texts = [rows[row][2] for row in chosen]
    return embedded_texts(shared / "models" / "minilm-l6-v2", texts), [float(rows[row][1]) > 0 for row in chosen]


def _clothes(shared: Path) -> Made:
    samples = load_samples(str(shared / "data" / "fashion-mnist"))
    chosen = np.random.default_rng(0).permutation(len(samples))[:EMBEDDED]
    pictures: list[Image.Image] = [samples[int(row)].convert("RGB").resize((42, 42)) for row in chosen]
    return embedded_images(shared / "models" / "dinov2-small", pictures), samples.labels[chosen]


def sequences_of(x: Float64[np.ndarray, "n columns"], y: Int64[np.ndarray, " n"]) -> dict[str, Any]:
    """All sequences of a task."""
    held = min(HOLDOUT, len(y) // 4)
    batch = min(POOL, (len(y) - held - REST) // 2) // LOOKS
    sizes = batch * np.arange(1, LOOKS + 1)
    later = np.union1d(sizes, 2 * sizes)
    found: dict[str, list[Any]] = {name: [] for name in ("right", "losses", "accuracy", "loss", "named", "entropy")}
    classes = int(y.max()) + 1
    for number in range(SEQUENCES):
        order = np.random.default_rng([3, number]).permutation(len(y))
        holdout, train, rest = np.split(order[: held + later[-1] + TESTED], [held, held + later[-1]])
        train = _each_class_first(train, y, batch)
        model = _model()
        seen: dict[str, list[Any]] = {name: [] for name in found}
        for size in later:
            if len(np.unique(y[train[:size]])) > len(getattr(model, "classes_", range(classes))):
                model = _model()  # a warm start needs the same classes
            model.fit(x[train[:size]], y[train[:size]])
            outputs = np.full((len(holdout) + len(rest), classes), 1e-9)
            outputs[:, model.classes_] = model.predict_proba(x[np.concatenate([holdout, rest])])
            outputs = np.maximum(outputs / outputs.sum(1, keepdims=True), 1e-6)
            of_holdout, of_rest = outputs[: len(holdout)], outputs[len(holdout) :]
            seen["accuracy"].append((of_rest.argmax(1) == y[rest]).mean())
            seen["loss"].append(-np.log(of_rest[np.arange(len(rest)), y[rest]]).mean())
            if size in sizes:
                stop = of_rest[:STOP_SET]
                seen["right"].append(of_holdout.argmax(1) == y[holdout])
                seen["losses"].append(-np.log(of_holdout[np.arange(len(holdout)), y[holdout]]))
                seen["named"].append(stop.argmax(1))
                seen["entropy"].append(-(stop * np.log(stop)).sum(1).mean() / np.log(classes))
        for name, values in seen.items():
            found[name].append(values)
    kinds = {"losses": np.float16, "named": np.uint8}
    arrays = {name: np.array(values, dtype=kinds.get(name)) for name, values in found.items()}
    return {"sizes": sizes, "later": later, "classes": classes, **arrays}


def _model() -> LogisticRegression:
    return LogisticRegression(C=1.0, max_iter=60, tol=1e-3, warm_start=True)


def _each_class_first(
    train: Int64[np.ndarray, " n"], y: Int64[np.ndarray, " n"], batch: int
) -> Int64[np.ndarray, " n"]:
    """The same order, but that the first batch holds two classes at least, without which nothing can be fitted."""
    if len(np.unique(y[train[:batch]])) > 1:
        return train
    other = batch + int(np.flatnonzero(y[train[batch:]] != y[train[0]])[0])
    swapped = train.copy()
    swapped[[0, other]] = train[[other, 0]]
    return swapped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the next look goes on from there
    for name in (*DEVELOPMENT, *HELD_OUT):
        file = given.cache / "sequences" / f"{name}.npz"
        if file.exists():
            continue
        start = time.perf_counter()
        x, y = features_of(given.shared, given.cache, name)
        made = time.perf_counter()
        arrays = sequences_of(x, y)
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, **arrays)
        gains = np.interp(2 * arrays["sizes"], arrays["later"], arrays["accuracy"].mean(0))
        print(
            f"{name}: {x.shape}, {arrays['classes']} classes, pool {arrays['sizes'][-1]}, "
            f"{made - start:.0f} + {time.perf_counter() - made:.0f} s; accuracies "
            f"{np.round(gains[[0, 4, 9, 19]], 3)}",
            flush=True,
        )


if __name__ == "__main__":
    main()
