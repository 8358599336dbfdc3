"""Image classifiers and their inputs."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jaxtyping import Int64
from PIL import Image
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING,
    AutoImageProcessor,
    AutoModelForImageClassification,
    ViTImageProcessorPil,
)
from transformers.image_utils import (  # type: ignore[attr-defined]
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
)
from transformers.utils.hub import cached_file

from suffice.data import LabelledSamples, TaskKind
from suffice.digest import digest
from suffice.models.checkpoint import Modality, read_checkpoint, reading
from suffice.models.classifier import Classifier
from suffice.models.execution import image_shape
from suffice.models.labels import LabelMap
from suffice.problem import Batch

IMAGES = Modality("image", AutoModelForImageClassification, MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING)


@dataclass(frozen=True)
class ImageClassifier(Classifier):
    """A classifier of images.

    Attributes:
        processor: turns PIL images into ``pixel_values``.
        grey: whether the model takes one channel instead of three.
    """

    processor: Callable[..., Any]
    grey: bool
    collate = None

    def predict(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits; position embeddings are interpolated if the images differ in size from those of the pretraining."""
        pixels = batch["pixel_values"]
        size = getattr(cast(Any, model).config, "image_size", None)
        other_size = size is not None and pixels.shape[-1] != (size if isinstance(size, int) else size[-1])
        options = {"interpolate_pos_encoding": True} if other_size and self._interpolates else {}
        return cast(Tensor, model(pixel_values=pixels, **options).logits)

    def inputs(self, samples: LabelledSamples, rows: Int64[np.ndarray, " samples"]) -> "ImageInputs":
        return ImageInputs(samples, rows, self)

    @functools.cached_property
    def _interpolates(self) -> bool:
        return "interpolate_pos_encoding" in inspect.signature(self.checkpoint.bare.forward).parameters


class ImageInputs:
    """Images as inputs of a classifier: dictionaries with "pixel_values" and "labels"."""

    notes = ()

    def __init__(
        self, images: LabelledSamples, rows: Int64[np.ndarray, " samples"], classifier: ImageClassifier
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
        """Several images at a time, which is faster."""
        taken = [int(self.rows[row]) for row in rows]
        images = [cast(Image.Image, self.images[row]).convert(self._mode) for row in taken]
        pixels = self._classifier.processor(images=images, return_tensors="pt")["pixel_values"]
        labels = [self._classifier.target(self.images, row) for row in taken]
        return [{"pixel_values": image, "labels": label} for image, label in zip(pixels, labels, strict=True)]

    def describe(self, row: int) -> str:
        """The file of an image, or its number, for messages."""
        return self.images.describe(int(self.rows[row]))

    def fingerprint(self) -> str:
        """The hash of all images, of which ones are taken, and of what the processor does to them."""
        classifier = self._classifier
        return digest(
            self.images.fingerprint(), self.rows, self._mode, classifier.labels, _settings_of(classifier.processor)
        )


def load_image_classifier(
    source: str,
    classes: Sequence[str],
    image_size: int | None = None,
    seed: int = 0,
    trust_remote_code: bool = False,
    label_map: LabelMap | None = None,
    keep_head: bool = True,
    task: TaskKind = "classification",
) -> ImageClassifier:
    """An image classifier for given classes; see `read_checkpoint`.

    Args:
        source: a Hugging Face folder (also one with a PEFT adapter), a hub name, or ``builtin:tiny-vit``.
        classes: names of the classes of the data.
        image_size: height and width in pixels; by default the checkpoint's.
        seed: random seed of a new head.
        trust_remote_code: run the code in a checkpoint.
        label_map: the label of classes whose names differ, see `match_labels`.
        keep_head: the head is measured as it is; otherwise it is trained first.
        task: what the head is to be for.

    Raises:
        InputError: no such checkpoint, one that needs remote code or lacks weights, a head that cannot be used, or a
        label map that does not fit.

    Example:
        >>> load_image_classifier("builtin:tiny-vit", ["Bag", "Coat"]).labels
        (8, 4)
    """
    with reading(source, f"{IMAGES.samples} classifier"):
        checkpoint = read_checkpoint(source, classes, IMAGES, seed, trust_remote_code, label_map, keep_head, task)
        config = checkpoint.bare.config
        processor, notes = _image_processor(checkpoint.folders[-1], config, image_size, trust_remote_code)
    return ImageClassifier(checkpoint, checkpoint.notes + notes, processor, grey=image_shape(config)[0] == 1)


def _image_processor(
    source: str, config: Any, image_size: int | None, trust_remote_code: bool
) -> tuple[Callable[..., Any], tuple[str, ...]]:
    """The preprocessing of images, and notes on it."""
    if cached_file(source, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False) is None:
        channels, *own = image_shape(config)
        height, width = own if image_size is None else (image_size, image_size)
        size = {"height": height, "width": width}
        mean, std = ([0.5], [0.5]) if channels == 1 else (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)
        note = (
            f"The checkpoint has no preprocessor_config.json: images are resized to {size['width']} x {size['height']} "
            f"pixels and normalised with mean {list(mean)} and standard deviation {list(std)}."
        )
        return ViTImageProcessorPil(size=size, image_mean=mean, image_std=std), (note,)
    processor = AutoImageProcessor.from_pretrained(source, trust_remote_code=trust_remote_code)
    if image_size is None:
        return processor, ()
    square = {"height": image_size, "width": image_size}
    return functools.partial(processor, size=square, do_center_crop=False), ()


def _settings_of(processor: Callable[..., Any]) -> Any:
    """All that decides what a processor makes of an image."""
    if isinstance(processor, functools.partial):
        return [_settings_of(processor.func), processor.args, processor.keywords]
    return [type(processor), processor.to_dict() if hasattr(processor, "to_dict") else processor]
