"""Models that are ready to be trained by one method: whole, or from frozen features on."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from suffice.configuration import FineTunedConfig
from suffice.engine import choose_device
from suffice.errors import InputError
from suffice.models import (
    Classifier,
    Split,
    adapted,
    execution_of,
    last_layers,
    layers_of,
    load_classifier,
    read_label_map,
    read_unchanged,
    renew_head,
    split,
    weights_of_imported,
)
from suffice.problem import Problem
from suffice.storage import Place
from suffice.training.features import FrozenFeatures
from suffice.training.parts import ALL, Rows, Series, Task

TRIED = 32
"""Samples of the trial run for an estimate of the time."""


@dataclass(frozen=True)
class Learner:
    """A model as it is before its training, and the problems to train and measure it on.

    Attributes:
        model: what is trained.
        problem: the problem with some rows of a task, in their order.
        initial: the weights that move and the buffers, before training.
    """

    model: nn.Module
    problem: Callable[[Rows], Problem]
    initial: dict[str, Tensor]

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Takes weights that `state` gave.

        Raises:
            InputError: they are those of another model.
        """
        if weights.keys() != self.initial.keys():
            raise InputError("these stored weights are those of another model: start again with --overwrite")
        self.model.load_state_dict(dict(weights), strict=False)

    def state(self) -> dict[str, Tensor]:
        """The weights that move and the buffers, as they are now."""
        return _state(self.model)


