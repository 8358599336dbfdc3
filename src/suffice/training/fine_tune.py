"""A short, seeded training loop that resumes at the last finished epoch."""

import io
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from suffice.checks import check_losses, check_unused
from suffice.digest import digest
from suffice.errors import InputError, InputWarning, reason
from suffice.memory import has_run_out
from suffice.problem import Problem
from suffice.storage import Place, StoreError, exists, read_sealed, write_sealed
from suffice.training.schedule import Schedule, share_of_peak

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises, where no number of steps is given."""

CHECKS = 20
"""Early stopping looks at the validation loss so many times in the whole budget of steps."""

MOMENTUM = 0.9
"""Of SGD."""


OF_ANOTHER = "belongs to a training of another run, or of other samples: the training begins anew"
"""What is said of such a checkpoint."""


class DivergedError(InputError):
    """The training loss stopped being finite."""


OptimizerName = Literal["adamw", "adam", "sgd"]


@dataclass(frozen=True)
class FineTuning:
    """How to train: an optimiser, and the schedule of its learning rate, see `share_of_peak`.

    AdamW decouples the weight decay (I. Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", ICLR 2019,
    algorithm 2); for Adam and SGD it is half the squared norm, added to the loss.

    Attributes:
        epochs: passes over the samples.
        steps: a budget of steps in place of the epochs.
        patience: with a validation loss, stop after so many checks without a better one; there are `CHECKS` of them.
        schedule: how the learning rate goes on after its rise.
        warm_up: steps before the learning rate is at its peak; by default a tenth of all.

    Raises:
        InputError: a number below 1, or another optimiser.
    """

    epochs: int = 10
    learning_rate: float = 1e-3
    batch_size: int = 32
    weight_decay: float = 0.01
    seed: int = 0
    optimizer: OptimizerName = "adamw"
    steps: int | None = None
    patience: int | None = None
    schedule: Schedule = "cosine"
    warm_up: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch_size", "patience"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise InputError(f"{name} = {count}: must be at least 1")
        if self.optimizer not in get_args(OptimizerName):
            raise InputError(f"optimizer is {', '.join(get_args(OptimizerName))}, not {self.optimizer!r}")

    @property
    def budget(self) -> str:
        """In words.

        Example:
            >>> FineTuning(epochs=3).budget, FineTuning(steps=1000).budget
            ('3 epochs', '1,000 steps')
        """
        count, unit = (self.epochs, "epoch") if self.steps is None else (self.steps, "step")
        return f"{count:,} {unit}{'s' * (count > 1)}"

    def steps_run(self, samples: int) -> int:
        """How many steps a training on so many samples takes."""
        return self.steps or self.epochs * math.ceil(samples / self.batch_size)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, from 0 on, of so many.

        Example:
            >>> FineTuning(learning_rate=0.5, schedule="constant", warm_up=3).rate(1, 100)
            0.25
        """
        warm_up = max(1, round(WARM_UP * steps)) - 1 if self.warm_up is None else self.warm_up
        return self.learning_rate * share_of_peak(self.schedule, step, steps, warm_up)

    def samples_run(self, samples: int) -> int:
        """How many samples all steps of a training on so many take together.

        Example:
            >>> FineTuning(epochs=3).samples_run(50), FineTuning(steps=3, batch_size=20).samples_run(50)
            (150, 50)
            >>> FineTuning(steps=4, batch_size=20).samples_run(50)
            70
        """
        if self.steps is None:
            return self.epochs * samples
        whole, rest = divmod(self.steps, math.ceil(samples / self.batch_size))
        return whole * samples + rest * self.batch_size


