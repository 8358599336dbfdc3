"""Hugging Face checkpoints, PEFT-wrapped too: a model with a head for given classes, and what was found on the way."""

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

TINY_VIT = "builtin:tiny-vit"
"""Names the embedded Vision Transformer: 205,066 parameters, pretrained on Fashion-MNIST at 28 x 28 pixels."""

DEFAULT_IMAGE_SIZE = 224
"""Pixels of a side, for checkpoints that state none."""


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
        folders: where its files are, or names on the hub: the adapter's first, if there is one.
        labels: the model's label for each class of the data.
        matched_by_name: the checkpoint names these classes; else they were matched in order.
        has_new_head: the checkpoint had no head for these classes; the one here is random.
        notes: what a person should know of how the checkpoint was read.
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
    source: str, classes: Sequence[str], modality: Modality, seed: int, trust_remote_code: bool
) -> Checkpoint:
    """A classifier for given classes, in float32, from a folder, from the hub, or the embedded one.

    A head that the checkpoint lacks, or that has another number of classes, is made anew, by ``seed``. Labels are
    matched by name where the checkpoint names all classes, else by their order. Weights are read from safetensors, or
    by ``torch.load(weights_only=True)``.

    Args:
        source: a Hugging Face folder (also one with a PEFT adapter), a hub name, or ``builtin:tiny-vit``.
        classes: names of the classes of the data.
        modality: the kind of samples.
        seed: of a new head.
        trust_remote_code: run the code that a checkpoint brings.

    Raises:
        InputError: a folder or name that leads to no checkpoint, a model of another kind, or weights that are missing.
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
    by_name = set(classes) <= set(config.label2id)
    if not by_name:
        config.num_labels = len(classes)
    model, new, unused = _load(base, config, modality, seed, trust_remote_code)
    head = [key for key in new if not key.startswith(f"{model.base_model_prefix}.")]
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
        brought = set(getattr(model.peft_config["default"], "modules_to_save", None) or ())
        new = [key for key in new if not brought & set(key.split("."))]
        head = []
    stray = sorted(set(new) - set(head))
    if stray:
        raise InputError(f"{source}: the checkpoint lacks {len(stray)} weights of the model: {', '.join(stray[:5])}")
    return Checkpoint(
        model=model.eval(),
        folders=(base,) if adapter is None else (adapter, base),
        labels=tuple(int(config.label2id[name]) if by_name else label for label, name in enumerate(classes)),
        matched_by_name=by_name,
        has_new_head=bool(head),
        notes=(
            (f"{len(unused)} weights of the checkpoint have no place in the model: {', '.join(unused[:5])}.",)
            if unused
            else ()
        ),
    )


def image_shape(config: Any) -> tuple[int, int, int]:
    """Channels, height and width of the images that a model is configured for, as far as its configuration states them.

    Example:
        >>> from transformers import ViTConfig
        >>> image_shape(ViTConfig(image_size=32))
        (3, 32, 32)
    """
    vision = getattr(config, "vision_config", config)
    size = getattr(vision, "image_size", None) or DEFAULT_IMAGE_SIZE
    height, width = (size, size) if isinstance(size, int) else size
    return getattr(vision, "num_channels", 3), height, width


def _path(source: str) -> str:
    """The folder that a source means, or else the source itself, which then is a name on the hub."""
    if source == TINY_VIT:
        return str(files("suffice.models") / "tiny_vit")
    folder = Path(source).expanduser()
    if folder.is_dir():
        return str(folder)
    if source.startswith(("/", ".", "~")):
        raise InputError(f"{source}: no such folder")
    return source


def _load(
    base: str, config: Any, modality: Modality, seed: int, trust_remote_code: bool
) -> tuple[Any, list[str], list[str]]:
    """The model, the weights that the checkpoint lacks, which are random, and those of its base that found no place."""
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
    new = {*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])}
    prefix = model.base_model_prefix
    # the head of another task is left behind by intent; a checkpoint of the base alone has names without the prefix
    parts = {prefix, *(name for name, _ in getattr(model, prefix, nn.Module()).named_children())}
    unused = [key for key in info["unexpected_keys"] if key.partition(".")[0] in parts]
    return model, sorted(new), sorted(unused)


@contextmanager
def reading(source: str, samples: str) -> Iterator[None]:
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
        if Path(source).expanduser().is_dir():
            raise InputError(f"{source}: this folder holds no usable {samples} classifier ({reason})") from error
        raise InputError(
            f"{source}: no such folder here, and no such model could be had from the hub ({reason}); "
            "check the name and the network, or give a local folder"
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
