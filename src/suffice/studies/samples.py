"""The samples of a study: the parts to train and to test on, the order and the sizes."""

import numpy as np

from suffice.configuration import StudyConfig
from suffice.data import (
    TEST,
    VALIDATION,
    ClassSubset,
    Collection,
    Joined,
    LabelledSamples,
    Reading,
    groups_of,
    load_collection,
    load_unseen,
)
from suffice.errors import InputError
from suffice.training.order import between_groups, smallest_with_all, stratified_order, together
from suffice.training.parts import ALL, Parts, Rows, Task

GRID = 6
"""Sizes by default."""


class StudySamples:
    """All samples of a study, separate test data included, divided into the same parts for all its tasks.

    Attributes:
        data: what the source holds, apart from separate test data.
        samples: all of them.
        tasks: by name, the one with all classes first.
        seeds: of the study.
        sizes: of the trainings of each task: the requested ones, as far as the task has so many samples, or a log grid.

    Raises:
        InputError: missing samples or classes, parts that are too small, or a size that is larger than the pool or so
            small that a class is missing.

    Example:
        >>> config = StudyConfig(model="builtin:tiny-vit", data="builtin:digits", samples=200, sizes=[10, 40])
        >>> samples = StudySamples(config)
        >>> [len(part) for part in vars(samples.tasks["all"].parts).values()], samples.sizes["all"]
        ([140, 20, 40], [10, 40])
    """

    def __init__(self, config: StudyConfig) -> None:
        if config.task != "classification":
            raise InputError(f"--task {config.task}: a study is of classes: leave it out, or take suffice analyze")
        self._config = config
        self.seeds = list(range(config.seed, config.seed + config.seeds))
        data = load_collection(config.data, Reading.of(config))
        samples = data.at_hand
        parts = _cut(config, samples, data)
        if config.test is None and data.unseen is not None:
            samples, parts = _with_splits(config, data, parts)
        if config.test is not None:
            apart = load_unseen(config.test, Reading.of(config), samples.classes)
            chosen = _first(
                apart, config.test_samples, f"test_samples = {config.test_samples}: {config.test}", config.seed
            )
            parts = Parts(parts.pool, parts.validation, np.sort(chosen) + len(samples))
            samples = Joined(samples, apart)
        self.data = data
        self.samples = samples
        self.tasks = {ALL: Task(ALL, samples, np.arange(len(samples)), parts)}
        for names in config.class_subsets:
            subset = ClassSubset(samples, [name.strip() for name in names.split(",")])
            of_subset = (np.flatnonzero(np.isin(subset.rows, part)) for part in vars(parts).values())
            self.tasks[names] = Task(names, subset, subset.rows, Parts(*of_subset))
        self.sizes = {task: self._sizes(task) for task in self.tasks}

    def order(self, task: str, seed: int) -> Rows:
        """The pool in the order of a seed: a training on k samples takes the first k, by every method."""
        pool = self.tasks[task].parts.pool
        order = stratified_order(self.tasks[task].samples.labels[pool], [self._config.seed, seed])
        groups = self.tasks[task].groups(pool)
        drawn: Rows = pool[order if groups is None else order[together(groups[order])]]
        return drawn

    def _sizes(self, task: str) -> list[int]:
        labels = self.tasks[task].samples.labels
        pool = self.tasks[task].parts.pool
        available = len(pool)
        missing = set(range(len(self.tasks[task].samples.classes))) - set(labels[pool].tolist())
        if missing:
            name = self.tasks[task].samples.classes[min(missing)]
            raise InputError(f"the class {name!r} has no sample to train on: give more samples, or leave it out")
        smallest = max(3, *(smallest_with_all(labels[self.order(task, seed)]) for seed in self.seeds))
        if self._config.sizes is None:
            first = min(max(smallest, available // 64), available)
            return sorted({round(size) for size in np.geomspace(first, available, GRID)})
        sizes = sorted(set(self._config.sizes))
        if task == ALL and sizes[-1] > available:
            raise InputError(f"size {sizes[-1]:,}: there are {available:,} samples to train on")
        if sizes[0] < smallest:
            of_classes = "" if task == ALL else f" with the classes {task}"
            raise InputError(
                f"size {sizes[0]:,}{of_classes}: a class is missing from so few samples, or there are less than 3; the "
                f"smallest workable size is {smallest:,}"
            )
        if sizes[0] > available:
            raise InputError(
                f"size {sizes[0]:,} with the classes {task}: there are {available:,} samples to train on; give a "
                "smaller size too"
            )
        return [size for size in sizes if size <= available]


def _first(samples: LabelledSamples, count: int | None, asked: str, seed: int) -> Rows:
    """The first ``count`` samples of a stratified order; all by default."""
    if count is not None and count > len(samples):
        raise InputError(f"{asked} has {len(samples):,}")
    return stratified_order(samples.labels, [seed])[:count]


def _with_splits(config: StudyConfig, data: Collection, parts: Parts) -> tuple[LabelledSamples, Parts]:
    """The samples at hand and those of the data's own splits, which are the test part and the validation part."""
    samples, split = data.at_hand, str(data.unseen)
    test = data.part(split)
    asked = f"test_samples = {config.test_samples}: the split {split!r} of {config.data}"
    tested = np.sort(_first(test, config.test_samples, asked, config.seed)) + len(samples)
    validation, joined = parts.validation, Joined(samples, test)
    if split == TEST and VALIDATION in data.splits:
        validation = len(joined) + np.arange(len(data.part(VALIDATION)))
        joined = Joined(joined, data.part(VALIDATION))
    return joined, Parts(parts.pool, validation, tested)


def _cut(config: StudyConfig, samples: LabelledSamples, data: Collection) -> Parts:
    """Stratified parts of whole groups; those are empty for which there are separate data."""
    has_test = config.test is not None or data.unseen is not None
    has_validation = config.test is None and data.unseen == TEST and VALIDATION in data.splits
    order = _first(samples, config.samples, f"samples = {config.samples}: {config.data}", config.seed)
    tested = 0 if has_test else round(config.test_share * len(order))
    validated = 0 if has_validation else round(config.validation_share * len(order))
    if not has_validation and min(validated, validated if has_test else tested) < 3:
        raise InputError(
            f"{len(order)} samples: the validation part has {validated} and the test part {tested}, and at least 3 are "
            "needed in each; give more samples or larger shares"
        )
    if config.test_samples is not None and not has_test:
        raise InputError(f"test_samples = {config.test_samples}: is for --test data; without them give --test-share")
    last = tested + validated
    groups = groups_of(samples)
    if groups is not None:
        order = order[together(groups[order])]
        tested = between_groups(groups[order], tested)
        last = between_groups(groups[order], tested + validated)
    test, validation, pool = np.split(order, [tested, last])
    return Parts(np.sort(pool), np.sort(validation), np.sort(test))
