"""The ground truth: training at each size and seed, the loss surface at the trained weights, and the check of k*."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from suffice.configuration import StudyConfig
from suffice.engine import RayCluster
from suffice.errors import InputError
from suffice.results import Cell, LearningCurve, Retrained, Study, StudyResult
from suffice.runs.cells import diverged_in_words, table_of, with_six_digits
from suffice.runs.estimate import check_room
from suffice.runs.folder import open_folder, refuse_changed, stored_at, write_result, write_table
from suffice.runs.log import logged
from suffice.runs.replacement import folder_to_write
from suffice.runs.state import plan
from suffice.runs.steps import processes_of, run_steps, time_in_words
from suffice.runs.summary import summary_of, tell
from suffice.runs.watch import SILENT, Watch, counted
from suffice.runs.workers import check_reached
from suffice.software import versions
from suffice.storage import Pieces
from suffice.studies import (
    CONFIDENCE,
    Cells,
    StudySamples,
    Tested,
    agreement_of,
    check_of,
    last_gain,
    learning_curve,
    measure_retrained,
    train_cell,
)
from suffice.training import ALL, Learners, Rows, Series, training_of

STEP = 5e-4
"""About the seconds of a training step without the model."""


def study(
    config: StudyConfig,
    out: Path = Path("runs/study"),
    workers: int | None = None,
    overwrite: bool = False,
    watch: Watch = SILENT,
    cluster: RayCluster | None = None,
) -> StudyResult:
    """Trains by each method at each size with each seed, checks k*, and writes ``result.json`` and ``cells.csv``.

    The samples of a seed are nested and stratified, and the same for all methods. Frozen features are computed once.
    Each training and each measurement of a surface is stored when it is finished; a run with the same settings in the
    same folder is resumed.

    Args:
        config: the model, the data, the methods and the sizes.
        out: the run's folder.
        workers: number of parallel processes; one for each ``config.threads`` cores by default, or as many as the
            cluster has room for. The results do not depend on it.
        overwrite: replace a run with other settings.
        watch: told what is done and how long it should take; silent by default.
        cluster: where the processes run; on this machine by default. All its machines must see ``out``, the model and
            the data under the same paths.

    Raises:
        InputError: bad input of any kind; finished work stays in the folder.

    Example:
        >>> import tempfile
        >>> config = StudyConfig(
        ...     model="builtin:tiny-vit", data="builtin:digits", samples=300, sizes=[20, 100], seeds=1, steps=20
        ... )
        >>> result = study(config, Path(tempfile.mkdtemp()), workers=1)
        >>> len(result.study.cells), list(result.study.curves), result.study.curves["head"].sizes
        (2, ['head'], [20, 100])
    """
    watch = logged(watch)
    processes = processes_of(workers, config.threads, config.device, cluster)
    check_reached(config.store, processes, cluster)
    work = _work(config.model_dump_json(), str(folder_to_write(out, overwrite)))
    try:
        tell(summary_of(work.samples.data), watch)
        work.check()
        with open_folder(out, config, work.contents, overwrite) as run:
            work.begin(run.identity, work.contents)
            work.run(processes, watch, cluster)
            result = with_six_digits(work.result())
            write_result(result, run.path)
            write_table(table_of(result.study.cells), run.path)
    finally:
        _work.cache_clear()
    return result


class _Step(NamedTuple):
    """A piece of work that leaves its result on disk: a shard of features, a training, or a measured surface."""

    kind: Literal["features", "cell", "retrained"]
    series: Series
    size: int = 0
    rows: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        what = {"features": "frozen features", "cell": "training", "retrained": "loss surface"}[self.kind]
        size = f" on {self.size:,}" if self.size else ""
        return f"{what} of {self.series.method}{size} with seed {self.series.seed}"


class _Work:
    """The work of a study, done in its processes, and what of it is missing."""

    def __init__(self, config: StudyConfig, out: Path) -> None:
        self.config = config
        self.out = out
        self.samples = StudySamples(config)
        self.learners = Learners(config, self.samples.tasks, out)
        self.identity = ""
        self._workers = 1
        self.series = [
            Series(task, method, seed)
            for task in self.samples.tasks
            for method in config.methods
            for seed in self.samples.seeds
        ]

    @functools.cached_property
    def contents(self) -> dict[str, str]:
        """Hashes of data and model as this process read them."""
        return self.learners.contents()

    def begin(self, identity: str, contents: Mapping[str, str]) -> None:
        """Learns what decides the stored work, once.

        Args:
            identity: hash of all of it.
            contents: hashes of data and model as the study read them at first.

        Raises:
            InputError: this process has read other ones.
        """
        if self.identity:
            return
        refuse_changed(contents, self.contents)
        self.identity = identity
        self.stored = stored_at(self.config, self.out, identity)
        self.learners.keep_in(self.stored)
        self.cells = Cells(self.stored / "cells", identity, Cell, list(self.samples.tasks))
        self.surfaces = Pieces(self.stored / "surfaces", identity)

    def check(self) -> None:
        """Finds bad methods and landscape sizes before any work."""
        strange = set(self.config.landscape_sizes or []) - set(self.samples.sizes[ALL])
        if strange:
            raise InputError(f"landscape_sizes {sorted(strange)}: not among the sizes {self.samples.sizes[ALL]}")
        if self.config.surface and len(self._surface_sizes(ALL)) < 3:
            raise InputError("--surface: a plane goes through the weights of 3 sizes; give more --landscape-sizes")
        for method in self.config.methods:
            self.learners.check(method)

    def run(self, processes: int, watch: Watch, cluster: RayCluster | None) -> None:
        """Does the missing steps, one kind after the other."""
        shards = [
            _Step("features", Series(ALL, method, self.config.seed), rows=(rows.start, rows.stop))
            for method in self.config.methods
            for rows in self.learners.plan_features(method)
        ]
        cells = [
            _Step("cell", series, size)
            for series in self.series
            for size in self.samples.sizes[series.task]
            if not self.cells.has(series, size)
        ]
        surfaces = [
            _Step("retrained", series) for series in self._measured() if not self.surfaces.has(self._surface(series))
        ]
        check_room(self.stored, self._bytes())
        plan(
            self.out,
            {
                "cells": sum(len(self.samples.sizes[series.task]) for series in self.series),
                "surfaces": len(self._measured()),
            },
        )
        self._workers = processes
        at_most = "" if self.config.patience is None else "at most "
        seconds = sum(map(self._seconds, [*shards, *cells, *surfaces]))
        watch.say(
            f"{counted(len(cells), 'training')} and {counted(len(surfaces), 'loss surface')} to measure, "
            f"{time_in_words(seconds, processes, self.config.threads, cluster, at_most)}"
        )
        run_steps(
            {"frozen features": shards, "training": cells, "loss surfaces": surfaces},
            functools.partial(_do, self.config.model_dump_json(), str(self.out), self.identity, self.contents),
            self._seconds,
            processes,
            self.config.threads,
            watch,
            cluster,
        )

    def _bytes(self) -> float:
        """What is stored: features, the weights at whose minima surfaces are measured, and losses."""
        features = sum(self.learners.bytes_of_features(method) for method in self.config.methods)
        cells, ledgers = 0.0, 0.0
        for series in self.series:
            task, sizes = self.samples.tasks[series.task], self.samples.sizes[series.task]
            kept = len(self._surface_sizes(series.task))
            cells += kept * self.learners.moving_bytes(series.method) + 16 * len(sizes) * len(task.parts.test)
        for series in self._measured():
            largest = self.samples.sizes[series.task][-1]
            points = self.config.probes + 1 + len(self._surface_sizes(series.task))
            ledgers += 8 * points * (largest + len(self.samples.tasks[series.task].parts.validation))
            ledgers += 8 * self.config.surface_points**2 * largest * self._has_plane(series)
        return features + cells + ledgers

    def do(self, step: _Step) -> None:
        """One step."""
        if step.kind == "features":
            self.learners.run_features(step.series.method, slice(*step.rows))
        elif step.kind == "cell":
            self._train(step.series, step.size)
        else:
            self._measure(step.series)

    def _train(self, series: Series, size: int) -> None:
        learner = self.learners.get(series)
        parts, order = self.samples.tasks[series.task].parts, self.samples.order(series.task, series.seed)
        cell, tested = train_cell(self.config, learner, parts, order, series, size)
        keep = tested is not None and size in self._surface_sizes(series.task)
        kept = None if tested is None else np.stack([tested.losses, tested.right])
        self.cells.write(series, size, cell, kept, learner.state() if keep else None)

    def _measure(self, series: Series) -> None:
        sizes = [
            size for size in self._surface_sizes(series.task) if self.cells.read(series, size).status == "finished"
        ]
        measured = None
        # without the largest training there is no w*_m
        if sizes and sizes[-1] == self.samples.sizes[series.task][-1]:
            measured = measure_retrained(
                self.config,
                self.learners.get(series),
                self.samples.order(series.task, series.seed),
                self.samples.tasks[series.task].parts.validation,
                {size: self.cells.weights(series, size) for size in sizes},
                self.stored / "surfaces" / self._surface(series),
                series,
                with_surface=self._has_plane(series),
            )
        content = None if measured is None else measured.model_dump(mode="json")
        self.surfaces.write(self._surface(series), content)

    def result(self) -> StudyResult:
        """The result, from what is on disk."""
        cells = {
            series: [self.cells.read(series, size) for size in self.samples.sizes[series.task]]
            for series in self.series
        }
        read = {series: self.surfaces.read(self._surface(series)) for series in self._measured()}
        retrained = {
            series: Retrained.model_validate(content) for series, content in read.items() if content is not None
        }
        checks = []
        for series, surface in retrained.items():
            finished = [cell for cell in cells[series] if cell.status == "finished"]
            if len(finished) > 1:
                tested = [self.cells.tested(series, cell.size) for cell in finished]
                checks.extend(check_of(surface, finished, tested, self.config.seed))

        every = [cell for of_place in cells.values() for cell in of_place]

        def tests_of(task: str, method: str) -> tuple[list[Cell], Tested, Rows | None]:
            of_both = [series for series in cells if (series.task, series.method) == (task, method)]
            tested = {
                (cell.size, cell.seed): self.cells.tested(series, cell.size)
                for series in of_both
                for cell in cells[series]
                if cell.status == "finished"
            }
            groups = self.samples.tasks[task].groups(self.samples.tasks[task].parts.test)
            return [cell for series in of_both for cell in cells[series]], tested, groups

        def curves_of(task: str) -> dict[str, LearningCurve]:
            return {method: learning_curve(*tests_of(task, method)) for method in self.config.methods}

        gained = {method: last_gain(*tests_of(ALL, method)) for method in self.config.methods}
        parts = self.samples.tasks[ALL].parts
        return StudyResult(
            model=self.config.model,
            data=self.config.data,
            classes=len(self.samples.samples.classes),
            pool=len(parts.pool),
            validation_samples=len(parts.validation),
            test_samples=len(parts.test),
            study=Study(
                cells=every,
                curves=curves_of(ALL),
                subset_curves={task: curves_of(task) for task in self.samples.tasks if task != ALL},
                last_gains={method: gain for method, gain in gained.items() if gain is not None},
                retrained=list(retrained.values()),
                check=checks,
                agreement=agreement_of(checks, self.config.seed),
            ),
            notes=[*self.learners.notes(self.config.methods), *diverged_in_words(every)],
            confidence=CONFIDENCE,
            configuration=self.config.asked(),
            versions=versions(),
        )

    def _measured(self) -> list[Series]:
        """Where the loss surface is measured."""
        seeds = {method: self.config.of_method(method).landscape_seeds for method in self.config.methods}
        return [series for series in self.series if series.seed in self.samples.seeds[: seeds[series.method]]]

    def _has_plane(self, series: Series) -> bool:
        """Whether the surface is measured on a plane of minima as well."""
        return self.config.surface and series.task == ALL and series.seed == self.samples.seeds[0]

    def _surface_sizes(self, task: str) -> list[int]:
        """Sizes at whose minima the surface is measured; the largest is always there."""
        sizes = self.samples.sizes[task]
        asked = self.config.landscape_sizes
        chosen = {sizes[0], sizes[len(sizes) // 2]} if asked is None else set(asked) & set(sizes)
        return sorted({*chosen, sizes[-1]})

    def _surface(self, series: Series) -> str:
        return f"{list(self.samples.tasks).index(series.task)}-{series.method}-{series.seed}"

    def _seconds(self, step: _Step) -> float:
        """About how long a step should take, from the time of one batch."""
        config, method, task = self.config, step.series.method, self.samples.tasks[step.series.task]
        forward = self.learners.forward_seconds("full" if step.kind == "features" else method, config.threads)
        if step.kind == "features":
            return forward * (step.rows[1] - step.rows[0])
        # one process keeps the model of a series from size to size; of several, each may get another series
        sizes_of_load = len(self.samples.sizes[step.series.task]) if self._workers == 1 else 1
        load = self.learners.load_seconds(config.threads) / sizes_of_load
        if step.kind == "cell":
            measured = step.size + len(task.parts.validation) + len(task.parts.test)
            training = training_of(config, config.of_method(method), step.series)
            # a training step costs about three forward passes
            trained = 3 * training.samples_run(step.size)
            return load + forward * (trained + measured) + STEP * training.steps_run(step.size)
        sizes = self._surface_sizes(step.series.task)
        measured = (config.probes + 1 + len(sizes)) * (sizes[-1] + len(task.parts.validation))
        if self._has_plane(step.series):
            measured += config.surface_points**2 * sizes[-1]
        return load + forward * (measured + 3 * (sizes[-1] + sum(sizes))) + STEP


@functools.lru_cache(maxsize=1)
def _work(config: str, out: str) -> _Work:
    """The work of this process, which keeps what it has loaded from step to step."""
    return _Work(StudyConfig.model_validate_json(config), Path(out))


def _do(config: str, out: str, identity: str, contents: Mapping[str, str], step: _Step) -> None:
    work = _work(config, out)
    work.begin(identity, contents)
    work.do(step)
