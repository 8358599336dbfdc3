"""What the data of a run hold: told before any work."""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from suffice.configuration import CheckConfig
from suffice.data import (
    Collection,
    Header,
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
    look_of,
    task_of,
)
from suffice.digest import digest_of_input
from suffice.errors import InputError, shortened
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

WORKERS = 8
"""Images that are decoded at a time, at most."""

TRIED = 32
"""Samples of the trial run of a model."""


def check(config: CheckConfig) -> DataSummary:
    """The summary of some data, of their overlap with test data, and of what a model takes on them.

    Every image is decoded.

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
    summary = summary_of(data, test, config.test, decoded=True)
    return summary if config.model is None else summary.model_copy(update={"cost": _cost(config, data.at_hand)})


def summary_of(
    data: Collection, test: LabelledSamples | None = None, name: str | None = None, decoded: bool = False
) -> DataSummary:
    """The summary of what was read.

    Args:
        data: what a source holds.
        test: separate test data; by default the split for it.
        name: of the test data.
        decoded: decode every image, so that images are compared by their pixels, as SUF012 does, and damaged ones are
            found. By default their files are compared and their heads read.

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
    read = _read(samples, decoded)
    read_test = None if test is None else _read(test, decoded)
    wrong = read.wrong + ([] if read_test is None else read_test.wrong)
    groups = groups_of(samples)
    splits = {} if data.split_of is None else Counter(data.split_of.tolist())
    return DataSummary(
        data=data.source,
        kind="texts" if read.are_texts else "images",
        samples=len(samples),
        task=kind,
        numbers=_range(samples) if kind == "regression" else None,
        classes=classes,
        rare=[of.name for of in classes if of.samples < RARE],
        splits={split: splits[split] for split in data.splits},
        groups=None if groups is None else len(np.unique(groups)),
        left_out=_left_out(data.skipped),
        copies=_copies(samples, read),
        images=_images(read.headers),
        texts=_lengths([len(str(text)) for text in read.contents]) if read.are_texts else None,
        unreadable=wrong[:NAMED],
        unreadable_count=len(wrong),
        test=None if test is None or read_test is None else _test(str(name), test, read_test, samples, read),
        cost=None,
        notes=list(data.notes),
    )


@dataclass
class _Read:
    """What reading each sample tells.

    Attributes:
        contents: equal for equal contents; None where an image cannot be read.
        looks: hashes of texts that are equal where these differ only by case or blanks.
        headers: of the images that can be read.
        wrong: what is wrong with the others.
    """

    contents: Sequence[Hashable | None] = ()
    looks: Sequence[int] = ()
    headers: Sequence[Header] = ()
    wrong: list[str] = field(default_factory=list)

    @property
    def are_texts(self) -> bool:
        return bool(self.looks)


class _Image(NamedTuple):
    header: Header | None
    content: Hashable | None
    wrong: str | None


def _read(samples: LabelledSamples, decoded: bool) -> _Read:
    if not _are_images(samples):
        texts = contents_of(samples)
        # hashes of 8 bytes: a table of a million rows is held once
        return _Read(texts, [hash(look_of(str(text))) for text in texts])
    known = None if decoded else contents_of(samples)

    def image(row: int) -> _Image:
        try:
            header = header_of(samples, row)
            content = digest_of_input(samples[row]) if known is None else known[row]
        except InputError as error:
            return _Image(None, None, str(error))
        return _Image(header, content, None)

    with ThreadPoolExecutor(min(os.cpu_count() or 1, WORKERS)) as workers:  # decoding takes no lock
        read = list(workers.map(image, range(len(samples))))
    return _Read(
        [one.content for one in read],
        headers=[one.header for one in read if one.header is not None],
        wrong=[one.wrong for one in read if one.wrong is not None],
    )