def fine_tune(
    problem: Problem,
    settings: FineTuning,
    checkpoint: Place | None = None,
    progress: Callable[[int], None] = lambda samples: None,
    validate: Callable[[], float] | None = None,
    identity: str = "",
) -> list[float]:
    """Trains the moving parameters of a problem in place, and returns the mean training loss of each epoch.

    The samples are shuffled anew each epoch, by ``(seed, epoch)`` alone, so a run that was interrupted and resumed ends
    at the same weights as one that was not.

    Args:
        problem: the model is trained on all its samples.
        settings: epochs, learning rate and so on.
        checkpoint: a file that is written after each epoch, and read first if it is there; not with ``validate``.
        progress: called with the number of samples done since the last call.
        validate: gives the validation loss of the model as it is; the weights end where it was smallest, and the
            training does too, if the settings have a patience.
        identity: hash of all that decides the training, such as the samples; with a checkpoint of another one, or of
            another number or order of samples, the training begins anew, which is warned of.

    Raises:
        DivergedError: the loss stops being finite.
        InputError: the checkpoint belongs to another training, or comes with a validation loss; or autograd finds
            no parameter that moves in the loss; or memory runs out.

    Example:
        >>> data = torch.utils.data.TensorDataset(torch.randn(50, 5), torch.randint(3, (50,)))
        >>> problem = Problem(torch.nn.Linear(5, 3), data)
        >>> len(fine_tune(problem, FineTuning(steps=5, batch_size=20)))
        2
    """
    if checkpoint is not None and validate is not None:
        raise InputError("a training with a validation loss keeps no checkpoint")
    check_losses(problem, settings.batch_size)
    check_unused(problem)
    parameters = list(problem.moving.values())
    optimizer = optimizer_of(parameters, settings)
    steps_per_epoch = math.ceil(len(problem) / settings.batch_size)
    steps = settings.steps_run(len(problem))
    history: list[float] = []
    if checkpoint is not None and exists(checkpoint):
        history = _restore(checkpoint, problem, settings, optimizer, identity)
        progress(len(history) * len(problem))
    best = None if validate is None else _Best(problem, validate, settings.patience, max(1, steps // CHECKS))
    with within_memory(settings), training_mode(problem):
        for epoch in range(len(history), math.ceil(steps / steps_per_epoch)):
            draw = np.random.default_rng([settings.seed, epoch])
            torch.manual_seed(int(draw.integers(2**63)))
            order = draw.permutation(len(problem))
            total, done = 0.0, 0
            for step, start in enumerate(range(0, len(problem), settings.batch_size), epoch * steps_per_epoch):
                if step == steps or (best is not None and best.is_out_of_patience):
                    break
                some = order[start : start + settings.batch_size]
                losses = problem.losses(problem.batch(some), len(some))
                optimizer.param_groups[0]["lr"] = settings.rate(step, steps)
                set_gradients(parameters, problem.weighted_mean(losses, some))
                optimizer.step()
                total += float(losses.detach().sum())
                done += len(losses)
                progress(len(losses))
                if best is not None:
                    best.look(step + 1, steps)
            if not math.isfinite(total):
                raise DivergedError(f"training diverged in epoch {epoch + 1}: take a smaller learning rate")
            if done == 0:
                break
            if not optimizer.state:
                raise InputError(
                    "nothing was trained: autograd finds no parameter that moves in the loss; is the model in no_grad?"
                )
            history.append(total / done)
            if checkpoint is not None:
                _save(checkpoint, problem, settings, optimizer, history, identity)
    if best is not None:
        best.restore()
    return history


@contextmanager
def within_memory(settings: FineTuning) -> Iterator[None]:
    """Refuses a batch for which there is no memory: the weights that training ends at depend on its size."""
    try:
        yield
    except Exception as error:
        if not has_run_out(error):
            raise
        raise InputError(
            f"memory runs out in training with batches of {settings.batch_size} samples, and other batches would end "
            f"at other weights ({reason(error)}): start anew with a smaller --train-batch-size, or go on with "
            "fewer --workers or a device with more memory"
        ) from error


class _Best:
    """The weights at which the validation loss was smallest so far."""

    def __init__(self, problem: Problem, validate: Callable[[], float], patience: int | None, every: int) -> None:
        self._problem = problem
        self._validate = validate
        self._patience = math.inf if patience is None else patience
        self._every = every
        self._loss = math.inf
        self._weights: dict[str, Tensor] = problem.center()
        self._worse = 0

    @property
    def is_out_of_patience(self) -> bool:
        return self._worse >= self._patience

    def look(self, done: int, steps: int) -> None:
        if done % self._every and done != steps:
            return
        self._problem.model.eval()  # measuring a model in training mode would be warned of
        loss = self._validate()
        self._problem.model.train()
        if loss < self._loss:
            self._loss, self._weights, self._worse = loss, self._problem.center(), 0
        else:
            self._worse += 1

    def restore(self) -> None:
        with torch.no_grad():
            for name, parameter in self._problem.moving.items():
                parameter.copy_(self._weights[name])


def set_gradients(parameters: list[torch.nn.Parameter], loss: Tensor) -> None:
    """Dense gradients, as optimisers take them; none for a parameter that this loss does not depend on.

    By ``backward``, which unlike ``torch.autograd.grad`` runs through reentrant checkpointing.
    """
    for parameter in parameters:
        parameter.grad = None
    if loss.requires_grad:
        loss.backward()
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            parameter.grad = parameter.grad.to_dense()


def optimizer_of(parameters: list[torch.nn.Parameter], settings: FineTuning) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, MOMENTUM, weight_decay=decay)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, rate, weight_decay=decay)


