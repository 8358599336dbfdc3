"""``suffice study MODEL DATA`` of a language model: trainings at each size and seed, and how the curves go on."""

import functools
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64

from suffice.configuration.language import LanguageStudyConfig
from suffice.data.completions import load_completions
from suffice.engine import RayCluster, choose_device
from suffice.errors import InputError
from suffice.forecasting.one_run import FEWEST_STEPS
from suffice.forecasting.scores import forecast_scores
from suffice.models.language import EVALUATED, LanguageModel, LanguageProblem, losses_of, moved
from suffice.results import LanguageCell, LanguageMethod, LanguageStudyResult, Predictions
from suffice.runs.cells import diverged_in_words, table_of, with_six_digits
from suffice.runs.classified import WEIGHED
from suffice.runs.curve import drawn_sizes, predictions
from suffice.runs.estimate import check_room
from suffice.runs.folder import open_folder, refuse_changed, stored_at, write_result, write_table
from suffice.runs.log import logged
from suffice.runs.replacement import folder_to_write
from suffice.runs.state import plan
from suffice.runs.steps import processes_of, run_steps, time_in_words
from suffice.runs.texts import FEWEST_HELD_OUT, columns_of, divided, load_configured
from suffice.runs.watch import SILENT, Watch, counted
from suffice.software import versions
from suffice.storage import Pieces
from suffice.studies import CONFIDENCE, Cells, language_curve, train_language_cell
from suffice.training import ALL, FineTuning, Learner, Rows, Series
from suffice.training.settings import RATES

GRID = 6
"""Sizes by default, each about twice the one before."""

AHEAD = (1, 2, 4, 8)
"""Sizes to which a curve is continued, relative to the largest one."""

STEP_OVER_FORWARD = 3
"""Times as long as a forward pass takes one with its backward pass, about."""

UPDATE = 4e-3
"""About the seconds of an update without the model."""

TRIED = 5
"""Batches of the trial run for an estimate of the time, of which the first is not counted."""

PRETRAINED: Literal["pretrained"] = "pretrained"


def study_language(
    config: LanguageStudyConfig,
    out: Path = Path("runs/study"),
    workers: int | None = None,
    overwrite: bool = False,
    watch: Watch = SILENT,
    cluster: RayCluster | None = None,
) -> LanguageStudyResult:
    """Fine-tunes by each method at each size with each seed, and writes ``result.json`` and ``cells.csv``.

    The samples of a seed are nested, and the same for all methods. Each training is stored when it is finished; a run
    with the same settings in the same folder is resumed. No loss surface is measured, and no k*.

    Args:
        config: the model, the texts, the methods and the sizes.
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
        >>> config = LanguageStudyConfig(
        ...     model="builtin:tiny-lm", data="builtin:questions", methods=["lora(1)"], sizes=[8, 16], seeds=1,
        ...     test_samples=20,
        ... )
        >>> result = study_language(config, Path(tempfile.mkdtemp()), workers=1)
        >>> [cell.size for cell in result.cells], result.methods[0].sizes
        ([8, 16], [8, 16])
    """
    watch = logged(watch)
    processes = processes_of(workers, config.threads, config.device, cluster)
    work = _work(config.model_dump_json(), str(folder_to_write(out, overwrite)))
    try:
        work.check()
        watch.say(work.in_words)
        with open_folder(out, config, work.contents, overwrite) as run:
            work.begin(run.identity, work.contents)
            work.run(processes, watch, cluster)
            result = with_six_digits(work.result())
            write_result(result, run.path)
            write_table(table_of(result.cells), run.path)
    finally:
        _work.cache_clear()
    return result


def look_at(config: LanguageStudyConfig, workers: int | None, cluster: RayCluster | None) -> list[str]:
    """What a study would train on, how long it would take, and what was found in reading, a sentence each.

    Raises:
        InputError: bad input of any kind.
    """
    work = _Work(config, Path())
    work.check()
    seconds = sum(map(work.seconds, work.steps))
    processes = processes_of(workers, config.threads, config.device, cluster)
    told = f"{counted(len(work.trainings), 'training')}, {time_in_words(seconds, processes, config.threads, cluster)}"
    return [work.in_words, told, *work.notes]


class _Step(NamedTuple):
    """A piece of work that leaves its result on disk."""

    kind: Literal["pretrained", "cell"]
    series: Series
    size: int = 0

    def __str__(self) -> str:
        if self.kind == PRETRAINED:
            return "pretrained losses"
        return f"training of {self.series.method} on {self.size:,} with seed {self.series.seed}"


