"""Other people's learning curves, cut into a part to learn from, one to choose by, and one that is kept for the end.

LCDB 1.1 (Yan, Mohr and Viering 2025) is split by data set, with data sets of one origin kept together; the fine-tuned
language models (Lin et al. 2024) are split by model family.
"""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float64

Part = Literal["learn", "development", "held_out"]
PARTS: tuple[Part, ...] = ("learn", "development", "held_out")
SEED = 17

KIN = [
    (12, 16, 22, 962, 971, 978, 1020),  # handwritten numerals in several features, and one against the others
    (718, 723, 740, 751, 797, 806, 813, 837, 845, 849, 866, 903, 904, 912, 913, 917),  # Friedman's functions
    (26, 959),  # nursery
    (21, 991),  # car
    (60, 979),  # waveform
    (38, 57, 1000),  # thyroid
    (32, 1019),  # pendigits
    (46, 953),  # splice
    (179, 1119),  # adult
    (735, 1002),
    (993, 1002),  # ipums census
    (1036, 1040),  # sylva
    (1049, 1053, 1056, 1067, 1068),  # software defects
    (1083, 1084, 1086, 1087),
    (1128, 1130, 1138, 1139, 1146, 1161),  # tumours of one organ against the others
]
"""OpenML numbers of data sets of one origin, as far as known; no pair is split."""

LEARNERS = {
    "linear": (
        *("SVM_Linear", "LogisticRegression", "RidgeClassifier", "LDA"),
        *("PassiveAggressive", "Perceptron", "SGDClassifier"),
    ),
    "kernel": ("SVM_Poly", "SVM_RBF", "SVM_Sigmoid", "KNN"),
    "trees": ("Decision Tree", "ExtraTree", "ens.ExtraTrees", "ens.RandomForest", "ens.GradientBoosting", "CatBoost"),
    "network": ("MLP", "TabNet", "RealMLP", "TabPFNv2"),
    "density": ("QDA", "BernoulliNB", "MultinomialNB", "ComplementNB", "GaussianNB", "NearestCentroid"),
}
"""LCDB's learners by kind; its constant one is left out."""

TABNET_BATCH = 1024
"""With fewer samples than one batch TabNet was not trained at all, and its errors there are those of its start."""

SPLITS = 25
"""Trainings behind each of LCDB's means: its standard errors are 5 times smaller than one training's deviation."""

DOUBLING = 8
"""Steps between sizes of LCDB in a doubling."""

AHEAD = (4, 8)
"""Forecast sizes, over the largest of a pilot."""


@dataclass(frozen=True)
class Pilot:
    """Four scores at sizes that double, and what came at 4 and 8 times the largest.

    Attributes:
        origin: data set or model family, by which all is split and resampled.
        kind: of learner.
        name: of the learner.
        sizes: of the pilot.
        scores: one training's each.
        later: scores at `AHEAD`.
        later_errors: their standard errors; None where they are of one training.
        next_scores: of one training each, at the same sizes.
    """

    origin: str
    kind: str
    name: str
    sizes: Float64[np.ndarray, " 4"]
    scores: Float64[np.ndarray, " 4"]
    later: Float64[np.ndarray, " 2"]
    later_errors: Float64[np.ndarray, " 2"] | None
    next_scores: Float64[np.ndarray, " 2"]


def parts_of_data_sets(data_sets: list[int]) -> dict[Part, list[int]]:
    """Three parts of about one size; which data set is in which depends on the numbers of all alone."""
    head = {number: number for number in data_sets}

    def top(number: int) -> int:
        while head[number] != number:
            number = head[number]
        return number

    for kin in KIN:
        present = [number for number in kin if number in head]
        for other in present[1:]:
            head[top(other)] = top(present[0])
    groups: dict[int, list[int]] = {}
    for number in data_sets:
        groups.setdefault(top(number), []).append(number)
    keys = sorted(groups)
    np.random.default_rng(SEED).shuffle(keys)
    parts: dict[Part, list[int]] = {part: [] for part in PARTS}
    for key in keys:
        parts[min(PARTS, key=lambda part: len(parts[part]))] += groups[key]
    return parts


