"""From a model and the samples at hand to a predicted learning curve: one training and its curvature."""

import functools
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
from jaxtyping import Float64, Int64

from suffice.checks import check_apart
from suffice.configuration import ForecastConfig
from suffice.data import Joined, LabelledSamples, Reading, load_collection, load_unseen
from suffice.engine import RayCluster, Workers
from suffice.errors import InputError, nearest
from suffice.forecasting import (
    Evidence,
    choose_penalty,
    choose_regression_penalty,
    class_slopes_of,
    curve_of,
    in_units,
    measure_head,
    measure_regression,
)
from suffice.forecasting.checks import errors_of
from suffice.forecasting.doubts import accuracy_interval, confidence_of
from suffice.forecasting.estimators import AUTO, OF_HEADS, OF_OTHERS
from suffice.forecasting.metrics import RECALL, metric_named
from suffice.results import (
    CONFIDENCE,
    HORIZON,
    RESULT,
    ClassGain,
    Curve,
    Estimate,
    ForecastResult,
    Gain,
    LearningCurve,
    Measured,
    SufficientSize,
    Trust,
)
from suffice.runs.estimate import check_room
from suffice.runs.evidence import Positions, measure_trained, trainings_of
from suffice.runs.folder import open_folder, refuse_changed, write_result
from suffice.runs.log import logged
from suffice.runs.replacement import folder_to_write
from suffice.runs.summary import summary_of, tell
from suffice.runs.watch import SILENT, Watch
from suffice.runs.workers import ALONE, workers_of
from suffice.software import versions
from suffice.storage import Place, named, place
from suffice.training import ALL, Learners, Parts, Predictions, Task

Contents: TypeAlias = tuple[tuple[str, str], ...]
"""Hashes of data and model, by what they are."""

Features = Float64[np.ndarray, "samples columns"]

FREE = frozenset(
    {
        "sizes",
        "target_accuracy",
        "target_loss",
        "excess",
        "cost_per_sample",
        "assurance",
        "of",
        "metrics",
        "l2",
        "recipe",
        "estimator",
    }
)
"""Settings that may change without new frozen features and new trainings."""

AHEAD = (1, 2, 4, 8, 16, 32)
"""Sizes by default, relative to the samples at hand."""

MORE = (100, 1000, 10_000)
"""Numbers of samples whose gain is reported, the first also for each class."""


def forecast(
    config: ForecastConfig,
    out: Path = Path("runs/forecast"),
    overwrite: bool = False,
    watch: Watch = SILENT,
    workers: int | None = None,
    cluster: RayCluster | None = None,
) -> ForecastResult:
    """Predicts the learning curve of a model, and writes ``result.json``.

    Frozen features, each training and the measurements are stored when they are finished; a run with the same settings
    in the same folder is resumed.

    Args:
        config: the model, what is trained, the samples at hand, and the targets.
        out: the run's folder.
        overwrite: replace a run with other settings.
        watch: told what is done and how long it should take; silent by default.
        workers: number of processes that train and compute frozen features; by default this one, or as many as the
            cluster has room for. Each has as many threads as this one, and the results do not depend on their number.
        cluster: where the processes run; on this machine by default. All its machines must see ``out``, the model and
            the data under the same paths.

    Raises:
        InputError: bad input of any kind.

    Example:
        >>> import tempfile
        >>> config = ForecastConfig(model="builtin:tiny-vit", data="builtin:digits", samples=200, l2=0.01)
        >>> result = forecast(config, Path(tempfile.mkdtemp()))
        >>> result.samples, result.forecast.sizes, result.forecast.status
        (200, [200, 400, 800, 1600, 3200, 6400], 'extrapolated')
    """
    return forecast_and_evidence(config, out, overwrite, watch, processes=workers_of(workers, cluster, config.store))[0]


