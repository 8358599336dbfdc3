"""A short, seeded fine-tuning loop that resumes at the last finished epoch."""

import math
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from suffice.errors import InputError
from suffice.problem import Problem
from suffice.storage import atomic_write

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises; after that it falls to zero along a cosine."""


@dataclass(frozen=True)
class FineTuning:
    """How to train: AdamW with decoupled weight decay, a warm-up and a cosine schedule.

    Source: I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2.
    """

    epochs: int = 10
    learning_rate: float = 1e-3
    batch_size: int = 32
    weight_decay: float = 0.01
    seed: int = 0


def fine_tune(
    problem: Problem,
    settings: FineTuning,
    checkpoint: Path | None = None,
    progress: Callable[[int], None] = lambda samples: None,
) -> list[float]:
    """Trains the moving parameters of a problem in place, and returns the mean training loss of each epoch.

    The samples are shuffled anew each epoch, by ``(seed, epoch)`` alone, so a run that was interrupted and resumed ends
    at the same weights as one that was not.

    Args:
        problem: the model is trained on all its samples.
        settings: epochs, learning rate and so on.
        checkpoint: a file that is written after each epoch, and read first if it is there.
        progress: called with the number of samples done since the last call.

    Raises:
        InputError: the loss stops being finite, or the checkpoint belongs to another training.
    """
    if settings.batch_size < 1 or settings.epochs < 1:
        raise InputError(f"epochs = {settings.epochs}, batch_size = {settings.batch_size}: must be at least 1")
    parameters = list(problem.moving.values())
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps_per_epoch = math.ceil(len(problem) / settings.batch_size)
    steps = settings.epochs * steps_per_epoch
    history: list[float] = []
    if checkpoint is not None and checkpoint.exists():
        history = _restore(checkpoint, problem, settings, optimizer)
        progress(len(history) * len(problem))
    with _training(problem):
        for epoch in range(len(history), settings.epochs):
            draw = np.random.default_rng([settings.seed, epoch])
            torch.manual_seed(int(draw.integers(2**63)))
            order = draw.permutation(len(problem))
            total = 0.0
            for step, start in enumerate(range(0, len(problem), settings.batch_size), epoch * steps_per_epoch):
                losses = problem.losses(problem.batch(order[start : start + settings.batch_size]))
                optimizer.param_groups[0]["lr"] = settings.learning_rate * _schedule(step, steps)
                gradients = torch.autograd.grad(losses.mean(), parameters)
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()
                total += float(losses.detach().sum())
                progress(len(losses))
            if not math.isfinite(total):
                raise InputError(f"training diverged in epoch {epoch + 1}: take a smaller learning rate")
            history.append(total / len(problem))
            if checkpoint is not None:
                _save(checkpoint, problem, settings, optimizer, history)
    return history


def _schedule(step: int, steps: int) -> float:
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


@contextmanager
def _training(problem: Problem) -> Iterator[None]:
    """Training mode, gradients for what moves and nothing else, random numbers of its own; all put back at the end."""
    modes = {module: module.training for module in problem.model.modules()}
    required = {parameter: parameter.requires_grad for parameter in problem.model.parameters()}
    moving = set(problem.moving.values())
    devices = [problem.device] if problem.device.type == "cuda" else []
    try:
        problem.model.train()
        for parameter in required:
            parameter.requires_grad_(parameter in moving)
        with torch.random.fork_rng(devices), torch.enable_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        for parameter, requires_grad in required.items():
            parameter.requires_grad_(requires_grad)
            parameter.grad = None


def _save(
    checkpoint: Path, problem: Problem, settings: FineTuning, optimizer: torch.optim.Optimizer, history: list[float]
) -> None:
    content = {
        "settings": asdict(settings),
        "history": history,
        "moving": {name: parameter.detach() for name, parameter in problem.moving.items()},
        "buffers": dict(problem.model.named_buffers()),
        "optimizer": optimizer.state_dict(),
    }
    with atomic_write(checkpoint) as file:
        torch.save(content, file)


def _restore(checkpoint: Path, problem: Problem, settings: FineTuning, optimizer: torch.optim.Optimizer) -> list[float]:
    try:
        stored = torch.load(checkpoint, map_location=problem.device, weights_only=True)
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(f"{checkpoint}: not a checkpoint of a fine-tuning: remove it") from error
    if stored["moving"].keys() != problem.moving.keys() or stored["settings"] != asdict(settings):
        raise InputError(f"{checkpoint} belongs to a training of other parameters or with other settings: remove it")
    with torch.no_grad():
        for name, parameter in problem.moving.items():
            parameter.copy_(stored["moving"][name])
        for name, buffer in problem.model.named_buffers():
            buffer.copy_(stored["buffers"][name])
    optimizer.load_state_dict(stored["optimizer"])
    return list(stored["history"])
