"""What the data of a run hold: told before any work."""

import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from suffice.configuration import CheckConfig
from suffice.data import (
    Collection,
    LabelledSamples,
    Reading,
    Skipped,
    check_groups,
    contents_of,
    groups_of,
    header_of,
    label_in_words,
    load_collection,
    load_unseen,
    task_of,
)
from suffice.errors import InputError
from suffice.results import (
    ClassCount,
    Copied,
    Cost,
    DataSummary,
    ImageKinds,
    LabelRange,
    LeftOut,
    TestData,
    TextLengths,
)
from suffice.runs.watch import Watch, duration

NAMED = 3
"""Examples of each thing that is told."""

SHORT = 12
"""Classes that a sentence names."""

RARE = 10
"""Samples of a class below which it is named."""

TRIED = 32
"""Samples of the trial run of a model."""


def check(config: CheckConfig) -> DataSummary:
    """The summary of some data, of their overlap with test data, and of what a model takes on them.

    Raises:
        InputError: data or a model that cannot be read.

    Example:
        >>> summary = check(CheckConfig(data="builtin:digits"))
        >>> summary.samples, summary.classes[0], summary.images.sizes
        (1797, ClassCount(name='0', samples=178), 1)
    """
    reading = Reading.of(config)
    data = load_collection(config.data, reading)
    test = None if config.test is None else load_unseen(config.test, reading, data.at_hand.classes)
    summary = summary_of(data, test, config.test)
    return summary if config.model is None else summary.model_copy(update={"cost": _cost(config, data.at_hand)})


def summary_of(data: Collection, test: LabelledSamples | None = None, name: str | None = None) -> DataSummary:
    """The summary of what was read.

    Args:
        data: what a source holds.
        test: separate test data; by default the split for it.
        name: of the test data.

    Raises:
        InputError: a group, such as a patient, with samples both at hand and in the test data.
    """
    samples = data.at_hand
    if test is None and data.unseen is not None:
        test, name = data.part(data.unseen), data.unseen
    if test is not None:
        check_groups(samples, test)
    kind = task_of(samples)
    counts = _counts(samples)
    classes = [ClassCount(name=of, samples=count) for of, count in zip(samples.classes, counts, strict=True)]
    contents = contents_of(samples)
    images, unreadable = _images(samples)
    is_text = isinstance(contents[0], str)
    groups = groups_of(samples)
    splits = {} if data.split_of is None else Counter(data.split_of.tolist())
    return DataSummary(
        data=data.source,
        kind="texts" if is_text else "images",
        samples=len(samples),
        task=kind,
        numbers=_range(samples) if kind == "regression" else None,
        classes=classes,
        rare=[of.name for of in classes if of.samples < RARE],
        splits={split: splits[split] for split in data.splits},
        groups=None if groups is None else len(np.unique(groups)),
        left_out=_left_out(data.skipped),
        copies=_copies(samples, contents),
        images=images,
        texts=_lengths([len(str(text)) for text in contents]) if is_text else None,
        unreadable=unreadable[:NAMED],
        unreadable_count=len(unreadable),
        test=None if test is None else _test(str(name), test, contents),
        cost=None,
        notes=list(data.notes),
    )


def _counts(samples: LabelledSamples) -> list[int]:
    """The samples of each class, or with each label."""
    labels, kind = samples.labels, task_of(samples)
    if kind == "regression":
        return []
    counts = labels.sum(0) if kind == "multi-label" else np.bincount(labels, minlength=len(samples.classes))
    return [int(count) for count in counts]


def _range(samples: LabelledSamples) -> LabelRange:
    numbers = np.asarray(samples.labels, dtype=np.float64)
    return LabelRange(
        lowest=float(numbers.min()),
        highest=float(numbers.max()),
        mean=float(numbers.mean()),
        deviation=float(numbers.std()),
    )


def tell(summary: DataSummary, watch: Watch) -> None:
    """The short form, as sentences.

    Raises:
        InputError: images that cannot be read.
    """
    for sentence in sentences_of(summary):
        watch.say(sentence)
    if summary.unreadable:
        more = f" So are {summary.unreadable_count - 1:,} more files." if summary.unreadable_count > 1 else ""
        raise InputError(f"{summary.unreadable[0]}, or leave it out with --exclude.{more}")