class _Work:
    """The work of a study, done in its processes, and what of it is missing."""

    def __init__(self, config: LanguageStudyConfig, out: Path) -> None:
        self._config, self._out = config, out
        self.identity = ""
        columns = columns_of(config, config.split)
        texts = load_completions(config.data, columns)
        test = None if config.test is None else load_completions(config.test, replace(columns, split=None))
        language, files = load_configured(config, config.model, config.trust_remote_code)
        language.model.to(choose_device(config.device))
        self._files = files
        self._read: LanguageModel | None = language
        self.contents = {"data": texts.fingerprint(), **files}
        if test is not None:
            self.contents["test data"] = test.fingerprint()
        parts = divided(config, texts, test)
        self.pool = len(parts.pool)
        self.sizes = _sizes(config, self.pool)
        self.seeds = list(range(config.seed, config.seed + config.seeds))
        orders = {seed: order_of(parts.pool, config.seed, seed)[: self.sizes[-1]] for seed in self.seeds}
        used = np.unique(np.concatenate(list(orders.values())))
        self._tokens = language.tokens(texts.subset(used.tolist()))
        self._held = language.tokens(parts.unseen)
        self._weights = np.array(self._held.answer_tokens, dtype=np.float64) if config.unit == "token" else None
        self.orders = {seed: np.searchsorted(used, order) for seed, order in orders.items()}
        self.notes = [
            *texts.notes,
            *language.notes,
            *parts.notes,
            *self._tokens.notes,
            *(f"Of those to test on: {note}" for note in self._held.notes),
            *self._still_rising(),
            *self._seen_in_part(),
            *([] if self._weights is None else [WEIGHED, *_few_long(self._weights)]),
        ]
        counts = self._tokens.answer_tokens
        self.in_words = (
            f"{self.pool:,} samples to train on, of which the trainings take up to {self.sizes[-1]:,}, with "
            f"{sum(counts) / len(counts):.3g} tokens in an answer, and {len(self._held):,} to test on."
        )
        self.trainings = [
            _Step("cell", Series(ALL, method, seed), size)
            for method in config.methods
            for seed in self.seeds
            for size in self.sizes
        ]
        self.steps = [_Step(PRETRAINED, Series(ALL, config.methods[0], config.seed)), *self.trainings]
        self._learner = functools.lru_cache(maxsize=1)(self._make)

    def check(self) -> None:
        """Finds bad methods before any work.

        Raises:
            InputError: one that is not for language models, or not for this one.
        """
        for method in self._config.methods:
            if method.partition("(")[0] not in RATES or method == "head":
                raise InputError(f"--methods {method}: a language model takes last_layers(n), lora(r) or full")
        for method in self._config.methods:
            # LoRA adds to the model, and the others say what of it moves
            model = self._load() if method.startswith("lora") else self._read or self._load()
            self._moved(model, method, self._config.seed)

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
        self._stored = stored_at(self._config, self._out, identity)
        self.cells = Cells(self._stored / "cells", identity, LanguageCell, [ALL])
        self._evidence = Pieces(self._stored / "evidence", identity)

    def run(self, processes: int, watch: Watch, cluster: RayCluster | None) -> None:
        """Does the missing steps."""
        missing = [step for step in self.steps if not self._is_done(step)]
        check_room(self._stored, 16.0 * len(self.steps) * len(self._held))
        plan(self._out, {"cells": len(self.trainings), "evidence": 1})
        trainings = [step for step in missing if step.kind == "cell"]
        config, seconds = self._config, sum(map(self.seconds, missing))
        watch.say(
            f"{counted(len(trainings), 'training')} to do, {time_in_words(seconds, processes, config.threads, cluster)}"
        )
        call = functools.partial(_do, config.model_dump_json(), str(self._out), self.identity, self.contents)
        kinds = {"pretrained losses": [step for step in missing if step.kind == PRETRAINED], "training": trainings}
        run_steps(kinds, call, self.seconds, processes, config.threads, watch, cluster)

    def do(self, step: _Step) -> None:
        """One step."""
        batch_size = self._config.evaluated or EVALUATED
        series, rows = step.series, self.orders[step.series.seed][: step.size]
        # of the methods only LoRA draws anything before the training
        drawn = series.seed if series.method.startswith("lora") else self._config.seed
        learner, held = self._learner(series.method, drawn)
        if step.kind == PRETRAINED:
            learner.load(learner.initial)
            self._evidence.write(PRETRAINED, losses_of(held, batch_size).tolist())
            return
        cell, losses = train_language_cell(learner, held, rows, self._training_of(series), series, batch_size)
        self.cells.write(series, step.size, cell, None if losses is None else losses[None])

    def result(self) -> LanguageStudyResult:
        """The result, from what is on disk."""
        config = self._config
        cells = [self.cells.read(step.series, step.size) for step in self.trainings]
        return LanguageStudyResult(
            model=config.model,
            data=config.data,
            pool=self.pool,
            test_samples=len(self._held),
            unit=config.unit,
            pretrained_loss=float(np.average(self._evidence.read(PRETRAINED), weights=self._weights)),
            methods=[
                self._curve_of(method, [cell for cell in cells if cell.method == method]) for method in config.methods
            ],
            cells=cells,
            notes=[*self.notes, *diverged_in_words(cells)],
            confidence=CONFIDENCE,
            configuration=config.asked(),
            versions=versions(),
        )

    def _curve_of(self, method: str, cells: list[LanguageCell]) -> LanguageMethod:
        finished = [cell for cell in cells if cell.status == "finished"]
        tested = {
            (cell.size, cell.seed): self.cells.tested(Series(ALL, method, cell.seed), cell.size) for cell in finished
        }
        sizes, loss, perplexity, fall = language_curve(tested, self._weights)
        predicted, drawn, why = continued(finished, self._config.seed)
        through = None if predicted is None else min(cell.size for cell in steady(finished))
        return LanguageMethod(
            method=method,
            sizes=sizes,
            loss=loss,
            perplexity=perplexity,
            last_fall=fall,
            predicted=predicted,
            drawn=drawn,
            continued_from=through,
            unpredicted=why,
        )

    def _make(self, method: str, seed: int) -> tuple[Learner, LanguageProblem]:
        """A model that is ready to be trained, and the same model on the samples to test on."""
        config = self._config
        read, self._read = self._read or self._load(), None
        language = self._moved(read, method, seed)
        language.model.to(choose_device(config.device))  # what LoRA adds
        learner = Learner(language.model, functools.partial(self._problem, language), {})
        return replace(learner, initial=learner.state()), language.problem(self._held, order="source", unit=config.unit)

    def _moved(self, language: LanguageModel, method: str, seed: int) -> LanguageModel:
        with torch.random.fork_rng(devices=[]):  # PEFT draws, and leaves others' numbers as they are
            return moved(language, method, self._config.lora_targets, seed)

    def _load(self) -> LanguageModel:
        """The model anew."""
        config = self._config
        language, files = load_configured(config, config.model, config.trust_remote_code)
        if files != self._files:
            raise InputError(
                f"{config.model} has changed since suffice read it: restore it, or run the same command again"
            )
        language.model.to(choose_device(config.device))
        return language

    def _problem(self, language: LanguageModel, rows: Rows) -> LanguageProblem:
        return language.problem(self._tokens.subset(rows.tolist()), order="source", unit=self._config.unit)

    def _training_of(self, series: Series) -> FineTuning:
        asked = self._config.of_method(series.method)
        return FineTuning(
            epochs=asked.epochs or 1,
            steps=asked.steps,
            learning_rate=asked.learning_rate or RATES[series.method.partition("(")[0]],
            batch_size=asked.train_batch_size,
            weight_decay=asked.weight_decay,
            seed=series.seed,
            schedule=asked.schedule,
            warm_up=asked.warm_up,
        )

    def _is_done(self, step: _Step) -> bool:
        return self._evidence.has(PRETRAINED) if step.kind == PRETRAINED else self.cells.has(step.series, step.size)

    def _still_rising(self) -> list[str]:
        """Trainings that end before their rate is at its peak, a sentence for each method."""
        found = []
        for method in self._config.methods:
            settings = self._training_of(Series(ALL, method, self._config.seed))
            warm_up = settings.warm_up or 0
            rising = [size for size in self.sizes if settings.steps_run(size) <= warm_up]
            if rising:
                found.append(
                    f"{method}: with up to {rising[-1]:,} samples a training ends while its learning rate rises, which "
                    f"takes {counted(warm_up, 'step')}: leave these sizes out, or take a smaller --warm-up."
                )
        return found

    def _seen_in_part(self) -> list[str]:
        """Trainings that end before they have seen all of their samples, a sentence for each method."""
        found = []
        for method in self._config.methods:
            settings = self._training_of(Series(ALL, method, self._config.seed))
            cut = [size for size in self.sizes if settings.samples_run(size) < size]
            if cut:
                enough = math.ceil(cut[-1] / settings.batch_size)
                found.append(
                    f"{method}: a training on {_and_more(cut)} sees {settings.samples_run(cut[-1]):,} of them, in "
                    f"{counted(settings.steps_run(cut[-1]), 'step')}: take --epochs in place of --steps, or at least "
                    f"--steps {enough}."
                )
        return found

    def seconds(self, step: _Step) -> float:
        """About how long a step should take, from the time of a few batches."""
        measured = self._forward * len(self._held)
        if step.kind == PRETRAINED:
            return measured
        settings = self._training_of(step.series)
        trained = STEP_OVER_FORWARD * self._forward * settings.samples_run(step.size)
        return measured + trained + UPDATE * settings.steps_run(step.size)

    @functools.cached_property
    def _forward(self) -> float:
        """Seconds of a sample in a forward pass, in batches as those of the training."""
        size = self._config.train_batch_size
        order = self.orders[self.seeds[0]][: TRIED * size]
        problem = self._problem(self._read or self._load(), order)
        before, seconds = torch.get_num_threads(), []
        torch.set_num_threads(self._config.threads)
        try:
            for start in range(0, len(order), size):
                begun = time.perf_counter()
                problem.all_losses(size, np.arange(start, min(start + size, len(order))))
                seconds.append((time.perf_counter() - begun) / min(size, len(order) - start))
        finally:
            torch.set_num_threads(before)
        return float(np.median(seconds[1:] or seconds))