def forecast_and_evidence(
    config: ForecastConfig,
    out: Path,
    overwrite: bool = False,
    watch: Watch = SILENT,
    is_told: bool = False,
    processes: AbstractContextManager[Workers | None] = ALONE,
) -> tuple[ForecastResult, Evidence]:
    """The same with what the forecast is made from, which a comparison of methods takes.

    Args:
        config: as of `forecast`, and so the others.
        out: the run's folder.
        overwrite: replace a run with other settings.
        watch: told what is done.
        is_told: whether it has been told of the samples.
        processes: that train and compute frozen features; this one by default.
    """
    task, learners = prepare(config, folder_to_write(out, overwrite), SILENT if is_told else watch)
    watch = logged(watch)
    contents = learners.contents()
    with open_folder(out, config, contents, overwrite, free=FREE) as run, processes as workers:
        learners.keep_in(run.stored)
        there = config.model_dump_json(), named(run.stored), tuple(contents.items())
        if not (run.path / RESULT).exists():
            _check_apart(task)
        shards = learners.plan_features(config.method)
        check_room(run.stored, learners.bytes_of_features(config.method))
        if shards:
            with watch.progress("frozen features", len(task.used)) as progress:
                progress(len(task.used) - sum(rows.stop - rows.start for rows in shards))
                if workers is None:
                    for rows in shards:
                        learners.run_features(config.method, rows)
                        progress(rows.stop - rows.start)
                else:
                    call = functools.partial(_run_features_there, *there)
                    pairs = [(rows.start, rows.stop) for rows in shards]
                    workers.run(call, pairs, cost=lambda rows: rows[1] - rows[0], progress=progress)
        features, unit = None, 1.0
        if config.task == "regression":
            evidence, features, unit = _measure_regression(config, learners, task, watch)
        elif config.method == "head":
            evidence, features = _measure_head(config, learners, task, watch)
        else:
            train = functools.partial(_train_there, *there, run.identity)
            evidence = measure_trained(config, learners, task, run, watch, workers, train)
        evidence = replace(evidence, names=task.samples.classes)
        result = _result(config, task, evidence, unit, features, learners.notes([config.method]))
        write_result(result, run.path, indent=1)
        return result, evidence


def prepare(config: ForecastConfig, out: Place, watch: Watch = SILENT) -> tuple[Task, Learners]:
    """The samples and the models of a run, checked before anything is written or trained.

    Args:
        config: the settings.
        out: where the run writes.
        watch: told what the data hold.

    Raises:
        InputError: settings that do not go together, bad samples, or a method that the model does not have.
    """
    _check(config)
    task = _task(config, watch)
    learners = Learners(config, {ALL: task}, out, config.trained)
    learners.check(config.method)
    return task, learners


@functools.lru_cache(maxsize=1)
def _there(config: str, out: str, contents: Contents) -> tuple[ForecastConfig, Task, Learners]:
    """The samples and models of a run, as a worker has them, which keeps them from task to task."""
    asked = ForecastConfig.model_validate_json(config)
    task, learners = prepare(asked, place(out))
    refuse_changed(dict(contents), learners.contents())
    return asked, task, learners


def _run_features_there(config: str, out: str, contents: Contents, rows: tuple[int, int]) -> None:
    """One shard of frozen features, in a worker."""
    asked, _, learners = _there(config, out, contents)
    learners.run_features(asked.method, slice(*rows))


def _train_there(config: str, out: str, contents: Contents, identity: str, positions: Positions) -> None:
    """One training, in a worker."""
    asked, task, learners = _there(config, out, contents)
    trainings_of(asked, learners, task, place(out), identity).train(positions)


def _check(config: ForecastConfig) -> None:
    """Refuses settings that do not go together."""
    known = (AUTO, *(OF_HEADS if config.method == "head" else OF_OTHERS))
    if config.estimator not in known:
        raise InputError(
            f"estimator = {config.estimator}: --method {config.method} has {', '.join(known)}"
            f"{nearest(config.estimator, known)}"
        )
    if config.task != "classification":
        _check_task(config)
    if config.l2 is not None and config.method != "head":
        raise InputError(
            f"--l2 is the penalty of a head: with --method {config.method} set --weight-decay, from which the "
            "effective penalty is estimated"
        )
    if config.recipe != "fixed" and config.method != "head":
        raise InputError(f"--recipe is of the penalty of a head: leave it out with --method {config.method}")
    if config.recipe == "tuned" and config.l2 is not None:
        raise InputError("--recipe tuned chooses the penalty at each size: leave --l2 out")
    if config.trained and config.method == "head":
        raise InputError(
            "--trained is for --method last_layers(n) or full: a head is always fitted, leave --trained out"
        )
    if config.trained and config.method.startswith("lora"):
        raise InputError("--trained with a checkpoint that has an adapter: give --method full, which moves the adapter")


