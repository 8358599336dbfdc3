"""The evidence of a fine-tuned model: trainings on all samples at hand and on parts of them, and the curvature."""

import hashlib
import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from safetensors.torch import load, save
from torch import Tensor

from suffice.configuration import ForecastConfig
from suffice.curvature import plan_tangent_kernel
from suffice.engine import Workers
from suffice.errors import InputError
from suffice.forecasting import (
    FOLDS_OF_TRAININGS,
    Evidence,
    Slope,
    effective_penalty,
    measure_problem,
    others_of_folds,
)
from suffice.forecasting.doubts import Copies, copies_of_samples, kept_together
from suffice.problem import Problem
from suffice.runs.folder import Opened
from suffice.runs.log import note
from suffice.runs.state import plan
from suffice.runs.watch import Watch, counted, duration
from suffice.storage import Pieces, Place
from suffice.training import ALL, FineTuning, Learner, Learners, Predictions, Series, Task, fine_tune, training_of

Positions = Int64[np.ndarray, " _"]
"""Some of the samples at hand, by their positions among these."""

PREDICTED = ("samples", "outputs", "labels")
PARTS = ("own", "folds", "halves", "holdout")
NUMBERS = ("samples", "directions", "recipe_known", "level_off", "descent", "is_whole")
ARRAYS = ("means", "rows", "grouped")
"""What is stored of the evidence: predictions by part, numbers, and arrays that there may be."""

EVIDENCE = "evidence"
"""The piece that holds it."""

STEP = 5e-4
"""About the seconds of a training step without the model."""


def measure_trained(
    config: ForecastConfig,
    learners: Learners,
    task: Task,
    run: Opened,
    watch: Watch,
    workers: Workers | None,
    train: Callable[[Positions], None],
) -> Evidence:
    """The evidence of a model of which more than the head is trained; read from the folder if it is there.

    Args:
        config: the settings of the training.
        learners: make the model.
        task: its pool are the samples at hand; its test part, if any, gives the test loss.
        run: its folder; each training and the evidence are stored there when they are finished.
        watch: told what is done and how long it should take.
        workers: processes that train; this one where there are none.
        train: does one training, in a worker.

    Raises:
        InputError: a training that diverges, or what `suffice.forecasting.measure_problem` raises.
    """
    kept = Pieces(run.stored / "evidence", run.identity)
    if kept.has(EVIDENCE):
        evidence = _read(kept.file(EVIDENCE, ".npz"))
        if config.estimator != "information" or evidence.information is not None:
            return evidence
    series = Series(ALL, config.method, config.seed)
    learner = learners.get(series)
    problem = learner.problem(task.parts.pool)
    groups = task.groups(task.parts.pool)
    grouped = None if groups is None else groups[problem.index]
    holdout = learner.problem(task.parts.test).dataset if len(task.parts.test) else None
    refit = None
    if not config.trained:
        trainings = trainings_of(config, learners, task, run.stored, run.identity)
        parts = [np.arange(len(problem))]
        if holdout is None:
            labels, copies = problem.all_targets().long().numpy(), copies_of_samples(problem)
            together = kept_together(copies, grouped)
            parts += [
                others
                for folds in (FOLDS_OF_TRAININGS, 2)
                for others in others_of_folds(labels, folds, config.seed, together)
            ]
            refit = trainings.of
        plan(run.path, {"trainings": len(parts)})
        forward = learners.forward_seconds(config.method, torch.get_num_threads())
        trainings.run(parts, forward, watch, workers, train)
        learner.load(trainings.of(parts[0]))
    penalty = None if config.trained else _penalty(problem, learner)
    with _curvature(config, problem, watch) as progress:
        evidence = measure_problem(
            problem, penalty, refit, "auto", holdout, config.seed, config.estimator, progress, grouped
        )
    kept.write(EVIDENCE, None, {".npz": _arrays(evidence)})
    return evidence


@contextmanager
def _curvature(config: ForecastConfig, problem: Problem, watch: Watch) -> Iterator[Callable[[int], None]]:
    """Shows the progress of a tangent kernel, if there is to be one."""
    if config.estimator != "information":
        with watch.progress("losses") as progress:
            yield progress
        return
    plan = plan_tangent_kernel(problem)
    watch.say(
        f"Tangent kernel: {plan.rows:,} gradients of {plan.parameters:,} weights, which take {plan.bytes / 1e9:.1f} "
        f"GB; about {duration(plan.seconds)}."
    )
    with watch.progress("tangent kernel", plan.rows * plan.passes) as progress:
        yield progress


