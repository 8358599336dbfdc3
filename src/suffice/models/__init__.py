"""From a checkpoint to a classifier that a problem can use."""

from suffice.models.frozen import Split, split
from suffice.models.huggingface import TINY_VIT, ImageClassifier, ImageInputs, load_image_classifier
from suffice.models.moving import METHODS, adapted, moving_parameters

__all__ = [
    "METHODS",
    "TINY_VIT",
    "ImageClassifier",
    "ImageInputs",
    "Split",
    "adapted",
    "load_image_classifier",
    "moving_parameters",
    "split",
]