def _check_task(config: ForecastConfig) -> None:
    """Refuses what is not forecast of numbers and sets of labels."""
    if config.task == "multi-label":
        raise InputError(
            "--task multi-label: sets of labels are not forecast; forecast each label as two classes, or measure the "
            "model with suffice analyze"
        )
    if config.method != "head":
        raise InputError(f"--task regression: numbers are forecast of a head; leave --method {config.method} out")
    asked = {
        "--test": config.test,
        "--metrics": config.metrics,
        "--target-accuracy": config.target_accuracy,
        "--cost-per-sample": config.cost_per_sample,
    }
    given = [flag for flag, value in asked.items() if value]
    if given:
        raise InputError(
            f"--task regression: {given[0]} is of classes; leave it out, or give --target-loss, a mean squared error"
        )


def _task(config: ForecastConfig, watch: Watch) -> Task:
    """The samples at hand as the pool, and the test data, or the split of them, as the test part."""
    data, test = load_collection(config.data, Reading.of(config)), np.arange(0)
    samples = data.at_hand
    tell(summary_of(data), watch)
    if config.samples is not None and config.samples > len(samples):
        raise InputError(f"samples = {config.samples}: {config.data} has {len(samples)}")
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(samples))[: config.samples])
    if config.task == "classification":
        _check_classes(samples, samples.labels[rows])
    elif data.unseen is not None:
        watch.say(f"The split {data.unseen!r} is left out: the loss of numbers is estimated by cross-validation.")
        return Task(ALL, samples, np.arange(len(samples)), Parts(rows, np.arange(0), np.arange(0)))
    if config.test is not None or data.unseen is not None:
        if config.test is not None:
            apart = load_unseen(config.test, Reading.of(config), samples.classes)
        else:
            watch.say(f"The test loss is that of the split {data.unseen!r}; give other data with --test.")
            apart = data.part(str(data.unseen))
        test = len(samples) + np.arange(len(apart))
        samples = Joined(samples, apart)
    elif config.trained:
        raise InputError("--trained needs --test: unseen samples for the test loss")
    return Task(ALL, samples, np.arange(len(samples)), Parts(rows, np.arange(0), test))


def _check_classes(samples: LabelledSamples, labels: Int64[np.ndarray, " taken"]) -> None:
    counts = np.bincount(labels, minlength=len(samples.classes))
    if counts.min() < 2:
        name, count = samples.classes[int(counts.argmin())], int(counts.min())
        raise InputError(
            f"the class {name!r} has {count} of the {len(labels)} samples, and 2 are needed: give more samples, or "
            "choose classes with --classes"
        )


def _check_apart(task: Task) -> None:
    at_hand, test = ((task.samples[int(row)] for row in rows) for rows in (task.parts.pool, task.parts.test))
    if len(task.parts.test):
        check_apart(at_hand, test, lambda index: task.samples.describe(int(task.parts.test[index])))


def _measure_head(config: ForecastConfig, learners: Learners, task: Task, watch: Watch) -> tuple[Evidence, int]:
    """The evidence of a head, and the number of its features."""

    def of(rows: Int64[np.ndarray, " rows"]) -> tuple[Features, Int64[np.ndarray, " rows"]]:
        return _features(config, learners, task, rows), task.samples.labels[rows]

    groups = task.groups(task.parts.pool)
    at_hand, others = of(task.parts.pool), of(task.parts.test) if len(task.parts.test) else None
    with watch.progress("fitting heads"):
        l2 = choose_penalty(*at_hand, config.seed, groups) if config.l2 is None else config.l2
        return measure_head(*at_hand, l2, config.seed, others, config.recipe, groups), at_hand[0].shape[1] - 1


def _measure_regression(
    config: ForecastConfig, learners: Learners, task: Task, watch: Watch
) -> tuple[Evidence, int, float]:
    """The evidence of a head that predicts numbers, counted from their mean in a unit, its features, and the unit."""
    features = _features(config, learners, task, task.parts.pool)
    labels = task.samples.labels[task.parts.pool]
    unit = float(labels.std())
    targets = ((labels - labels.mean()) / unit)[:, None]
    groups = task.groups(task.parts.pool)
    with watch.progress("fitting heads"):
        l2 = choose_regression_penalty(features, targets, config.seed, groups) if config.l2 is None else config.l2
        return (
            measure_regression(features, targets, l2, config.seed, config.recipe, groups),
            features.shape[1] - 1,
            unit,
        )


