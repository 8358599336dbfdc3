"""From a model and its samples to a sufficient size: fine-tune, record losses, read the curves."""

import functools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from suffice.configuration import AnalyzeConfig, CurvatureConfig, MeasuredConfig
from suffice.configuration.language import LanguageCurvatureConfig, LanguageMeasuredConfig
from suffice.data import groups_of
from suffice.engine import RayCluster, Workers, lost_gpu
from suffice.errors import InputError
from suffice.landscape import Convergence, Ledger, Probes, record, record_shard, root_mean_square
from suffice.landscape.convergence import CRITERIA, bounded, check_enough
from suffice.models import Classifier
from suffice.models.language import LanguageModel
from suffice.problem import Batch, Problem, fastest_batch_size, norm
from suffice.results import (
    AnalysisResult,
    Criterion,
    CurvatureAtRadius,
    Estimate,
    Landscape,
    Probe,
    ProblemSummary,
    Settling,
)
from suffice.runs.classified import Model, Samples, labels_of, load, problem_of, read_all, taken_rows, train
from suffice.runs.curvature import spectrum_and_gaps
from suffice.runs.estimate import check_room, in_parallel
from suffice.runs.folder import Opened, open_folder, refuse_changed, write_result
from suffice.runs.held_out import held_out_metrics
from suffice.runs.log import logged, note
from suffice.runs.watch import SILENT, Watch, counted, duration
from suffice.runs.workers import workers_of
from suffice.software import versions
from suffice.storage import Pieces, Place, named, place
from suffice.training.order import between_groups, together

DRAWN = frozenset({"tolerance", "points", "curvature"})
"""Settings that may change without a new measurement of the losses."""

Contents: TypeAlias = tuple[tuple[str, str], ...]
"""Hashes of data and model, by what they are."""


def analyze(
    config: AnalyzeConfig,
    out: Path,
    overwrite: bool = False,
    watch: Watch = SILENT,
    workers: int | None = None,
    cluster: RayCluster | None = None,
) -> AnalysisResult:
    """Measures how the loss surface settles around a model, and writes ``result.json``.

    A run with the same settings in the same folder is resumed.

    Args:
        config: the settings.
        out: the run's folder.
        overwrite: replace a run with other settings.
        watch: told what is done and how long it should take; silent by default.
        workers: number of processes that measure losses; by default this one, or as many as the cluster has room for.
            Each has as many threads as this one, and the results do not depend on their number.
        cluster: where the processes run; on this machine by default. All its machines must see ``out``, the model and
            the data under the same paths.

    Raises:
        InputError: bad input of any kind; finished work stays in the folder.

    Example:
        >>> import pathlib, tempfile
        >>> config = AnalyzeConfig(model="builtin:tiny-vit", data="builtin:digits", samples=60, probes=2)
        >>> result = analyze(config, pathlib.Path(tempfile.mkdtemp()))
        >>> result.problem.samples, result.problem.held_out_samples, result.sufficient_sizes[0].criterion
        (48, 12, 'remaining')
    """
    watch = logged(watch)
    processes = workers_of(workers, cluster, config.store)
    samples, classifier, unseen, contents = load(config, watch)
    problems = _problems(config, samples, classifier, unseen)
    if problems.at_hand.is_weighted:
        check_enough(len(problems.at_hand))
    with open_folder(out, config, contents, overwrite, free=DRAWN) as run, processes as shared:
        check_room(run.stored, _bytes_of(config, problems))
        if not run.resumed:
            read_all(samples, problems.rows, watch)
            if unseen is not None and problems.held_out is not None:
                read_all(unseen, np.arange(len(unseen)), watch)
        _announce(config, problems, watch, 1 if shared is None else shared.count, cluster is None)
        if config.method is not None:
            train(config, problems.at_hand, classifier, run.stored, run.identity, watch)
        probes = Probes.sphere(problems.at_hand, config.radius, config.probes, config.seed)
        ledger = _record(problems.at_hand, probes, "ledger", config, contents, run, watch, shared)
        held_out, accuracy, metrics = None, None, {}
        if problems.held_out is not None:
            held_out = _record(problems.held_out, probes, "held_out_ledger", config, contents, run, watch, shared)
            if isinstance(classifier, Classifier) and classifier.task == "classification":
                accuracy = _accuracy(problems.held_out, classifier, run.stored / "held_out_errors", config)
            elif isinstance(classifier, Classifier):
                metrics = held_out_metrics(problems.held_out, classifier, labels_of(samples))
        curves = Convergence(ledger, held_out, seed=config.seed)
        if held_out is not None and isinstance(classifier, LanguageModel):
            metrics = {"perplexity": math.exp(curves.population.center_loss)}
        curvature = _curvature(config, problems.at_hand, classifier, curves, run, watch) if config.curvature else None
        result = _result(config, classifier, problems, curves, accuracy, metrics, curvature)
        write_result(result, run.path, indent=2)
        return result


