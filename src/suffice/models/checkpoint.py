"""Hugging Face checkpoints, with PEFT adapters too: a model with a head for given classes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from torch import nn
from transformers import AutoConfig
from transformers import logging as transformers_logging

from suffice.errors import InputError
from suffice.models.labels import LabelMap, Matching, match_labels
from suffice.models.moving import renew_head

TINY_VIT = "builtin:tiny-vit"
"""Names the embedded Vision Transformer: 205,066 parameters, pretrained on Fashion-MNIST at 28 x 28 pixels."""


@dataclass(frozen=True)
class Modality:
    """The kind of samples that a checkpoint is read for.

    Attributes:
        samples: "image" or "text".
        model: the transformers class that makes the model.
        configurations: the configuration classes that it makes one from.
    """

    samples: str
    model: Any
    configurations: Any


@dataclass(frozen=True)
class Checkpoint:
    """A model as it was read.

    Attributes:
        model: the module, in evaluation mode, in float32.
        folders: folders of its files, or names on the hub; the adapter's comes first.
        labels: the model's label for each class of the data.
        matched_by_name: the labels were matched by name or by a label map; else in order.
        has_new_head: the head is new and random, because the checkpoint has none for these classes and this loss.
        notes: remarks on how the checkpoint was read, to be shown.
    """

    model: nn.Module
    folders: tuple[str, ...]
    labels: tuple[int, ...]
    matched_by_name: bool
    has_new_head: bool
    notes: tuple[str, ...]

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
) -> Checkpoint:
    """A classifier for given classes, in float32, from a folder, from the hub, or the embedded one.

    Weights are read from safetensors, or by ``torch.load(weights_only=True)``.

    Labels are matched by name (see `match_labels`) or by ``label_map``; the data may have fewer classes than the model.
    If the names of one side are only numbers, labels are matched in order.

    The head is new, initialised by ``seed``, if the checkpoint has none, or one for another number of classes whose
    names all differ from those of the data. For any other head, ``keep_head`` decides:

    - A head that is kept is measured as it is. It must be a softmax over single labels, and the label of each class
      must be certain: a head trained with another loss is refused, and so are names that do not match.
    - A head that will be trained is only a starting point. Labels whose names do not match are matched in order, and
      the caller may draw the head anew (`suffice.models.renew_head`), as studies and forecasts do. A head trained with
      another loss is always replaced by a new one; if it belongs to an adapter it cannot be, and is refused.

    Args:
        source: a Hugging Face folder (also one with a PEFT adapter), a hub name, or ``builtin:tiny-vit``.
        classes: names of the classes of the data.
        modality: the kind of samples.
        seed: random seed of a new head.
        trust_remote_code: run the code in a checkpoint.
        label_map: the label of classes whose names differ.
        keep_head: the head is measured as it is; otherwise it is trained first.

    Raises:
        InputError: no such checkpoint, a model of another kind, missing weights, a head that cannot be used, or a label
        map that does not fit.
    """
    path = _path(source)
    adapter = path if (Path(path) / "adapter_config.json").exists() else None
    base = path if adapter is None else str(PeftConfig.from_pretrained(adapter).base_model_name_or_path)
    config = AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)
    if type(config) not in modality.configurations and not hasattr(config, "auto_map"):
        raise InputError(
            f"{source}: the data are {modality.samples}s, and {config.model_type!r} models take none; give another "
            "model"
        )
    matching = _match(config, classes, label_map)
    other_loss = _other_loss(config)
    is_paired = len(classes) == config.num_labels or matching.matches_some
    if matching.labels is None:
        config.num_labels = len(classes)
    model, loaded = _load(base, config, modality, seed, trust_remote_code)
    head = [key for key in loaded.new if not key.startswith(f"{model.base_model_prefix}.")]
    stray = sorted(set(loaded.new) - set(head))
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
        brought = set(getattr(model.peft_config["default"], "modules_to_save", None) or ())
        stray = [key for key in loaded.new if not brought & set(key.split("."))]
        head = []
    if stray:
        raise InputError(f"{source}: the checkpoint lacks {len(stray)} weights of the model: {', '.join(stray[:5])}")
    has_head = not set(head) & set(loaded.missing)
    if label_map and not has_head:
        raise InputError(f"{source}: has no head, so there are no labels for --label-map; leave it out")
    notes = loaded.notes
    if has_head and other_loss is not None:
        if keep_head or adapter is not None:
            raise InputError(
                f"{source}: its head was trained for {other_loss}, not for one class out of several; train a new "
                "head, or give a checkpoint of single-label classification"
            )
        renew_head(model, seed)
        notes += (f"The checkpoint's head was trained for {other_loss}: training starts from a new one.",)
    elif has_head and keep_head and matching.fault is not None and is_paired:
        raise InputError(
            f"{source}: {matching.fault}; give the label of each class with --label-map CLASS=LABEL, or train a "
            "new head"
        )
    return Checkpoint(
        model=model.eval(),
        folders=(base,) if adapter is None else (adapter, base),
        labels=tuple(range(len(classes))) if matching.labels is None else matching.labels,
        matched_by_name=matching.labels is not None,
        has_new_head=bool(head) or (has_head and other_loss is not None),
        notes=notes,
    )


def _match(config: Any, classes: Sequence[str], label_map: LabelMap | None) -> Matching:
    """Matches the labels, unless the configuration contradicts itself."""
    names = {int(label): str(name) for label, name in config.id2label.items()}
    matching = match_labels(classes, names, label_map)
    numbers = {str(name): int(label) for name, label in (config.label2id or {}).items()}
    twice = next((name for label, name in names.items() if names.get(numbers.get(name, label)) != name), None)
    if twice is None or label_map or matching.labels is None:
        return matching
    return Matching(None, f"id2label and label2id of its config.json have different numbers for {twice!r}", True)


def _other_loss(config: Any) -> str | None:
    """What the head was trained for, if not for one class out of several."""
    kind = getattr(config, "problem_type", None)
    if kind not in (None, "single_label_classification"):
        return str(kind).replace("_", " ")
    return "regression (it has one output)" if config.num_labels == 1 else None


def _path(source: str) -> str:
    """The folder of a source, or the source itself if it is a name on the hub."""
    if source == TINY_VIT:
        return str(files("suffice.models") / "tiny_vit")
    folder = Path(source).expanduser()
    if folder.is_dir():
        return str(folder)
    if source.startswith(("/", ".", "~")):
        raise InputError(f"{source}: no such folder")
    return source


@dataclass(frozen=True)
class _Loaded:
    """What was found when the weights were read.

    Attributes:
        missing: weights that the checkpoint lacks.
        new: these, and weights of another shape in the checkpoint; all are random.
        notes: remarks, to be shown.
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


@contextmanager
def reading(source: str, samples: str) -> Iterator[None]:
    """Silences the libraries' progress bars and warnings, and turns their errors into one line."""
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
                f"{source}: needs the code that it comes with; read it, then allow it with --trust-remote-code"
            ) from error
        if Path(source).expanduser().is_dir():
            raise InputError(f"{source}: this folder holds no usable {samples} classifier ({reason})") from error
        raise InputError(
            f"{source}: no such folder, and the hub gave no such model ({reason}); check the name and the "
            "network, or give a local folder"
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
