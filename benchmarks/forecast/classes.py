"""Which class to collect next, by the gaps between test and training loss: against gradients, and against retrainings.

Run as ``PYTHONPATH=benchmarks python benchmarks/forecast/classes.py SHARED``, the folder of models and data.

Of heads, the gaps are compared with the slopes from the gradients of each class. Of last layers of the embedded ViT on
digits, with retrainings on twice as many samples of one class, where the others are taken twice, so that the classes
keep their shares in the loss.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from environment import save
from scipy.stats import spearmanr
from tasks import Task, all_tasks, kept, once

from suffice.configuration import StudyConfig, read_configuration
from suffice.forecasting import measure_head, measure_problem
from suffice.forecasting.classes import class_slopes_of_gaps
from suffice.studies import StudySamples, train_cell
from suffice.training import ALL, Learners, Series

SHARES = (0.05, 0.1, 0.2)
"""Of the pool: pilots of heads."""

PILOTS = 4
"""Of each size, less those that have a class once or not at all."""

FEWEST = 5
"""Classes of a task."""

METHOD, SIZE = "last_layers(1)", 160
"""What is retrained, and on how many digits."""


def of_head(task: Task, size: int) -> dict[str, Any]:
    """Means over pilots: rank correlation, and the root mean square of what is between the shares of the slope."""
    found = []
    for seed in range(PILOTS):
        rows = np.random.default_rng([seed, 9]).permutation(len(task.labels))[:size]
        if np.bincount(task.labels[rows], minlength=task.classes).min() < 2:
            continue
        pilot = measure_head(task.features[rows], task.labels[rows], task.l2, seed)
        own, unseen = ((part.losses, part.labels) for part in (pilot.own, pilot.unseen))
        gradients, gaps = pilot.class_slopes(), class_slopes_of_gaps(own, unseen, 1.0)
        assert gradients is not None
        assert gaps is not None
        times = gradients.times[0], gaps.times[0]
        apart = [np.sqrt(np.mean(np.square(one))) for one in (times[1] - times[0], times[0] - 1)]
        found.append([float(spearmanr(*times)[0]), *apart])
    names = ("rank_correlation", "apart", "spread")
    return {"task": task.name, "size": size} | dict(zip(names, np.mean(found, axis=0).tolist(), strict=True))


def retrained(seeds: int) -> dict[str, Any]:
    """By class: what a forecast says that as many more of it bring, what they bring, and its share of wrong answers."""
    config = read_configuration(StudyConfig, yaml.safe_load(Path("experiments/vit-digits/config.yaml").read_text()))
    samples = StudySamples(config)
    task = samples.tasks[ALL]
    learners = Learners(config, samples.tasks, Path("runs/forecast-benchmark/vit-digits"))
    for shard in learners.plan_features(METHOD):
        learners.run_features(METHOD, shard)
    told, fell, wrong = [], [], []
    for seed in range(seeds):
        place = Series(ALL, METHOD, seed)
        learner, order = learners.get(place), samples.order(ALL, seed)
        pilot, others = order[:SIZE], order[SIZE:]
        labels = task.samples.labels

        def loss(rows: np.ndarray, place: Series = place) -> float:
            cell, _ = train_cell(config, learners.get(place), task.parts, rows, place, len(rows))
            assert cell.test_loss is not None
            return cell.test_loss

        before = loss(np.tile(pilot, 2))
        holdout = learner.problem(task.parts.test)
        found = measure_problem(learner.problem(pilot), None, None, "holdout", holdout.dataset)
        slopes = found.class_slopes()
        assert slopes is not None
        told.append(slopes.values / slopes.counts / 2)
        unseen = found.unseen
        wrong.append([unseen.wrong[unseen.labels == name].mean() for name in range(len(slopes.counts))])
        fell.append([])
        for name, count in enumerate(slopes.counts):
            more = others[labels[others] == name][:count]
            fell[-1].append(
                before
                - loss(np.concatenate([np.tile(pilot[labels[pilot] != name], 2), pilot[labels[pilot] == name], more]))
            )
        print(seed, np.round(told[-1], 3), np.round(fell[-1], 3), flush=True)
    true, expected, worst = (np.mean(values, axis=0) for values in (fell, told, wrong))
    error = np.std(fell, axis=0, ddof=1) / np.sqrt(seeds)
    return {
        "size": SIZE,
        "method": METHOD,
        "seeds": seeds,
        "told": expected.tolist(),
        "fell": true.tolist(),
        "fell_error": error.tolist(),
        "wrong": worst.tolist(),
        "correlation": float(np.corrcoef(expected, true)[0, 1]),
        "correlation_of_wrong": float(np.corrcoef(worst, true)[0, 1]),
        # of a perfect forecast with what fell, which has errors
        "correlation_at_most": float(np.sqrt(max(0.0, 1 - np.square(error).mean() / true.var(ddof=1)))),
        "sum_told_over_fell": float(expected.sum() / true.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--features", type=Path, default=Path("runs/forecast-benchmark"), help="where they are kept")
    arguments = parser.parse_args()
    folder = kept(arguments.features / "classes", arguments.seeds)
    tasks = [task for task in all_tasks(arguments.shared, arguments.features) if task.classes >= FEWEST]
    heads = [
        once(folder / f"{task.name}, {size}.json", lambda task=task, size=size: of_head(task, size))
        for task in tasks
        for size in (round(share * len(task.labels)) for share in SHARES)
    ]
    again = once(folder / "retrained.json", lambda: retrained(arguments.seeds))
    save("forecast_classes", {"heads": heads, "retrained": again})


if __name__ == "__main__":
    main()
