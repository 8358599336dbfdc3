"""Eigenpairs against ARPACK in products, traces against other estimators at equal products, and how often bounds hold.

Run as ``python benchmarks/spectra.py [--only eigenpairs vit missing traces density]``. Operators with given eigenvalues
cost next to nothing, so products are counted, not seconds. The Hessians are those of the embedded Vision Transformer
after a short training on digits, by double backward on a kept graph.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from environment import save
from scipy.sparse.linalg import eigsh
from scipy.stats import t as student
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from suffice.curvature.basis import MEMORY
from suffice.curvature.density import spectral_density
from suffice.curvature.eigenpairs import top_eigenpairs
from suffice.curvature.operator import SymmetricMatrix, SymmetricOperator
from suffice.curvature.search import EigenpairSearch
from suffice.curvature.traces import diagonal, frobenius_norm, trace
from suffice.models import TINY_VIT, load_image_classifier

COUNT, TOLERANCE, STARTS = 10, 1e-3, 5


class Counted(SymmetricOperator):
    """An operator from its product; it counts vectors."""

    def __init__(self, size: int, dtype: torch.dtype, product: Callable[[Tensor], Tensor]) -> None:
        self._size, self._dtype, self._multiply, self.products = size, dtype, product, 0

    @property
    def shape(self) -> tuple[int, int]:
        return self._size, self._size

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def _product(self, vectors: Tensor) -> Tensor:
        self.products += vectors.shape[1]
        return self._multiply(vectors)


def with_eigenvalues(values: np.ndarray, dtype: torch.dtype = torch.float32) -> Counted:
    """In the basis of a Householder reflection."""
    eigenvalues = torch.from_numpy(values).to(dtype)
    normal = torch.from_numpy(np.random.default_rng(0).standard_normal(len(values))).to(dtype)
    normal /= torch.linalg.vector_norm(normal)

    def reflect(vectors: Tensor) -> Tensor:
        return vectors - 2 * normal[:, None] * (normal @ vectors)

    return Counted(len(values), dtype, lambda vectors: reflect(eigenvalues[:, None] * reflect(vectors)))


def spectra(size: int) -> dict[str, np.ndarray]:
    """Spectra as Hessians have them, and harder ones."""
    draw = np.random.default_rng(0)
    bulk = np.abs(draw.standard_normal(size)) ** 3 * 0.02
    wide = 0.3 * draw.standard_normal(size)
    order = np.arange(1, size + 1)

    def above(outliers: Sequence[float], rest: np.ndarray) -> np.ndarray:
        return np.concatenate([outliers, rest[len(outliers) :]])

    return {
        "12 outliers above a bulk": above(np.geomspace(20, 2.5, 12).tolist(), bulk),
        "outliers of either sign": above([9, 7, -5, 4, 3.2, -2.8, 2.6, 2.4, 2.2, -2.1, 1.9], bulk),
        "10 outliers, the last ones in the bulk": above(np.geomspace(10, 0.8, 10).tolist(), bulk),
        "5 outliers, the other pairs at a bulk's edge": above([5, 4, 3, 2.5, -2], wide),
        "1 / i": 1 / order,
        "1 / sqrt(i)": 1 / np.sqrt(order),
        "0.9^i": 0.9 ** order.astype(float),
        "a double eigenvalue": above([5, 5, 4, 3.5, 3, 2.8, 2.6, 2.4, 2.3, 2.2, 2.1], bulk),
        "two eigenvalues, nine times each": above([3.0] * 9 + [2.0] * 9, bulk),
    }


def by_magnitude(values: np.ndarray) -> np.ndarray:
    return values[np.argsort(-np.abs(values), kind="stable")]


def compare(A: Counted, expected: np.ndarray | None) -> dict[str, Any]:
    """Products of both sides from the same starts, their true residuals, and how often their values were wrong."""
    rows: dict[str, list[float]] = {name: [] for name in ("converged", "probed", "checked", "arpack")}
    worst = {"ours": 0.0, "arpack": 0.0}
    wrong = {"ours": 0, "arpack": 0}
    for seed in range(STARTS):
        start = torch.randn(A.shape[0], generator=torch.Generator().manual_seed(1000 + seed), dtype=A.dtype)
        A.products = 0
        search = EigenpairSearch(A, COUNT, TOLERANCE, seed, MEMORY // (A.shape[0] * A.dtype.itemsize))
        search.begin(start / torch.linalg.vector_norm(start))
        search.converge()
        rows["converged"].append(A.products)
        while search.finds_more():
            search.converge()
        rows["probed"].append(A.products)
        values, vectors, _, _ = search.checked()
        rows["checked"].append(A.products)
        A.products = 0
        theirs, their_vectors = eigsh(A.to_scipy(), COUNT, which="LM", tol=TOLERANCE, v0=start.numpy())
        rows["arpack"].append(A.products)
        sides = {"ours": (values.numpy(), vectors), "arpack": (theirs, torch.from_numpy(their_vectors))}
        truth = by_magnitude(values.numpy()) if expected is None else by_magnitude(expected)[:COUNT]
        for side, (some, of_some) in sides.items():
            scaled = of_some.double() * torch.from_numpy(np.asarray(some, float))
            residuals = torch.linalg.vector_norm((A @ of_some).double() - scaled, dim=0).numpy() / np.abs(some)
            worst[side] = max(worst[side], float(residuals.max()))
            ordered = np.sort(np.abs(some))[::-1]
            wrong[side] += not np.allclose(ordered, np.abs(truth), rtol=2 * TOLERANCE)
    mean = {name: statistics.mean(products) for name, products in rows.items()}
    return {
        "parameters": A.shape[0],
        "products": rows,
        "converged_over_arpack": mean["converged"] / mean["arpack"],
        "all_over_arpack": mean["checked"] / mean["arpack"],
        "all_over_arpack_with_residuals": mean["checked"] / (mean["arpack"] + COUNT),
        "largest_true_residual": worst,
        "wrong_values": wrong,
    }


def summary(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Geometric means, where ARPACK is right."""
    fair = [part for part in parts.values() if part["wrong_values"]["arpack"] == 0]
    names = ("converged_over_arpack", "all_over_arpack", "all_over_arpack_with_residuals")
    return {"geometric_mean": {name: statistics.geometric_mean(part[name] for part in fair) for name in names}} | parts


