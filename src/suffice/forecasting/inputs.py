"""Features and labels as `forecast_head` is given them, checked and as arrays."""

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import psutil
from jaxtyping import Float, Float64, Int64
from scipy import sparse
from torch import Tensor

from suffice.errors import InputError
from suffice.forecasting.head import Features, blocks
from suffice.problem import Problem

Table: TypeAlias = Any
"""A matrix of numbers, (samples, columns): an array, a sparse matrix of SciPy, a tensor, a data frame, lists."""

Labels: TypeAlias = Any
"""One whole number a sample, (samples,): an array, a tensor, a list."""

EXTREME = 1e3
"""Features that are larger, or smaller by that factor, than 1 or their own variation are not standardised."""

WIDENED = 2**24
"""Numbers in float32 up to which features are made float64, 134 MB; more stay as they are, and are read in blocks."""

MEMORY_SHARE = 0.5
"""Share of the free memory that a sparse matrix may take when it is made dense."""


def dense_features(features: Table) -> Features:
    """Finite real features in float64, or many in float32; sparse ones are made dense where memory allows.

    Raises:
        InputError: features that are not a matrix of finite real numbers, that are masked, or do not fit into memory.

    Example:
        >>> dense_features(sparse.csr_array([[0.0, 2.0], [1.0, 0.0]]))
        array([[0., 2.],
               [1., 0.]])
    """
    if sparse.issparse(features):
        needed, free = 8 * math.prod(features.shape), psutil.virtual_memory().available
        if needed > MEMORY_SHARE * free:
            raise InputError(
                f"the sparse features take {needed / 1e9:.1f} GB as an array, and {free / 1e9:.1f} GB are free: reduce "
                "their columns first, for example by sklearn.decomposition.TruncatedSVD"
            )
        features = features.toarray()
    numbers = _real(features, "features", "encode them first", WIDENED)
    if numbers.ndim != 2 or 0 in numbers.shape:
        raise InputError(f"features are (samples, columns), at least one of each, not {numbers.shape}")
    for rows, x in blocks(numbers):
        if not np.isfinite(x).all():
            row = rows.start + int(np.flatnonzero(~np.isfinite(x).all(1))[0])
            raise InputError(f"row {row} of the features is not finite")
    return numbers


def with_intercept(features: Features) -> Float[np.ndarray, "samples columns+1"]:
    """Features with a last column of ones.

    Example:
        >>> with_intercept(np.array([[2.0], [3.0]]))
        array([[2., 1.],
               [3., 1.]])
    """
    return np.hstack([features, np.ones((len(features), 1), dtype=features.dtype)])


def strange_scale(features: Features) -> str | None:
    """What is strange about the scale of features, in words, or None.

    Example:
        >>> strange_scale(np.array([[0.0, 2.0], [1.0, 0.0]]))
        >>> strange_scale(np.full((2, 2), 3.0))
        'all features are constant'
    """
    with np.errstate(all="ignore"):
        spread = float(np.ptp(features, 0).max())
        size = float(np.abs(features).max())
    if not spread > 0:
        return "all features are constant"
    if not size * EXTREME > 1 or not size < EXTREME:
        return f"the features go up to {size:.3g}"
    if size > EXTREME * spread:
        return f"the features go up to {size:.3g} and vary by {spread:.3g}"
    return None


def class_labels(labels: Labels, samples: int) -> Int64[np.ndarray, " samples"]:
    """Labels 0 to K - 1, one a sample, each at least twice.

    Raises:
        InputError: other labels.

    Example:
        >>> class_labels([0, 1, 1, 0], samples=4)
        array([0, 1, 1, 0])
    """
    values = _array(labels, "labels")
    if values.shape != (samples,):
        raise InputError(f"labels are one number a sample, ({samples},), not {values.shape}")
    if values.dtype.kind not in "iu" or values.min() < 0:
        raise InputError("labels are whole numbers from 0 to K - 1")
    check_counts(values)
    return values.astype(np.int64)


