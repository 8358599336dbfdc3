"""The sufficient size k* by (7') with a-priori, data-dependent and measured constants, side by side.

Run as ``python experiments/theory-to-size/run.py [--out FOLDER] [--seeds 5] [--quick]``; about five minutes on one
core. It writes result.json, sizes.png and constants.png, and the tables in README.md between their markers. --quick
takes half a minute, and writes only where --out says.

At each point, sqrt(E (L_{k+1} - L_k)^2) <= C / sqrt(k (k + 1)) with C = S_l + rho S_g + rho^2 S_h / 2, and k* is the
smallest k from which on the right side is at most eps, a share of the mean loss at that point. Widths, heads, tokens
and the scale of the weights move one at a time, at initialisation; the distance rho and eps at one point of each kind.
Formulas: docs/theory.md, section 4.
"""

import argparse
import copy
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import scipy
import sklearn
import torch
from matplotlib import lines, ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from scipy.sparse import linalg
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.func import functional_call, vmap

from suffice import closed_form
from suffice.cli.terminal import Terminal
from suffice.closed_form.bounds import sizes, sufficient_size
from suffice.closed_form.losses import sample_losses
from suffice.runs.watch import duration
from suffice.storage import atomic_write

HERE = Path(__file__).parent
SEED = 0
KINDS = {"measured": "measured", "data": "data-dependent", "a_priori": "a priori"}
"""From the smallest to the largest."""

TERMS = ("S_l", "S_g", "S_h")
SETUPS = {"attention": "Attention layer", "post": "Post-norm block", "pre": "Pre-norm block", "none": "Block, no norm"}
LOSSES = {"mse": "noisy teacher, MSE", "cross_entropy": "digit labels, cross-entropy"}
PATCH, WIDTH, CLASSES, NOISE = 4, 16, 10, 0.1
RADIUS, TOLERANCE = 0.1, 0.05
"""rho, and eps as a share of the mean loss at the point."""

RADII = [10 ** (step / 8) for step in range(-16, 5)]
TOLERANCES = [10 ** (step / 8) for step in range(-24, 1)]
LEARNING_RATE = 0.01
LANCZOS = 24
"""Steps towards the norm of the Hessian of a sample."""


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    seeds: int
    samples: int = 16
    training_samples: int = 256
    training_steps: int = 300
    widths: tuple[int, ...] = (4, 8, 16, 32)
    heads: tuple[int, ...] = (1, 2, 4, 8)
    tokens: tuple[int, ...] = (2, 4, 8, 16, 32)
    scales: tuple[float, ...] = tuple(10 ** (step / 3) for step in range(-3, 4))
    norm_eps: tuple[float, ...] = (1e-5, 1e-3, 1e-1)
    compared: tuple[str, ...] = tuple(SETUPS)
    """Where k* is compared with that of `sufficient_size`."""


QUICK = Plan(1, 6, 32, 10, (4, 16), (1, 2), (2, 4), (0.3, 1.0, 3.0), (1e-5, 1e-2), ("attention",))


class Point(NamedTuple):
    """A module at its weights w*, and the samples that its loss surface is measured on."""

    module: nn.Module
    inputs: Tensor
    targets: Tensor
    loss: str


class Measurement(NamedTuple):
    """The mean loss, what makes S_l, S_g and S_h of each kind, and the norms of the samples' Hessians if asked for."""

    loss: float
    spreads: dict[str, Any]
    norms: Tensor

    def constants(self, kind: str) -> list[float]:
        """S_l, S_g and S_h."""
        parts = self.spreads[kind]
        return [math.sqrt(float(part.sum()) / (len(part) - 1)) for part in parts]


def layer(setup: str, width: int = WIDTH, heads: int = 1, norm_eps: float = 1e-5) -> nn.Module:
    """An attention layer or a block, with random weights; a hidden layer is twice as wide as a token."""
    if setup == "attention":
        return closed_form.SelfAttention(width, width, heads).double()
    return closed_form.TransformerBlock(width, width, 2 * width, heads, setup, eps=norm_eps).double()