def sentences_of(summary: DataSummary) -> list[str]:
    """The summary in sentences, the samples first, then only what there is to say.

    Example:
        >>> sentences_of(check(CheckConfig(data="builtin:digits")))[0]
        'builtin:digits: 1,797 images of 10 classes, in this order: 0 (178), 1 (182), 2 (177), 3 (183), 4 (181), ...'
    """
    classes = ", ".join(f"{of.name} ({of.samples:,})" for of in summary.classes[:SHORT])
    more = f" and {len(summary.classes) - SHORT:,} more" if len(summary.classes) > SHORT else ""
    what = f"{summary.data}: {summary.samples:,} {summary.kind}"
    if summary.numbers is not None:
        of = summary.numbers
        said = [
            f"{what} with numbers from {of.lowest:.6g} to {of.highest:.6g}, mean {of.mean:.4g}, standard deviation "
            f"{of.deviation:.4g}."
        ]
    elif summary.task == "multi-label":
        said = [f"{what} with any of {len(summary.classes):,} labels: {classes}{more}."]
    else:
        said = [f"{what} of {len(summary.classes):,} classes, in this order: {classes}{more}."]
    if summary.splits:
        said.append(f"Splits: {', '.join(f'{name} {count:,}' for name, count in summary.splits.items())}.")
    if summary.groups is not None:
        said.append(f"The samples are in {summary.groups:,} groups, none of which is divided between parts.")
    said += [f"Left out: {of.count:,}, {of.reason}, such as {', '.join(of.first)}." for of in summary.left_out]
    if summary.rare:
        named = ", ".join(summary.rare[:NAMED]) + (", …" if len(summary.rare) > NAMED else "")
        said.append(f"Fewer than {RARE} samples: {len(summary.rare):,} classes ({named}).")
    if summary.copies.count:
        said.append(
            f"{summary.copies.count:,} samples are exact copies of others; copies stay in one part."
            + _contradictions(summary.copies)
        )
    if summary.images is not None and len(summary.images.modes) > 1:
        modes = ", ".join(f"{mode} {count:,}" for mode, count in summary.images.modes.items())
        said.append(f"The images have different modes: {modes}.")
    if summary.images is not None and summary.images.sizes > 1:
        (low, high), (wide, tall) = summary.images.smallest, summary.images.largest
        said.append(f"The images have {summary.images.sizes:,} sizes, from {low} x {high} to {wide} x {tall} pixels.")
    if summary.test is not None and summary.test.overlap:
        said.append(
            f"{summary.test.overlap:,} of the {summary.test.samples:,} samples of {summary.test.source} are among the "
            f"samples at hand, such as {summary.test.first[0]}; remove them, their loss is too low."
        )
    return said + summary.notes


def cost_in_words(cost: Cost) -> str:
    """Time and memory of a model, in a sentence."""
    return (
        f"The model has {cost.parameters:,} parameters ({cost.weights / 1e6:,.0f} MB). One pass over the samples takes "
        f"about {duration(cost.seconds)}, an epoch of training about {duration(3 * cost.seconds)}; so far "
        f"{cost.memory / 1e9:.1f} GB of memory are in use."
    )


def _contradictions(copies: Copied) -> str:
    if not copies.contradicting:
        return ""
    return f" {copies.contradicting:,} contents come with different labels, such as {copies.first[0]}."


def _left_out(skipped: Sequence[Skipped]) -> list[LeftOut]:
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in skipped:
        names[reason].append(name)
    return [LeftOut(reason=reason, count=len(held), first=held[:NAMED]) for reason, held in names.items()]


def _copies(samples: LabelledSamples, contents: Sequence[Hashable]) -> Copied:
    first: dict[Hashable, int] = {}
    differing: dict[int, int] = {}
    count = 0
    for row, content in enumerate(contents):
        before = first.setdefault(content, row)
        if before != row:
            count += 1
            if np.any(samples.labels[before] != samples.labels[row]):
                differing.setdefault(before, row)
    told = [
        f"{samples.describe(one)} ({label_in_words(samples, one)}) and {samples.describe(other)} "
        f"({label_in_words(samples, other)})"
        for one, other in list(differing.items())[:NAMED]
    ]
    return Copied(count=count, contradicting=len(differing), first=told)


def _images(samples: LabelledSamples) -> tuple[ImageKinds | None, list[str]]:
    """Modes and sizes, and what is wrong with images that cannot be read."""
    modes: Counter[str] = Counter()
    sizes: set[tuple[int, int]] = set()
    wrong: list[str] = []
    for row in range(len(samples)):
        try:
            header = header_of(samples, row)
        except InputError as error:
            wrong.append(str(error))
            continue
        if header is None:
            return None, []
        modes[header.mode] += 1
        sizes.add((header.width, header.height))
    if not sizes:
        return None, wrong
    by_pixels = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    kinds = ImageKinds(modes=dict(modes.most_common()), sizes=len(sizes), smallest=by_pixels[0], largest=by_pixels[-1])
    return kinds, wrong


def _lengths(lengths: Sequence[int]) -> TextLengths:
    return TextLengths(shortest=min(lengths), median=int(np.median(lengths)), longest=max(lengths))


def _test(name: str, test: LabelledSamples, known: Sequence[Hashable]) -> TestData:
    seen = set(known)
    twice = [row for row, content in enumerate(contents_of(test)) if content in seen]
    return TestData(
        source=name, samples=len(test), overlap=len(twice), first=[test.describe(row) for row in twice[:NAMED]]
    )


def _cost(config: CheckConfig, samples: LabelledSamples) -> Cost:
    """By a trial run."""
    import psutil  # noqa: PLC0415 - and torch, which data alone do not need
    import torch  # noqa: PLC0415

    from suffice.engine import choose_device  # noqa: PLC0415
    from suffice.models import load_classifier  # noqa: PLC0415
    from suffice.problem import Problem  # noqa: PLC0415

    classifier = load_classifier(str(config.model), samples, config.image_size, config.seed, keep_head=False)
    model: Any = classifier.model.to(choose_device(config.device))
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(samples))[:TRIED])
    inputs = classifier.inputs(samples, rows)
    problem = Problem(
        model, inputs, classifier.loss, predict=classifier.predict, seed=config.seed, collate=classifier.collate
    )
    with problem.measuring(), torch.no_grad():
        batch = problem.batch(slice(0, len(problem)))
        problem.losses(batch)  # the first run is slower than the others
        start = time.perf_counter()
        problem.losses(batch)
        seconds = time.perf_counter() - start
    weights = list(model.parameters())
    return Cost(
        parameters=sum(weight.numel() for weight in weights),
        weights=sum(weight.numel() * weight.element_size() for weight in weights),
        seconds=seconds / len(rows) * len(samples),
        memory=psutil.Process().memory_info().rss,
    )