def regression_targets(targets: Table, samples: int) -> Float64[np.ndarray, "samples outputs"]:
    """Finite real targets in float64, one row a sample, each column with values that differ.

    Raises:
        InputError: other targets.

    Example:
        >>> regression_targets([1, 2, 4], samples=3).ravel()
        array([1., 2., 4.])
    """
    numbers = _real(targets, "targets", "classes need loss='cross_entropy'")
    if numbers.ndim not in (1, 2) or len(numbers) != samples or 0 in numbers.shape:
        raise InputError(f"targets are ({samples},) or ({samples}, outputs), not {numbers.shape}")
    numbers = numbers.reshape(samples, -1)
    if not np.isfinite(numbers).all():
        raise InputError(f"row {int(np.flatnonzero(~np.isfinite(numbers).all(1))[0])} of the targets is not finite")
    if (constant := np.flatnonzero(np.ptp(numbers, axis=0) == 0)).size:
        raise InputError(f"all targets of output {int(constant[0])} are {numbers[0, constant[0]]:g}: nothing to learn")
    return numbers


def labels_of(problem: Problem, classes: int | None = None) -> Int64[np.ndarray, " samples"]:
    """The labels of a problem's samples, in its order.

    Raises:
        InputError: labels that are not one whole number a sample, from 0 to ``classes`` - 1 where that is given.
    """
    labels = problem.all_targets()
    if labels.shape != (len(problem),) or labels.is_floating_point() or labels.is_complex():
        raise InputError(f"labels are one whole number a sample, not {labels.dtype} of shape {tuple(labels.shape)}")
    labels = labels.long()
    strange = labels < 0 if classes is None else (labels < 0) | (labels >= classes)
    if bool(strange.any()):
        row = int(strange.nonzero()[0])
        known = "labels are 0 or more" if classes is None else f"the classes are 0 to {classes - 1}"
        raise InputError(f"{problem.describe(row)} has the label {int(labels[row])}: {known}")
    numbers: Int64[np.ndarray, " samples"] = labels.numpy()
    return numbers


def check_counts(labels: Int64[np.ndarray, " samples"]) -> None:
    """Raises an InputError where there are fewer than two classes, or a class from 0 to K - 1 has fewer than two."""
    counts = np.bincount(labels)
    if len(counts) < 2 or counts.min() < 2:
        raise InputError(
            f"class {int(counts.argmin())} has {counts.min()} samples: give at least two classes, with 2 or more each"
        )


def whole_sizes(sizes: Sequence[float] | float) -> list[int]:
    """Sizes, ascending and each once.

    Raises:
        InputError: none, or one that is not a whole number from 2 on.

    Example:
        >>> whole_sizes([400, 200, 400])
        [200, 400]
    """
    if isinstance(sizes, int | float):
        raise InputError(f"sizes are a list of whole numbers, such as [{sizes}], not {sizes}")
    for size in sizes:
        if not isinstance(size, (int, np.integer)) or isinstance(size, bool) or size < 2:
            raise InputError(f"sizes are whole numbers from 2 on, not {size}")
    if not len(sizes):
        raise InputError("no sizes: give at least one, such as twice the samples at hand")
    return sorted({int(size) for size in sizes})


def positive(name: str, value: float) -> float:
    """A positive finite number.

    Raises:
        InputError: something else.
    """
    if not isinstance(value, (int, float, np.number)) or not 0 < float(value) < math.inf:
        raise InputError(f"{name} = {value}: must be a positive number")
    return float(value)


def _real(given: Any, what: str, remedy: str, widened: float = math.inf) -> Float[np.ndarray, "..."]:
    """Real numbers in float64, or more than so many in float32; ``remedy`` is what to do where they are none."""
    values = _array(given, what)
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise InputError(f"some {what} are masked: fill them in, or leave their rows out")
    if np.iscomplexobj(values):
        raise InputError(f"the {what} are complex: give real and imaginary parts as columns")
    try:
        is_narrow = values.dtype == np.float32 and values.size > widened
        return np.asarray(values, dtype=np.float32 if is_narrow else np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the {what} are not numbers ({error}): {remedy}") from error


def _array(given: Any, what: str) -> np.ndarray:
    if isinstance(given, Tensor):
        return np.asarray(given.detach().to_dense().cpu())
    try:
        return np.asanyarray(given)
    except ValueError as error:
        raise InputError(f"the {what} are not an array ({error}): their rows must have one length") from error
