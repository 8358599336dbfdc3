"""Hugging Face image classifiers, PEFT-wrapped too, and their inputs."""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Int64
from peft import PeftConfig, PeftModel
from PIL import Image
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification, ViTImageProcessorPil
from transformers import logging as transformers_logging
from transformers.image_utils import (  # type: ignore[attr-defined]
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
)
from transformers.utils.hub import cached_file

from suffice.data import LabelledImages
from suffice.errors import InputError
from suffice.problem import Batch

TINY_VIT = "builtin:tiny-vit"
"""Names the embedded Vision Transformer: 205,066 parameters, pretrained on Fashion-MNIST at 28 x 28 pixels."""

DEFAULT_IMAGE_SIZE = 224
"""For checkpoints that say nothing of it."""


@dataclass(frozen=True)
class ImageClassifier:
    """A model with what is needed to use it.

    Attributes:
        model: the module, in evaluation mode, in float32.
        processor: turns PIL images into ``pixel_values``.
        grey: the model takes one channel, not three.
        labels: the model's label for each class of the data.
        matched_by_name: the checkpoint names these classes; else they were matched in order.
        has_new_head: the checkpoint had no head for these classes; the one here is random.
        notes: what a person should know of how the checkpoint was read.
    """

    model: nn.Module
    processor: Callable[..., Any]
    grey: bool
    labels: tuple[int, ...]
    matched_by_name: bool
    has_new_head: bool
    notes: tuple[str, ...]

    def predict(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits; positions are interpolated where the images are not of the size of the pretraining."""
        pixels = batch["pixel_values"]
        size = getattr(cast(Any, model).config, "image_size", None)
        other_size = size is not None and pixels.shape[-1] != (size if isinstance(size, int) else size[-1])
        options = {"interpolate_pos_encoding": True} if other_size and self._interpolates else {}
        return cast(Tensor, model(pixel_values=pixels, **options).logits)

    @functools.cached_property
    def _interpolates(self) -> bool:
        base = self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model
        return "interpolate_pos_encoding" in inspect.signature(base.forward).parameters


class ImageInputs:
    """Some of the images as a classifier takes them: dictionaries with "pixel_values" and "labels"."""

    def __init__(
        self, images: LabelledImages, rows: Int64[np.ndarray, " samples"], classifier: ImageClassifier
    ) -> None:
        self.images = images
        self.rows = rows
        self._classifier = classifier
        self._mode = "L" if classifier.grey else "RGB"

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: list[int]) -> list[dict[str, Any]]:
        """Several at a time, which the image processor does faster."""
        places = [int(self.rows[row]) for row in rows]
        images: list[Image.Image] = [self.images[place].convert(self._mode) for place in places]
        pixels = self._classifier.processor(images=images, return_tensors="pt")["pixel_values"]
        labels = [self._classifier.labels[int(self.images.labels[place])] for place in places]
        return [{"pixel_values": image, "labels": label} for image, label in zip(pixels, labels, strict=True)]

    def describe(self, row: int) -> str:
        """Where an image comes from."""
        return self.images.describe(int(self.rows[row]))


def load_image_classifier(
    source: str,
    classes: Sequence[str],
    image_size: int | None = None,
    seed: int = 0,
    trust_remote_code: bool = False,
) -> ImageClassifier:
    """An image classifier for given classes, in float32, from a folder, from the hub, or the embedded one.

    A head that the checkpoint lacks, or that has another number of classes, is made anew, by ``seed``. Labels are
    matched by name where the checkpoint names all classes, else by their order. Weights are read from safetensors, or
    by ``torch.load(weights_only=True)``.

    Args:
        source: a Hugging Face folder (also one with a PEFT adapter), a hub name, or ``builtin:tiny-vit``.
        classes: names of the classes of the data.
        image_size: pixels of a side; the checkpoint's own by default.
        seed: of a new head.
        trust_remote_code: run the code that a checkpoint brings.

    Raises:
        InputError: a folder or name that leads to no checkpoint, one that needs remote code, or weights that are
        missing.
    """
    path = _path(source)
    adapter = path if (Path(path) / "adapter_config.json").exists() else None
    with _one_line_errors(source), _quiet():
        base = path if adapter is None else str(PeftConfig.from_pretrained(adapter).base_model_name_or_path)
        config = AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)
        by_name = set(classes) <= set(config.label2id)
        if not by_name:
            config.num_labels = len(classes)
        model, new = _load(base, config, seed, trust_remote_code)
        head = [key for key in new if not key.startswith(f"{model.base_model_prefix}.")]
        if adapter is not None:
            model = PeftModel.from_pretrained(model, adapter, is_trainable=True)
            brought = getattr(model.peft_config["default"], "modules_to_save", None) or ()
            new = [key for key in new if key.rpartition(".")[0].split(".")[-1] not in brought]
            head = []
        processor, notes = _image_processor(base, config, image_size, trust_remote_code)
    stray = sorted(set(new) - set(head))
    if stray:
        raise InputError(f"{source}: the checkpoint lacks {len(stray)} weights of the model: {', '.join(stray[:5])}")
    return ImageClassifier(
        model=model.eval(),
        processor=processor,
        grey=getattr(config, "num_channels", 3) == 1,
        labels=tuple(int(config.label2id[name]) if by_name else label for label, name in enumerate(classes)),
        matched_by_name=by_name,
        has_new_head=bool(head),
        notes=notes,
    )


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


def _load(base: str, config: Any, seed: int, trust_remote_code: bool) -> tuple[Any, list[str]]:
    """The model, and the names of the weights that the checkpoint lacks, which are random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, info = AutoModelForImageClassification.from_pretrained(
            base,
            config=config,
            dtype=torch.float32,
            trust_remote_code=trust_remote_code,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    return model, sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})


def _image_processor(
    source: str, config: Any, image_size: int | None, trust_remote_code: bool
) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """What turns images into pixels, and what a person should know of it."""
    if cached_file(source, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False) is None:
        size = _square(getattr(config, "image_size", DEFAULT_IMAGE_SIZE) if image_size is None else image_size)
        grey = getattr(config, "num_channels", 3) == 1
        mean, std = ([0.5], [0.5]) if grey else (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        note = (
            f"The checkpoint has no preprocessor_config.json: images are resized to {size['width']} x {size['height']} "
            f"pixels and normalised with mean {list(mean)} and standard deviation {list(std)}."
        )
        return ViTImageProcessorPil(size=size, image_mean=mean, image_std=std), (note,)
    processor = AutoImageProcessor.from_pretrained(source, trust_remote_code=trust_remote_code)
    if image_size is None:
        return processor, ()
    return functools.partial(processor, size=_square(image_size), do_center_crop=False), ()


def _square(size: int | Sequence[int]) -> dict[str, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return {"height": height, "width": width}


@contextmanager
def _one_line_errors(source: str) -> Iterator[None]:
    """Turns what the libraries raise over a bad checkpoint, in many lines, into one."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # every library below has errors of its own
        reason = " ".join(str(error).split()).partition(". ")[0]
        if "trust_remote_code" in str(error):
            raise InputError(
                f"{source}: needs code that it brings; read it, and allow it by --trust-remote-code"
            ) from error
        if Path(source).expanduser().is_dir():
            raise InputError(f"{source}: this folder holds no usable image classifier ({reason})") from error
        raise InputError(
            f"{source}: no such folder here, and no such model could be had from the hub ({reason}); "
            "check the name and the network, or give a local folder"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the libraries' own progress bars and warnings: what matters of them is in the notes and the errors."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