@contextmanager
def training_mode(problem: Problem) -> Iterator[None]:
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
    checkpoint: Place,
    problem: Problem,
    settings: FineTuning,
    optimizer: torch.optim.Optimizer,
    history: list[float],
    identity: str,
) -> None:
    content = {
        "identity": identity_of_training(identity, problem),
        "settings": asdict(settings),
        "history": history,
        "moving": {name: parameter.detach() for name, parameter in problem.moving.items()},
        "buffers": dict(problem.model.named_buffers()),
        "optimizer": optimizer.state_dict(),
    }
    held = io.BytesIO()
    torch.save(content, held)
    write_sealed(checkpoint, held.getvalue())


def identity_of_training(identity: str, problem: Problem) -> str:
    """The hash that a checkpoint carries: of what decides the training, and of which of the samples it takes."""
    return digest(identity, len(problem), problem.index)


def loaded_training(held: bytes, device: torch.device) -> dict[str, Any]:
    """What a checkpoint holds; nothing where it is no checkpoint of a training, whatever its seal says.

    Example:
        >>> loaded_training(b"junk", torch.device("cpu"))
        {}
    """
    try:
        stored = torch.load(io.BytesIO(held), map_location=device, weights_only=True)
    except Exception as error:  # torch has many for what is none
        if has_run_out(error):
            raise
        return {}
    return stored if isinstance(stored, dict) else {}


def _restore(
    checkpoint: Place, problem: Problem, settings: FineTuning, optimizer: torch.optim.Optimizer, identity: str
) -> list[float]:
    try:
        held = read_sealed(checkpoint)
    except StoreError:
        raise
    except InputError as error:
        warnings.warn(f"{error}: the training begins anew", InputWarning, stacklevel=3)
        return []
    stored = loaded_training(held, problem.device)
    if stored.get("identity") != identity_of_training(identity, problem):
        warnings.warn(f"{checkpoint} {OF_ANOTHER}", InputWarning, stacklevel=3)
        return []
    if stored["moving"].keys() != problem.moving.keys() or stored["settings"] != asdict(settings):
        raise InputError(f"{checkpoint} belongs to a training of other parameters or with other settings: remove it")
    with torch.no_grad():
        for name, parameter in problem.moving.items():
            parameter.copy_(stored["moving"][name])
        for name, buffer in problem.model.named_buffers():
            buffer.copy_(stored["buffers"][name])
    optimizer.load_state_dict(stored["optimizer"])
    return list(stored["history"])