def _features(config: ForecastConfig, learners: Learners, task: Task, rows: Int64[np.ndarray, " rows"]) -> Features:
    """The frozen features of some rows, with a column of ones.

    Raises:
        InputError: the model has no head that could be cut off.
    """
    features = learners.features(config.method)
    if not features.is_planned:
        raise InputError("the head of this model could not be found: compute features, and use suffice.forecast_head")
    chosen = features.tensor[np.searchsorted(task.used, rows)].flatten(1).double().numpy()
    return np.hstack([chosen, np.ones((len(chosen), 1))])


def _result(
    config: ForecastConfig, task: Task, evidence: Evidence, unit: float, features: int | None, notes: list[str]
) -> ForecastResult:
    ahead = [evidence.samples * times for times in AHEAD] if config.sizes is None else config.sizes
    classes = task.samples.classes
    metrics = [metric_named(_of_class(name, classes), len(classes)) for name in config.metrics]
    forecast = curve_of(evidence, sorted({evidence.samples, *ahead}), config.estimator, config.seed, metrics)
    if config.task == "regression":
        forecast = in_units(forecast, unit)
    gains, answers = _gains(forecast, config.cost_per_sample), _answers(config, forecast)
    met = _met_without_errors(evidence, answers)
    return ForecastResult(
        model=config.model,
        data=config.data,
        method=config.method,
        task=config.task,
        classes=list(classes),
        samples=evidence.samples,
        groups=None if evidence.grouped is None else len(np.unique(evidence.grouped)),
        test_samples=len(task.parts.test),
        features=features,
        l2=None if evidence.head is None else evidence.penalty,
        forecast=forecast,
        measured=[
            Measured(
                size=round(predicted.samples), loss=predicted.losses.mean(), accuracy=1 - float(predicted.wrong.mean())
            )
            for predicted in (evidence.halves if evidence.holdout is None else None, evidence.unseen)
            if isinstance(predicted, Predictions)
        ],
        gains=gains,
        class_gains=_class_gains(evidence, forecast, classes),
        answers=answers if met is None else [met, *answers[1:]],
        trust=_trust(forecast, answers, gains) if met is None else Trust(word="high", reason=met.explanation),
        notes=notes,
        confidence=CONFIDENCE,
        configuration=config.asked(),
        versions=versions(),
    )


def _of_class(name: str, classes: Sequence[str]) -> str:
    """The name of a metric, with the number of a class in place of its name.

    Example:
        >>> _of_class("recall of class cat", ["cat", "dog"]), _of_class("macro F1", ["cat", "dog"])
        ('recall of class 0', 'macro F1')
    """
    of_class = name.removeprefix(RECALL)
    return f"{RECALL}{list(classes).index(of_class)}" if name.startswith(RECALL) and of_class in classes else name


def _met_without_errors(evidence: Evidence, answers: Sequence[SufficientSize]) -> SufficientSize | None:
    """The first answer where unseen samples without an error show that the target is met, though no curve is known."""
    first = answers[0] if answers else None
    if first is None or first.status != "cannot_tell" or first.criterion != "target_accuracy":
        return None
    errors, samples = errors_of(evidence.classified, evidence)
    low, _ = accuracy_interval(errors, samples)
    if errors or low < first.tolerance:
        return None
    return first.model_copy(
        update={
            "size": evidence.samples,
            "low": evidence.samples,
            "high": evidence.samples,
            "status": "reached",
            "explanation": f"no errors in {samples:,} unseen samples put the accuracy above {low:.1%} (95% confidence)",
        }
    )


SURELY = 0.95
"""Probability from which on a target is taken to be reached by the samples at hand, whatever the slope."""


def _trust(forecast: LearningCurve, answers: Sequence[SufficientSize], gains: Sequence[Gain]) -> Trust:
    """How much the first answer can be trusted; without one, by the interval of the first gain."""
    if answers:
        first = answers[0]
        at_hand = _at_hand(forecast, first)
        if at_hand is not None and at_hand >= SURELY and not _serious(forecast):
            told = "above 99%" if at_hand > 0.99 else f"{at_hand:.0%}"
            return Trust(word="high", reason=f"the samples at hand reach it with probability {told}")
        reach = None if first.status != "unreachable" else _reach(forecast, first)
        return confidence_of(forecast.findings, first.low, first.high, reach)
    if not gains:
        return confidence_of(forecast.findings, None, None)
    gain = gains[0]
    words = f"with {gain.more:,} more samples the loss should fall by {{}} to {{}}"
    return confidence_of(forecast.findings, gain.loss.low, gain.loss.high, of=words)


