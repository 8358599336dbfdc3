"""Hugging Face checkpoints, PEFT-wrapped too: a model with a head for given classes, and what was found on the way."""

import inspect
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from torch import nn
from transformers import AutoConfig
from transformers import logging as transformers_logging

from suffice.data import TaskKind
from suffice.errors import InputError
from suffice.models.adapters import with_adapter
from suffice.models.encoder import (
    EncoderClassifier,
    EncoderImageClassifier,
    EncoderTextClassifier,
    ImageEncoder,
    TextEncoder,
    encoder_class,
)
from suffice.models.labels import LabelMap, Matching, match_labels
from suffice.models.moving import heads_of, is_within, renew_head
from suffice.models.sentences import Sentences, read_sentences
from suffice.models.source import TINY_VIT, adapter_and_base

MEAN_OF_TOKENS = "Features of a text: the mean of the last hidden states of its tokens, as the checkpoint has no head."
MEAN_OF_PATCHES = "Features of an image: the mean of its last hidden states, as the checkpoint has no head or pooler."


PROBLEM_TYPES: dict[TaskKind, str] = {
    "classification": "single_label_classification",
    "regression": "regression",
    "multi-label": "multi_label_classification",
}
"""What transformers calls the tasks."""

HEAD_FOR: dict[TaskKind, str] = {
    "classification": "one class out of several",
    "regression": "a number",
    "multi-label": "any of several labels",
}


@dataclass(frozen=True)
class Modality:
    """The kind of samples that a checkpoint is read for.

    Attributes:
        samples: "image" or "text".
        model: the transformers class that makes the model.
        configurations: the configuration classes that it makes one from.
    """

    samples: Literal["text", "image"]
    model: Any
    configurations: Any


