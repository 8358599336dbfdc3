"""From a checkpoint to a classifier, and which of its parameters move."""

from typing import cast

from suffice.data import LabelledSamples, task_of
from suffice.errors import InputError
from suffice.models.classifier import Classifier, Inputs
from suffice.models.contents import read_unchanged, weights_of_imported
from suffice.models.execution import execution_of, layers_of
from suffice.models.frozen import Split, split
from suffice.models.images import ImageClassifier, ImageInputs, load_image_classifier
from suffice.models.imported import ImportedClassifier, ImportedInputs, is_import_path, load_imported
from suffice.models.labels import LabelMap, read_label_map
from suffice.models.mlp import mlp
from suffice.models.moving import METHODS, adapted, center_head, last_layers, moving_parameters, renew_head
from suffice.models.source import TINY_VIT
from suffice.models.texts import TextClassifier, TextInputs, load_text_classifier

__all__ = [
    "METHODS",
    "TINY_VIT",
    "Classifier",
    "ImageClassifier",
    "ImageInputs",
    "ImportedClassifier",
    "ImportedInputs",
    "Inputs",
    "LabelMap",
    "Split",
    "TextClassifier",
    "TextInputs",
    "adapted",
    "center_head",
    "execution_of",
    "last_layers",
    "layers_of",
    "load_classifier",
    "load_image_classifier",
    "load_imported",
    "load_text_classifier",
    "mlp",
    "moving_parameters",
    "read_label_map",
    "read_unchanged",
    "renew_head",
    "split",
    "weights_of_imported",
]


def load_classifier(
    source: str,
    samples: LabelledSamples,
    image_size: int | None = None,
    seed: int = 0,
    trust_remote_code: bool = False,
    label_map: LabelMap | None = None,
    keep_head: bool = True,
) -> Classifier:
    """A classifier of images or texts, as the samples are, for their classes.

    Labels are matched by name. The head is new if the checkpoint has none for these classes; see
    `suffice.models.checkpoint.read_checkpoint`.

    Args:
        source: a Hugging Face folder (also one with a PEFT adapter, or of sentence-transformers), a hub name,
            ``builtin:tiny-vit``, or ``package.module:function``, which is called, see `load_imported`.
        samples: the samples to classify.
        image_size: height and width in pixels; by default the checkpoint's.
        seed: random seed of a new head.
        trust_remote_code: run the code in a checkpoint.
        label_map: the label of classes whose names differ: a mapping from class to the name or index of a label, or a
            list of "class=label".
        keep_head: the head is measured as it is; otherwise it is trained first.

    Raises:
        InputError: no such checkpoint, a model of another kind, one that needs remote code or lacks weights or a
        tokenizer, a head that cannot be used, a label map that does not fit, or an image size for texts.

    Example:
        >>> from suffice.data import load_samples
        >>> digits = load_samples("builtin:digits")
        >>> classifier = load_classifier("builtin:tiny-vit", digits)
        >>> item = classifier.inputs(digits, digits.labels[:2])[1]
        >>> classifier.has_new_head, item["pixel_values"].shape, item["labels"]
        (False, torch.Size([1, 28, 28]), 1)
    """
    if is_import_path(source):
        if label_map:
            raise InputError(f"{source}: output c is that of class c: leave --label-map out")
        return load_imported(source, samples, image_size, seed)
    task = task_of(samples)
    if not isinstance(samples[0], str):
        return load_image_classifier(
            source, samples.classes, image_size, seed, trust_remote_code, label_map, keep_head, task
        )
    if image_size is not None:
        raise InputError(f"image_size = {image_size}: the data are texts; leave it out")
    texts = (cast(str, samples[row]) for row in range(len(samples)))
    return load_text_classifier(source, samples.classes, seed, trust_remote_code, label_map, keep_head, texts, task)