def trainings_of(config: ForecastConfig, learners: Learners, task: Task, folder: Place, identity: str) -> "_Trainings":
    """The trainings of a run, which are stored in its folder."""
    series = Series(ALL, config.method, config.seed)
    stored = Pieces(folder / "trainings", identity)
    return _Trainings(learners.get(series), task, training_of(config, config, series), stored)


class _Trainings:
    """Trainings on some of the samples at hand, each from the same initial weights and stored when it is finished."""

    def __init__(self, learner: Learner, task: Task, settings: FineTuning, stored: Pieces) -> None:
        self._learner = learner
        self._rows = task.parts.pool
        self._settings = settings
        self._stored = stored

    def run(
        self,
        parts: list[Positions],
        forward: float,
        watch: Watch,
        workers: Workers | None,
        there: Callable[[Positions], None],
    ) -> None:
        """Runs those that are missing; ``forward`` is the time of a sample in a forward pass, in seconds."""
        missing = [positions for positions in parts if not self._stored.has(_name(positions))]
        if not missing:
            return
        samples = sum(self._settings.samples_run(len(positions)) for positions in missing)
        # a training step costs about three forward passes
        steps = sum(self._settings.steps_run(len(positions)) for positions in missing)
        seconds = 3 * forward * samples + STEP * steps
        watch.say(
            f"{counted(len(missing), 'training')} of {self._settings.budget}, on all {len(self._rows):,} "
            f"samples and on parts of them; about {duration(seconds / (1 if workers is None else workers.count))}."
        )
        with watch.progress("training", samples) as progress:
            if workers is None:
                for positions in missing:
                    self.train(positions, progress)
                return

            def cost(positions: Positions) -> int:
                return self._settings.samples_run(len(positions))

            def slow(positions: Positions, until_now: float, expected: float) -> None:
                watch.say(
                    f"Slow: the training on {len(positions):,} samples has run for {duration(until_now)}; others took "
                    f"about {duration(expected)}."
                )

            def took(positions: Positions, seconds: float, worker: str) -> None:
                note("task", f"training on {len(positions):,} samples", seconds=seconds, worker=worker)

            workers.run(there, missing, slow=slow, cost=cost, took=took, progress=progress)

    def of(self, positions: Positions) -> dict[str, Tensor]:
        """The weights that moved, and the buffers."""
        return load(self._stored.file(_name(positions), ".safetensors"))

    def train(self, positions: Positions, progress: Callable[[int], None] = lambda samples: None) -> None:
        """Runs one, and stores its weights."""
        self._learner.load(self._learner.initial)
        fine_tune(self._learner.problem(self._rows[positions]), self._settings, progress=progress)
        weights = save({name: value.contiguous() for name, value in self._learner.state().items()})
        self._stored.write(_name(positions), None, {".safetensors": weights})


def _name(positions: Positions) -> str:
    """Of the training on some of the samples at hand."""
    content = hashlib.blake2b(positions.astype("<i8").tobytes(), digest_size=8).hexdigest()
    return f"{len(positions)}-{content}"


def _penalty(problem: Problem, learner: Learner) -> float | None:
    try:
        return effective_penalty(problem, learner.initial)
    except InputError:  # the way from the initial weights does not determine it
        return None


def _arrays(evidence: Evidence) -> bytes:
    """The evidence as an NPZ file."""
    content: dict[str, Any] = {
        "penalty": math.nan if evidence.penalty is None else evidence.penalty,
        **{name: getattr(evidence, name) for name in NUMBERS},
    }
    if evidence.information is not None:
        content["information"] = tuple(evidence.information)
    if evidence.copies is not None:
        content["groups"] = evidence.copies.groups
    for name in ARRAYS:
        if getattr(evidence, name) is not None:
            content[name] = getattr(evidence, name)
    for name in PARTS:
        predictions = getattr(evidence, name)
        if predictions is not None:
            content |= {f"{name} {key}": getattr(predictions, key) for key in PREDICTED}
    held = io.BytesIO()
    np.savez(held, **content)
    return held.getvalue()


def _read(held: bytes) -> Evidence:
    with np.load(io.BytesIO(held), allow_pickle=False) as stored:

        def predictions(name: str) -> Predictions:
            samples, outputs, labels = (stored[f"{name} {key}"] for key in PREDICTED)
            return Predictions(float(samples), outputs, labels)

        parts: dict[str, Any] = {name: predictions(name) for name in PARTS if f"{name} samples" in stored}
        parts |= {name: stored[name] for name in ARRAYS if name in stored}
        return Evidence(
            copies=Copies(stored["groups"]) if "groups" in stored else None,
            penalty=None if np.isnan(stored["penalty"]) else float(stored["penalty"]),
            information=Slope(*map(float, stored["information"])) if "information" in stored else None,
            **{name: stored[name].item() for name in NUMBERS},
            **parts,
        )
