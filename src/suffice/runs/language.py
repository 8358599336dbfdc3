"""``suffice forecast MODEL DATA`` of a language model: one fine-tuning, recorded, and the learning curve behind it."""

import math
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from suffice.data.answers import AnswerPattern
from suffice.data.completions import Texts, load_completions
from suffice.engine import choose_device
from suffice.errors import InputError
from suffice.forecasting.one_run import FEWEST_STEPS, forecast_one_run
from suffice.integrations.recorder import SHARES
from suffice.language_configuration import LanguageForecastConfig
from suffice.models.language import Generation, LanguageModel, LanguageProblem, moved
from suffice.results import Curve, CurveResult
from suffice.runs.completed import Answers, Completed
from suffice.runs.estimate import check_room
from suffice.runs.folder import open_folder, write_result
from suffice.runs.log import logged
from suffice.runs.recorded import result_of
from suffice.runs.recorded_training import EVALUATED, EVIDENCE, OneEpoch, record_training
from suffice.runs.texts import columns_of, load_configured
from suffice.runs.watch import SILENT, Watch, duration
from suffice.storage import Pieces
from suffice.training import FineTuning
from suffice.training.settings import RATES

FREE = frozenset({"sizes", "target_loss", "cost_per_sample", "assurance", "of", "answer_pattern"})
"""Settings that may change without a new training."""

FEWEST_HELD_OUT = 20
"""Samples to test on: with fewer the level of the curve is hardly known."""

MOMENTS = 3
"""Times that the prompts are completed: before the training, at half of its samples, and after it."""

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
    _check(config)
    with torch.random.fork_rng(devices=[]):  # PEFT draws, and leaves others' numbers as they are
        prepared = prepare(config)
    watch.say(prepared.in_words)
    with open_folder(out, config, prepared.contents, overwrite, free=FREE) as run:
        moving = prepared.problem.moving.values()
        check_room(run.path, 3 * sum(weight.numel() * weight.element_size() for weight in moving))
        if not run.resumed:
            watch.say(estimate(prepared, config).in_words)
        samples = len(prepared.problem)
        epoch, answers = epoch_of(config), prepared.answers
        prompts = 0 if answers is None else MOMENTS * len(answers.generation)
        with (
            watch.progress("pretrained losses", samples if config.baseline else 0) as measuring,
            watch.progress("completions", prompts) as completing,
            watch.progress("training", samples) as training,
        ):
            completed = None
            if answers is not None:
                kept = Pieces(run.path / EVIDENCE, run.identity)
                completed = Completed(prepared.held, answers.generation, kept, epoch.evaluated, completing)
            recording = record_training(
                prepared.problem, prepared.held, epoch, run.path, run.identity, measuring, training, completed
            )
        with watch.progress("curve"):
            found = forecast_one_run(recording, config.seed)
            trained = f"{config.model} ({config.method})"
            result = result_of(found, [config.data], config, prepared.notes, trained)
            if answers is not None and completed is not None and result.one_run is not None:
                judged = result.one_run.model_copy(update={"generated": answers.judged(completed.found)})
                result = result.model_copy(update={"one_run": judged})
        write_result(result, run.path, indent=1)
    return found.curve, result


@dataclass(frozen=True)
class Prepared:
    """What a fine-tuning begins with.

    Attributes:
        problem: the model on the training samples.
        held: the same model on unseen samples.
        contents: hashes of the data and of the model's files.
        notes: what was found in reading, a sentence each.
        in_words: how many samples there are for what.
        answers: of the hold-out; None where no accuracy is asked for.
    """

    problem: LanguageProblem
    held: LanguageProblem
    contents: dict[str, str]
    notes: list[str]
    in_words: str
    answers: Answers | None = None


