"""What recording costs: a fine-tuning by suffice, and one by Trainer with the callback, over bare loops.

    PYTHONPATH=benchmarks python benchmarks/language/overhead.py ../shared/data/gsm8k [--samples 640] [--repeats 3]

Trains builtin:tiny-lm on answers for one epoch, all of it and by LoRA, on the same batches each time: a loop of
transformers and PEFT, `suffice forecast`'s training, Trainer, and Trainer with the callback. Their losses are compared
first. Each side is run in turn, after a round that is not counted. What the recording takes, and what evaluations take
(losses of the pretrained model and of the hold-out), is told apart by clocks around them.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from environment import save
from jaxtyping import Float64
from torch.nn import functional
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainingArguments

from suffice.data.completions import load_completions
from suffice.integrations.listener import Listener
from suffice.integrations.recorder import Recorder
from suffice.integrations.transformers import LearningCurveCallback
from suffice.models.language import LanguageModel, load_language_model, moved
from suffice.results import Recording, read_recording
from suffice.runs import recorded_training
from suffice.runs.recorded_training import OneEpoch, record_training
from suffice.training import FineTuning

TOGETHER, RATE, DECAY = 8, 1e-3, 0.01
METHODS = ("full", "lora(8)")

Parts = dict[str, float]


class Task:
    """Tokens of the samples, in the order in which all sides train on them, and of the hold-out."""

    def __init__(self, data: Path, samples: int) -> None:
        language = load_language_model("builtin:tiny-lm")
        texts = load_completions(str(data / "train.jsonl"))
        order = np.random.default_rng(0).permutation(len(texts))[: samples + samples // 10]
        self.training = FineTuning(
            epochs=1,
            batch_size=TOGETHER,
            learning_rate=RATE,
            weight_decay=DECAY,
            seed=0,
            schedule="constant",
            warm_up=0,
        )
        drawn = np.concatenate(list(recorded_training._batches(samples, self.training)))
        self.own = language.tokens(texts.subset(order[:samples]))
        self.held = language.tokens(texts.subset(order[samples:]))
        self.batches = np.split(drawn, range(TOGETHER, samples, TOGETHER))
        self.order = drawn

    def model(self, method: str) -> LanguageModel:
        """The pretrained model, of which a part moves."""
        torch.manual_seed(0)
        return moved(load_language_model("builtin:tiny-lm"), method)


def plain(tokens: Any, rows: Any) -> list[dict[str, Any]]:
    items = [tokens[int(row)] for row in rows]
    return [{"input_ids": one["input_ids"], "labels": one["input_ids"].where(one["counts"], -100)} for one in items]


def together(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    pad = torch.nn.utils.rnn.pad_sequence
    ids = pad([one["input_ids"] for one in items], batch_first=True)
    lengths = torch.tensor([len(one["input_ids"]) for one in items])
    return {
        "input_ids": ids,
        "labels": pad([one["labels"] for one in items], batch_first=True, padding_value=-100),
        "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long(),
    }


def bare(task: Task, method: str, by_tokens: bool) -> tuple[Parts, Float64[np.ndarray, " updates"]]:
    """A loop as people write it; the loss of all tokens, as Trainer's, or the mean of those of samples, as ours."""
    model: Any = task.model(method).model.train()
    samples = plain(task.own, range(len(task.own)))
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], RATE, weight_decay=DECAY)
    found, start = [], time.perf_counter()
    for rows in task.batches:
        batch = together([samples[row] for row in rows])
        outputs = model(**batch)
        labels = batch["labels"][:, 1:]
        each = functional.cross_entropy(outputs.logits[:, :-1].transpose(1, 2), labels, reduction="none")
        loss = (each.sum(1) / (labels != -100).sum(1)).mean()
        optimizer.zero_grad()
        (outputs.loss if by_tokens else loss).backward()
        optimizer.step()
        found.append(float(loss.detach()))
    return {"total": time.perf_counter() - start}, np.array(found)


@contextmanager
def clocked(parts: Parts, what: str, owner: Any, name: str) -> Iterator[None]:
    """Adds the seconds of a function to a part; those of a part within another count for the inner one alone."""
    function = getattr(owner, name)

    def timed(*given: Any, **named: Any) -> Any:
        outer, start = sum(parts.values()), time.perf_counter()
        try:
            return function(*given, **named)
        finally:
            parts[what] += time.perf_counter() - start - (sum(parts.values()) - outer)

    with mock.patch.object(owner, name, timed):
        yield