def lcdb(shared: Path, part: Part, seed: int, one_each: bool, untrained: bool = False) -> list[Pilot]:
    """Pilots on LCDB's error rates, with the noise of single trainings put back; later errors are means.

    Args:
        shared: the shared folder.
        part: which data sets.
        seed: of the noise and of the sizes.
        one_each: one pilot a curve, at a size drawn among those possible; else all of them.
        untrained: with TabNet at sizes at which it was not trained.
    """
    with np.load(shared / "data" / "learning-curves" / "lcdb.npz") as stored:
        error, standard_error = (stored[name].astype(float) for name in ("error", "standard_error"))
        data_sets, learners, sizes = stored["dataset"].tolist(), stored["learner"].tolist(), stored["size"]
    chosen = set(parts_of_data_sets(data_sets)[part])
    kinds = {learner: kind for kind, names in LEARNERS.items() for learner in names}
    random = np.random.default_rng([SEED, seed, PARTS.index(part)])
    before, after = DOUBLING * np.array([-3, -2, -1, 0]), DOUBLING * np.array([2, 3])
    pilots = []
    for row, data_set in enumerate(data_sets):
        if data_set not in chosen:
            continue
        for column, learner in enumerate(learners):
            if learner not in kinds:
                continue
            least = TABNET_BATCH if learner == "TabNet" and not untrained else 0
            starts = [
                last
                for last in range(-before[0], len(sizes) - after[-1], DOUBLING)
                if np.isfinite(error[row, column, [*(last + before), *(last + after)]]).all()
                and sizes[last + before[0]] >= least
            ]
            if one_each and starts:
                starts = [starts[random.integers(len(starts))]]
            for last in starts:
                deviation = np.sqrt(SPLITS) * standard_error[row, column, last + before]
                scores = np.clip(error[row, column, last + before] + deviation * random.normal(size=4), 0, 1)
                if np.ptp(scores) == 0:
                    continue
                later, error_of_later = error[row, column, last + after], standard_error[row, column, last + after]
                one = np.clip(later + np.sqrt(SPLITS) * error_of_later * random.normal(size=2), 0, 1)
                at = sizes[last + before].astype(float)
                pilots.append(Pilot(str(data_set), kinds[learner], learner, at, scores, later, error_of_later, one))
    return pilots


def parts_of_families(families: list[str]) -> dict[Part, list[str]]:
    """Three families to learn from, two to choose by, three for the end."""
    drawn = sorted(set(families))
    np.random.default_rng(SEED).shuffle(drawn)
    return {"learn": drawn[:3], "development": drawn[3:5], "held_out": drawn[5:]}


def language_models(shared: Path, part: Part) -> list[Pilot]:
    """All pilots on the losses of fine-tuned language models of some families."""
    pilots = []
    for task in ("flan", "gigaword"):
        with (shared / "data" / "learning-curves" / f"finetuning-{task}.csv").open() as file:
            rows = list(csv.DictReader(file))
        sizes = sorted(int(name) for name in rows[0] if name.isdigit() and int(name) > 0)
        chosen = parts_of_families([row["family"] for row in rows])[part]
        for row in rows:
            if row["family"] not in chosen:
                continue
            losses = np.array([float(row[str(size)]) for size in sizes])
            for last in range(3, len(sizes) - 3):
                now, later = [last - 3, last - 2, last - 1, last], [last + 2, last + 3]
                at = np.array(sizes, dtype=float)[now]
                name = f"{row['config name']} on {task}"
                pilots.append(
                    Pilot(row["family"], "language model", name, at, losses[now], losses[later], None, losses[later])
                )
    return pilots
