"""``suffice forecast MODEL DATA`` of a language model: one fine-tuning, recorded, and the learning curve behind it."""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64

from suffice.configuration.language import LanguageForecastConfig
from suffice.data.answers import AnswerPattern
from suffice.data.completions import Texts, load_completions
from suffice.engine import choose_device
from suffice.errors import InputError
from suffice.forecasting.one_run import FEWEST_STEPS, HIGH, LEAST, forecast_one_run
from suffice.integrations.recorder import SHARES
from suffice.models.language import EVALUATED, Generation, LanguageModel, LanguageProblem, moved
from suffice.results import Curve, CurveResult, Recording
from suffice.runs.completed import Answers, Completed
from suffice.runs.estimate import check_room
from suffice.runs.folder import SHORT, open_folder, write_result
from suffice.runs.log import logged
from suffice.runs.recorded import result_of
from suffice.runs.recorded_training import EVIDENCE, OneEpoch, pretrained_losses, record_training
from suffice.runs.texts import columns_of, divided, load_configured
from suffice.runs.watch import SILENT, Watch, duration
from suffice.storage import Pieces
from suffice.training import FineTuning
from suffice.training.settings import RATES

FREE = frozenset({"sizes", "target_loss", "cost_per_sample", "assurance", "of", "short_runs", "answer_pattern"})
"""Settings that may change without a new training on all samples."""

MOMENTS = 3
"""Times that the prompts are completed: before the training, at half of its samples, and after it."""

SHORTER = (2, 4)
"""Parts of the samples that the short runs train on: a half and a quarter."""

STEP = 3
"""Times as long as a forward pass takes one with its backward pass, about."""


def forecast_language(
    config: LanguageForecastConfig, out: Path = Path("runs/forecast"), overwrite: bool = False, watch: Watch = SILENT
) -> tuple[Curve, CurveResult]:
    """Fine-tunes a language model once, and predicts its learning curve from that run; writes ``result.json``.

    The pretrained model's losses and the training are stored as they go; a run with the same settings in the same
    folder is resumed.

    Args:
        config: the model, how it is trained, the samples at hand, and the target.
        out: the run's folder.
        overwrite: replace a run with other settings.
        watch: told what is done and how long it should take; silent by default.

    Raises:
        InputError: bad input of any kind, or a training that is too short to tell anything.
    """
    watch = logged(watch)
    with torch.random.fork_rng(devices=[]):  # PEFT draws, and leaves others' numbers as they are
        prepared = prepare(config)
    watch.say(prepared.in_words)
    with open_folder(out, config, prepared.contents, overwrite, free=FREE) as run:
        moving = prepared.problem.moving.values()
        check_room(run.path, 3 * sum(weight.numel() * weight.element_size() for weight in moving))
        if not run.resumed:
            watch.say(estimate(prepared, config).in_words)
        answers = prepared.answers
        with watch.progress("completions", 0 if answers is None else MOMENTS * len(answers.generation)) as completing:
            completed = None
            if answers is not None:
                kept = Pieces(run.path / EVIDENCE, run.identity)
                completed = Completed(prepared.held, answers.generation, kept, epoch_of(config).evaluated, completing)
            recording, shorter = _recordings(prepared, config, run.path, run.identity, watch, completed)
        with watch.progress("curve"):
            found = forecast_one_run(recording, config.seed, config.unit, shorter)
            trained = f"{config.model} ({config.method})"
            result = result_of(found, [config.data], config, prepared.notes, trained, config.unit)
            if answers is not None and completed is not None and result.one_run is not None:
                judged = result.one_run.model_copy(update={"generated": answers.judged(completed.found)})
                result = result.model_copy(update={"one_run": judged})
        write_result(result, run.path, indent=1)
    return found.curve, result