class Learners:
    """Models to be trained. The one asked for last is kept, so they are asked for by task, method and seed.

    Args:
        config: which model.
        tasks: what it is to be trained for, by name, that with all classes first.
        out: the run's folder, where features are kept.
        as_trained: the model has been trained for these classes, and its head is kept.
    """

    def __init__(
        self, config: FineTunedConfig, tasks: Mapping[str, Task], out: Place, as_trained: bool = False
    ) -> None:
        self._config = config
        self._tasks = tasks
        self._out: Place = out
        self._as_trained = as_trained
        self._files: dict[str, str] | None = None
        self._moving_bytes: dict[str, int] = {}
        self.get = functools.lru_cache(maxsize=1)(self._make)
        self._frozen = functools.lru_cache(maxsize=1)(self._make_frozen)
        self.features = functools.lru_cache(maxsize=1)(self._open_features)
        self._tried = functools.lru_cache(maxsize=1)(self._try)

    def _make(self, series: Series) -> Learner:
        of_task = self._tasks[series.task]
        classifier, model = self._adapted(of_task, series.method, series.seed)
        features = self.features(series.method)
        cut = self._cut(classifier, model, of_task) if features.is_planned else None

        if cut is None:
            return Learner(model, functools.partial(_problem, classifier, model, of_task), _state(model))
        labels = torch.tensor(classifier.labels)[torch.from_numpy(of_task.samples.labels)]
        stored = torch.from_numpy(np.searchsorted(self._tasks[ALL].used, of_task.rows))
        rest = cut.rest

        def from_features(rows: Rows) -> Problem:
            chosen = torch.from_numpy(rows)
            return Problem(rest, TensorDataset(features.tensor[stored[chosen]], labels[chosen]), order="source")

        return Learner(rest, from_features, _state(rest))

    def keep_in(self, stored: Place) -> None:
        """Keeps features elsewhere than in the run's folder from now on."""
        if stored != self._out:
            self._out = stored
            self.features.cache_clear()
            self.get.cache_clear()

    def check(self, method: str) -> None:
        """Finds a bad method; what is made here is not kept, as there may be no features yet to train from."""
        self.moving_bytes(method)

    def contents(self) -> dict[str, str]:
        """Hashes of the data, and of the files of the model."""
        task = self._tasks[ALL]
        if self._files is None:
            self._classifier(task, self._config.seed)
        return {"data": task.samples.fingerprint(), **(self._files or {})}

    def plan_features(self, method: str) -> list[slice]:
        """Makes room for the features that a method trains from; the shards that are missing.

        There are none where the model cannot be cut.
        """
        frozen = self._frozen(method)
        return [] if frozen is None else self.features(method).plan(*frozen)

    def bytes_of_features(self, method: str) -> int:
        """What the features take that `plan_features` has made room for."""
        features = self.features(method)
        return features.bytes if features.is_planned else 0

    def moving_bytes(self, method: str) -> int:
        """Bytes of the weights that a method moves."""
        if method not in self._moving_bytes:
            model = self._adapted(self._tasks[ALL], method, self._config.seed)[1]
            moving = (weight for weight in model.parameters() if weight.requires_grad)
            self._moving_bytes[method] = sum(weight.numel() * weight.element_size() for weight in moving)
        return self._moving_bytes[method]

    def run_features(self, method: str, rows: slice) -> None:
        """Computes one shard of them."""
        frozen = self._frozen(method)
        if frozen is not None:
            self.features(method).run(*frozen, rows)

    def forward_seconds(self, method: str, threads: int) -> float:
        """About what a sample takes in a forward pass through the part that a method moves."""
        if method == "head":
            return 0.0
        seconds, layers, _ = self._tried(threads)
        return seconds * min(1.0, (last_layers(method) or layers) / layers)

    def load_seconds(self, threads: int) -> float:
        """About how long it takes to load the model."""
        return self._tried(threads)[2]

    def _try(self, threads: int) -> tuple[float, int, float]:
        """Seconds that a sample takes in the whole model, its layers, and the seconds to load it."""
        task = self._tasks[ALL]
        start = time.perf_counter()
        classifier, model = self._adapted(task, "full", self._config.seed)
        load = time.perf_counter() - start
        problem = _problem(classifier, model, task, task.parts.pool[:TRIED])
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            with problem.measuring():
                seconds = []
                for _ in range(3):  # the first run is slower, and other work may disturb one
                    start = time.perf_counter()
                    problem.losses(problem.batch(slice(None)))
                    seconds.append(time.perf_counter() - start)
        finally:
            torch.set_num_threads(before)
        return float(np.median(seconds)) / len(problem), max(1, len(layers_of(model))), load

    def notes(self, methods: Sequence[str]) -> list[str]:
        """What a person should know of how model and samples were read for some methods."""
        task = self._tasks[ALL]
        classifier = self._classifier(task, self._config.seed)
        notes = [*classifier.notes, *classifier.inputs(task.samples, task.used).notes]
        if self._as_trained and not classifier.matched_by_name:
            notes.append("The checkpoint does not name the classes of the data: they were matched in order.")
        elif _has_head_of_others(classifier):
            notes.append("The checkpoint's head is one for other classes: every training starts from a new one.")
        for method in methods:
            count = last_layers(method)
            if count is not None:
                layers = execution_of(classifier.model).layers[-count:]
                chosen = layers[0] if count == 1 else f"{layers[0]} to {layers[-1]}"
                notes.append(f"{method}: {chosen}, and all that runs after.")
        whole = [
            method
            for method in methods
            if method.startswith(("head", "last_layers")) and not self.features(method).is_planned
        ]
        if whole:
            notes.append(f"The frozen part could not be run apart, and was run at every step: {', '.join(whole)}.")
        return notes

    def _make_frozen(self, method: str) -> tuple[Problem, Split] | None:
        """All samples used and the model that makes features of them, which neither classes nor seed change."""
        task = self._tasks[ALL]
        classifier, model = self._adapted(task, method, self._config.seed)
        cut = self._cut(classifier, model, task)
        return None if cut is None else (_problem(classifier, model, task, task.used), cut)

    def _open_features(self, method: str) -> FrozenFeatures:
        return FrozenFeatures(self._out / "features" / method)

    def _classifier(self, task: Task, seed: int) -> Classifier:
        config = self._config
        # the map is one for all classes, and a task may have some of them
        label_map = read_label_map(self._tasks[ALL].samples.classes, config.label_map)

        def read() -> Classifier:
            return load_classifier(
                config.model,
                task.samples,
                config.image_size,
                seed,
                config.trust_remote_code,
                {name: label for name, label in label_map.items() if name in task.samples.classes},
                keep_head=self._as_trained,
            )

        classifier, files = read_unchanged(config.model, read)
        if self._files is None:
            self._files = {**files, **weights_of_imported(config.model, classifier.model)}
        elif not files.items() <= self._files.items():
            raise InputError(
                f"{config.model} has changed since suffice read it: restore it, or run the same command again"
            )
        return classifier

    def _adapted(self, task: Task, method: str, seed: int) -> tuple[Classifier, nn.Module]:
        config = self._config
        classifier = self._classifier(task, seed)
        if self._as_trained and classifier.has_new_head:
            raise InputError(f"{config.model} has no head for these classes: it was not trained on such data")
        if not self._as_trained and _has_head_of_others(classifier):
            renew_head(classifier.model, seed)
        return classifier, adapted(classifier.model, method, config.lora_targets, seed).to(choose_device(config.device))

    def _cut(self, classifier: Classifier, model: nn.Module, task: Task) -> Split | None:
        batch = _problem(classifier, model, task, task.parts.pool[:3]).batch(slice(None))
        return split(model, classifier.predict, batch)


def _problem(classifier: Classifier, model: nn.Module, task: Task, rows: Rows) -> Problem:
    """The whole model on some samples of a task, in their order."""
    inputs = classifier.inputs(task.samples, rows)
    return Problem(
        model, inputs, classifier.loss, predict=classifier.predict, order="source", collate=classifier.collate
    )


def _has_head_of_others(classifier: Classifier) -> bool:
    """Whether there is a head of as many classes, but not of these; the head of an adapter is left to it."""
    known = classifier.matched_by_name or classifier.has_new_head
    return not known and not hasattr(classifier.model, "peft_config")


def _state(model: nn.Module) -> dict[str, Tensor]:
    moving = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name: value.detach().clone() for name, value in (*moving.items(), *model.named_buffers())}
