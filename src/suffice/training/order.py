"""The stratified order of samples: every prefix has the classes in about the shares of the whole."""

import numpy as np
from jaxtyping import Int64


def stratified_order(labels: Int64[np.ndarray, " samples"], seed: list[int]) -> Int64[np.ndarray, " samples"]:
    """A random order of samples in which each prefix holds each class in about its share.

    The j-th of the n_c samples of a class, in a random order, is at (j + 1/2) / n_c of the whole. With two classes, or
    classes of equal size, the counts of a prefix differ from their shares by less than one. Rare classes come late, all
    at about the same position, where a large class waits for them.

    Example:
        >>> labels = np.array([0, 0, 0, 0, 1, 1])
        >>> labels[stratified_order(labels, [0])][:3].tolist()
        [0, 1, 0]
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels[shuffled] == label)
        position[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    return shuffled[np.argsort(position, kind="stable")]


def together(groups: Int64[np.ndarray, " samples"]) -> Int64[np.ndarray, " samples"]:
    """The order in which the samples of a group follow one another, each group where its first sample is.

    Example:
        >>> together(np.array([3, 1, 3, 2, 1]))
        array([0, 2, 1, 4, 3])
    """
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(first[group], kind="stable")


def between_groups(groups: Int64[np.ndarray, " samples"], size: int) -> int:
    """The number of samples, at least ``size``, after which a group begins; groups are in one piece each.

    Example:
        >>> between_groups(np.array([3, 3, 1, 1, 2]), 1), between_groups(np.array([3, 3, 1, 1, 2]), 2)
        (2, 2)
    """
    while 0 < size < len(groups) and groups[size] == groups[size - 1]:
        size += 1
    return size


def smallest_with_all(labels: Int64[np.ndarray, " samples"]) -> int:
    """The length of the shortest prefix that has every class.

    Example:
        >>> smallest_with_all(np.array([0, 0, 1, 0, 2, 1]))
        5
    """
    return int(np.unique(labels, return_index=True)[1].max()) + 1