def _recordings(
    prepared: "Prepared",
    config: LanguageForecastConfig,
    folder: Path,
    identity: str,
    watch: Watch,
    completed: Completed | None,
) -> tuple[Recording, list[Recording]]:
    """The run on all samples, and the short ones, each from the pretrained weights."""
    problem, asked = prepared.problem, epoch_of(config)
    before = None
    if config.baseline:
        with watch.progress("pretrained losses", len(problem)) as progress:
            before = pretrained_losses(problem, asked.evaluated, folder, identity, progress)
    start = {name: weight.detach().clone() for name, weight in problem.moving.items()}
    with watch.progress("training", prepared.samples) as progress:
        recording = record_training(problem, prepared.held, asked, before, folder, identity, progress, completed)
        shorter = []
        for short in prepared.shorter:
            with torch.no_grad():
                for name, weight in problem.moving.items():
                    weight.copy_(start[name])
            own = None if before is None else before[short.rows]
            place = folder / SHORT / str(len(short.rows))
            place.mkdir(parents=True, exist_ok=True)
            shorter.append(record_training(short.problem, prepared.held, asked, own, place, identity, progress))
    return recording, shorter


class ShortRun(NamedTuple):
    """A part of the training samples, for a run of its own: their positions, and the same model on them."""

    rows: Int64[np.ndarray, " rows"]
    problem: LanguageProblem


@dataclass(frozen=True)
class Prepared:
    """What a fine-tuning begins with.

    Attributes:
        problem: the model on the training samples.
        held: the same model on unseen samples.
        shorter: the short runs.
        contents: hashes of the data and of the model's files.
        notes: what was found in reading, a sentence each.
        in_words: how many samples there are for what.
        answers: of the hold-out; None where no accuracy is asked for.
    """

    problem: LanguageProblem
    held: LanguageProblem
    shorter: list[ShortRun]
    contents: dict[str, str]
    notes: list[str]
    in_words: str
    answers: Answers | None = None

    @property
    def samples(self) -> int:
        """How many samples all runs train on together."""
        return len(self.problem) + sum(len(short.rows) for short in self.shorter)


def prepare(config: LanguageForecastConfig) -> Prepared:
    """The model and its samples, checked before anything is written or trained.

    Raises:
        InputError: flags that do not go together, bad data, a model that is none of language, too few samples, or a
            warm-up that leaves too few of them.
    """
    _check(config)
    columns = columns_of(config, config.split)
    texts = load_completions(config.data, columns)
    test = None if config.test is None else load_completions(config.test, replace(columns, split=None))
    language, files = load_configured(config, config.model, config.trust_remote_code)
    language = moved(language, config.method, config.lora_targets, config.seed)
    language.model.to(choose_device(config.device))
    parts = divided(config, texts, test)
    if config.samples is not None and config.samples > len(parts.pool):
        raise InputError(f"samples = {config.samples}: {config.data} has {len(parts.pool):,} to train on")
    own, unseen = texts.subset(sorted(parts.pool[: config.samples])), parts.unseen
    _check_steps(len(own), config)
    _check_warm_up(len(own), config)
    tokens, held = language.tokens(own), language.tokens(unseen)
    contents = {"data": texts.fingerprint(), **files}
    if test is not None:
        contents["test data"] = test.fingerprint()
    cut = [f"Of those to test on: {note}" for note in held.notes]
    return Prepared(
        problem=language.problem(tokens, order="source", unit=config.unit),
        held=language.problem(held, order="source", unit=config.unit),
        shorter=[
            ShortRun(
                rows, language.problem(language.tokens(own.subset(rows.tolist())), order="source", unit=config.unit)
            )
            for rows in _short_rows(len(own), config)
        ],
        contents=contents,
        notes=[*texts.notes, *language.notes, *parts.notes, *tokens.notes, *cut],
        in_words=(
            f"{len(own):,} samples to train on, with {_mean(tokens.answer_tokens)} tokens in an answer, and "
            f"{len(unseen):,} to test on."
        ),
        answers=_answers(config, language, unseen),
    )


