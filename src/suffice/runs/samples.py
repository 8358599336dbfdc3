"""The samples that a configuration names."""

from suffice.data import ClassSubset, LabelledSamples, load_samples
from suffice.runs.configuration import ModelConfig


def chosen_samples(config: ModelConfig) -> LabelledSamples:
    """The labelled samples of a configuration, of those classes that it keeps.

    Raises:
        InputError: nothing usable there, or classes that are not there.

    Example:
        >>> config = ModelConfig(model="builtin:tiny-vit", data="builtin:digits", classes=["3", "8"])
        >>> len(chosen_samples(config))
        357
    """
    samples = load_samples(config.data, config.text_column, config.label_column, config.threshold)
    return samples if config.classes is None else ClassSubset(samples, config.classes)