@dataclass(frozen=True)
class _Problems:
    """The samples at hand, over which k counts, and the held-out samples."""

    at_hand: Problem
    held_out: Problem | None
    rows: Int64[np.ndarray, " samples"]
    notes: list[str]


def _problems(config: AnalyzeConfig, samples: Samples, classifier: Model, unseen: Samples | None) -> _Problems:
    """A test split of the data is what is held out, or else a share of the samples, of whole groups."""
    taken, notes = taken_rows(config, len(samples)), list(classifier.notes)
    if unseen is not None and config.held_out > 0:
        notes.append(f"Held out are the {len(unseen):,} samples of the data's own split, not a share of the others.")
        return _Problems(
            at_hand=problem_of(config, samples, classifier, taken, notes),
            held_out=problem_of(config, unseen, classifier, np.arange(len(unseen)), notes),
            rows=taken,
            notes=notes,
        )
    held_out, groups = round(config.held_out * len(taken)), groups_of(samples)
    if groups is not None:
        taken = taken[together(groups[taken])]
        held_out = between_groups(groups[taken], held_out)
    if config.held_out > 0 and held_out < 3:
        raise InputError(
            f"{len(taken)} samples: a held-out share of {config.held_out} is {held_out} of them, and at least 3 are "
            "needed; give more samples, a larger --held-out, or --held-out 0"
        )
    if len(taken) - held_out < 3:
        raise InputError(
            f"{len(taken)} samples, {held_out} of them held out: at least 3 must remain; give more samples"
        )
    return _Problems(
        at_hand=problem_of(config, samples, classifier, taken[held_out:], notes),
        held_out=problem_of(config, samples, classifier, taken[:held_out], notes) if config.held_out > 0 else None,
        rows=taken,
        notes=notes,
    )


def _bytes_of(config: AnalyzeConfig, problems: _Problems) -> float:
    """What is stored: losses in float64, and of a training the weights with two moments of each."""
    samples = len(problems.at_hand) + (0 if problems.held_out is None else len(problems.held_out))
    moving = sum(value.numel() * value.element_size() for value in problems.at_hand.moving.values())
    return 8 * samples * (1 + config.probes) + (0 if config.method is None else 3 * moving)


def _announce(config: AnalyzeConfig, problems: _Problems, watch: Watch, workers: int, is_here: bool) -> None:
    """Announces the work and how long it should take, from the time of one batch."""
    problem = problems.at_hand
    held_out = 0 if problems.held_out is None else len(problems.held_out)
    with problem.measuring():
        try:
            batch = problem.batch(slice(0, min(fastest_batch_size(problem), len(problem))))
            problem.losses(batch)  # the first run is slower than the others
        except RuntimeError as error:
            if lost_gpu(error) is not None:
                raise
            raise InputError(
                f"{config.model} cannot take {config.data} ({error}); for images, see --image-size"
            ) from error
        start = time.perf_counter()
        count = len(problem.losses(batch))
        forward = (time.perf_counter() - start) / count
    measured = (len(problem) + held_out) * (1 + config.probes)
    # a training step costs about three forward passes
    trained = 0 if config.method is None else 3 * config.epochs * len(problem)
    train = (
        "" if config.method is None else f"{counted(config.epochs, 'epoch')} of fine-tuning ({config.method}), then "
    )
    shared = in_parallel(forward * measured, workers, torch.get_num_threads(), is_here)
    watch.say(
        f"{len(problem):,} samples and {held_out:,} held out: {train}{measured:,} losses at {1 + config.probes} points "
        f"of the loss surface; about {duration(forward * trained + shared)}."
    )