@dataclass(frozen=True)
class Checkpoint:
    """A model as it was read.

    Attributes:
        model: the module, in evaluation mode, in float32.
        folders: where its files are, or names on the hub: the adapter's first, if there is one.
        labels: the model's label for each class of the data; none for a regression.
        matched_by_name: the labels were matched by name or by a label map; else in order.
        has_new_head: the head is random, as the checkpoint has none for these classes and this loss.
        notes: what a person should know of how the checkpoint was read.
        sentences: what is done around the transformer, of a folder of sentence-transformers.
        task: what the head is for.
    """

    model: nn.Module
    folders: tuple[str, ...]
    labels: tuple[int, ...]
    matched_by_name: bool
    has_new_head: bool
    notes: tuple[str, ...]
    sentences: Sentences | None = None
    task: TaskKind = "classification"

    @property
    def bare(self) -> Any:
        """The model without its adapter."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model


def read_checkpoint(
    source: str,
    classes: Sequence[str],
    modality: Modality,
    seed: int,
    trust_remote_code: bool,
    label_map: LabelMap | None = None,
    keep_head: bool = True,
    task: TaskKind = "classification",
) -> Checkpoint:
    """A classifier for given classes, in float32, from a folder, from the hub, or the embedded one.

    Weights are read from safetensors, or by ``torch.load(weights_only=True)``.

    Labels are matched by name (see `match_labels`), or as ``label_map`` says. The data may have fewer classes than the
    model. Where the checkpoint does not name its labels, or both only have numbers, they are matched in order.

    A head is made anew, by ``seed``, if the checkpoint lacks it, or if it is one for another number of classes, none of
    which has the name of a class of the data. What happens to any other head depends on ``keep_head``:

    - A head that is kept decides the result as it is. It has to be one for the task (a softmax over single labels, one
      number, or several labels at once), and which label is which class has to be certain: a head of another loss, and
      names that do not match, are refused.
    - A head that is to be trained is a beginning and no more. Labels whose names do not match are taken in order, and
      `suffice.models.renew_head` may follow. A head of another loss is made anew here, so that nothing of that loss is
      left. The head of an adapter cannot be, and is refused.

    Args:
        source: a Hugging Face folder (also one with a PEFT adapter), a hub name, or ``builtin:tiny-vit``.
        classes: names of the classes of the data.
        modality: the kind of samples.
        seed: random seed of a new head.
        trust_remote_code: run the code in a checkpoint.
        label_map: labels of classes that are not to be matched by their names.
        keep_head: the head is measured as it is; else it is trained first.
        task: what the head is to be for; of a regression there are no classes, and it has one output.

    Raises:
        InputError: a folder or name that leads to no checkpoint, a model of another kind, weights that are missing, a
        head that cannot be used, or a label map that does not fit.
    """
    adapter, base = adapter_and_base(source)
    sentences = read_sentences(base) if modality.samples == "text" else None
    base = base if sentences is None else sentences.transformer
    config = AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)
    has_classifier = _has_classifier(source, config, modality)
    matching = _match(source, config, classes, label_map, task)
    other_loss = _other_loss(config, task)
    # the embedded model tells kinds of clothing apart; on the embedded digits it is there to try the commands out
    is_example = source == TINY_VIT and all(name.isdecimal() for name in classes)
    is_paired = len(classes) == config.num_labels or matching.matches_some
    if matching.labels is None:
        config.num_labels = 1 if task == "regression" else len(classes)
    if sentences is None and has_classifier:
        model, loaded = _load(base, config, modality, seed, trust_remote_code)
        if adapter is None and _lacks_pooler(model, loaded):
            model, loaded = _load_encoder(base, config, modality, seed, None)
    else:
        model, loaded = _load_encoder(base, config, modality, seed, sentences)
    head, stray = _new_parts(model, loaded)
    if adapter is not None:
        model, is_new = with_adapter(source, adapter, model, classes, bool(head))
        brought = set(getattr(model.peft_config["default"], "modules_to_save", None) or ())
        stray = [key for key in loaded.new if not brought & set(key.split("."))]
        head = head if is_new else []
    if stray:
        raise InputError(f"{source}: the checkpoint lacks {len(stray)} weights of the model: {', '.join(stray[:5])}")
    if head:
        model.config.problem_type = None
    has_head = not set(head) & set(loaded.missing)
    if label_map and not has_head:
        raise InputError(f"{source}: has no head, so no labels that --label-map could name; leave it out")
    notes = loaded.notes
    if has_head and other_loss is not None:
        if keep_head or adapter is not None:
            raise InputError(
                f"{source}: its head is one for {other_loss}, not for {HEAD_FOR[task]}; train a new head, or give "
                f"{_task_flag(other_loss)}a checkpoint with problem_type {PROBLEM_TYPES[task]}"
            )
        renew_head(model, seed)
        notes += (f"The checkpoint's head is one for {other_loss}: training starts from a new one.",)
    elif has_head and keep_head and matching.fault is not None and is_paired and not is_example:
        raise InputError(
            f"{source}: {matching.fault}; say which label each class has with --label-map CLASS=LABEL, or train a new "
            "head"
        )
    return Checkpoint(
        model=model.eval(),
        folders=(base,) if adapter is None else (adapter, base),
        labels=tuple(range(len(classes))) if matching.labels is None else matching.labels,
        matched_by_name=matching.labels is not None or task == "regression",
        has_new_head=bool(head) or (has_head and other_loss is not None),
        notes=notes,
        sentences=sentences,
        task=task,
    )


def _has_classifier(source: str, config: Any, modality: Modality) -> bool:
    """Whether the library makes classifiers of such a model; else it makes an encoder."""
    has_classifier = type(config) in modality.configurations or hasattr(config, "auto_map")
    if not has_classifier and encoder_class(config, modality.samples) is None:
        raise InputError(
            f"{source}: the data are {modality.samples}s, and {config.model_type!r} models take none; give another "
            "model"
        )
    return has_classifier


def _new_parts(model: Any, loaded: "_Loaded") -> tuple[list[str], list[str]]:
    """The random weights of the head, and those of the rest, of which there should be none."""
    heads, base = heads_of(model), f"{model.base_model_prefix}."
    head = [key for key in loaded.new if (is_within(key, heads) if heads else not key.startswith(base))]
    return head, sorted(set(loaded.new) - set(head))


def _lacks_pooler(model: Any, loaded: "_Loaded") -> bool:
    """Whether the head and weights by which the encoder pools are all that is missing."""
    head, stray = _new_parts(model, loaded)
    return bool(head and stray) and all(map(_is_of_pooler, stray))


def _is_of_pooler(key: str) -> bool:
    return "pooler" in key.split(".")


def _match(source: str, config: Any, classes: Sequence[str], label_map: LabelMap | None, task: TaskKind) -> Matching:
    """Which label each class has, unless the configuration contradicts itself."""
    if task == "regression":
        if label_map:
            raise InputError(f"{source}: --task regression has no labels that --label-map could name; leave it out")
        return Matching(None, None, False)
    matching = _match_names(config, classes, label_map)
    if task == "multi-label" and len(classes) != config.num_labels:
        return replace(matching, labels=None)  # nothing is known of the labels that the data do not have
    return matching


def _match_names(config: Any, classes: Sequence[str], label_map: LabelMap | None) -> Matching:
    names = {int(label): str(name) for label, name in config.id2label.items()}
    matching = match_labels(classes, names, label_map)
    numbers = {str(name): int(label) for name, label in (config.label2id or {}).items()}
    twice = next((name for label, name in names.items() if names.get(numbers.get(name, label)) != name), None)
    if twice is None or label_map or matching.labels is None:
        return matching
    return Matching(None, f"id2label and label2id of its config.json have different numbers for {twice!r}", True)


def _other_loss(config: Any, task: TaskKind) -> str | None:
    """What the head is for, if not for the task; where the configuration does not say, it is for any of several."""
    kind = getattr(config, "problem_type", None)
    if kind not in (None, PROBLEM_TYPES["classification"]):
        return None if kind == PROBLEM_TYPES[task] else str(kind).replace("_", " ")
    if config.num_labels == 1:
        return None if task == "regression" else "regression (it has one output)"
    if task == "regression" or (task == "multi-label" and kind is not None):
        return HEAD_FOR["classification"]
    return None


def _task_flag(loss: str) -> str:
    """The flag by which a head for another loss is measured.

    Example:
        >>> _task_flag("regression (it has one output)"), _task_flag("one class out of several")
        ('--task regression, or ', '')
    """
    flags: dict[str, TaskKind] = {"regression": "regression", "multi label": "multi-label"}
    return next((f"--task {task}, or " for word, task in flags.items() if loss.startswith(word)), "")


@dataclass(frozen=True)
class _Loaded:
    """What was found in reading the weights.

    Attributes:
        missing: weights of the model that the checkpoint lacks.
        new: those, and the ones that have another shape in the checkpoint; all are random.
        notes: what a person should know of it.
    """

    missing: list[str]
    new: list[str]
    notes: tuple[str, ...]


def _load(base: str, config: Any, modality: Modality, seed: int, trust_remote_code: bool) -> tuple[Any, _Loaded]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, info = modality.model.from_pretrained(
            base,
            config=config,
            dtype=torch.float32,
            trust_remote_code=trust_remote_code,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    missing = sorted(info["missing_keys"])
    prefix = model.base_model_prefix
    # the head of another task is left behind by intent; a checkpoint of the base alone has names without the prefix
    parts = {prefix, *(name for name, _ in getattr(model, prefix, nn.Module()).named_children())}
    unused = sorted(key for key in info["unexpected_keys"] if key.partition(".")[0] in parts)
    note = f"{len(unused)} weights of the checkpoint have no place in the model: {', '.join(unused[:5])}."
    return model, _Loaded(
        missing=missing,
        new=sorted({*missing, *(key for key, *_ in info["mismatched_keys"])}),
        notes=(note,) if unused else (),
    )


def _load_encoder(
    base: str, config: Any, modality: Modality, seed: int, sentences: Sentences | None
) -> tuple[Any, _Loaded]:
    """A model without a head, and a new linear one on what it makes of a sample."""
    kind = encoder_class(config, modality.samples)
    if kind is None:
        raise InputError(f"{base}: {config.model_type!r} models take no {modality.samples}s")

    def load(with_pooler: bool) -> tuple[Any, list[str]]:
        is_asked = "add_pooling_layer" in inspect.signature(kind.__init__).parameters
        model, info = kind.from_pretrained(
            base,
            config=config,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **({"add_pooling_layer": with_pooler} if is_asked else {}),
        )
        if not (with_pooler or is_asked) and isinstance(getattr(model, "pooler", None), nn.Module):
            model.pooler = nn.Identity()
        new = {*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])}
        return model, sorted(key for key in new if with_pooler or not _is_of_pooler(key))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if modality.samples == "text":
            transformer, new = load(with_pooler=False)
            modes, after = (("mean",), ()) if sentences is None else (sentences.modes, sentences.after)
            notes = (MEAN_OF_TOKENS,) if sentences is None else sentences.notes
            model: EncoderClassifier = EncoderTextClassifier(TextEncoder(transformer, modes, after), config.num_labels)
        else:
            transformer, new = load(with_pooler=True)
            has_pooler = not any(map(_is_of_pooler, new))
            if not has_pooler:
                transformer, new = load(with_pooler=False)
            encoder = ImageEncoder(transformer, has_pooler)
            notes = () if encoder.is_pooled else (MEAN_OF_PATCHES,)
            model = EncoderImageClassifier(encoder, config.num_labels)
    head = [f"classifier.{name}" for name, _ in model.classifier.named_parameters()]
    return model, _Loaded(head, sorted([*head, *(f"encoder.transformer.{key}" for key in new)]), notes)


@contextmanager
def reading(source: str, kind: str) -> Iterator[None]:
    """Without the libraries' own progress bars and warnings, and with one line for what they raise in many."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # every library has errors of its own
        reason = " ".join(str(error).split()).partition(". ")[0]
        if "trust_remote_code" in str(error):
            raise InputError(
                f"{source}: needs code that it brings; read it, and allow it by --trust-remote-code"
            ) from error
        if isinstance(error, pickle.UnpicklingError) or "weights_only" in str(error):
            raise InputError(
                f"{source}: its weights are a pickle with more than tensors, which could run code; save the weights as "
                "safetensors"
            ) from error
        if Path(source).expanduser().is_dir():
            raise InputError(f"{source}: this folder holds no usable {kind} ({reason})") from error
        raise InputError(
            f"{source}: the hub gave no usable {kind} ({reason}); check the network, or give a local folder"
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
