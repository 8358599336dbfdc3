"""Are some samples copies of others, and how many samples are there without them?"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from suffice.checks import Finding, copies_of
from suffice.checks.registry import CONTRADICTION, COPIES, MANY_COPIES
from suffice.problem import Problem

Groups = Int64[np.ndarray, " samples"]
"""The group of each sample, 0 and up: a sample and its copies have the same."""

MANY = 0.05
"""Share of copies up to which they are only named."""

HALVES, ORDINARY = 8, 2.0
"""Random halves of the columns, and how many times as many pairs of rows agree in a half where repeats are ordinary.

Measured as means over 8 halves: 4 to 9 on tables with 5 to 60% of repeats (solar flares, breast cancer, teaching
assistants); 1.0 to 1.8 on copies made of digits, of words in short texts, and of six of eight tables. Copies of tables
with six or fewer attributes of few values (cars, balance scale; 2.7 and 4.9) pass as ordinary repeats.
"""


@dataclass(frozen=True)
class Copies:
    """Which samples are copies of others.

    Attributes:
        groups: of each sample: those with the same content have the same number.
        are_ordinary: whether samples repeat because few values are possible, and not because they were copied.
    """

    groups: Groups
    are_ordinary: bool = False

    @property
    def different(self) -> int:
        """k_0: the samples without copies."""
        return different_samples(self.groups, self.are_ordinary)

    @property
    def together(self) -> Groups | None:
        """The groups that count as one sample each; None where repeats are ordinary."""
        return None if self.are_ordinary else self.groups


def copies_of_rows(features: Float[np.ndarray, "samples columns"]) -> Copies | None:
    """The copies among rows of features; None where there are none.

    Example:
        >>> copies_of_rows(np.array([[0.0, 1.0], [2.0, 1.0], [0.0, 1.0]])).different
        2
    """
    groups = copies_in_features(features)
    share = 1 - len(np.unique(groups)) / len(groups)
    return Copies(groups, share > MANY and are_ordinary(features)) if share else None


def copies_of_samples(problem: Problem) -> Copies | None:
    """The copies among the samples of a problem; None where there are none."""
    groups = copies_in_problem(problem)
    return Copies(groups) if len(np.unique(groups)) < len(groups) else None


def kept_together(copies: Copies | None, groups: Groups | None) -> Groups | None:
    """Samples that stay in one part: copies, those of one group, and those that both link; None where there are none.

    Args:
        copies: which samples are copies.
        groups: of the data, such as patients.

    Example:
        >>> kept_together(Copies(np.array([0, 1, 0, 2])), np.array([5, 7, 7, 8]))
        array([0, 0, 0, 1])
    """
    alike = None if copies is None else copies.together
    if alike is None or groups is None:
        return groups if alike is None else alike
    # samples of a group and samples of equal content are linked: a graph between groups and contents
    links = (np.ones(len(alike)), (groups, alike + int(groups.max()) + 1))
    size = int(groups.max()) + int(alike.max()) + 2
    part = connected_components(coo_array(links, shape=(size, size)), directed=False)[1]
    numbered: Groups = np.unique(part[groups], return_inverse=True)[1].astype(np.int64)
    return numbered


def copies_in_features(features: Float[np.ndarray, "samples columns"]) -> Groups:
    """The group of each row: equal rows have the same number.

    Example:
        >>> copies_in_features(np.array([[0.0, 1.0], [2.0, 1.0], [-0.0, 1.0]]))
        array([0, 1, 0])
    """
    return copies_of(row + 0.0 for row in features)  # -0.0 is 0.0


def copies_in_problem(problem: Problem) -> Groups:
    """The group of each sample, in the order of the problem: inputs with the same content have the same number.

    Example:
        >>> from torch import arange, nn
        >>> samples = [(arange(2.0), 0), (arange(2.0) + 1, 1), (arange(2.0), 1)]
        >>> copies_in_problem(Problem(nn.Linear(2, 2), samples, order="source"))
        array([0, 1, 0])
    """
    return copies_of(problem.dataset[int(row)] for row in problem.index)


def are_ordinary(features: Float[np.ndarray, "samples columns"], seed: int = 0) -> bool:
    """Whether rows repeat because few values are possible, and not because they were copied.

    Rows of a table with few values that nearly agree are as common as rows that agree. So at least twice as many pairs
    are equal where half of the columns are left out. It takes 0.6 s for 2,000 x 768 features: ask where more than 5% of
    the rows are copies.

    Args:
        features: of all samples, without an intercept.
        seed: random seed of the halves.

    Example:
        >>> random = np.random.default_rng(0)
        >>> are_ordinary(random.integers(0, 3, size=(300, 4)).astype(float))
        True
        >>> are_ordinary(np.tile(random.normal(size=(60, 4)), (5, 1)))
        False
    """
    columns, random = features.shape[1], np.random.default_rng(seed)
    halves = (features[:, random.permutation(columns)[: (columns + 1) // 2]] for _ in range(HALVES))
    in_halves = sum(_equal_pairs(copies_in_features(half)) for half in halves) / HALVES
    return in_halves >= ORDINARY * max(1, _equal_pairs(copies_in_features(features)))


def different_samples(groups: Groups, ordinary: bool = False) -> int:
    """k_0: the samples without copies; all of them where repeats are ordinary.

    Example:
        >>> different_samples(np.array([0, 1, 0]))
        2
    """
    return len(groups) if ordinary else len(np.unique(groups))


def about_copies(groups: Groups, labels: Int64[np.ndarray, " samples"], ordinary: bool = False) -> Finding | None:
    """SUF015 and SUF016: samples that are copies of others.

    Args:
        groups: as `copies_in_features` or `copies_in_problem` gives them.
        labels: the classes, to find copies with different ones.
        ordinary: whether repeats are ordinary, see `are_ordinary`.

    Example:
        >>> print(about_copies(np.array([0, 1, 0, 2]), np.array([0, 1, 1, 0])))
        SUF016: 1 of 4 samples is a copy of another (1 of 3 contents more than once, 1 with different labels). ...
    """
    sizes = np.bincount(groups)
    copies = len(groups) - int((sizes > 0).sum())
    if not copies:
        return None
    pairs = np.unique(np.stack([groups, labels]), axis=1)
    contradicting = int((np.bincount(pairs[0]) > 1).sum())
    labelled = f", {contradicting:,} with different labels" if contradicting else ""
    what = (
        f"{copies:,} of {len(groups):,} samples {'is a copy of another' if copies == 1 else 'are copies of others'} "
        f"({(sizes > 1).sum():,} of {(sizes > 0).sum():,} contents more than once{labelled})"
    )
    look = ", and look at the labels of those that contradict" if contradicting else ""
    if copies <= MANY * len(groups):
        return Finding(COPIES, what, f"They are kept in one fold{look}")
    if ordinary:
        return Finding(
            MANY_COPIES, f"{what}, as few values are possible", f"Each is counted; remove those that were copied{look}"
        )
    counted = f"the samples at hand are counted as {different_samples(groups):,}"
    return Finding(MANY_COPIES, what, f"Remove the copies, or collect different samples; {counted}{look}")


def about_contradiction(groups: Groups, labels: Int64[np.ndarray, " samples"]) -> Finding | None:
    """SUF032: so many copies have another label than the most frequent one of their content that nothing is learned.

    It explains why there is no forecast, and is asked where there is none.

    Args:
        groups: as `copies_in_features` or `copies_in_problem` gives them.
        labels: the classes.

    Example:
        >>> print(about_contradiction(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])))
        SUF032: 1 of 4 samples contradicts its copies: the input is the same and the label differs, so no model is ...
        >>> about_contradiction(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
    """
    pairs, counts = np.unique(np.stack([groups, labels]), axis=1, return_counts=True)
    most = np.zeros(int(groups.max()) + 1, dtype=np.int64)
    np.maximum.at(most, pairs[0], counts)
    against = len(groups) - int(most.sum())
    if against <= MANY * len(groups):
        return None
    what = (
        f"{against:,} of {len(groups):,} samples {'contradicts its' if against == 1 else 'contradict their'} copies: "
        f"the input is the same and the label differs, so no model is right on more than "
        f"{1 - against / len(groups):.1%} of these samples"
    )
    return Finding(CONTRADICTION, what, "Decide on one label for each input, or keep one copy of each")


def _equal_pairs(groups: Groups) -> int:
    sizes = np.bincount(groups)
    return int((sizes * (sizes - 1) // 2).sum())