def digit_tokens(rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Real digits as 4 patches of 4 by 4 pixels, of mean 0 and deviation 1, with sinusoidal positions; their labels."""
    images, labels = load_digits(return_X_y=True)
    across = 8 // PATCH
    patches = images.reshape(-1, across, PATCH, across, PATCH).swapaxes(2, 3).reshape(len(images), across**2, PATCH**2)
    columns = np.arange(PATCH**2)
    angles = np.arange(across**2)[:, None] / 10_000 ** (2 * (columns // 2) / PATCH**2)
    positions = np.where(columns % 2 == 0, np.sin(angles), np.cos(angles))
    tokens = (patches - patches.mean()) / patches.std() + positions
    return torch.from_numpy(tokens[rows]), torch.from_numpy(labels[rows])


def taught(teacher: nn.Module, inputs: Tensor) -> Tensor:
    """The outputs of another module with some noise."""
    with torch.no_grad():
        outputs: Tensor = teacher(inputs)
        return outputs + NOISE * torch.randn_like(outputs)


def on_digits(setup: str, plan: Plan, seed: int, heads: int = 1, norm_eps: float = 1e-5) -> Point:
    """Initial weights, digits, and a noisy teacher of the same form; the seed decides all of them."""
    torch.manual_seed(seed)
    module, teacher = (layer(setup, heads=heads, norm_eps=norm_eps) for _ in range(2))
    inputs, _ = digit_tokens(_rows(plan, seed)[0])
    return Point(module, inputs, taught(teacher, inputs), "mse")


def on_normal(setup: str, plan: Plan, seed: int, width: int = WIDTH, tokens: int = 4) -> Point:
    """The same on tokens of standard normal numbers."""
    torch.manual_seed(seed)
    module, teacher = (layer(setup, width) for _ in range(2))
    inputs = torch.randn(plan.samples, tokens, width, dtype=torch.float64)
    return Point(module, inputs, taught(teacher, inputs), "mse")


def scaled(point: Point, scale: float) -> Point:
    """All matrices of the weights times a number; the targets stay."""
    module = copy.deepcopy(point.module)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if name.startswith("W_"):
                weight.mul_(scale)
    return point._replace(module=module)


def bases(setup: str, plan: Plan, seed: int) -> Iterator[tuple[str, str, Point]]:
    """The loss, "initial" or "trained", and the point: on digits, trained with Adam on others than those measured."""
    rows, others = _rows(plan, seed)
    torch.manual_seed(seed)
    start, teacher = layer(setup), layer(setup)
    inputs, labels = digit_tokens(rows)
    training, training_labels = digit_tokens(others)
    targets = {
        "mse": (taught(teacher, inputs), taught(teacher, training)),
        "cross_entropy": (labels, training_labels),
    }
    for loss, (mine, theirs) in targets.items():
        module = copy.deepcopy(start)
        if loss == "cross_entropy":
            module = closed_form.BlockClassifier(module, CLASSES).double()
        yield loss, "initial", Point(module, inputs, mine, loss)
        module = copy.deepcopy(module)
        train(Point(module, training, theirs, loss), plan.training_steps)
        yield loss, "trained", Point(module, inputs, mine, loss)


def train(point: Point, steps: int) -> None:
    """Adam on all samples at once."""
    optimizer = torch.optim.Adam(point.module.parameters(), LEARNING_RATE)
    for _ in range(steps):
        optimizer.zero_grad()
        sample_losses(point.loss, point.module(point.inputs), point.targets).mean().backward()
        optimizer.step()


def _rows(plan: Plan, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits to measure on, and others to train on."""
    order = np.random.default_rng(seed).permutation(1797)
    return order[: plan.samples], order[plan.samples : plan.samples + plan.training_samples]


def measure(point: Point, norms: bool = False) -> Measurement:
    """The three kinds of constants at a point, and the norms of the samples' Hessians."""
    module, inputs, targets, loss = point
    spreads = {kind: sizes._bounded(module, inputs, targets, loss, kind, None) for kind in ("data", "a_priori")}
    surfaces = Surfaces(point)
    spreads["measured"] = surfaces.spreads()
    return Measurement(float(surfaces.losses.mean()), spreads, surfaces.norms() if norms else torch.empty(0))


def uncentered(measurement: Measurement) -> float:
    """S_h if the squares of the norms of the samples' Hessians are summed."""
    return math.sqrt(float(measurement.norms.square().sum()) / (len(measurement.norms) - 1))


class Surfaces:
    """The losses of all samples, their gradients, and products with their Hessians, by automatic differentiation.

    The same numbers as kind="measured", which multiplies with closed-form Hessians sample by sample, several times
    sooner; `check` compares the two.
    """

    def __init__(self, point: Point) -> None:
        module, inputs, targets, loss = point
        parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
        sizes_of = [parameter.numel() for parameter in parameters.values()]

        def loss_of(flat: Tensor, x: Tensor, target: Tensor) -> Tensor:
            parts = zip(parameters.items(), flat.split(sizes_of), strict=True)
            weights = {name: part.view(parameter.shape) for (name, parameter), part in parts}
            return sample_losses(loss, functional_call(module, weights, (x[None],)), target[None])[0]

        flat = torch.cat([parameter.flatten() for parameter in parameters.values()])
        # each sample has weights of its own, so that one backward pass gives the products of all
        self.weights = flat.expand(len(inputs), -1).clone().requires_grad_()
        losses = vmap(loss_of)(self.weights, inputs, targets)
        (self.gradients,) = torch.autograd.grad(losses.sum(), self.weights, create_graph=True)
        self.losses = losses.detach()

    def products(self, vectors: Tensor) -> Tensor:
        """h_i v_i of each sample."""
        return torch.autograd.grad(self.gradients, self.weights, vectors, retain_graph=True)[0]

    def spreads(self) -> Any:
        """What each sample adds to (m - 1) times the variances S_l^2, S_g^2 and S_h^2."""
        gradients = self.gradients.detach()
        samples, size = gradients.shape

        def centered(vector: np.ndarray) -> Tensor:
            moved = self.products(torch.from_numpy(vector.reshape(-1)).expand(samples, -1))
            return moved - moved.mean(0)

        def squared(vector: np.ndarray) -> np.ndarray:
            return self.products(centered(vector)).sum(0).numpy()

        start = np.random.default_rng(0).standard_normal(size)
        operator = linalg.LinearOperator((size, size), matvec=squared, dtype=np.float64)
        _, vectors = linalg.eigsh(operator, k=1, which="LA", v0=start, tol=1e-6)
        return sizes._Spreads(
            (self.losses - self.losses.mean()).square().numpy(),
            (gradients - gradients.mean(0)).square().sum(1).numpy(),
            centered(vectors[:, 0]).square().sum(1).numpy(),
        )

    def norms(self) -> Tensor:
        """||h_i||_2 of each sample, by Lanczos from below."""
        samples, size = self.weights.shape
        steps = min(LANCZOS, size)
        generator = torch.Generator().manual_seed(0)
        q = torch.randn(samples, size, dtype=torch.float64, generator=generator)
        q /= q.norm(dim=1, keepdim=True)
        basis, tridiagonal = [q], torch.zeros(samples, steps, steps, dtype=torch.float64)
        for step in range(steps):
            rest = self.products(q)
            tridiagonal[:, step, step] = (rest * q).sum(1)
            for _ in range(2):  # once is not enough in floating point
                for other in basis:
                    rest = rest - (rest * other).sum(1, keepdim=True) * other
            length = rest.norm(dim=1, keepdim=True)
            if step + 1 < steps:
                tridiagonal[:, step, step + 1] = tridiagonal[:, step + 1, step] = length[:, 0]
                q = rest / length.clamp_min(1e-300)
                basis.append(q)
        return torch.linalg.eigvalsh(tridiagonal).abs().amax(1)


def constant(measurement: Measurement, kind: str, radius: float = RADIUS) -> float:
    """C = S_l + rho S_g + rho^2 S_h / 2."""
    S_l, S_g, S_h = measurement.constants(kind)  # noqa: N806
    return S_l + radius * S_g + radius**2 / 2 * S_h


def size_of(measurement: Measurement, kind: str, radius: float = RADIUS, tolerance: float = TOLERANCE) -> Any:
    """The answer, as `sufficient_size` gives it; the tolerance is a share of the mean loss."""
    return sizes._answer(measurement.spreads[kind], radius, tolerance * measurement.loss, kind)


def check(point: Point, measurement: Measurement) -> float:
    """The largest difference of k* from that of `sufficient_size`, relative to it."""
    worst = 0.0
    for kind in KINDS:
        epsilon = TOLERANCE * measurement.loss
        theirs = sufficient_size(point.module, point.inputs, point.targets, RADIUS, epsilon, point.loss, kind)
        mine = size_of(measurement, kind)
        worst = max(worst, abs(mine.size - theirs.size) / theirs.size)
    return worst


@dataclass(frozen=True)
class Sweep:
    """One thing that moves, and where lines are fitted."""

    title: str
    at: float
    """Its value where other things move."""
    values: Callable[[Plan], Sequence[float]]
    point: Callable[[str, Plan, int, Any], Point]
    fits: Mapping[str, tuple[float, float]]
    setups: Sequence[str] = tuple(SETUPS)


ALL = {"all": (0.0, math.inf)}
ENDS = {"s ≤ 0.5": (0.0, 0.5), "s ≥ 2": (2.0, math.inf)}
ON_NORMAL = ("width", "tokens")
SWEEPS = {
    "width": Sweep(
        "width d of a token", WIDTH, lambda plan: plan.widths, lambda *p: on_normal(*p[:3], width=p[3]), ALL
    ),
    "heads": Sweep("heads", 1, lambda plan: plan.heads, lambda *p: on_digits(*p[:3], heads=p[3]), ALL),
    "tokens": Sweep("tokens", 4, lambda plan: plan.tokens, lambda *p: on_normal(*p[:3], tokens=p[3]), ALL),
    "scale": Sweep(
        "scale s of all matrices", 1, lambda plan: plan.scales, lambda *p: scaled(on_digits(*p[:3]), p[3]), ENDS
    ),
    "norm_eps": Sweep(
        "eps inside the norm",
        1e-5,
        lambda plan: plan.norm_eps,
        lambda *p: on_digits(*p[:3], norm_eps=p[3]),
        ALL,
        ("post", "pre"),
    ),
}


class Records(NamedTuple):
    """Everything measured: at the bases by setup, loss and moment, and by setup, sweep and value; one a seed."""

    bases: dict[tuple[str, str, str], list[Measurement]]
    sweeps: dict[tuple[str, str, float], list[Measurement]]
    difference: float
    """The largest difference from `sufficient_size`."""


def measure_all(plan: Plan, seed: int, console: Console) -> Records:
    """Every point of every setup and seed; tells first how long it will take."""
    work = {
        (setup, name, value): sweep
        for name, sweep in SWEEPS.items()
        for setup in sweep.setups
        for value in sweep.values(plan)
    }
    shared = sum(value == sweep.at for (_, name, value), sweep in work.items() if name != "width")
    total = plan.seeds * (len(work) - shared + 4 * len(SETUPS))
    console.print(f"{total} points, {plan.samples} samples each: about {duration(_seconds(plan, seed, total))}")
    records = Records({}, {}, 0.0)
    difference = 0.0
    with Terminal(console=console).progress("constants", total) as done:
        for number in range(seed, seed + plan.seeds):
            for setup in SETUPS:
                for loss, moment, point in bases(setup, plan, number):
                    measurement = measure(point, norms=True)
                    records.bases.setdefault((setup, loss, moment), []).append(measurement)
                    if number == seed and setup in plan.compared and (loss, moment) == ("mse", "initial"):
                        difference = max(difference, check(point, measurement))
                    done(1)
            known = {(setup, False): records.bases[setup, "mse", "initial"][-1] for setup in SETUPS}
            for (setup, name, value), sweep in work.items():
                place = (setup, name in ON_NORMAL)
                measurement = known.get(place) if value == sweep.at else None
                if measurement is None:
                    measurement = measure(sweep.point(setup, plan, number, value))
                    done(1)
                if value == sweep.at:
                    known[place] = measurement
                records.sweeps.setdefault((setup, name, value), []).append(measurement)
    return records._replace(difference=difference)


def _seconds(plan: Plan, seed: int, total: int) -> float:
    """From one point of a block, after one that is not counted; the closed forms are compared once a setup."""
    point = on_digits("post", plan, seed)
    measure(point)
    start = time.perf_counter()
    measurement = measure(point)
    each = time.perf_counter() - start
    start = time.perf_counter()
    check(point, measurement)
    return each * total + len(plan.compared) * (time.perf_counter() - start)


def exponents(x: Sequence[float], rows: np.ndarray, ends: tuple[float, float]) -> list[float]:
    """The slope of log y against log x of each row."""
    inside = np.array([ends[0] <= value <= ends[1] for value in x])
    if inside.sum() < 2:
        return []
    where = np.log(np.array(x)[inside])
    return [float(np.polyfit(where, np.log(row[inside]), 1)[0]) for row in rows]


def summarize(records: Records, plan: Plan, seed: int) -> dict[str, Any]:
    """All that result.json holds; lists over seeds, then over values."""
    found_bases = [
        {
            "setup": setup,
            "loss": loss,
            "moment": moment,
            "mean_loss": _rounded([one.loss for one in each]),
            "S_h_of_exact_norms": _rounded([uncentered(one) for one in each]),
            "kinds": {kind: _base(each, kind) for kind in KINDS},
        }
        for (setup, loss, moment), each in records.bases.items()
    ]
    found_sweeps = []
    for name, sweep in SWEEPS.items():
        values = list(sweep.values(plan))
        for setup in sweep.setups:
            each = [records.sweeps[setup, name, value] for value in values]
            kinds = {kind: _swept(values, each, kind, sweep.fits) for kind in KINDS}
            losses = [_rounded([at[number].loss for at in each]) for number in range(plan.seeds)]
            found_sweeps.append(
                {"setup": setup, "sweep": name, "values": _rounded(values), "mean_loss": losses, "kinds": kinds}
            )
    return {
        "what": "the sufficient size k* by (7') with three kinds of constants; lists are over seeds, then over values",
        "seed": seed,
        "radius": RADIUS,
        "tolerance_relative_to_the_mean_loss": TOLERANCE,
        "settings": {
            "seeds": plan.seeds,
            "samples": plan.samples,
            "width": WIDTH,
            "key_width": WIDTH,
            "hidden_width": 2 * WIDTH,
            "tokens": (8 // PATCH) ** 2,
            "inputs": {"width, tokens": "standard normal", "all else": "digits of scikit-learn, patches of 4 x 4"},
            "noise_of_the_teacher": NOISE,
            "training": {
                "samples": plan.training_samples,
                "steps": plan.training_steps,
                "optimizer": "Adam",
                "learning_rate": LEARNING_RATE,
            },
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__,
            "matplotlib": mpl.__version__,
        },
        "largest_difference_from_sufficient_size": float(f"{records.difference:.2g}"),
        "bases": found_bases,
        "radii": _rounded(RADII),
        "tolerances": _rounded(TOLERANCES),
        "sweeps": found_sweeps,
    }


def _base(each: Sequence[Measurement], kind: str) -> dict[str, Any]:
    answers = [size_of(one, kind) for one in each]
    return {
        "size": [answer.size for answer in answers],
        "low": [answer.low for answer in answers],
        "high": [answer.high for answer in answers],
        "constants": [_rounded(one.constants(kind)) for one in each],
        "size_by_radius": [_whole([size_of(one, kind, radius=radius).size for radius in RADII]) for one in each],
        "size_by_tolerance": [
            _whole([size_of(one, kind, tolerance=tolerance).size for tolerance in TOLERANCES]) for one in each
        ],
    }


def _swept(
    values: Sequence[float], each: Sequence[Sequence[Measurement]], kind: str, fits: Mapping[str, tuple[float, float]]
) -> dict[str, Any]:
    by_seed = list(zip(*each, strict=True))
    # k* (k* + 1) before it is rounded up
    smooth = np.array([[(constant(one, kind) / one.loss) ** 2 for one in row] for row in by_seed])
    parts = np.array([[one.constants(kind) for one in row] for row in by_seed])
    return {
        "size": [_whole([size_of(one, kind).size for one in row]) for row in by_seed],
        "constants": {term: [_rounded(row) for row in parts[:, :, place]] for place, term in enumerate(TERMS)},
        "exponents": {where: _rounded(exponents(values, smooth, ends)) for where, ends in fits.items()},
        "exponents_of_constants": {
            term: {where: _rounded(exponents(values, parts[:, :, place], ends)) for where, ends in fits.items()}
            for place, term in enumerate(TERMS)
        },
    }


def _rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def _whole(values: Sequence[int | None]) -> list[int | float | None]:
    """Large numbers with six digits."""
    return [value if value is None or value < 10**9 else float(f"{value:.6g}") for value in values]


def size_table(result: Mapping[str, Any]) -> str:
    """k* at the bases, and how far above what is measured."""
    lines = [
        "| | loss | weights | 5% of the loss | k\\*, measured | k\\*, data-dependent | k\\*, a priori "
        "| powers of ten above: data | a priori | largest term: measured | data | a priori |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for base in result["bases"]:
        found = {kind: base["kinds"][kind]["size"] for kind in KINDS}
        above = {kind: powers_above(found["measured"], found[kind]) for kind in ("data", "a_priori")}
        epsilon = TOLERANCE * statistics.median(base["mean_loss"])
        cells = [
            SETUPS[base["setup"]],
            {"mse": "MSE", "cross_entropy": "cross-entropy"}[base["loss"]],
            base["moment"],
            f"{epsilon:.2g}",
            *(_span(found[kind]) for kind in KINDS),
            *(f"{statistics.median(powers):.1f}" for powers in above.values()),
            *(_largest_term(base["kinds"][kind]["constants"]) for kind in KINDS),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def powers_above(lower: Sequence[float], upper: Sequence[float]) -> list[float]:
    """log10 of the ratio for each seed."""
    return [math.log10(high) - math.log10(low) for low, high in zip(lower, upper, strict=True)]


def _span(found: Sequence[int]) -> str:
    return f"{_number(statistics.median_high(found))} ({_number(min(found))} to {_number(max(found))})"


def _number(value: float) -> str:
    if value < 10**6:
        return f"{value:,}"
    digit, power = f"{value:.0e}".split("e")
    return f"{digit}e{int(power)}"


def _largest_term(constants: Sequence[Sequence[float]], radius: float = RADIUS) -> str:
    terms = np.median(np.array(constants) * [1, radius, radius**2 / 2], axis=0)
    name = ("losses", "gradients", "Hessians")[int(terms.argmax())]
    return f"{name}, {terms.max() / terms.sum():.0%}"


def exponent_table(result: Mapping[str, Any]) -> str:
    """How k* moves."""
    lines = ["| k\\* as a power of | | measured | data-dependent | a priori |", "|---|---|---|---|---|"]
    for found in result["sweeps"]:
        for where in found["kinds"]["measured"]["exponents"]:
            slopes = [found["kinds"][kind]["exponents"][where] for kind in KINDS]
            if not slopes[0]:
                continue
            name = SWEEPS[found["sweep"]].title + ("" if where == "all" else f", {where}")
            cells = " | ".join(_slope(each) for each in slopes)
            lines.append(f"| {name} | {SETUPS[found['setup']]} | {cells} |")
    return "\n".join(lines)


def _slope(each: Sequence[float]) -> str:
    text = f"{statistics.median(each):.1f} ({min(each):.1f} to {max(each):.1f})"
    return text.replace("-0.0", "0.0").replace("-", "−")


def step_table(result: Mapping[str, Any]) -> str:
    """From the measured S_h to its bounds, one step at a time."""
    lines = [
        "| S_h, MSE, initial weights | measured | exact norms, not centred | data-dependent | a priori "
        "| a priori, eps of the norm 0.1 |",
        "|---|---|---|---|---|---|",
    ]
    relaxed = {
        found["setup"]: [row[-1] for row in found["kinds"]["a_priori"]["constants"]["S_h"]]
        for found in result["sweeps"]
        if found["sweep"] == "norm_eps" and found["values"][-1] == 0.1
    }
    for base in result["bases"]:
        if (base["loss"], base["moment"]) != ("mse", "initial"):
            continue
        found = {kind: [row[2] for row in base["kinds"][kind]["constants"]] for kind in KINDS}
        cells = [found["measured"], base["S_h_of_exact_norms"], found["data"], found["a_priori"]]
        texts = [f"{statistics.median(cell):.2g}" for cell in cells]
        last = relaxed.get(base["setup"])
        texts.append(f"{statistics.median(last):.2g}" if last else "")
        lines.append(f"| {SETUPS[base['setup']]} | {' | '.join(texts)} |")
    return "\n".join(lines)


TABLES = {"sizes": size_table, "exponents": exponent_table, "steps": step_table}


def write_tables(readme: str, result: Mapping[str, Any]) -> str:
    """The text with what stands between its markers made anew."""
    for name, table in TABLES.items():
        head, opening, rest = readme.partition(f"<!-- {name} -->\n")
        _, closing, tail = rest.partition(f"<!-- /{name} -->")
        if opening and closing:
            readme = f"{head}{opening}{table(result)}\n{closing}{tail}"
    return readme


COLORS = {"measured": "#009E73", "data": "#0072B2", "a_priori": "#D55E00"}
TERM_COLORS = {"S_l": "#222222", "S_g": "#CC79A7", "S_h": "#E69F00"}
TERM_NAMES = {
    "S_l": "losses, $S_l$",
    "S_g": r"gradients, $\rho\, S_g$",
    "S_h": r"Hessians, $\frac{1}{2}\rho^2 S_h$",
}
INK = "#444444"


def draw_sizes(result: Mapping[str, Any]) -> Figure:
    """k* of the three kinds: a row for each setup, a column for each thing that moves."""
    canvas = Figure(figsize=(17, 10.4), layout="constrained")
    names = ["width", "heads", "tokens", "scale", "radius", "tolerance"]
    titles = ["width", "heads", "tokens", "scale of the weights", "distance from w*", "tolerance"]
    labels = [
        "width d of a token", "heads", "tokens of a sample", "all matrices times s",
        r"$\rho$, in units of the weights", r"$\varepsilon$, % of the mean loss",
    ]  # fmt: skip
    panels = canvas.subplots(len(SETUPS), len(names), sharey="row", sharex="col")
    for row, (setup, title) in enumerate(SETUPS.items()):
        base = _base_of(result, setup)
        for column, name in enumerate(names):
            axes = panels[row, column]
            if name in SWEEPS:
                found = next(one for one in result["sweeps"] if (one["setup"], one["sweep"]) == (setup, name))
                x, at = found["values"], SWEEPS[name].at
                rows = {kind: found["kinds"][kind]["size"] for kind in KINDS}
            else:
                scale = 100 if name == "tolerance" else 1
                x = [scale * value for value in result["radii" if name == "radius" else "tolerances"]]
                at = RADIUS if name == "radius" else 100 * TOLERANCE
                rows = {kind: base["kinds"][kind][f"size_by_{name}"] for kind in KINDS}
            _lines(axes, x, rows, COLORS, "o" if name in SWEEPS else "")
            axes.axvline(at, color="#BBBBBB", linewidth=1, zorder=0)
            axes.set_xscale("log", base=2 if name in ("width", "heads", "tokens") else 10)
            axes.xaxis.set_minor_formatter(ticker.NullFormatter())
            if name in ("width", "heads", "tokens"):
                axes.set_xticks(x, [f"{value:g}" for value in x])
                axes.xaxis.set_minor_locator(ticker.NullLocator())
            if row == 0:
                axes.set_title(titles[column], fontsize=15, fontweight="bold")
            if row == len(SETUPS) - 1:
                axes.set_xlabel(labels[column], fontsize=13)
            if column == 0:
                axes.set_ylabel(f"{title}\nk*, samples", fontsize=13)
    _legend(canvas, COLORS, KINDS)
    canvas.suptitle("How many samples are enough, by theory?", fontsize=20, x=0.01, ha="left", fontweight="bold")
    canvas.supxlabel(
        f"Median and range of {result['settings']['seeds']} seeds; MSE to a noisy teacher, initial weights; standard "
        "normal tokens for width and tokens, digits for all else.\n"
        f"Grey: where the other columns are, ρ = {RADIUS} and ε = {TOLERANCE:.0%} of the mean loss at the point.",
        fontsize=12,
        color=INK,
    )
    return canvas


def draw_constants(result: Mapping[str, Any]) -> Figure:
    """The three terms of C against the distance: a row for each kind, a column for each setup."""
    canvas = Figure(figsize=(15, 9.2), layout="constrained")
    panels = canvas.subplots(len(KINDS), len(SETUPS), sharex=True, sharey="row")
    x = np.array(result["radii"])
    for column, (setup, title) in enumerate(SETUPS.items()):
        base = _base_of(result, setup)
        losses = np.array(base["mean_loss"])[:, None]
        for row, (kind, name) in enumerate(KINDS.items()):
            axes = panels[row, column]
            parts = np.array(base["kinds"][kind]["constants"])[:, :, None]
            terms = {
                "S_l": parts[:, 0] * x**0 / losses,
                "S_g": parts[:, 1] * x / losses,
                "S_h": parts[:, 2] * x**2 / 2 / losses,
            }
            _lines(axes, x, terms, TERM_COLORS)
            _takeover(axes, np.median(parts[:, :, 0], axis=0), (x[0], x[-1]))
            axes.set_xscale("log")
            if row == 0:
                axes.set_title(title, fontsize=15, fontweight="bold")
            if row == len(KINDS) - 1:
                axes.set_xlabel(r"distance $\rho$ from w*", fontsize=13)
            if column == 0:
                axes.set_ylabel(f"{name}\nshare of the mean loss", fontsize=13)
    _legend(canvas, TERM_COLORS, TERM_NAMES)
    canvas.suptitle("Which term decides?", fontsize=20, x=0.01, ha="left", fontweight="bold")
    canvas.supxlabel(
        f"The terms of C, median and range of {result['settings']['seeds']} seeds; MSE to a noisy teacher, digits, "
        "initial weights. Shaded: where the term of the Hessians is the largest.",
        fontsize=12,
        color=INK,
    )
    return canvas


def _takeover(axes: Axes, constants: np.ndarray, ends: tuple[float, float]) -> None:
    """Marks from where on the term of the Hessians is the largest."""
    S_l, S_g, S_h = constants  # noqa: N806
    start = max(2 * S_g / S_h, math.sqrt(2 * S_l / S_h))
    if start < ends[1]:
        axes.axvspan(max(start, ends[0]), ends[1], color=TERM_COLORS["S_h"], alpha=0.12, linewidth=0, zorder=0)
    text = f"from ρ = {start:.2g}" if start >= 0.01 else f"from ρ = {_number_of_ten(start)}"
    axes.text(
        0.97, 0.03, text, transform=axes.transAxes, ha="right", fontsize=12, color="#9A6A00", fontweight="bold"
    )  # fmt: skip
    axes.set_xlim(*ends)


def _number_of_ten(value: float) -> str:
    digit, power = f"{value:.0e}".split("e")
    return rf"{digit}$\cdot$10$^{{{int(power)}}}$"


def _base_of(result: Mapping[str, Any], setup: str) -> Mapping[str, Any]:
    wanted = (setup, "mse", "initial")
    return next(base for base in result["bases"] if (base["setup"], base["loss"], base["moment"]) == wanted)


def _lines(
    axes: Axes, x: Sequence[float] | np.ndarray, rows: Mapping[str, Any], colors: Mapping[str, str], marker: str = ""
) -> None:
    for name, each in rows.items():
        y = np.array(each, dtype=np.float64)
        axes.plot(x, np.median(y, axis=0), marker=marker, markersize=5, color=colors[name], linewidth=2.4)
        axes.fill_between(x, y.min(0), y.max(0), color=colors[name], alpha=0.22, linewidth=0)
    axes.set_yscale("log")
    axes.tick_params(labelsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)


def _legend(canvas: Figure, colors: Mapping[str, str], names: Mapping[str, str]) -> None:
    keys = list(colors)[::-1]
    samples = [lines.Line2D([], [], color=colors[key], linewidth=3) for key in keys]
    canvas.legend(samples, [names[key] for key in keys], loc="outside upper right", ncols=3, frameon=False, fontsize=14)


def save(result: Mapping[str, Any], folder: Path) -> None:
    """Writes result.json, sizes.png and constants.png, and the tables in README.md if one lies there."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "result.json") as file:
        file.write((json.dumps(result, ensure_ascii=False) + "\n").encode())
    for name, draw in (("sizes", draw_sizes), ("constants", draw_constants)):
        with atomic_write(folder / f"{name}.png") as file:
            draw(result).savefig(file, format="png", dpi=100, metadata={"Software": "suffice"})
    readme = folder / "README.md"
    if readme.exists():
        text = write_tables(readme.read_text(), result)
        with atomic_write(readme) as file:
            file.write(text.encode())


def main(given: Sequence[str] | None = None) -> None:
    """All points, one after the other."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, help="a folder (default: the script's own; none with --quick)")
    arguments.add_argument("--seeds", type=int, default=5, help="draws of weights and samples (default: 5)")
    arguments.add_argument("--quick", action="store_true", help="1 seed, 6 samples and few points, in half a minute")
    asked = arguments.parse_args(given)
    if asked.seeds < 1:
        arguments.error("--seeds must be at least 1")
    torch.set_num_threads(1)  # the matrices are small, and sums come in the same order
    console = Console(stderr=True)
    plan = QUICK if asked.quick else Plan(asked.seeds)
    result = summarize(measure_all(plan, SEED, console), plan, SEED)
    folder = asked.out or (None if asked.quick else HERE)
    if folder is not None:
        save(result, folder)
        console.print(f"{folder}: result.json, sizes.png, constants.png")
    for table in TABLES.values():
        print(f"{table(result)}\n")


if __name__ == "__main__":
    main()