def order_of(pool: list[int], seed: int, of: int) -> Rows:
    """The rows of the pool in the order of a seed: a training on k samples takes the first k, by every method.

    Args:
        pool: rows to train on.
        seed: of the study.
        of: the seed whose order it is.

    Example:
        >>> order_of([5, 6, 7, 8], 0, 1)
        array([7, 5, 8, 6])
    """
    order: Rows = np.array(pool)[np.random.default_rng([seed, 3, of]).permutation(len(pool))]
    return order


def steady(cells: list[LanguageCell]) -> list[LanguageCell]:
    """The trainings that tell how a curve goes on: those of at least 100 updates, if two sizes have such, else all.

    Before, a language model learns the format of the answers: the loss falls fast, and no part of that comes again.

    Args:
        cells: finished trainings of one method.
    """
    long = [cell for cell in cells if cell.steps >= FEWEST_STEPS]
    return long if len({cell.size for cell in long}) > 1 else cells


def continued(cells: list[LanguageCell], seed: int) -> tuple[Predictions | None, Predictions | None, str]:
    """The learning curve behind some trainings: at the sizes to come, at those to draw, and why there is none.

    It goes through those that are `steady`.

    Args:
        cells: finished trainings of one method.
        seed: of the draws.
    """
    cut = [cell for cell in cells if cell.seen is not None and cell.seen < cell.size]
    if cut:
        return None, None, f"a training on {_and_more([cell.size for cell in cut])} sees {cut[-1].seen:,} of them"
    through = steady(cells)
    sizes = np.array([cell.size for cell in through], dtype=np.float64)
    losses: Float64[np.ndarray, " cells"] = np.array([cell.test_loss for cell in through], dtype=np.float64)
    if not len(sizes):
        return None, None, "no training finished"
    try:
        curve = forecast_scores(sizes, losses, [1], metric="loss", seed=seed, kind="language model")
    except InputError as error:
        return None, None, str(error)
    largest = round(sizes.max())
    ahead = [largest * times for times in AHEAD]
    drawn = drawn_sizes(round(sizes.min()), largest, ahead, None)
    return predictions(curve, ahead, None), predictions(curve, drawn, None), ""