def _are_images(samples: LabelledSamples) -> bool:
    try:
        return header_of(samples, 0) is not None
    except InputError:  # an image that cannot be read
        return True


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
    classes = ", ".join(f"{shortened(of.name)} ({of.samples:,})" for of in summary.classes[:SHORT])
    more = f" and {len(summary.classes) - SHORT:,} more" if len(summary.classes) > SHORT else ""
    what = headline_of(summary)
    if summary.numbers is not None:
        said = [f"{what}."]
    elif summary.task == "multi-label":
        said = [f"{what}: {classes}{more}."]
    else:
        said = [f"{what}, in this order: {classes}{more}."]
    if summary.splits:
        said.append(f"Splits: {', '.join(f'{name} {count:,}' for name, count in summary.splits.items())}.")
    if summary.groups is not None:
        said.append(f"The samples are in {many(summary.groups, 'group')}, none of which is divided between parts.")
    said += [_of_left_out(of) for of in summary.left_out]
    if summary.rare:
        named = ", ".join(map(shortened, summary.rare[:NAMED])) + (", …" if len(summary.rare) > NAMED else "")
        said.append(f"Fewer than {RARE} samples: {many(len(summary.rare), 'class', 'classes')} ({named}).")
    said += _of_copies(summary.copies)
    if summary.images is not None and len(summary.images.modes) > 1:
        modes = ", ".join(f"{mode} {count:,}" for mode, count in summary.images.modes.items())
        said.append(f"The images have different modes: {modes}.")
    if summary.images is not None and summary.images.sizes > 1:
        (low, high), (wide, tall) = summary.images.smallest, summary.images.largest
        said.append(f"The images have {summary.images.sizes:,} sizes, from {low} x {high} to {wide} x {tall} pixels.")
    return said + ([] if summary.test is None else _of_test(summary.test)) + summary.notes


def headline_of(summary: DataSummary) -> str:
    """How many samples of how many classes, without a full stop.

    Example:
        >>> headline_of(check(CheckConfig(data="builtin:digits")))
        'builtin:digits: 1,797 images of 10 classes'
    """
    what = f"{summary.data}: {many(summary.samples, summary.kind.removesuffix('s'))}"
    if summary.numbers is not None:
        of = summary.numbers
        return (
            f"{what} with numbers from {of.lowest:.6g} to {of.highest:.6g}, mean {of.mean:.4g}, standard deviation "
            f"{of.deviation:.4g}"
        )
    if summary.task == "multi-label":
        return f"{what} with any of {many(len(summary.classes), 'label')}"
    return f"{what} of {many(len(summary.classes), 'class', 'classes')}"