def _at_hand(forecast: LearningCurve, answer: SufficientSize) -> float | None:
    """The probability with which the samples at hand reach a target: findings about the slope do not matter to it."""
    curve = forecast.accuracy if answer.criterion == "target_accuracy" else forecast.loss
    if not isinstance(curve, Curve) or answer.criterion not in ("target_accuracy", "target_loss"):
        return None
    return float(curve.at([curve.draws.largest]).probability(answer.tolerance, answer.of)[0])


def _serious(forecast: LearningCurve) -> bool:
    return any(finding.severity in ("error", "serious") for finding in forecast.findings)


def _reach(forecast: LearningCurve, answer: SufficientSize) -> float | None:
    """The probability with which a target is reached by as many samples as are looked at."""
    curve = forecast.accuracy if answer.criterion == "target_accuracy" else forecast.loss
    if not isinstance(curve, Curve) or answer.criterion not in ("target_accuracy", "target_loss"):
        return None
    return float(curve.at([HORIZON * curve.draws.largest]).probability(answer.tolerance, answer.of)[0])


def _gains(forecast: LearningCurve, cost: float | None) -> list[Gain]:
    """What each number of samples more brings: differences within each draw, since its sizes go together."""
    loss, accuracy, samples = forecast.loss, forecast.accuracy, forecast.samples
    if not isinstance(loss, Curve) or not isinstance(accuracy, Curve) or samples is None:
        return []
    sizes = [samples, *(samples + more for more in MORE)]
    falls, rises = loss.at(sizes).samples, accuracy.at(sizes).samples
    gains = []
    for index, more in enumerate(MORE, 1):
        fall, rise = falls[:, 0] - falls[:, index], rises[:, index] - rises[:, 0]
        worth = None if cost is None else float((rise > cost * more).mean())
        gains.append(Gain(more=more, loss=_estimate(fall), accuracy=_estimate(rise), worth=worth))
    return gains


def _estimate(draws: Float64[np.ndarray, " draws"]) -> Estimate:
    low, value, high = np.quantile(draws, [(1 - CONFIDENCE) / 2, 0.5, (1 + CONFIDENCE) / 2])
    return Estimate(value=value, low=low, high=high)


def _class_gains(evidence: Evidence, forecast: LearningCurve, names: Sequence[str]) -> list[ClassGain]:
    if forecast.slope is None or not names:
        return []
    slopes, held_out = class_slopes_of(evidence, forecast.slope), evidence.classified
    if slopes is None or slopes.alike(MORE[0]) <= 0:
        return []
    alone, all_classes = slopes.alone(MORE[0]), slopes.alike(MORE[0])
    times, errors = slopes.times
    widths = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / len(names)) * errors
    return [
        ClassGain(
            name=names[label],
            samples=int(slopes.counts[label]),
            recall=1 - float(held_out.wrong[held_out.labels == label].mean()),
            more=MORE[0],
            loss=alone[label],
            share=alone[label] / all_classes,
            times=Estimate(
                value=times[label], low=max(0.0, times[label] - widths[label]), high=times[label] + widths[label]
            ),
            up_to=int(slopes.counts[label] * np.sqrt(max(times[label], 0))),
        )
        for label in np.argsort(-times, kind="stable")
    ]


def _answers(config: ForecastConfig, forecast: LearningCurve) -> list[SufficientSize]:
    sure, answers = config.assurance, []
    if config.target_accuracy is not None:
        answers.append(forecast.sufficient_size(target_accuracy=config.target_accuracy, assurance=sure, of=config.of))
    if config.target_loss is not None:
        answers.append(forecast.sufficient_size(target_loss=config.target_loss, assurance=sure, of=config.of))
    if config.excess is not None:
        answers.append(forecast.sufficient_size(excess=config.excess, assurance=sure))
    if config.cost_per_sample is not None:
        answers.append(forecast.sufficient_size(cost_per_sample=config.cost_per_sample, assurance=sure))
    return answers