def trained_vit(samples: int, steps: int) -> tuple[torch.nn.Module, Tensor, Tensor]:
    """The embedded ViT, its digits and their labels, after so many steps of Adam."""
    digits = load_digits()
    pixels = torch.from_numpy(digits.images[:samples]).float()[:, None] / 16
    pixels = functional.interpolate(pixels, size=(28, 28), mode="bilinear")
    pixels, labels = (pixels - pixels.mean()) / pixels.std(), torch.from_numpy(digits.target[:samples])
    torch.manual_seed(0)
    model = load_image_classifier(TINY_VIT, [str(label) for label in range(10)], image_size=28).model.eval()
    model.requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(steps):
        chosen = torch.randint(len(pixels), (64,))
        optimizer.zero_grad()
        functional.cross_entropy(model(pixels[chosen]).logits, labels[chosen]).backward()
        optimizer.step()
    return model, pixels, labels


def vit_hessian(samples: int, steps: int, moves: Callable[[str], bool]) -> Counted:
    """Of the mean loss in some of the parameters."""
    model, pixels, labels = trained_vit(samples, steps)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(moves(name))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def flat(gradients: Sequence[Tensor]) -> Tensor:
        return torch.cat([gradient.reshape(-1) for gradient in gradients])

    with sdpa_kernel(SDPBackend.MATH):
        loss = functional.cross_entropy(model(pixels).logits, labels)
        gradient = flat(torch.autograd.grad(loss, parameters, create_graph=True))

    def product(vectors: Tensor) -> Tensor:
        columns = vectors.T.contiguous()
        return torch.stack(
            [flat(torch.autograd.grad(gradient, parameters, one, retain_graph=True)) for one in columns], 1
        )

    return Counted(len(gradient), gradient.dtype, product)


def in_last_block(name: str) -> bool:
    return "layers.3." in name or "classifier" in name or name.startswith("vit.layernorm")