def many(count: int, one: str, several: str | None = None) -> str:
    """A number of things, with the right form of the noun.

    Example:
        >>> many(1, "class", "classes"), many(1200, "sample")
        ('1 class', '1,200 samples')
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"


def cost_in_words(cost: Cost) -> str:
    """Time and memory of a model, in a sentence."""
    return (
        f"The model has {cost.parameters:,} parameters ({cost.weights / 1e6:,.0f} MB). One pass over the samples takes "
        f"about {duration(cost.seconds)}, an epoch of training about {duration(3 * cost.seconds)}; so far "
        f"{cost.memory / 1e9:.1f} GB of memory are in use."
    )


def _of_left_out(of: LeftOut) -> str:
    if of.count == 1:
        return f"Left out: 1, {of.reason}: {of.first[0]}."
    return f"Left out: {of.count:,}, {of.reason}, such as {', '.join(of.first)}."


def _of_copies(copies: Copied) -> list[str]:
    said = []
    if copies.count:
        are = "sample is an exact copy of another" if copies.count == 1 else "samples are exact copies of others"
        said.append(f"{copies.count:,} {are}; copies stay in one part.")
    if copies.contradicting:
        come = "content comes" if copies.contradicting == 1 else "contents come"
        said.append(f"{copies.contradicting:,} {come} with different labels, such as {copies.first[0]}.")
    if copies.alike:
        differ = "sample differs" if copies.alike == 1 else "samples differ"
        said.append(
            f"{copies.alike:,} {'more ' if copies.count else ''}{differ} from others only by case or blanks: where a "
            "tokenizer makes the same of them, they count as copies too."
        )
    return said


def _of_test(test: TestData) -> list[str]:
    said = []
    if test.overlap:
        are, them = ("is", "it, its") if test.overlap == 1 else ("are", "them, their")
        such = ": " if test.overlap == 1 else ", such as "
        said.append(
            f"{test.overlap:,} of the {many(test.samples, 'sample')} of {test.source} {are} among the samples at "
            f"hand{such}{test.first[0]}; remove {them} loss is too low (SUF012)."
        )
    if test.alike:
        differ = "sample differs" if test.alike == 1 else "samples differ"
        said.append(
            f"{test.alike:,} {'more ' if test.overlap else ''}{differ} from samples at hand only by case or blanks: "
            "where a tokenizer makes the same of them, their loss is too low."
        )
    if test.others or test.absent or test.is_reordered:
        what = "the same classes in another order" if test.is_reordered else "other classes than the data"
        only = [
            f"{where}: {', '.join(map(shortened, names[:SHORT]))}{', …' if len(names) > SHORT else ''}"
            for where, names in (("only there", test.others), ("not there", test.absent))
            if names
        ]
        told = f" ({'; '.join(only)})" if only else ""
        said.append(
            f"{test.source} has {what}{told}: a forecast refuses it; give test data of the same classes, or choose "
            "classes with --classes."
        )
    return said


def _left_out(skipped: Sequence[Skipped]) -> list[LeftOut]:
    found: dict[str, list[Skipped]] = defaultdict(list)
    for one in skipped:
        found[one.reason].append(one)
    return [
        LeftOut(reason=reason, count=sum(one.samples for one in held), first=[one.name for one in held[:NAMED]])
        for reason, held in found.items()
    ]


def _copies(samples: LabelledSamples, read: _Read) -> Copied:
    first: dict[Hashable, int] = {}
    differing: dict[int, int] = {}
    count = 0
    for row, content in enumerate(read.contents):
        before = row if content is None else first.setdefault(content, row)
        if before != row:
            count += 1
            if np.any(samples.labels[before] != samples.labels[row]):
                differing.setdefault(before, row)
    told = [
        f"{samples.describe(one)} ({shortened(label_in_words(samples, one))}) and {samples.describe(other)} "
        f"({shortened(label_in_words(samples, other))})"
        for one, other in list(differing.items())[:NAMED]
    ]
    alike = len(read.looks) - len(set(read.looks)) - count if read.are_texts else 0
    return Copied(count=count, alike=alike, contradicting=len(differing), first=told)


def _images(headers: Sequence[Header]) -> ImageKinds | None:
    """Modes and sizes."""
    if not headers:
        return None
    modes = Counter(header.mode for header in headers)
    sizes = {(header.width, header.height) for header in headers}
    by_pixels = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    return ImageKinds(modes=dict(modes.most_common()), sizes=len(sizes), smallest=by_pixels[0], largest=by_pixels[-1])


def _lengths(lengths: Sequence[int]) -> TextLengths:
    return TextLengths(shortest=min(lengths), median=int(np.median(lengths)), longest=max(lengths))


def _test(name: str, test: LabelledSamples, read: _Read, samples: LabelledSamples, known: _Read) -> TestData:
    seen, looks = set(known.contents) - {None}, set(known.looks)
    twice = [row for row, content in enumerate(read.contents) if content in seen]
    alike = sum(look in looks for look in read.looks) - len(twice) if read.are_texts else 0
    others = [of for of in test.classes if of not in set(samples.classes)]
    absent = [of for of in samples.classes if of not in set(test.classes)]
    return TestData(
        source=name,
        samples=len(test),
        overlap=len(twice),
        first=[test.describe(row) for row in twice[:NAMED]],
        alike=alike,
        others=others,
        absent=absent,
        is_reordered=not others and not absent and list(test.classes) != list(samples.classes),
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