def _short_rows(samples: int, config: LanguageForecastConfig) -> list[Int64[np.ndarray, " _"]]:
    draw = np.random.default_rng([config.seed, 3])
    parts = SHORTER if config.short_runs else ()
    return [np.sort(draw.permutation(samples)[: samples // part]) for part in parts]


def _answers(config: LanguageForecastConfig, language: LanguageModel, unseen: Texts) -> Answers | None:
    if config.answer_pattern is None:
        return None
    return Answers(unseen, Generation(unseen, language.encoding, language.writer.padding), config.answer_pattern)


def _mean(counts: list[int]) -> str:
    return f"{sum(counts) / len(counts):.3g}"


def _check(config: LanguageForecastConfig) -> None:
    if config.answer_pattern is not None:
        AnswerPattern(config.answer_pattern)
    if config.target_loss is not None and config.cost_per_sample is not None:
        raise InputError("--target-loss and --cost-per-sample: give one of them")
    if config.assurance is not None and config.target_loss is None and config.cost_per_sample is None:
        raise InputError("--assurance is the probability to reach a target: give --target-loss as well")
    if config.method.partition("(")[0] not in RATES or config.method == "head":
        raise InputError(f"--method {config.method}: a language model takes last_layers(n), lora(r) or full")


def _check_steps(samples: int, config: LanguageForecastConfig) -> None:
    steps = math.ceil(samples / config.train_batch_size)
    if steps < FEWEST_STEPS:
        enough = samples // FEWEST_STEPS
        remedy = (
            f"take --train-batch-size {enough}" if enough else f"give at least {FEWEST_STEPS:,} samples to train on"
        )
        raise InputError(
            f"{samples:,} samples in batches of {config.train_batch_size} are {steps} updates, and with fewer than "
            f"{FEWEST_STEPS} a language model still learns the format of the answers: {remedy}"
        )


def _check_warm_up(samples: int, config: LanguageForecastConfig) -> None:
    """The rate is up early enough for a slope: within the fourth half of a doubling before the end."""
    steady = math.floor(samples / config.train_batch_size / 2**1.5) - LEAST + 1  # the last step that it may begin at
    longest = math.floor((steady + 1) / HIGH) - 1
    if config.short_runs:
        longest = min(longest, math.ceil(samples // max(SHORTER) / config.train_batch_size) - 1)
    if config.warm_up > longest:
        steps = math.ceil(samples / config.train_batch_size)
        raise InputError(
            f"--warm-up {config.warm_up}: of the {steps} updates too few would have the full learning rate to tell a "
            f"slope: take --warm-up {longest} at most, or smaller batches"
        )


def epoch_of(config: LanguageForecastConfig) -> OneEpoch:
    """How the model is trained, at the method's rate where none is asked for."""
    return OneEpoch(
        FineTuning(
            epochs=1,
            learning_rate=config.learning_rate or RATES[config.method.partition("(")[0]],
            batch_size=config.train_batch_size,
            weight_decay=config.weight_decay,
            seed=config.seed,
            schedule="constant",
            warm_up=config.warm_up,
        ),
        config.evaluated or EVALUATED,
    )


@dataclass(frozen=True)
class Times:
    """Seconds that a run should take.

    Attributes:
        pretrained: of the pretrained model's losses.
        training: of the training.
        holdouts: of the losses of the hold-out on the way.
        completions: of the completions of its prompts, at most.
    """

    pretrained: float
    training: float
    holdouts: float
    completions: float = 0.0

    @property
    def in_words(self) -> str:
        """One sentence."""
        parts = [("the pretrained model's losses", self.pretrained), ("training", self.training)]
        parts += [("the hold-out on the way", self.holdouts), ("its completions at most", self.completions)]
        told = ", ".join(f"{what} {duration(seconds)}" for what, seconds in parts if seconds)
        return f"About {duration(sum(seconds for _, seconds in parts))}: {told}."


def estimate(prepared: Prepared, config: LanguageForecastConfig) -> Times:
    """How long the run should take, from the time of a few batches of typical samples."""
    problem = prepared.problem
    evaluated = epoch_of(config).evaluated
    size = max(1, min(evaluated, len(problem) // 2))
    rows = np.random.default_rng(config.seed).permutation(len(problem))[: 2 * size]
    problem.all_losses(size, rows[:size])  # the first run is slower than the others
    start = time.perf_counter()
    problem.all_losses(size, rows[size:])
    forward = (time.perf_counter() - start) / max(1, len(rows) - size)
    runs = 1 + len(prepared.shorter)
    return Times(
        pretrained=forward * len(problem) if config.baseline else 0.0,
        training=STEP * forward * prepared.samples,
        holdouts=forward * len(prepared.held) * (len(SHARES) + 1) * runs,
        completions=0.0 if prepared.answers is None else _seconds_of_completions(prepared, prepared.answers, evaluated),
    )


def _seconds_of_completions(prepared: Prepared, answers: Answers, size: int) -> float:
    with prepared.held.measuring():
        return MOMENTS * answers.generation.seconds(prepared.held.model, size)
