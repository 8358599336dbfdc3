"""A classifier and its samples, loaded and trained: where every measurement of one model begins."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from suffice.configuration import MeasuredConfig
from suffice.data import LabelledSamples, Reading, load_collection, task_of
from suffice.engine import choose_device
from suffice.errors import InputError
from suffice.models import Classifier, adapted, center_head, load_classifier, read_unchanged, weights_of_imported
from suffice.problem import Problem
from suffice.runs.summary import summary_of, tell
from suffice.runs.watch import SILENT, Watch
from suffice.storage import Place
from suffice.training import FineTuning, fine_tune


class Loaded(NamedTuple):
    """What a measurement begins with.

    Attributes:
        samples: to measure on.
        classifier: ready to be trained.
        unseen: the split of unseen samples, if there is one.
        contents: hashes of the data and of the files of the model.
    """

    samples: LabelledSamples
    classifier: Classifier
    unseen: LabelledSamples | None
    contents: dict[str, str]


def load(config: MeasuredConfig, watch: Watch = SILENT) -> Loaded:
    """The samples, and the classifier on the device, in which what is to be trained requires a gradient.

    Args:
        config: the settings.
        watch: told what the data hold.

    Raises:
        InputError: data or a model that cannot be read; a model without a head that is not to be trained either; a
            method that does not fit the model.
    """
    data = load_collection(config.data, Reading.of(config))
    samples = data.at_hand
    tell(summary_of(data), watch)

    def read() -> Classifier:
        return load_classifier(
            config.model,
            samples,
            config.image_size,
            config.seed,
            config.trust_remote_code,
            config.label_map,
            keep_head=config.method is None,
        )

    classifier, files = read_unchanged(config.model, read)
    contents = {"data": samples.fingerprint(), **files, **weights_of_imported(config.model, classifier.model)}
    if classifier.has_new_head and config.method is None:
        raise InputError(
            f"{config.model} has no head for the {_labels_in_words(samples)} of {config.data}: train one first with "
            "--method head, or give a model that was trained on them"
        )
    if config.method is not None:
        model = adapted(classifier.model, config.method, config.lora_targets, config.seed)
        classifier = replace(classifier, checkpoint=replace(classifier.checkpoint, model=model))
    classifier.model.to(choose_device(config.device))
    unseen = None if data.unseen is None else data.part(data.unseen)
    return Loaded(samples, classifier, unseen, contents)


def _labels_in_words(samples: LabelledSamples) -> str:
    words = {"classification": "classes", "multi-label": "labels"}
    kind = task_of(samples)
    return "numbers" if kind == "regression" else f"{len(samples.classes)} {words[kind]}"


def taken_rows(config: MeasuredConfig, available: int) -> Int64[np.ndarray, " samples"]:
    """Rows of the samples that are used, in a random order.

    Raises:
        InputError: fewer than asked for.
    """
    if config.samples is not None and config.samples > available:
        raise InputError(f"samples = {config.samples}: {config.data} has {available}")
    return np.random.default_rng(config.seed).permutation(available)[: config.samples]


def problem_of(
    config: MeasuredConfig,
    samples: LabelledSamples,
    classifier: Classifier,
    rows: Int64[np.ndarray, " samples"],
    notes: list[str],
) -> Problem:
    """The classifier on some samples; what there is to say of their inputs joins the notes."""
    # sorted, so that the data set's own order can be told from the shuffle
    inputs = classifier.inputs(samples, np.sort(rows))
    notes.extend(inputs.notes)
    return Problem(
        classifier.model,
        inputs,
        classifier.loss,
        predict=classifier.predict,
        parameters=config.parameters,
        seed=config.seed,
        collate=classifier.collate,
    )


def read_all(samples: LabelledSamples, rows: Int64[np.ndarray, " samples"], watch: Watch) -> None:
    """Opens every sample once, so that a broken one is found before hours of work."""
    with watch.progress("reading", len(rows)) as progress:
        for row in rows:
            samples[int(row)]
            progress(1)


def train(config: MeasuredConfig, measured: Problem, classifier: Classifier, checkpoint: Place, watch: Watch) -> None:
    """Trains the model of a problem on its samples; a run that was interrupted goes on from the checkpoint.

    A new head for numbers begins at their mean.
    """
    if classifier.task == "regression" and classifier.has_new_head:
        center_head(measured.model, float(measured.all_targets().double().mean()))
    # what is measured may move other parameters than the training does: those that require a gradient
    problem = Problem(
        measured.model,
        measured.dataset,
        classifier.loss,
        predict=measured.predict,
        seed=config.seed,
        collate=classifier.collate,
    )
    settings = FineTuning(
        config.epochs, config.learning_rate, config.train_batch_size, config.weight_decay, config.seed
    )
    with watch.progress("fine-tuning", config.epochs * len(problem)) as progress:
        fine_tune(problem, settings, checkpoint, progress)
