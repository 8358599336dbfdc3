"""Does the loss surface settle because the Hessian does? The bound of the change by one more sample, term by term.

Run as ``python experiments/settling/run.py [--out FOLDER] [--pieces FOLDER] [--only NAME ...] [--quick]``; about 25
minutes on two cores. Each part is kept in the folder of pieces as soon as it is measured, so a run that is killed goes
on. It writes result.json and figures, and the tables in README.md and docs/settling.md between their markers. --quick
takes less than a minute and writes only where --out says. --tables prints the tables of result.json and measures
nothing.

Models: the embedded Vision Transformer and DINOv2-S, fine-tuned on handwritten digits; one transformer block for the
closed-form bounds. Formulas: docs/theory.md, section 4.
"""

import argparse
import copy
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import TypeAdapter
from rich.console import Console
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from suffice import Convergence, InputError, Probes, Problem, closed_form, curvature, record
from suffice.closed_form.bounds.norms import sample_bounds
from suffice.data import Reading, SyntheticRegression, load_samples
from suffice.digest import digest
from suffice.landscape import Expansion, expansion, gaussian_moments
from suffice.models import adapted, layers_of, load_classifier, mlp
from suffice.runs.watch import duration
from suffice.storage import Pieces, atomic_write
from suffice.training import FineTuning, fine_tune

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SHARED = Path(os.environ.get("SUFFICE_SHARED", ROOT.parent / "shared"))
PAGE = ROOT / "docs" / "settling.md"

MODEL, DATA, DINO = "builtin:tiny-vit", "builtin:digits", "dinov2-small"
SEED = 0
TOLERANCE = 0.05
"""eps, as a share of the mean loss at w*."""

METHODS = {
    "full": "all parameters",
    "last_layers(1)": "last layer and head",
    "lora(4)": "LoRA of rank 4 and head",
    "head": "head",
    "mlp": "MLP of width 64 and depth 3",
}
RATES = {"full": 1e-3, "last_layers(1)": 3e-3, "lora(4)": 1e-2, "head": 3e-2}
"""Learning rates."""

DIRECTIONS = {"random": "random directions", "eigenvectors": "top eigenvectors"}
SHOWN = {"random": (0.003, 0.03, 0.3), "eigenvectors": (0.0003, 0.003, 0.03)}
"""Radii, relative to ||w*||, of the tables: the nearest that are measured. The bound's figure has the first ones."""

JSON = TypeAdapter(dict[str, Any])


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    samples: int = 300
    epochs: int = 20
    methods: tuple[str, ...] = tuple(METHODS)
    directions: int = 8
    radii: tuple[float, ...] = tuple(np.geomspace(3e-4, 3, 13).tolist())
    sizes: int = 12
    """Of gaps along k."""

    points: int = 100
    """Gaussian ones, for Monte Carlo."""

    gaussian_radii: tuple[float, ...] = (0.0001, 0.0003, 0.001, 0.003)
    """sigma sqrt(D) over ||w*||; D eigenvectors."""

    count: int = 10
    """Eigenpairs along k."""

    spectrum_sizes: tuple[int, ...] = (10, 30, 100, 200, 300)
    orders: int = 10
    minima: tuple[int, ...] = (30, 100, 200, 300)
    """Sizes of the trainings from which w*_k come."""

    windows: tuple[int, ...] = (10, 30, 100, 280)
    """First k of the windows in which gaps are taken at successive k."""

    window: int = 10
    classes: tuple[int, ...] = (2, 3, 5, 10)
    outlier_samples: int = 200
    draws: int = 3
    steps: int = 40
    depths: tuple[int, ...] = (2, 3, 4, 5, 6)
    depth_samples: int = 100
    depth_epochs: int = 60
    dino_layers: tuple[int, ...] = (1, 2, 4)
    dino_samples: int = 32
    blocks: tuple[str, ...] = ("post", "pre")
    block_samples: int = 200
    block_steps: int = 300


QUICK = Plan(
    samples=16, epochs=2, methods=("head",), directions=2, radii=(1e-3, 0.1, 3.0), sizes=3, points=6,
    gaussian_radii=(0.003,), count=2, spectrum_sizes=(4, 16), orders=2, minima=(8, 16), windows=(4,), window=2,
    classes=(2,), outlier_samples=12, draws=2, steps=12, depths=(1,), depth_samples=6, depth_epochs=2, dino_layers=(),
    blocks=("pre",), block_samples=12, block_steps=5,
)  # fmt: skip


# --- models -----------------------------------------------------------------------------------------------------------


def fitted(
    plan: Plan,
    folder: Path,
    method: str = "full",
    samples: int | None = None,
    classes: int = 10,
    first: int | None = None,
) -> tuple[Problem, float]:
    """The embedded Vision Transformer at w*, with the digits that it was trained on in a random order; how far it came.

    Args:
        plan: epochs, samples.
        folder: where the training keeps its checkpoint.
        method: what is trained, and moves.
        samples: how many digits; the plan's by default.
        classes: of the first so many classes.
        first: train on the first so many samples only, with as many steps; the problem has them all.
    """
    if method == "mlp":
        return _fitted_mlp(plan, folder)
    chosen = [str(digit) for digit in range(classes)] if classes < 10 else None
    digits = load_samples(DATA, Reading(classes=chosen))
    classifier = load_classifier(MODEL, digits, keep_head=False, seed=SEED)
    rows = taken(len(digits), plan.samples if samples is None else samples)
    model = adapted(classifier.model, method)

    def problem_of(some: np.ndarray) -> Problem:
        inputs = classifier.inputs(digits, some)
        return Problem(model, inputs, predict=classifier.predict, order="source", collate=classifier.collate)

    problem = problem_of(rows)
    steps = plan.epochs * math.ceil(len(rows) / 32)
    settings = FineTuning(steps=steps, learning_rate=RATES[method], seed=SEED)
    name = f"{method}_{len(rows)}_{classes}_{first or len(rows)}.pt"
    folder.mkdir(parents=True, exist_ok=True)
    start = curvature.flattened(problem, problem.center())
    fine_tune(problem if first is None else problem_of(rows[:first]), settings, folder / name)
    return problem, float(torch.linalg.vector_norm(curvature.flattened(problem, problem.center()) - start))