def ours(task: Task, method: str, baseline: bool = True) -> tuple[Parts, Float64[np.ndarray, " updates"]]:
    """The training of `suffice forecast`."""
    language, parts = task.model(method), defaultdict(float)
    problem, held = language.problem(task.own, order="source"), language.problem(task.held, order="source")
    asked = OneEpoch(task.training)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as clocks:
        for what, owner, name in (
            ("pretrained", recorded_training, "pretrained_losses"),
            ("hold-outs", recorded_training, "losses_of"),
            ("checks", recorded_training, "check_losses"),
            ("checks", recorded_training, "check_unused"),
            ("checkpoints", recorded_training._Checkpoint, "write"),
            ("recording", Recorder, "batch"),
            ("recording", Recorder, "save"),
        ):
            clocks.enter_context(clocked(parts, what, owner, name))
        start = time.perf_counter()
        place, before = Path(folder), None
        if baseline:
            before = recorded_training.pretrained_losses(problem, asked.evaluated, place, "run")
        found = record_training(problem, held, asked, before, place, "run")
        total = time.perf_counter() - start
    return {"total": total, **parts}, online(found)


class InOrder(Trainer):
    """Takes the samples as they come."""

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


def trained(task: Task, method: str, has_callback: bool) -> tuple[Parts, Float64[np.ndarray, " updates"]]:
    """Trainer, with the callback or without."""
    parts: Parts = defaultdict(float)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as clocks:
        held = plain(task.held, range(len(task.held)))
        callbacks = [LearningCurveCallback(holdout=held)] if has_callback else []
        arguments = TrainingArguments(
            folder, num_train_epochs=1, per_device_train_batch_size=TOGETHER, per_device_eval_batch_size=16,
            learning_rate=RATE, weight_decay=DECAY, lr_scheduler_type="constant", max_grad_norm=0, report_to=[],
            use_cpu=True, disable_tqdm=True, save_strategy="no", logging_strategy="no",
        )  # fmt: skip
        trainer = InOrder(
            task.model(method).model, arguments, train_dataset=plain(task.own, task.order), data_collator=together,
            callbacks=callbacks,
        )  # fmt: skip
        for what, owner, name in (
            ("evaluations", Listener, "_measured"),
            ("recording", Listener, "_listen"),
            ("recording", Listener, "updated"),
            ("recording", Listener, "end"),
        ):
            clocks.enter_context(clocked(parts, what, owner, name))
        start = time.perf_counter()
        trainer.train()
        total = time.perf_counter() - start
        found = read_recording(Path(folder) / "learning_curve.json") if has_callback else None
    return {"total": total, **parts}, np.empty(0) if found is None else online(found)


def online(recording: Recording) -> Float64[np.ndarray, " updates"]:
    return np.array([batch.loss for batch in recording.batches])


EVALUATIONS = ("pretrained", "hold-outs", "evaluations")


def compared(task: Task, method: str, repeats: int) -> dict[str, Any]:
    """Seconds of each side and ratios between them."""
    sides: dict[str, Callable[[], tuple[Parts, Any]]] = {
        "bare": lambda: bare(task, method, by_tokens=False),
        "suffice": lambda: ours(task, method),
        "suffice --no-baseline": lambda: ours(task, method, baseline=False),
        "bare, loss by tokens": lambda: bare(task, method, by_tokens=True),
        "Trainer": lambda: trained(task, method, has_callback=False),
        "Trainer with callback": lambda: trained(task, method, has_callback=True),
    }
    rounds: dict[str, list[Parts]] = {name: [] for name in sides}
    losses: dict[str, Any] = {}
    for _ in range(repeats + 1):
        for name, run in sides.items():
            parts, losses[name] = run()
            rounds[name].append(parts)
    for name, other in (("suffice", "bare"), ("Trainer with callback", "bare, loss by tokens")):
        np.testing.assert_allclose(losses[name], losses[other], rtol=2e-3)  # before any time is looked at
    middle = {
        name: {part: statistics.median(one.get(part, 0.0) for one in counted[1:]) for part in counted[-1]}
        for name, counted in rounds.items()
    }
    training = {
        name: middle[name]["total"] - sum(middle[name].get(part, 0.0) for part in EVALUATIONS) for name in sides
    }
    evaluating = {name: (middle[name]["total"] - training[name]) / middle[name]["total"] for name in sides}
    recorded = ("suffice", "suffice --no-baseline", "Trainer with callback")
    return {
        "seconds": middle,
        "largest_difference_of_losses": float(
            max(abs(losses["suffice"] - losses["bare"]).max(),
                abs(losses["Trainer with callback"] - losses["bare, loss by tokens"]).max())
        ),
        "throughput_over_bare": {
            "suffice": training["bare"] / training["suffice"],
            "Trainer": training["bare, loss by tokens"] / training["Trainer"],
            "Trainer with callback": training["bare, loss by tokens"] / training["Trainer with callback"],
        },
        "throughput_with_callback_over_without": training["Trainer"] / training["Trainer with callback"],
        "recording_share_of_training": {name: middle[name]["recording"] / training[name] for name in recorded},
        "evaluations_share_of_run": {name: evaluating[name] for name in recorded},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with train.jsonl of GSM8K")
    parser.add_argument("--samples", type=int, default=640)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    task = Task(arguments.data, arguments.samples)
    found = {method: compared(task, method, arguments.repeats) for method in METHODS}
    settings = {"samples": arguments.samples, "batch": TOGETHER, "repeats": arguments.repeats}
    save("language_overhead", {"settings": settings, **found})


if __name__ == "__main__":
    main()