def _record(
    problem: Problem,
    probes: Probes,
    name: str,
    config: AnalyzeConfig,
    contents: Mapping[str, str],
    run: Opened,
    watch: Watch,
    workers: Workers | None,
) -> Ledger:
    """The ledger of a name, whose shards are measured by workers if there are any."""
    store = run.stored / name
    with watch.progress("measuring", len(problem) * len(probes)) as progress:

        def elsewhere(shards: Sequence[slice]) -> None:
            call = functools.partial(
                _measure_shard,
                type(config),
                config.model_dump_json(),
                tuple(contents.items()),
                run.identity,
                named(store),
            )

            def cost(shard: tuple[int, int]) -> int:
                return (shard[1] - shard[0]) * len(probes)

            def slow(shard: tuple[int, int], seconds: float, expected: float) -> None:
                watch.say(
                    f"Slow: samples {shard[0]:,} to {shard[1] - 1:,} have run for {duration(seconds)}; as many others "
                    f"took about {duration(expected)}."
                )

            def took(shard: tuple[int, int], seconds: float, worker: str) -> None:
                note("task", f"{store.name}: samples {shard[0]:,} to {shard[1] - 1:,}", seconds=seconds, worker=worker)

            if workers is not None:
                pairs = [(rows.start, rows.stop) for rows in shards]
                workers.run(call, pairs, slow=slow, cost=cost, took=took, progress=progress)

        ledger = record(problem, probes, store, config.batch_size, progress, None if workers is None else elsewhere)
    note("measured", store.name, batch_size=ledger.batch_size, samples=len(problem), probes=len(probes))
    return ledger


@functools.lru_cache(maxsize=1)
def _there(
    kind: type[AnalyzeConfig], config: str, contents: Contents, identity: str, stored: str
) -> tuple[_Problems, Probes]:
    """The problems and probes of a run, as a worker has them, which keeps them from shard to shard."""
    asked = kind.model_validate_json(config)
    samples, classifier, unseen, now = load(asked, SILENT)
    refuse_changed(dict(contents), now)
    problems = _problems(asked, samples, classifier, unseen)
    if asked.method is not None:
        train(asked, problems.at_hand, classifier, place(stored), identity, SILENT)  # was trained: reads it
    return problems, Probes.sphere(problems.at_hand, asked.radius, asked.probes, asked.seed)


def _measure_shard(
    kind: type[AnalyzeConfig], config: str, contents: Contents, identity: str, store: str, shard: tuple[int, int]
) -> None:
    """One shard, in a worker."""
    folder = place(store)
    problems, probes = _there(kind, config, contents, identity, str(folder.parent))
    problem = problems.at_hand if folder.name == "ledger" else problems.held_out
    if problem is not None:
        record_shard(problem, probes, folder, slice(*shard))


def _accuracy(problem: Problem, classifier: Classifier, store: Place, config: AnalyzeConfig) -> float:
    """Accuracy at w*: one minus the mean of the 0-1 loss."""

    def zero_one(logits: Tensor, batch: Batch) -> Tensor:
        return logits.argmax(-1).ne(batch["labels"]).double()

    errors = Problem(
        problem.model,
        problem.dataset,
        zero_one,
        problem.predict,
        list(problem.moving),
        seed=config.seed,
        collate=classifier.collate,
    )
    return 1 - float(record(errors, Probes.points(errors, []), store, config.batch_size).losses.mean())


def _curvature(
    config: AnalyzeConfig, problem: Problem, classifier: Model, curves: Convergence, run: Opened, watch: Watch
) -> CurvatureAtRadius:
    same = {name: getattr(config, name) for name in MeasuredConfig.model_fields}
    pieces = Pieces(run.stored / "curvature", run.identity)
    kind = LanguageCurvatureConfig if isinstance(config, LanguageMeasuredConfig) else CurvatureConfig
    spectrum, gaps = spectrum_and_gaps(kind(**same), problem, classifier, pieces, watch)
    return CurvatureAtRadius(
        center_norm=norm(problem.center()),
        spectrum=spectrum,
        gaps=gaps,
        measured=curves.in_order(gaps.sizes).max(1).tolist(),
    )