def _few_long(tokens: Float64[np.ndarray, " samples"]) -> list[str]:
    """What there is to say where a few long answers to test on have most of the tokens.

    Samples with numbers of tokens n count like (sum n)^2 / sum n^2 equal ones (L. Kish, "Survey Sampling", 1965).
    """
    equal = float(tokens.sum() ** 2 / np.square(tokens).sum())
    if equal >= FEWEST_HELD_OUT:
        return []
    return [
        f"A few long answers have most of the tokens: the {len(tokens):,} samples to test on count like {equal:.0f} of "
        "equal length, so that intervals are too narrow. Test on more samples, or take --unit sample."
    ]


def _and_more(sizes: list[int]) -> str:
    return f"{min(sizes):,} samples" + (" and more" if len(set(sizes)) > 1 else "")


def _sizes(config: LanguageStudyConfig, pool: int) -> list[int]:
    if config.sizes is None:
        return sorted({max(1, round(size)) for size in np.geomspace(pool / 2 ** (GRID - 1), pool, GRID)})
    sizes = sorted(set(config.sizes))
    if sizes[-1] > pool:
        raise InputError(f"size {sizes[-1]:,}: there are {pool:,} samples to train on")
    return sizes


@functools.lru_cache(maxsize=1)
def _work(config: str, out: str) -> _Work:
    """The work of this process, which keeps what it has loaded from step to step."""
    return _Work(LanguageStudyConfig.model_validate_json(config), Path(out))


def _do(config: str, out: str, identity: str, contents: Mapping[str, str], step: _Step) -> None:
    work = _work(config, out)
    work.begin(identity, contents)
    work.do(step)
