"""A classifier or a language model and its samples, loaded and trained: where every measurement of one model begins."""

from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int64

from suffice.configuration import MeasuredConfig
from suffice.configuration.language import LanguageMeasuredConfig
from suffice.data import LabelledSamples, Reading, load_collection, task_of
from suffice.data.completions import Texts, load_completions
from suffice.engine import choose_device
from suffice.errors import InputError
from suffice.models import Classifier, adapted, center_head, load_classifier, read_unchanged, weights_of_imported
from suffice.models.language import LanguageModel, Tokens, moved
from suffice.problem import Problem
from suffice.results import Unit
from suffice.runs.folder import CHECKPOINT
from suffice.runs.summary import summary_of, tell
from suffice.runs.texts import columns_of, load_configured
from suffice.runs.watch import SILENT, Watch
from suffice.storage import Place
from suffice.training import FineTuning, fine_tune

Samples: TypeAlias = LabelledSamples | Texts
"""Of a classifier, or of a language model."""

Model: TypeAlias = Classifier | LanguageModel

WEIGHED = "All tokens count alike: the mean loss of samples weighs each with the number of its tokens."
"""What notes say of the unit token."""


class Loaded(NamedTuple):
    """What a measurement begins with.

    Attributes:
        samples: to measure on.
        model: ready to be trained.
        unseen: the split of unseen samples, if there is one.
        contents: hashes of the data and of the files of the model.
    """

    samples: Samples
    model: Model
    unseen: Samples | None
    contents: dict[str, str]


def load(config: MeasuredConfig, watch: Watch = SILENT) -> Loaded:
    """The samples, and the model on the device, in which what is to be trained requires a gradient.

    Args:
        config: the settings.
        watch: told what the data hold.

    Raises:
        InputError: data or a model that cannot be read; a model without a head that is not to be trained either; a
            method that does not fit the model.
    """
    if isinstance(config, LanguageMeasuredConfig):
        return _load_language(config, watch)
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


def _load_language(config: LanguageMeasuredConfig, watch: Watch) -> Loaded:
    texts = load_completions(config.data, columns_of(config, config.split))
    language, files = load_configured(config, config.model, config.trust_remote_code)
    watch.say(f"{config.data}: {len(texts):,} samples for a language model.")
    if config.method is not None:
        language = moved(language, config.method, config.lora_targets, config.seed)
    language.model.to(choose_device(config.device))
    return Loaded(texts, language, None, {"data": texts.fingerprint(), **files})


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
    samples: Samples,
    classifier: Model,
    rows: Int64[np.ndarray, " samples"],
    notes: list[str],
) -> Problem:
    """The model on some samples; what there is to say of their inputs joins the notes."""
    # sorted, so that the data set's own order can be told from the shuffle
    if isinstance(classifier, LanguageModel):
        assert isinstance(samples, Texts)  # noqa: S101 - so they were read
        tokens = classifier.tokens(samples.subset(np.sort(rows).tolist()))
        notes.extend([*samples.notes, *tokens.notes])
        if unit_of(config) == "token" and WEIGHED not in notes:
            notes.append(WEIGHED)
        return classifier.problem(tokens, config.parameters, seed=config.seed, unit=unit_of(config))
    assert not isinstance(samples, Texts)  # noqa: S101 - so they were read
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


def unit_of(config: MeasuredConfig) -> Unit:
    """What counts alike in means of losses: samples, unless a language model is asked for tokens."""
    return config.unit if isinstance(config, LanguageMeasuredConfig) else "sample"


def labels_of(samples: Samples) -> list[str]:
    """The names of classes or labels; none of numbers, and of texts for a language model."""
    return [] if isinstance(samples, Texts) else list(samples.classes)


def read_all(samples: Samples, rows: Int64[np.ndarray, " samples"], watch: Watch) -> None:
    """Opens every sample once, so that a broken one is found before hours of work."""
    with watch.progress("reading", len(rows)) as progress:
        for row in rows:
            samples[int(row)]
            progress(1)


def train(
    config: MeasuredConfig, measured: Problem, classifier: Model, stored: Place, identity: str, watch: Watch
) -> None:
    """Trains the model of a problem on its samples; a run that was interrupted goes on from its `CHECKPOINT`.

    A new head for numbers begins at their mean.

    Args:
        config: the settings.
        measured: the problem.
        classifier: whose model it is.
        stored: where the run keeps what it has computed.
        identity: of the run.
        watch: told what is done.
    """
    # what is measured may move other parameters than the training does: those that require a gradient
    if isinstance(classifier, LanguageModel):
        assert isinstance(measured.dataset, Tokens)  # noqa: S101 - so it was made
        problem: Problem = classifier.problem(measured.dataset, seed=config.seed, unit=unit_of(config))
    else:
        if classifier.task == "regression" and classifier.has_new_head:
            center_head(measured.model, float(measured.all_targets().double().mean()))
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
        fine_tune(problem, settings, stored / CHECKPOINT, progress, identity=identity)