def _result(
    config: AnalyzeConfig,
    classifier: Model,
    problems: _Problems,
    curves: Convergence,
    accuracy: float | None,
    metrics: dict[str, float],
    curvature: CurvatureAtRadius | None,
) -> AnalysisResult:
    sample, population = curves.sample, curves.population
    held_out_loss = None if problems.held_out is None else population.center_loss
    problem = ProblemSummary(
        model=config.model,
        data=config.data,
        classes=0 if isinstance(classifier, LanguageModel) else len(classifier.labels),
        samples=sample.size,
        held_out_samples=0 if problems.held_out is None else population.size,
        fine_tuning=config.method,
        moving_parameters=sum(parameter.numel() for parameter in problems.at_hand.moving.values()),
        parameters=sum(parameter.numel() for parameter in classifier.model.parameters()),
        loss_at_center=sample.center_loss,
        coefficient_of_variation=sample.coefficient_of_variation,
        held_out_loss=held_out_loss,
        held_out_accuracy=accuracy,
        held_out_metrics=metrics,
        gap=None if held_out_loss is None else held_out_loss - sample.center_loss,
        batch_size=curves.ledger.batch_size,
        device=str(problems.at_hand.device),
        notes=_notes(config, classifier, problems),
    )
    return AnalysisResult(
        problem=problem,
        landscape=_landscape(curves, config.points),
        settling=[_settling(curves, criterion) for criterion in CRITERIA],
        sufficient_sizes=[curves.sufficient_size(config.tolerance, criterion) for criterion in CRITERIA],
        confidence=curves.confidence,
        curvature=curvature,
        configuration=config.asked(),
        versions=versions(),
    )


def _notes(config: AnalyzeConfig, classifier: Model, problems: _Problems) -> list[str]:
    notes = list(problems.notes)
    if config.method is None and isinstance(classifier, Classifier) and not classifier.matched_by_name:
        notes.append("The checkpoint does not name the classes of the data: they were matched in order.")
    return notes


def _landscape(curves: Convergence, count: int) -> Landscape:
    sizes = curves.log_sizes(count)
    difference, population = curves.difference(sizes), curves.remaining(sizes, population=True)
    spreads = np.sqrt(curves.sample.variances)
    return Landscape(
        sizes=sizes.tolist(),
        difference=difference.tolist(),
        difference_interval=bounded(curves.interval(difference)),
        remaining=curves.remaining(sizes).tolist(),
        remaining_population=population.tolist(),
        remaining_population_interval=bounded(curves.interval(population, population=True)),
        null=curves.null(sizes).tolist(),
        in_order=root_mean_square(curves.in_order(sizes)).tolist(),
        source_order=root_mean_square(curves.in_order(sizes, curves.source_order())).tolist(),
        band=_ends(curves.band(sizes)),
        exchangeability=curves.exchangeability(),
        probes=[
            Probe(distance=distance, loss=loss, spread=spread)
            for distance, loss, spread in zip(curves.ledger.distance, curves.sample.means, spreads, strict=True)
        ],
    )


def _settling(curves: Convergence, criterion: Criterion) -> Settling:
    spread = curves.population if criterion == "remaining" else curves.sample

    def estimate(relative: bool) -> Estimate | None:
        if relative and spread.unusable_scale(curves.confidence) is not None:
            return None
        low, high = spread.interval(curves.confidence, relative)
        value = spread.variance / spread.scale(relative) ** 2
        return Estimate(value=value, low=low, high=high) if math.isfinite(high) else None

    return Settling(
        criterion=criterion,
        relative=estimate(True),
        absolute=estimate(False),
        loss=spread.center_loss,
        least=curves.least,
    )


def _ends(interval: Float64[np.ndarray, "2 sizes"]) -> tuple[list[float], list[float]]:
    return interval[0].tolist(), interval[1].tolist()