def in_few(name: str) -> bool:
    """Few enough for a dense Hessian: biases, norms and the head of the last block."""
    return in_last_block(name) and ("classifier" in name or "norm" in name or "bias" in name)


def eigenpairs() -> dict[str, Any]:
    return summary({name: compare(with_eigenvalues(some), some) for name, some in spectra(50_000).items()})


def vit() -> dict[str, Any]:
    cases = {
        "all parameters, before training": (100, 0, lambda name: True),
        "all parameters": (100, 150, lambda name: True),
        "last block and head": (100, 150, in_last_block),
        "head": (100, 150, lambda name: "classifier" in name),
    }
    return summary({name: compare(vit_hessian(*case), None) for name, case in cases.items()})


def missing() -> dict[str, Any]:
    """How often a double eigenvalue is missed: as often as the probe's doubt says, 1%, or less."""
    trials, size, found = 300, 2000, {}
    for doubled in (5.0, 4.0, 3.0, 2.5):
        misses, products = 0, []
        for seed in range(trials):
            bulk = np.abs(np.random.default_rng(seed).standard_normal(size)) ** 3 * 0.02
            values = np.concatenate([[5, 4, 3, 2.5, 2.35, doubled], bulk[6:]])
            pairs = top_eigenpairs(with_eigenvalues(values, torch.float64), 5, seed=seed)
            misses += not np.allclose(pairs.values.numpy(), by_magnitude(values)[:5], rtol=2 * TOLERANCE)
            products.append(pairs.products)
        found[f"{doubled} of 5, 4, 3, 2.5, 2.35"] = {"missed": misses / trials, "products": statistics.mean(products)}
    return {"trials": trials, **found}


def hutchinson(A: SymmetricOperator, draws: int, seed: int) -> tuple[float, float, int]:
    signs = torch.from_numpy(np.random.default_rng(seed).choice([-1.0, 1.0], (A.shape[0], draws))).to(A.dtype)
    each = (signs * (A @ signs)).sum(0)
    return float(each.mean()), float(each.std()) / math.sqrt(draws), draws - 1


def hutch_plus_plus(A: SymmetricOperator, draws: int, seed: int) -> tuple[float, float, int]:
    third, draw = draws // 3, np.random.default_rng(seed)
    rest = draws - 2 * third
    signs = torch.from_numpy(draw.choice([-1.0, 1.0], (A.shape[0], third + rest))).to(A.dtype)
    basis, _ = torch.linalg.qr(A @ signs[:, :third])
    outside = signs[:, third:] - basis @ (basis.T @ signs[:, third:])
    each = (outside * (A @ outside)).sum(0)
    return float((basis * (A @ basis)).sum() + each.mean()), float(each.std()) / math.sqrt(rest), rest - 1


def x_trace(A: SymmetricOperator, draws: int, seed: int) -> tuple[float, float, int]:
    """Epperly, Tropp, Webber 2024, algorithm 1, with signs."""
    half = draws // 2
    signs = torch.from_numpy(np.random.default_rng(seed).choice([-1.0, 1.0], (A.shape[0], half))).to(A.dtype)
    sketch = A @ signs
    basis, triangle = torch.linalg.qr(sketch)
    normals = torch.linalg.inv(triangle).T
    normals /= torch.linalg.vector_norm(normals, dim=0)
    products = A @ basis
    core, inside = basis.T @ products, basis.T @ signs
    each = []
    for one in range(half):
        normal = normals[:, one]
        kept = inside[:, one] - normal * (normal @ inside[:, one])
        outside = signs[:, one] - basis @ kept
        each.append(float(core.trace() - normal @ core @ normal + outside @ (sketch[:, one] - products @ kept)))
    return statistics.mean(each), statistics.stdev(each) / math.sqrt(half), half - 1