def _fitted_mlp(plan: Plan, folder: Path) -> tuple[Problem, float]:
    """A network of the base experiment, with its settings: a noisy teacher, squared error, SGD."""
    x, y = SyntheticRegression("teacher", dimension=8, noise=0.3, seed=SEED).draw(plan.samples, seed=1)
    data = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    problem = Problem(mlp(8, width=64, depth=3, seed=SEED), data, "mse", order="source")
    settings = FineTuning(epochs=40, learning_rate=0.05, weight_decay=0.0, seed=SEED, optimizer="sgd")
    folder.mkdir(parents=True, exist_ok=True)
    start = curvature.flattened(problem, problem.center())
    fine_tune(problem, settings, folder / f"mlp_{plan.samples}.pt")
    return problem, float(torch.linalg.vector_norm(curvature.flattened(problem, problem.center()) - start))


def trained(*arguments: Any, **named: Any) -> Problem:
    """The problem of `fitted`."""
    return fitted(*arguments, **named)[0]


def taken(available: int, samples: int) -> np.ndarray:
    """Rows in a random order."""
    return np.random.default_rng(SEED).permutation(available)[:samples]


def digit_tokens(rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Digits as 4 patches of 4 by 4 pixels, of mean 0 and deviation 1, and their labels."""
    images, labels = load_digits(return_X_y=True)
    patches = images.reshape(-1, 2, 4, 2, 4).swapaxes(2, 3).reshape(len(images), 4, 16)
    return torch.from_numpy((patches - patches.mean())[rows] / patches.std()), torch.from_numpy(labels[rows])


def log_sizes(samples: int, count: int) -> list[int]:
    """Sizes from 1 to m - 1, evenly spaced on a log axis."""
    return np.unique(np.geomspace(1, samples - 1, count).round().astype(int)).tolist()


def random_basis(parameters: int, directions: int) -> Tensor:
    """Random orthonormal columns."""
    draw = torch.Generator().manual_seed(SEED)
    return torch.linalg.qr(torch.randn(parameters, directions, generator=draw)).Q


def accuracy(problem: Problem) -> float | None:
    """On the samples of the problem; None for a regression."""
    if problem.loss == "mse":
        return None
    return float((problem.all_outputs().argmax(1) == problem.all_targets()).double().mean())


# --- parts ------------------------------------------------------------------------------------------------------------


def claim(plan: Plan, folder: Path, method: str) -> dict[str, Any]:
    """(7) against in_order, (7') against difference, the remainder, shares, Assumption 1, and k* by the bound."""
    problem, travelled = fitted(plan, folder, method)
    count, m = curvature.parameter_count(problem), len(problem)
    gaps = curvature.gaps(problem, log_sizes(m, plan.sizes))
    spreads = curvature.spreads(problem, tolerance=0.1)
    hessian = curvature.Hessian(problem)
    pairs = curvature.top_eigenpairs(hessian, min(plan.directions, count))
    gradients = curvature.loss_gradients(problem, np.arange(m)).double()
    norms = torch.linalg.vector_norm(gradients, dim=1)
    bases = {"random": random_basis(count, min(plan.directions, count)), "eigenvectors": pairs.vectors}
    found = {}
    for name, basis in bases.items():
        measured = expansion(problem, basis, plan.radii)
        found[name] = _along(measured, gaps, spreads)
    return {
        "parameters": count,
        "samples": m,
        "loss": float(measured.derivatives.losses.mean()),
        "accuracy": accuracy(problem),
        "center_norm": spreads.center_norm,
        "travelled": travelled / spreads.center_norm,
        "spreads": dict(spreads._asdict()),
        "eigenvalues": pairs.values.tolist(),
        "gaps": {name: getattr(gaps, name).tolist() for name in ("sizes", "loss", "gradient", "hessian", "residual")},
        "assumption": {
            "mean_gradient": float(torch.linalg.vector_norm(gradients.mean(0))),
            "sample_gradient_median": float(norms.median()),
            "sample_gradient_rms": float(norms.square().mean().sqrt()),
        },
        "directions": found,
    }


def _along(measured: Expansion, gaps: curvature.Gaps, spreads: curvature.Spreads) -> dict[str, Any]:
    """What the losses along some directions say about the bounds, at each radius."""
    per_radius = 2 * measured.derivatives.gradients.shape[1]
    remainder, at_radius = measured.remainder, []
    for ring, radius in enumerate(measured.radii.tolist()):
        probes = list(range(1 + ring * per_radius, 1 + (ring + 1) * per_radius))
        curves = Convergence(measured.ledger.at([0, *probes]))
        steps = curves.in_order(gaps.sizes)[:, 1:]
        beyond = _in_order(remainder[:, probes], gaps.sizes)
        bound, typical = curves.bound(gaps, radius), curves.typical_bound(spreads, radius, [1])
        by_difference = curves.sufficient_size(TOLERANCE, "difference")
        at_radius.append(
            {
                "radius": radius,
                "measured_max": steps.max(1).tolist(),
                "measured_rms": np.sqrt(np.square(steps).mean(1)).tolist(),
                "remainder_max": beyond.max(1).tolist(),
                "loss": bound.loss.tolist(),
                "gradient": bound.gradient.tolist(),
                "hessian": bound.hessian.tolist(),
                "share_above_bound": float((steps > bound.total[:, None]).mean()),
                "share_above_bound_and_remainder": float((steps > 1.000001 * (bound.total[:, None] + beyond)).mean()),
                "constant": float(math.sqrt(2) * typical.total[0]),
                "gradient_share": float(typical.gradient[0] / typical.total[0]),
                "hessian_share": float(typical.hessian[0] / typical.total[0]),
                "size_by_bound": curves.size_by_bound(spreads, radius, TOLERANCE),
                "size_by_difference": by_difference.size,
                "size_by_difference_interval": [by_difference.low, by_difference.high],
            }
        )
    return {
        "spread": measured.spread.tolist(),
        "quadratic_spread": measured.quadratic_spread.tolist(),
        "remainder_spread": measured.remainder_spread.tolist(),
        "shares": {name: share.tolist() for name, share in measured.shares._asdict().items()},
        "quadratic_radius": quadratic_radius(measured),
        "radii": at_radius,
    }


def _in_order(rows: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """|R_{k+1} - mean of R_1 ... R_k| / (k + 1) of each column."""
    means = np.cumsum(rows, axis=0)[sizes - 1] / sizes[:, None]
    return np.asarray(np.abs(rows[sizes] - means) / (sizes[:, None] + 1))


def quadratic_radius(measured: Expansion) -> dict[str, Any]:
    """The radius, or why it is not known."""
    try:
        return {"value": measured.quadratic_radius, "reason": None}
    except InputError as error:
        return {"value": None, "reason": str(error)}


def gaussian(plan: Plan, folder: Path, method: str) -> dict[str, Any]:
    """(8) against Monte Carlo, at real weights, in the span of the top eigenvectors."""
    problem = trained(plan, folder, method)
    directions = min(plan.directions, curvature.parameter_count(problem))
    basis = curvature.top_eigenpairs(curvature.Hessian(problem), directions).vectors
    rows = curvature.per_sample(problem, basis)
    sizes = sorted({max(1, len(problem) // part) for part in (30, 10, 3)} | {len(problem) - 1})
    found = []
    for radius in plan.gaussian_radii:
        length = float(np.sqrt(sum(float(part.double().square().sum()) for part in problem.center().values())))
        sigma = radius * length / math.sqrt(directions)
        probes = Probes.gaussian(problem, sigma, plan.points, seed=SEED, basis=basis)
        losses = record(problem, probes).losses[:, 1:]
        means = np.cumsum(losses, axis=0) / np.arange(1, len(losses) + 1)[:, None]
        steps = np.stack([means[k] - means[k - 1] for k in sizes])
        moments = gaussian_moments(rows, sizes, sigma)
        found.append(
            {
                "radius": radius,
                "sigma": sigma,
                "formula_mean": moments.mean.tolist(),
                "formula_square": moments.square.tolist(),
                "drawn_mean": steps.mean(1).tolist(),
                "drawn_mean_error": (steps.std(1, ddof=1) / math.sqrt(plan.points)).tolist(),
                "drawn_square": np.square(steps).mean(1).tolist(),
                "drawn_square_error": (np.square(steps).std(1, ddof=1) / math.sqrt(plan.points)).tolist(),
            }
        )
    return {"sizes": sizes, "points": plan.points, "directions": directions, "radii": found}


def along(plan: Plan, folder: Path, method: str) -> dict[str, Any]:
    """The spectrum of H_k and the overlap of its top subspace with the last one: random, source and class order."""
    problem = trained(plan, folder, method)
    m, draw = len(problem), np.random.default_rng(SEED + 1)
    digits = load_samples(DATA)
    rows = taken(len(digits), m)
    orders = {
        **{f"random {number}": draw.permutation(m) for number in range(plan.orders)},
        "source": np.argsort(rows),
        "class": np.lexsort((rows, digits.labels[rows])),
    }
    found = curvature.along_k(problem, plan.spectrum_sizes, plan.count, list(orders.values()), tolerance=1e-2)
    return {
        "sizes": found.sizes.tolist(),
        "values": dict(zip(orders, found.values.tolist(), strict=True)),
        "overlap": dict(zip(orders, found.overlap.tolist(), strict=True)),
        "whole": found.whole.values.tolist(),
    }


def retrained(plan: Plan, folder: Path, method: str) -> dict[str, Any]:
    """H_k and H_m at the minima w*_k of the first k samples, each trained anew with as many steps."""
    last = trained(plan, folder, method, first=plan.minima[-1])
    center = curvature.flattened(last, last.center())
    whole = curvature.top_eigenpairs(curvature.Hessian(last), plan.count, tolerance=1e-2)
    found = []
    for size in plan.minima:
        problem = trained(plan, folder, method, first=size)
        own, full = (
            curvature.top_eigenpairs(
                curvature.Hessian(problem, positions=np.arange(number)), plan.count, tolerance=1e-2
            )
            for number in (size, len(problem))
        )
        with problem.measuring():
            losses = torch.cat([problem.losses(batch, len(some)) for some, batch in problem.batches(64)])
        distance = torch.linalg.vector_norm(curvature.flattened(problem, problem.center()) - center)
        found.append(
            {
                "size": size,
                "own_values": own.values.tolist(),
                "full_values": full.values.tolist(),
                "overlap_with_last": curvature.subspace_overlap(own.vectors, whole.vectors),
                "overlap_own_full": curvature.subspace_overlap(own.vectors, full.vectors),
                "distance": float(distance),
                "relative_distance": float(distance / torch.linalg.vector_norm(center)),
                "own_loss": float(losses[:size].mean()),
                "full_loss": float(losses.mean()),
            }
        )
    return {"minima": found}


def gap_quantiles(plan: Plan, folder: Path, method: str) -> dict[str, Any]:
    """||h_{k+1} - H_k|| at successive k: one draw each, so the median and the quartiles of a window."""
    problem = trained(plan, folder, method)
    found = []
    for start in plan.windows:
        sizes = [size for size in range(start, start + plan.window) if size < len(problem)]
        gaps = curvature.gaps(problem, sizes, tolerance=5e-2)
        found.append(
            {"sizes": sizes} | {name: getattr(gaps, name).tolist() for name in ("loss", "gradient", "hessian")}
        )
    return {"windows": found}


def outlying(plan: Plan, folder: Path, classes: int) -> dict[str, Any]:
    """Eigenvalues above the bulk's edge, after training on so many classes."""
    problem = trained(plan, folder, samples=plan.outlier_samples, classes=classes)
    hessian = curvature.Hessian(problem)
    density = curvature.spectral_density(hessian, plan.draws, SEED, plan.steps)
    count, found = 2 * classes + 6, None
    while found is None:
        pairs = curvature.top_eigenpairs(hessian, count, tolerance=1e-2)
        try:
            found = curvature.outliers(density, pairs)
        except InputError as error:
            if "ask top_eigenpairs for more" not in str(error) or count > 100:
                raise
            count *= 2
    return {
        "classes": classes,
        "samples": len(problem),
        "accuracy": accuracy(problem),
        "outliers": found.count,
        "edge": found.edge,
        "width": density.width,
        "values": pairs.values.tolist(),
        "grid": density.grid[::4].tolist(),
        "density": (hessian.shape[0] * density.density[::4]).tolist(),
    }


def depth(plan: Plan, folder: Path, layers: int) -> dict[str, Any]:
    """A Vision Transformer of the embedded kind with so many layers, trained from random weights."""
    digits = load_samples(DATA)
    classifier = load_classifier(MODEL, digits, keep_head=False, seed=SEED)
    config = copy.deepcopy(classifier.model.config)
    config.num_hidden_layers = layers
    torch.manual_seed(SEED)
    model = type(classifier.model)(config).eval()
    rows = taken(len(digits), plan.depth_samples)
    inputs = classifier.inputs(digits, rows)
    problem = Problem(model, inputs, predict=classifier.predict, order="source", collate=classifier.collate)
    folder.mkdir(parents=True, exist_ok=True)
    fine_tune(problem, FineTuning(epochs=plan.depth_epochs, seed=SEED), folder / f"depth_{layers}.pt")
    return {"layers": layers, **_constants(plan, problem)}


def dino(plan: Plan, folder: Path, layers: int) -> dict[str, Any]:
    """The first layers of DINOv2-S with a new head, fine-tuned on digits, all parameters."""
    digits = load_samples(DATA)
    classifier = load_classifier(str(SHARED / "models" / DINO), digits, image_size=56, keep_head=False, seed=SEED)
    model = classifier.model
    path, _, _ = next(iter(layers_of(model))).rpartition(".")
    owner, _, name = path.rpartition(".")
    setattr(model.get_submodule(owner), name, nn.ModuleList(list(model.get_submodule(path))[:layers]))
    model.config.num_hidden_layers = layers
    rows = taken(len(digits), plan.dino_samples)
    unused = {name for name, _ in model.named_parameters() if name.endswith("mask_token")}
    moving = [name for name, _ in model.named_parameters() if name not in unused]
    inputs = classifier.inputs(digits, rows)
    problem = Problem(
        model, inputs, predict=classifier.predict, parameters=moving, order="source", collate=classifier.collate
    )
    folder.mkdir(parents=True, exist_ok=True)
    settings = FineTuning(epochs=plan.epochs, learning_rate=1e-4, seed=SEED)
    fine_tune(problem, settings, folder / f"dino_{layers}.pt")
    return {"layers": layers, **_constants(plan, problem)}


def _constants(plan: Plan, problem: Problem) -> dict[str, Any]:
    """The constants of (7'), the largest eigenvalue and the quadratic radius in random directions."""
    spreads = curvature.spreads(problem, tolerance=0.1)
    pairs = curvature.top_eigenpairs(curvature.Hessian(problem), 1, tolerance=1e-2)
    directions = min(4, plan.directions)
    measured = expansion(problem, random_basis(curvature.parameter_count(problem), directions), plan.radii)
    return {
        "parameters": curvature.parameter_count(problem),
        "samples": len(problem),
        "loss": float(measured.derivatives.losses.mean()),
        "accuracy": accuracy(problem),
        "spreads": dict(spreads._asdict()),
        "largest": float(pairs.values[0]),
        "quadratic_radius": quadratic_radius(measured),
        "radii": list(plan.radii),
        "spread": measured.spread.tolist(),
        "shares": {name: share.tolist() for name, share in measured.shares._asdict().items()},
    }


def block(plan: Plan, folder: Path, norm: str) -> dict[str, Any]:
    """The closed-form bounds of ||h_{k+1} - H_k|| by the norms of its parts, beside the measured gap along k."""
    rows = taken(1797, plan.block_samples)
    tokens, labels = digit_tokens(rows)
    torch.manual_seed(SEED)
    module = closed_form.BlockClassifier(closed_form.TransformerBlock(16, 16, 32, 1, norm), 10).double()
    problem = Problem(module, TensorDataset(tokens, labels), order="source")
    folder.mkdir(parents=True, exist_ok=True)
    settings = FineTuning(steps=plan.block_steps, learning_rate=0.01, weight_decay=0.0, seed=SEED)
    fine_tune(problem, settings, folder / f"block_{norm}.pt")
    sizes = log_sizes(len(problem), 3 * plan.sizes)
    gaps = curvature.gaps(problem, sizes)
    bounds = {}
    for kind in ("data", "a_priori"):
        norms = sample_bounds(module, tokens, labels, "cross_entropy", kind).hessian.cpu().numpy()
        bounds[kind] = [float(norms[k] + norms[:k].mean()) for k in sizes]
    return {
        "parameters": curvature.parameter_count(problem),
        "samples": len(problem),
        "accuracy": accuracy(problem),
        "sizes": sizes,
        "measured": (gaps.hessian + gaps.residual).tolist(),
        **bounds,
    }


Part = Callable[[Plan, Path, Any], dict[str, Any]]
PARTS: dict[str, tuple[Part, Callable[[Plan], Sequence[Any]]]] = {
    "claim": (claim, lambda plan: plan.methods),
    "gaussian": (gaussian, lambda plan: plan.methods[:1]),
    "along": (along, lambda plan: plan.methods[:1]),
    "retrained": (retrained, lambda plan: plan.methods[:1]),
    "gaps": (gap_quantiles, lambda plan: plan.methods[:1]),
    "outliers": (outlying, lambda plan: plan.classes),
    "depth": (depth, lambda plan: plan.depths),
    "dino": (dino, lambda plan: plan.dino_layers if (SHARED / "models" / DINO).is_dir() else ()),
    "block": (block, lambda plan: plan.blocks),
}
"""Each part, and what it is measured for, one piece each."""


def measure(plan: Plan, folder: Path, only: Sequence[str], console: Console) -> dict[str, Any]:
    """All parts asked for; of the others, those that are there."""
    pieces = Pieces(folder, digest(asdict(plan), torch.__version__))
    found: dict[str, Any] = {}
    for name, (part, variants) in PARTS.items():
        found[name] = {}
        for variant in variants(plan):
            piece = f"{name}_{variant}"
            if not pieces.has(piece):
                if only and name not in only:
                    continue
                console.print(f"{name} {variant} …")
            start = time.perf_counter()

            def measured(part: Part = part, variant: Any = variant, start: float = start) -> dict[str, Any]:
                content = part(plan, folder / "weights", variant)
                return content | {"seconds": round(time.perf_counter() - start, 1)}

            found[name][str(variant)] = pieces.get(piece, JSON, measured)
            console.print(f"{name} {variant}: {duration(found[name][str(variant)]['seconds'])}")
    settings = json.loads(json.dumps(asdict(plan))) | {"tolerance": TOLERANCE, "seed": SEED}
    return {"settings": settings, "environment": environment(), **found}


def environment() -> dict[str, Any]:
    """The software and the number of threads."""
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "matplotlib": mpl.__version__,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


# --- tables -----------------------------------------------------------------------------------------------------------


def claim_table(result: Mapping[str, Any]) -> Iterator[str]:
    """The bounds and what was measured, at some radii."""
    yield (
        "| moves | directions | ρ over ‖w\\*‖ | S(ρ) measured | C of (7') | C over S(ρ) | largest term | "
        "S_R over S(ρ) | steps above (7) | above (7) + remainder | k\\* by difference | k\\* by the bound |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|"
    for method, found in result["claim"].items():
        for name, along_them in found["directions"].items():
            for ring in shown_rings(along_them, name):
                at = along_them["radii"][ring]
                spread, beyond = along_them["spread"][ring], along_them["remainder_spread"][ring]
                shares = {"losses": 1 - at["gradient_share"] - at["hessian_share"]} | {
                    "gradients": at["gradient_share"],
                    "Hessians": at["hessian_share"],
                }
                largest = max(shares, key=lambda term: shares[term])
                yield (
                    f"| {METHODS[method]} | {DIRECTIONS[name]} | {number(at['radius'])} | {number(spread)} | "
                    f"{number(at['constant'])} | {number(at['constant'] / spread)} | "
                    f"{largest}, {shares[largest]:.0%} | {number(beyond / spread)} | {at['share_above_bound']:.0%} | "
                    f"{at['share_above_bound_and_remainder']:.0%} | {size(at['size_by_difference'])} | "
                    f"{size(at['size_by_bound'])} |"
                )


def shares_table(result: Mapping[str, Any]) -> Iterator[str]:
    """What each term of (6) has of S^2(w), and the quadratic radius."""
    yield (
        "| moves | directions | quadratic radius | over distance travelled | ρ over ‖w\\*‖ | losses | "
        "gradients | Hessians | losses × Hessians | remainder |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for method, found in result["claim"].items():
        for name, along_them in found["directions"].items():
            for ring in shown_rings(along_them, name):
                shares = " | ".join(f"{share[ring]:.1%}" for share in along_them["shares"].values())
                yield (
                    f"| {METHODS[method]} | {DIRECTIONS[name]} | {radius_in_words(along_them['quadratic_radius'])} | "
                    f"{over(along_them['quadratic_radius'], found['travelled'])} | "
                    f"{number(along_them['radii'][ring]['radius'])} | {shares} |"
                )


def assumption_table(result: Mapping[str, Any]) -> Iterator[str]:
    """Assumption 1 in numbers."""
    yield "| moves | parameters | ‖w\\*‖ | loss | accuracy | ‖G‖ | median ‖g_i‖ | S_g | S_l | S_h | λ_max(H) |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for method, found in result["claim"].items():
        gradients, spreads = found["assumption"], found["spreads"]
        share = "" if found["accuracy"] is None else f"{found['accuracy']:.1%}"
        numbers = [
            found["center_norm"],
            found["loss"],
            None,
            gradients["mean_gradient"],
            gradients["sample_gradient_median"],
            spreads["gradient"],
            spreads["loss"],
            spreads["hessian"],
            found["eigenvalues"][0],
        ]
        cells = " | ".join(share if value is None else number(value) for value in numbers)
        yield f"| {METHODS[method]} | {found['parameters']:,} | {cells} |"


def gaussian_table(result: Mapping[str, Any]) -> Iterator[str]:
    """(8) against Monte Carlo."""
    yield "| σ√D over ‖w\\*‖ | k | mean: drawn | by (8) | root mean square: drawn | by (8) | drawn over (8), squares |"
    yield "|---|---|---|---|---|---|---|"
    for found in result["gaussian"].values():
        for at in found["radii"]:
            for row, k in enumerate(found["sizes"]):
                drawn, error = at["drawn_square"][row], at["drawn_square_error"][row]
                formula = at["formula_square"][row]
                yield (
                    f"| {number(at['radius'])} | {k:,} | {at['drawn_mean'][row]:.2e} ± "
                    f"{at['drawn_mean_error'][row]:.0e} | {at['formula_mean'][row]:.2e} | "
                    f"{math.sqrt(drawn):.2e} | {math.sqrt(formula):.2e} | "
                    f"{drawn / formula:.2f} ± {error / formula:.2f} |"
                )


def along_table(result: Mapping[str, Any]) -> Iterator[str]:
    """The largest eigenvalue and the overlap along k."""
    yield (
        "| k | λ_max: random orders, range | source order | by class | overlap: random orders, range | source order | "
        "by class |"
    )
    yield "|---|---|---|---|---|---|---|"
    for found in result["along"].values():
        for column, k in enumerate(found["sizes"]):
            cells = []
            for kind in ("values", "overlap"):
                rows = {name: np.array(row)[column].flat[0] for name, row in found[kind].items()}
                random = [value for name, value in rows.items() if name.startswith("random")]
                cells += [
                    f"{number(min(random))} to {number(max(random))}",
                    number(rows["source"]),
                    number(rows["class"]),
                ]
            yield f"| {k:,} | {' | '.join(cells)} |"


def retrained_table(result: Mapping[str, Any]) -> Iterator[str]:
    """The minima of fewer samples."""
    yield (
        "| k | ‖w\\*_k − w\\*_m‖ over ‖w\\*_m‖ | L_k(w\\*_k) | L_m(w\\*_k) | λ_max of H_k(w\\*_k) | of H_m(w\\*_k) | "
        "overlap of H_k(w\\*_k) with H_m(w\\*_m) | with H_m(w\\*_k) |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for found in result["retrained"].values():
        for at in found["minima"]:
            yield (
                f"| {at['size']:,} | {number(at['relative_distance'])} | {number(at['own_loss'])} | "
                f"{number(at['full_loss'])} | {number(at['own_values'][0])} | {number(at['full_values'][0])} | "
                f"{number(at['overlap_with_last'])} | {number(at['overlap_own_full'])} |"
            )


def gaps_table(result: Mapping[str, Any]) -> Iterator[str]:
    """Quartiles of the gaps, one draw a k."""
    yield "| k | ‖h_{k+1} − H_k‖: quartiles | ‖g_{k+1} − G_k‖: quartiles | \\|l_{k+1} − L_k\\|: quartiles |"
    yield "|---|---|---|---|"
    for found in result["gaps"].values():
        for window in found["windows"]:
            cells = [
                ", ".join(number(value) for value in np.quantile(window[name], [0.25, 0.5, 0.75]))
                for name in ("hessian", "gradient", "loss")
            ]
            yield f"| {window['sizes'][0]} to {window['sizes'][-1]} | {' | '.join(cells)} |"


def outliers_table(result: Mapping[str, Any]) -> Iterator[str]:
    """Outliers against classes."""
    yield "| classes | accuracy | outliers | bulk's edge | width of the density | the largest eigenvalues |"
    yield "|---|---|---|---|---|---|"
    for found in result["outliers"].values():
        largest = ", ".join(number(value) for value in found["values"][: found["classes"] + 2])
        yield (
            f"| {found['classes']} | {found['accuracy']:.1%} | {found['outliers']} | {number(found['edge'])} | "
            f"{number(found['width'])} | {largest} |"
        )


def depth_table(result: Mapping[str, Any]) -> Iterator[str]:
    """How the constants move with the depth."""
    yield "| model | layers | parameters | loss | accuracy | λ_max(H) | S_l | S_g | S_h | quadratic radius |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for name, model in (("depth", "embedded kind, from random weights"), ("dino", "DINOv2-S, first layers")):
        for found in result[name].values():
            spreads = found["spreads"]
            yield (
                f"| {model} | {found['layers']} | {found['parameters']:,} | {number(found['loss'])} | "
                f"{found['accuracy']:.1%} | {number(found['largest'])} | {number(spreads['loss'])} | "
                f"{number(spreads['gradient'])} | {number(spreads['hessian'])} | "
                f"{radius_in_words(found['quadratic_radius'])} |"
            )


def block_table(result: Mapping[str, Any]) -> Iterator[str]:
    """Bound over measured gap, the median over k."""
    yield "| block | parameters | accuracy | gap, median | data-dependent bound over it | a-priori one over it |"
    yield "|---|---|---|---|---|---|"
    for norm, found in result["block"].items():
        gap = np.array(found["measured"])
        ratios = [number(float(np.median(np.array(found[kind]) / gap))) for kind in ("data", "a_priori")]
        yield (
            f"| {norm}-norm | {found['parameters']:,} | {found['accuracy']:.1%} | {number(float(np.median(gap)))} | "
            f"{' | '.join(ratios)} |"
        )


TABLES: dict[str, tuple[Callable[[Mapping[str, Any]], Iterator[str]], Sequence[str]]] = {
    "claim": (claim_table, ["claim"]),
    "shares": (shares_table, ["claim"]),
    "assumption": (assumption_table, ["claim"]),
    "gaussian": (gaussian_table, ["gaussian"]),
    "along": (along_table, ["along"]),
    "retrained": (retrained_table, ["retrained"]),
    "gaps": (gaps_table, ["gaps"]),
    "outliers": (outliers_table, ["outliers"]),
    "depth": (depth_table, ["depth"]),
    "block": (block_table, ["block"]),
}
"""Each table, and the parts that it needs."""


def number(value: float) -> str:
    """Three digits."""
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:,.{digits}f}"
    return f"{value:.2e}"


def size(value: int | None) -> str:
    """With thousands separators."""
    return "cannot tell" if value is None else f"{value:,}" if value < 10**7 else f"{value:.1e}"


def radius_in_words(found: Mapping[str, Any]) -> str:
    """The radius, or on which side of those measured it is."""
    if found["value"] is not None:
        return number(found["value"])
    words = found["reason"].split(",")[0].split()
    return " ".join(words[-2:])


def over(found: Mapping[str, Any], travelled: float) -> str:
    """The radius over another length, both relative to ||w*||."""
    return "–" if found["value"] is None else number(found["value"] / travelled)


def shown_rings(along_them: Mapping[str, Any], name: str) -> list[int]:
    """Positions of the radii nearest to `SHOWN`."""
    radii = np.log([at["radius"] for at in along_them["radii"]])
    return sorted({int(np.abs(radii - math.log(wanted)).argmin()) for wanted in SHOWN[name]})


def write_tables(text: str, result: Mapping[str, Any]) -> str:
    """A page with the tables between their markers."""
    for name, (table, needed) in TABLES.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start in text and all(result[part] for part in needed):
            before, rest = text.split(start)
            _, after = rest.split(end)
            lines = "\n".join(table(result))
            text = f"{before}{start}{lines}\n{end}{after}"
    return text


# --- figures ----------------------------------------------------------------------------------------------------------

BLUE, ORANGE, GREEN, PURPLE, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#9A9A9A", "#333333"
TERMS = {"loss": ("losses", BLUE), "gradient": ("gradients", ORANGE), "hessian": ("Hessians", GREEN)}


PARTS_OF_S2 = ("losses", "gradients", "Hessians", "losses × Hessians", "remainder")


def draw_bound(result: Mapping[str, Any]) -> Figure:
    """(7) term by term against the steps in order, in random directions."""
    methods = list(result["claim"])
    canvas = Figure((13, 0.9 + 3.4 * len(methods)), layout="constrained")
    panels = canvas.subplots(len(methods), len(SHOWN["random"]), squeeze=False, sharex=True)
    for row, method in zip(panels, methods, strict=True):
        found = result["claim"][method]
        sizes, along_them = found["gaps"]["sizes"], found["directions"]
        for axes, ring in zip(row, shown_rings(along_them["random"], "random"), strict=False):
            at = along_them["random"]["radii"][ring]
            total = np.sum([at[term] for term in TERMS], axis=0)
            axes.plot(sizes, total, color=GREY, linewidth=4, alpha=0.6, label="bound (7)")
            for term, (label, color) in TERMS.items():
                axes.plot(sizes, at[term], color=color, linewidth=1.6, label=f"its term of {label}")
            for name, style in (("random", "-"), ("eigenvectors", "--")):
                measured = along_them[name]["radii"][ring]["measured_max"]
                axes.plot(sizes, measured, style, color=INK, linewidth=2, label=f"measured, {DIRECTIONS[name]}")
            axes.set_xscale("log")
            axes.set_yscale("log")
            lowest = min(min(along_them[name]["radii"][ring]["measured_max"]) for name in along_them)
            axes.set_ylim(0.2 * max(lowest, 1e-12), 2 * total.max())
            _plain(axes, f"{METHODS[method]}, ρ = {number(at['radius'])} ‖w*‖")
    for axes in panels[-1]:
        axes.set_xlabel("samples k")
    for axes in panels[:, 0]:
        axes.set_ylabel("|L_{k+1} − L_k|")
    canvas.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    canvas.suptitle("The bound, term by term, and what was measured", x=0.01, ha="left", fontweight="bold")
    return canvas


def draw_shares(result: Mapping[str, Any]) -> Figure:
    """The share of the variance of the losses that each term has, against the radius."""
    methods = list(result["claim"])
    canvas = Figure((13, 0.9 + 3.4 * len(methods)), layout="constrained")
    panels = canvas.subplots(len(methods), len(DIRECTIONS), squeeze=False, sharex=True)
    colors = (BLUE, ORANGE, GREEN, PURPLE, GREY)
    for row, method in zip(panels, methods, strict=True):
        for axes, name in zip(row, DIRECTIONS, strict=True):
            along_them = result["claim"][method]["directions"][name]
            radii = [at["radius"] for at in along_them["radii"]]
            quadratic = along_them["quadratic_radius"]["value"]
            for label, share, color in zip(PARTS_OF_S2, along_them["shares"].values(), colors, strict=True):
                axes.plot(radii, share, color=color, linewidth=2.4, label=label)
            axes.axhline(0, color=GREY, linewidth=0.8)
            if quadratic is not None:
                axes.axvline(quadratic, color=INK, linestyle=":", label="quadratic radius")
            axes.set_xscale("log")
            axes.set_ylim(-0.6, 1.3)
            _plain(axes, f"{METHODS[method]}, {DIRECTIONS[name]}")
    for axes in panels[-1]:
        axes.set_xlabel("distance ρ from w*, over ‖w*‖")
    for axes in panels[:, 0]:
        axes.set_ylabel("share of S²(ρ)")
    handles = {
        label: handle for axes in panels.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    canvas.legend(handles.values(), handles, loc="outside lower center", ncols=6, frameon=False)
    canvas.suptitle("What makes the spread of the losses grow?", x=0.01, ha="left", fontweight="bold")
    return canvas


def draw_along(result: Mapping[str, Any]) -> Figure:
    """Spectrum and overlap along k, with the band of random orders; gaps in windows."""
    canvas = Figure((13, 4.4), layout="constrained")
    top, common, gaps = canvas.subplots(1, 3)
    found = next(iter(result["along"].values()))
    minima = next(iter(result["retrained"].values()))["minima"]
    sizes = found["sizes"]
    for axes, kind, own in ((top, "values", "own_values"), (common, "overlap", "overlap_with_last")):
        curves = {name: np.array(row).reshape(len(sizes), -1)[:, 0] for name, row in found[kind].items()}
        random = np.array([curve for name, curve in curves.items() if name.startswith("random")])
        axes.fill_between(
            sizes, random.min(0), random.max(0), color=GREY, alpha=0.4, linewidth=0, label="random orders"
        )
        axes.plot(sizes, np.median(random, axis=0), color=GREY, linewidth=1.5)
        axes.plot(sizes, curves["source"], "o-", color=BLUE, label="source order")
        axes.plot(sizes, curves["class"], "o-", color=ORANGE, label="sorted by class")
        at_minima = [np.ravel(at[own])[0] for at in minima]
        axes.plot([at["size"] for at in minima], at_minima, "s--", color=GREEN, label="at the minimum of k samples")
        axes.set_xscale("log")
        axes.set_xlabel("samples k")
    top.set_yscale("log")
    _plain(top, "largest eigenvalue of H_k")
    _plain(common, "overlap of top subspaces")
    windows = next(iter(result["gaps"].values()))["windows"]
    positions = [float(np.mean(window["sizes"])) for window in windows]
    quartiles = np.array([np.quantile(window["hessian"], [0.25, 0.5, 0.75]) for window in windows])
    gaps.errorbar(
        positions, quartiles[:, 1], np.abs(quartiles[:, [0, 2]] - quartiles[:, [1]]).T, fmt="o", color=INK, capsize=4
    )
    gaps.set_xscale("log")
    gaps.set_xlabel("samples k")
    gaps.set_ylim(bottom=0)
    _plain(gaps, "‖h_{k+1} − H_k‖: median and quartiles")
    canvas.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    canvas.suptitle("Does the spectrum settle?", x=0.01, ha="left", fontweight="bold")
    return canvas


def draw_depth(result: Mapping[str, Any]) -> Figure:
    """The constants against depth, and outliers against classes."""
    canvas = Figure((13, 4.4), layout="constrained")
    constants, radius, apart = canvas.subplots(1, 3)
    for name, style in (("depth", "o-"), ("dino", "s--")):
        rows = list(result[name].values())
        if not rows:
            continue
        label = "embedded kind" if name == "depth" else "DINOv2-S"
        layers = [row["layers"] for row in rows]
        constants.plot(layers, [row["largest"] for row in rows], style, color=INK, label=f"λ_max, {label}")
        for term, (words, color) in TERMS.items():
            values = [row["spreads"][term] for row in rows]
            constants.plot(layers, values, style, color=color, label=f"spread of {words}, {label}")
        known = [(row["layers"], row["quadratic_radius"]["value"]) for row in rows]
        known = [pair for pair in known if pair[1] is not None]
        if known:
            radius.plot(*zip(*known, strict=True), style, color=INK, label=label)
    constants.set_yscale("log")
    canvas.legend(*constants.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    radius.set_ylim(bottom=0)
    for axes in (constants, radius):
        axes.set_xlabel("layers")
    _plain(constants, "curvature at w*")
    _plain(radius, "quadratic radius, over ‖w*‖")
    rows = list(result["outliers"].values())
    apart.plot([row["classes"] for row in rows], [row["outliers"] for row in rows], "o-", color=INK)
    most = max(row["classes"] for row in rows)
    apart.plot([1, most], [1, most], ":", color=GREY, label="as many as classes")
    apart.set_ylim(bottom=0)
    apart.set_xlabel("classes")
    apart.legend(frameon=False)
    _plain(apart, "outliers of the Hessian")
    return canvas


def draw_block(result: Mapping[str, Any]) -> Figure:
    """Closed-form bounds and measured gaps along k."""
    blocks = result["block"]
    canvas = Figure((5.5 * len(blocks), 4.4), layout="constrained")
    panels = canvas.subplots(1, len(blocks), squeeze=False)[0]
    kinds = {
        "a_priori": ("a-priori bound", GREY),
        "data": ("data-dependent bound", ORANGE),
        "measured": ("measured", BLUE),
    }
    for axes, (norm, found) in zip(panels, blocks.items(), strict=True):
        for kind, (label, color) in kinds.items():
            axes.plot(found["sizes"], found[kind], "o-", markersize=3, color=color, label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("samples k")
        _plain(axes, f"{norm}-norm block: ‖h_{{k+1}} − H_k‖")
    panels[0].legend(frameon=False)
    return canvas


def _plain(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)
    if axes.get_xscale() == "log":
        axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())


FIGURES: dict[str, tuple[Callable[[Mapping[str, Any]], Figure], Sequence[str]]] = {
    "bound": (draw_bound, ["claim"]),
    "shares": (draw_shares, ["claim"]),
    "along": (draw_along, ["along", "retrained", "gaps"]),
    "depth": (draw_depth, ["depth", "outliers"]),
    "block": (draw_block, ["block"]),
}
"""Each figure, and the parts that it needs."""


def save(result: Mapping[str, Any], folder: Path, pages: Sequence[Path]) -> None:
    """Writes result.json, the figures whose parts are there, and the tables of the pages that exist."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "result.json") as file:
        file.write((json.dumps(result, ensure_ascii=False) + "\n").encode())
    for name, (draw, needed) in FIGURES.items():
        if all(result[part] for part in needed):
            with atomic_write(folder / f"{name}.png") as file:
                draw(result).savefig(file, format="png", dpi=110, metadata={"Software": "suffice"})
    for page in pages:
        if page.exists():
            text = write_tables(page.read_text(), result)
            with atomic_write(page) as file:
                file.write(text.encode())


def main(given: Sequence[str] | None = None) -> None:
    """Measures, saves, prints."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, help="a folder (default: the script's own; none with --quick)")
    arguments.add_argument("--pieces", type=Path, help="where finished parts are kept (default: runs/settling[-quick])")
    arguments.add_argument("--only", nargs="+", choices=list(PARTS), default=[], help="measure these parts")
    arguments.add_argument("--quick", action="store_true", help="tiny sizes, in less than a minute")
    arguments.add_argument("--tables", action="store_true", help="print the tables of result.json")
    asked = arguments.parse_args(given)
    folder = asked.out or (None if asked.quick else HERE)
    if asked.tables:
        result = json.loads(((folder or HERE) / "result.json").read_text())
    else:
        plan = QUICK if asked.quick else Plan()
        pieces = asked.pieces or ROOT / "runs" / ("settling-quick" if asked.quick else "settling")
        result = measure(plan, pieces, asked.only, Console(stderr=True))
        if folder is not None:
            save(result, folder, [folder / "README.md"] + ([PAGE] if folder == HERE else []))
    for name, (table, needed) in TABLES.items():
        if all(result[part] for part in needed):
            print(f"{name}\n\n" + "\n".join(table(result)) + "\n")


if __name__ == "__main__":
    main()
