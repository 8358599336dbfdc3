"""From a model and the samples at hand to what more of them would bring: features, one fit, its curvature."""

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64, Int64
from rich.console import Console

from suffice.configuration import ForecastConfig
from suffice.data import LabelledSamples, load_samples
from suffice.engine import choose_device
from suffice.errors import InputError
from suffice.forecasting import CONFIDENCE, Pilot, choose_penalty, curve_of, measure_pilot
from suffice.models import Classifier, adapted, load_classifier, split
from suffice.problem import Problem
from suffice.report import write_forecast_report
from suffice.results import ClassGain, Estimate, ForecastResult, Gain, LearningCurve, Measured, SufficientSize
from suffice.runs.folder import open_folder, versions
from suffice.runs.progress import progress_bar
from suffice.studies import FrozenFeatures

FREE = frozenset({"sizes", "target_accuracy", "target_loss", "excess", "cost_per_sample", "l2"})
"""What may change without running the model anew."""

AHEAD = (1, 2, 4, 8, 16, 32)
"""Sizes by default, over the samples at hand."""

MORE = (100, 1000, 10_000)
"""Numbers of samples whose gain is told, the first of them class by class as well."""

COST_SIZES = np.geomspace(1, 1000, 200)
"""Sizes at which costs and gains are weighed, over the samples at hand."""


def forecast(
    config: ForecastConfig, out: Path = Path("runs/forecast"), overwrite: bool = False, console: Console | None = None
) -> ForecastResult:
    """Forecasts the learning curve of a new head on a frozen model, and writes ``out``.

    Args:
        config: the model, the samples at hand, and what is asked.
        out: the run's folder; what the frozen model made of the samples is kept there.
        overwrite: replace a run of another configuration.
        console: where to show progress; nowhere by default.

    Raises:
        InputError: bad input of any kind.

    Example:
        >>> import tempfile
        >>> config = ForecastConfig(model="builtin:tiny-vit", data="builtin:digits", samples=200, l2=0.01)
        >>> result = forecast(config, Path(tempfile.mkdtemp()))
        >>> result.samples, result.forecast.sizes, result.forecast.status
        (200, [200, 400, 800, 1600, 3200, 6400], 'extrapolated')
    """
    console = Console(quiet=True) if console is None else console
    samples = load_samples(config.data, config.text_column, config.label_column, config.threshold, config.classes)
    if config.samples is not None and config.samples > len(samples):
        raise InputError(f"samples = {config.samples}: {config.data} has {len(samples)}")
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(samples))[: config.samples])
    labels = samples.labels[rows]
    _check_classes(samples, labels)
    classifier = load_classifier(config.model, samples, config.image_size, config.seed, config.trust_remote_code)
    inputs = classifier.inputs(samples, rows)
    open_folder(out, config.asked(), samples.fingerprint(), overwrite, free=FREE)
    problem = Problem(
        adapted(classifier.model, "head").to(choose_device(config.device)),
        inputs,
        predict=classifier.predict,
        order="source",
        collate=classifier.collate,
    )
    features = _features(problem, classifier, out / "features" / "head", console)
    with_intercept = np.hstack([features, np.ones((len(features), 1))])
    with console.status("fitting heads"):
        l2 = choose_penalty(with_intercept, labels, config.seed) if config.l2 is None else config.l2
        pilot = measure_pilot(with_intercept, labels, l2, config.seed)
    result = _result(config, samples, pilot, features.shape[1], l2, [*classifier.notes, *inputs.notes])
    write_forecast_report(result, out)
    return result


def _check_classes(samples: LabelledSamples, labels: Int64[np.ndarray, " taken"]) -> None:
    counts = np.bincount(labels, minlength=len(samples.classes))
    if counts.min() < 2:
        name, count = samples.classes[int(counts.argmin())], int(counts.min())
        raise InputError(
            f"the class {name!r} has {count} of the {len(labels)} samples, and 2 are needed: give more, or keep other "
            "classes with --classes"
        )


def _features(
    problem: Problem, classifier: Classifier, folder: Path, console: Console
) -> Float64[np.ndarray, "samples features"]:
    """What the frozen part makes of the samples: the input of the head."""
    with problem.measuring():
        cut = split(problem.model, classifier.predict, problem.batch(slice(0, 3)))
    if cut is None:
        raise InputError("the head of this model cannot be told from the rest: take suffice.forecast_head on features")
    frozen = FrozenFeatures(folder)
    shards = frozen.plan(problem, cut)
    if shards:
        with progress_bar(console, "frozen part", len(problem)) as progress:
            progress(len(problem) - sum(rows.stop - rows.start for rows in shards))
            for rows in shards:
                frozen.run(problem, cut, rows)
                progress(rows.stop - rows.start)
    return frozen.tensor.flatten(1).double().numpy()


def _result(
    config: ForecastConfig, samples: LabelledSamples, pilot: Pilot, features: int, l2: float, notes: list[str]
) -> ForecastResult:
    ahead = [pilot.samples * times for times in AHEAD] if config.sizes is None else config.sizes
    curve = curve_of(pilot, sorted({pilot.samples, *ahead}))
    return ForecastResult(
        model=config.model,
        data=config.data,
        classes=list(samples.classes),
        samples=pilot.samples,
        features=features,
        l2=l2,
        forecast=curve,
        measured=[
            Measured(
                size=round(predicted.samples), loss=predicted.losses.mean(), accuracy=1 - float(predicted.wrong.mean())
            )
            for predicted in (pilot.halves, pilot.nearly_all)
            if predicted is not None
        ],
        gains=_gains(pilot),
        class_gains=_class_gains(pilot, samples.classes) if curve.status != "cannot_tell" else [],
        answers=_answers(config, pilot, curve),
        notes=notes,
        confidence=CONFIDENCE,
        configuration=config.asked(),
        versions=versions(),
    )


def _gains(pilot: Pilot) -> list[Gain]:
    curve = curve_of(pilot, [pilot.samples, *(pilot.samples + more for more in MORE)])
    if curve.status == "cannot_tell":
        return []
    loss, accuracy = curve.loss.mean, curve.accuracy.mean
    return [
        Gain(more=more, loss=loss[0] - loss[place], accuracy=accuracy[place] - accuracy[0])
        for place, more in enumerate(MORE, 1)
    ]


def _class_gains(pilot: Pilot, names: Sequence[str]) -> list[ClassGain]:
    slopes, held_out = pilot.class_slopes(), pilot.nearly_all
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


def _answers(config: ForecastConfig, pilot: Pilot, curve: LearningCurve) -> list[SufficientSize]:
    targets = {"target_accuracy": config.target_accuracy, "target_loss": config.target_loss, "excess": config.excess}
    answers = [curve.sufficient_size(**{name: target}) for name, target in targets.items() if target is not None]
    if config.cost_per_sample is None:
        return answers
    finer = curve_of(pilot, [round(size) for size in pilot.samples * COST_SIZES])
    return [*answers, finer.sufficient_size(cost_per_sample=config.cost_per_sample)]