def ours(estimate: Callable[..., Any]) -> Callable[[SymmetricOperator, int, int], tuple[Any, Any, int]]:
    return lambda A, draws, seed: (*estimate(A, draws, seed), draws - draws // 2 - 1)


def traces() -> dict[str, Any]:
    """Root mean square errors relative to the truth, and how often 90% intervals hold it."""
    few = vit_hessian(64, 80, in_few)
    hessian = (few @ torch.eye(few.shape[0])).double()
    draw = np.random.default_rng(0)
    basis, _ = np.linalg.qr(draw.standard_normal((1000, 1000)))
    bulk = np.abs(draw.standard_normal(1000)) ** 3 * 0.02
    outliers = np.concatenate([np.geomspace(10, 0.8, 10), bulk[10:900], -bulk[900:]])
    matrices = {"embedded ViT": hessian, "10 outliers above a bulk": torch.from_numpy((basis * outliers) @ basis.T)}
    found: dict[str, Any] = {"trials": 200}
    for name, given in matrices.items():
        matrix = (given + given.T) / 2
        A = SymmetricMatrix(matrix)
        truth = {"trace": float(matrix.trace()), "frobenius_norm": float(torch.linalg.matrix_norm(matrix))}
        sides = {
            "trace": {
                "ours": ours(trace),
                "hutchinson": hutchinson,
                "hutch++": hutch_plus_plus,
                "xtrace": x_trace,
            },
            "frobenius_norm": {"ours": ours(frobenius_norm)},
        }
        found[name] = {"parameters": len(matrix)}
        for quantity, estimators in sides.items():
            for side, estimator in estimators.items():
                for draws in (15, 30, 60):
                    runs = [estimator(A, draws, seed) for seed in range(found["trials"])]
                    errors = np.array([value - truth[quantity] for value, _, _ in runs])
                    reach = np.array([student.ppf(0.95, degrees) * error for _, error, degrees in runs])
                    found[name][f"{quantity}, {side}, {draws} products"] = {
                        "error": float(np.sqrt(np.mean(errors**2)) / abs(truth[quantity])),
                        "coverage": float((np.abs(errors) <= reach).mean()),
                    }
        entries = matrix.diagonal()
        for draws in (15, 30, 60):
            runs = [diagonal(A, draws, seed) for seed in range(20)]
            deviations = torch.stack([run.values - entries for run in runs])
            reach = torch.stack([student.ppf(0.95, draws - draws // 2 - 1) * run.errors for run in runs])
            found[name][f"diagonal, ours, {draws} products"] = {
                "error": float(deviations.square().mean().sqrt() / entries.square().mean().sqrt()),
                "coverage": float((deviations.abs() <= reach).double().mean()),
            }
    return found


def density() -> dict[str, Any]:
    """What the quadrature adds at the default width, and how often 90% intervals hold, over the grid."""
    draw = np.random.default_rng(0)
    bulk = np.abs(draw.standard_normal(600)) ** 3 * 0.02
    cases = {
        "normal": draw.standard_normal(600),
        "10 outliers above a bulk": np.concatenate([np.geomspace(10, 0.8, 10), bulk[10:]]),
    }
    found = {}
    for name, values in cases.items():
        A = with_eigenvalues(values, torch.float64)

        def truth(grid: np.ndarray, width: float, values: np.ndarray = values) -> np.ndarray:
            scaled = (grid[:, None] - values) / width
            return np.asarray(np.exp(-0.5 * scaled**2).mean(1) / (width * math.sqrt(2 * math.pi)))

        many = spectral_density(A, draws=400)
        difference = many.density - truth(many.grid, many.width)
        held = []
        for seed in range(30):
            few = spectral_density(A, seed=seed)
            exact = truth(few.grid, few.width)
            within = np.abs(few.density - exact) <= student.ppf(0.95, 7) * few.error
            held.append(float(within[exact > 1e-3 * exact.max()].mean()))
        found[name] = {
            "largest_difference_over_peak": float(np.abs(difference).max() / many.density.max()),
            "largest_error_over_peak": float(many.error.max() / many.density.max()),
            "coverage": statistics.mean(held),
        }
    return found


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "eigenpairs": eigenpairs,
    "vit": vit,
    "missing": missing,
    "traces": traces,
    "density": density,
}


def main() -> None:
    """The parts asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = arguments.parse_args()
    torch.set_num_threads(asked.threads)
    save("spectra", {name: PARTS[name]() for name in asked.only})


if __name__ == "__main__":
    main()
