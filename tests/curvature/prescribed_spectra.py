"""Symmetric operators whose eigenvalues are known."""

import numpy as np
import torch
from hypothesis import strategies as st

from suffice.curvature.operator import SymmetricMatrix, SymmetricOperator


class Reflected(SymmetricOperator):
    """Given eigenvalues in the basis of a Householder reflection, at a cost of P; it counts its products."""

    def __init__(self, eigenvalues, dtype=torch.float64, seed=0):
        self.eigenvalues = torch.as_tensor(np.asarray(eigenvalues, float)).to(dtype)
        normal = torch.from_numpy(np.random.default_rng(seed).standard_normal(len(self.eigenvalues))).to(dtype)
        self._normal = normal / torch.linalg.vector_norm(normal)
        self.products = 0

    @property
    def shape(self):
        return len(self.eigenvalues), len(self.eigenvalues)

    @property
    def dtype(self):
        return self.eigenvalues.dtype

    @property
    def device(self):
        return self.eigenvalues.device

    def reflect(self, vectors):
        return vectors - 2 * self._normal[:, None] * (self._normal @ vectors)

    def _product(self, vectors):
        self.products += vectors.shape[1]
        return self.reflect(self.eigenvalues[:, None] * self.reflect(vectors))


def rotated(eigenvalues, seed=0):
    """A dense float64 matrix with these eigenvalues, in a random orthonormal basis."""
    draw = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(draw.standard_normal((len(eigenvalues), len(eigenvalues))))
    matrix = torch.from_numpy((basis * np.asarray(eigenvalues)) @ basis.T)
    return (matrix + matrix.T) / 2


def as_operator(matrix, dtype=torch.float64):
    return SymmetricMatrix(matrix.to(dtype))


def hessian_like(size, outliers=(10, 8, 5, 3, 2, -1.5), seed=0):
    """Few outliers of either sign above a bulk that is dense at zero."""
    bulk = np.abs(np.random.default_rng(seed).standard_normal(size - len(outliers))) ** 3 * 0.02
    return np.concatenate([outliers, bulk])


def by_magnitude(values):
    values = np.asarray(values, float)
    return values[np.argsort(-np.abs(values), kind="stable")]


@st.composite
def spectra(draw, largest=90):
    """Bulk, outliers of either sign, clusters, multiple eigenvalues, pairs x and -x, zeros, on any scale."""
    size = draw(st.integers(1, largest))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    kind = draw(st.sampled_from(["outliers", "indefinite", "clusters", "multiple", "pairs", "deficient", "decay"]))
    values = random.standard_normal(size) * 0.1
    some = min(size, draw(st.integers(1, 8)))
    if kind == "outliers":
        values = np.abs(values)
        values[:some] = random.uniform(0.5, 10, some)
    elif kind == "indefinite":
        values[:some] = random.uniform(0.5, 5, some) * random.choice([-1, 1], some)
    elif kind == "clusters":
        values[:some] = 2 + 1e-5 * random.standard_normal(some)
    elif kind == "multiple":
        values[:some] = random.choice([3.0, -2.0, 1.0], some)
    elif kind == "pairs":
        values = np.repeat(random.standard_normal(size), 2)[:size] * np.resize([1, -1], size)
    elif kind == "deficient":
        values[some:] = 0
    else:
        values = 0.8 ** np.arange(size) * random.choice([-1, 1], size)
    return values * 10.0 ** draw(st.integers(-6, 6))