def prepare(config: LanguageForecastConfig) -> Prepared:
    """The model and its samples, checked before anything is written or trained.

    Raises:
        InputError: bad data, a model that is none of language, or too few samples.
    """
    columns = columns_of(config, config.split)
    texts = load_completions(config.data, columns)
    test = None if config.test is None else load_completions(config.test, replace(columns, split=None))
    language, files = load_configured(config, config.model, config.trust_remote_code)
    language = moved(language, config.method, config.lora_targets, config.seed)
    language.model.to(choose_device(config.device))
    own, unseen, notes = _parts(config, texts, test)
    _check_steps(len(own), config)
    tokens, held = language.tokens(own), language.tokens(unseen)
    contents = {"data": texts.fingerprint(), **files}
    if test is not None:
        contents["test data"] = test.fingerprint()
    cut = [f"Of those to test on: {note}" for note in held.notes]
    return Prepared(
        problem=language.problem(tokens, order="source"),
        held=language.problem(held, order="source"),
        contents=contents,
        notes=[*texts.notes, *language.notes, *notes, *tokens.notes, *cut],
        in_words=(
            f"{len(own):,} samples to train on, with {_mean(tokens.answer_tokens)} tokens in an answer, and "
            f"{len(unseen):,} to test on."
        ),
        answers=_answers(config, language, unseen),
    )


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


def _parts(config: LanguageForecastConfig, texts: Texts, test: Texts | None) -> tuple[Texts, Texts, list[str]]:
    """The samples to train on, those to test on, and what there is to say of copies."""
    draw, names, notes = np.random.default_rng([config.seed, 2]), texts.contents(), []
    order = _first_of_each(draw.permutation(len(texts)), names)
    if len(order) < len(texts):
        notes.append(
            f"{len(texts) - len(order):,} of {len(texts):,} samples are copies of others: sizes count different ones."
        )
    if test is None:
        wanted = min(round(config.held_out * len(order)), config.test_samples)
        held, rest, unseen = order[:wanted], order[wanted:], texts
    else:
        known, there, rest, unseen = set(names), test.contents(), order, test
        apart = [row for row in _first_of_each(draw.permutation(len(test)), there) if there[row] not in known]
        if len(apart) < len(test):
            notes.append(
                f"{len(test) - len(apart):,} of {len(test):,} samples of {config.test} are in {config.data} too, or "
                "copies of others: they are not tested on."
            )
        held = apart[: config.test_samples]
    if len(held) < FEWEST_HELD_OUT:
        more = "a larger --held-out" if test is None else "other ones"
        found = f" ({notes[-1].rstrip('.')})" if notes else ""
        raise InputError(
            f"{len(held)} samples to test on{found}, and at least {FEWEST_HELD_OUT} are needed: give more samples, "
            f"{more}, or unseen data with --test"
        )
    if config.samples is not None and config.samples > len(rest):
        raise InputError(f"samples = {config.samples}: {config.data} has {len(rest):,} to train on")
    return texts.subset(sorted(rest[: config.samples])), unseen.subset(sorted(held)), notes


def _first_of_each(rows: Int64[np.ndarray, " rows"], names: Sequence[Hashable]) -> list[int]:
    """The rows without those that repeat an earlier one."""
    first: dict[Hashable, int] = {}
    for row in rows:
        first.setdefault(names[row], int(row))
    return list(first.values())


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


def epoch_of(config: LanguageForecastConfig) -> OneEpoch:
    """How the model is trained, at the method's rate where none is asked for."""
    return OneEpoch(
        FineTuning(
            epochs=1,
            learning_rate=config.learning_rate or RATES[config.method.partition("(")[0]],
            batch_size=config.train_batch_size,
            weight_decay=config.weight_decay,
            seed=config.seed,
        ),
        config.warm_up,
        config.baseline,
        EVALUATED if config.batch_size == "auto" else config.batch_size,
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
    size = epoch_of(config).evaluated
    rows = np.random.default_rng(config.seed).permutation(len(problem))[: 2 * size]
    problem.all_losses(size, rows[:size])  # the first run is slower than the others
    start = time.perf_counter()
    problem.all_losses(size, rows[size:])
    forward = (time.perf_counter() - start) / max(1, len(rows) - size)
    return Times(
        pretrained=forward * len(problem) if config.baseline else 0.0,
        training=STEP * forward * len(problem),
        holdouts=forward * len(prepared.held) * (len(SHARES) + 1),
        completions=0.0 if prepared.answers is None else _seconds_of_completions(prepared, prepared.answers, size),
    )


def _seconds_of_completions(prepared: Prepared, answers: Answers, size: int) -> float:
    with prepared.held.measuring():
        return MOMENTS * answers.generation.seconds(prepared.held.model, size)
