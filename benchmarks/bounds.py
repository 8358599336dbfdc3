"""Bounds of Hessians: whether they hold, how far above the truth they are, and what they take.

Run as ``python benchmarks/bounds.py [--quick] [--only drawn|trained|cost ...]``; what is not run again stays in
``results/bounds.json``. All in float64, and every bound is compared with an exact Hessian (but for rounding).

- drawn: modules of all kinds with random weights and inputs, each of a scale from 10^-3 to 10^3. The bounds of the
  whole, of all blocks and of the gradient against the truth.
- trained: weights trained on real digits and on normal inputs. The ratio of the bound to the truth, and where it is
  lost: with exact numbers in place of bounds, one step after the other.
- cost: seconds of a bound over those of one gradient, forward and backward. Wants an idle machine.
"""

import argparse
import functools
import itertools
import json
import math
import multiprocessing
import random
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from environment import RESULTS, alternate, environment, save
from rich.console import Console
from sklearn.datasets import load_digits
from torch import Tensor
from torch.func import functional_call, grad, jvp, vmap
from torch.nn import functional

from suffice import closed_form
from suffice.cli.terminal import Terminal
from suffice.closed_form.bounds.blocks import Blocks
from suffice.closed_form.bounds.norms import collect
from suffice.closed_form.losses import loss_derivatives, sample_losses
from suffice.closed_form.norms import norm_of, of_matrix

KINDS = ("data", "a_priori")
QUANTILES = (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)
DRAWS = 10_000
PROCESSES = 2
SEEDS = 3
MEASURED = 4
"""So many of the 32 samples have their Hessians measured."""

SIZES = {
    # samples, tokens, width, hidden width
    "1 sample": (1, 8, 16, 64),
    "32 samples": (32, 8, 16, 64),
    "128 samples": (128, 8, 16, 64),
    "128 samples, 4 tokens": (128, 4, 16, 64),
    "width 32, 16 tokens": (32, 16, 32, 128),
    "width 64, 17 tokens": (32, 17, 64, 256),
    "50 tokens": (8, 50, 16, 64),
}
REPEATS = 30


class Bounds(NamedTuple):
    """Of the Hessian, of its blocks, of the gradient, and of the gradient in each parameter."""

    total: float
    blocks: Tensor
    gradient: float
    gradients: Tensor


class Case(NamedTuple):
    """A module with samples for it."""

    module: closed_form.SelfAttention | closed_form.BlockClassifier
    X: Tensor
    targets: Tensor
    loss: str
    mask: Tensor | None = None

    def bounds(self, kind: Any) -> Bounds:
        """The means over the samples."""
        arguments = self.module, self.X, self.targets, self.loss, kind, self.mask
        total, *blocks = closed_form.bounds.hessian_norm(*arguments).values()
        gradient, *gradients = closed_form.bounds.gradient_norm(*arguments).values()
        return Bounds(total, torch.tensor(blocks).view(len(gradients), -1), gradient, torch.tensor(gradients))

    def hessians(self, part: str = "full", reduction: str = "none") -> Any:
        arguments: Any = {"part": part, "reduction": reduction}
        return closed_form.hessian(self.module, self.X, self.targets, self.loss, mask=self.mask, **arguments)

    def gradients(self) -> Tensor:
        """The norm of the gradient of each sample in each parameter."""
        norms = []
        for sample in range(len(self.X)):
            one = slice(sample, sample + 1)
            mask = None if self.mask is None else self.mask[one]
            value = sample_losses(self.loss, self.module(self.X[one], mask), self.targets[one], mask).sum()
            parts = torch.autograd.grad(value, list(self.module.parameters()))
            norms.append(torch.stack([torch.linalg.vector_norm(part) for part in parts]))
        return torch.stack(norms)

    def by_automatic_differentiation(self) -> tuple[Tensor, Tensor]:
        """Hessians by forward over reverse, and gradients by forward mode, of each sample: second routes to both."""
        shapes = {name: parameter.shape for name, parameter in self.module.named_parameters()}
        weights = torch.cat([parameter.detach().flatten() for parameter in self.module.parameters()])
        units = torch.eye(len(weights), dtype=weights.dtype)
        hessians, gradients = [], []
        for sample in range(len(self.X)):
            one = slice(sample, sample + 1)
            mask = None if self.mask is None else self.mask[one]

            def loss(w: Tensor, one: slice = one, mask: Tensor | None = mask) -> Tensor:
                parts = w.split([shape.numel() for shape in shapes.values()])
                named = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
                outputs = functional_call(self.module, named, (self.X[one], mask))
                return sample_losses(self.loss, outputs, self.targets[one], mask)[0]

            def product(v: Tensor, loss: Any = loss) -> Tensor:
                return jvp(grad(loss), (weights,), (v,))[1]

            def slope(v: Tensor, loss: Any = loss) -> Tensor:
                return jvp(loss, (weights,), (v,))[1]

            hessians.append(vmap(product)(units))
            gradients.append(vmap(slope)(units))
        return torch.stack(hessians), torch.stack(gradients)

    def some(self, samples: slice | Tensor) -> "Case":
        """The same with some samples."""
        mask = None if self.mask is None else self.mask[samples]
        return self._replace(X=self.X[samples], targets=self.targets[samples], mask=mask)


def places(module: torch.nn.Module) -> list[slice]:
    """Where each parameter is among all."""
    ends = list(itertools.accumulate(parameter.numel() for parameter in module.parameters()))
    return [slice(start, end) for start, end in itertools.pairwise([0, *ends])]


# whether they hold


def draw(number: int) -> tuple[str, Case]:
    """A random module, its kind, and samples."""
    choose, normal = random.Random(number), torch.Generator().manual_seed(number)  # noqa: S311
    heads = choose.choice([1, 1, 2, 3])
    drawn: dict[str, Any] = {
        "width": heads * choose.randint(1, 6 // heads),
        "key_width": heads * choose.randint(1, 6 // heads),
        "heads": heads,
        "attention": choose.choice(["softmax", "linear"]),
        "causal": choose.random() < 0.5,
        "query_key": choose.choice(["split", "merged"]),
        "output_projection": choose.random() < 0.5,
        "attention_bias": choose.random() < 0.5,
    }
    kind = "attention"
    module: Any
    if choose.random() < 0.75:
        norm = choose.choice(["post", "pre", "none"])
        kind = f"block, norm {norm}"
        module = closed_form.TransformerBlock(
            **drawn,
            hidden_width=choose.randint(1, 6),
            norm=norm,
            activation=choose.choice(["gelu", "tanh", "relu", "identity"]),
            eps=choose.choice([1e-5, 0.1]) if drawn["width"] > 2 else 0.1,
            learnable_norm=choose.random() < 0.7,
        )
    else:
        module = closed_form.SelfAttention(**drawn)
    samples, tokens, classes = choose.randint(1, 3), choose.randint(1, 5), choose.randint(1, 4)
    pool = choose.choice(["mean", "first", None, None])
    loss = choose.choice(["mse", "cross_entropy"]) if pool else "mse"
    weight_scale, input_scale = 10 ** choose.uniform(-3, 3), 10 ** choose.uniform(-3, 3)

    def numbers(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=normal, dtype=torch.float64)

    module = (closed_form.BlockClassifier(module, classes, pool) if pool else module).double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            size = len(parameter) ** -0.5 if parameter.ndim == 2 else 0.5
            parameter.copy_(weight_scale * (size * numbers(*parameter.shape) + ("gamma" in name)))
    X = input_scale * numbers(samples, tokens, drawn["width"])
    targets = numbers(*((samples, classes) if pool else X.shape))
    if loss == "cross_entropy":
        targets = (100 * targets[:, 0]).long() % classes
    mask = None
    if choose.random() < 0.4:
        order = numbers(samples, tokens)
        mask = (order > 0) | (order == order.amax(1, keepdim=True))
    return f"{kind}{', classifier' if pool else ''}", Case(module, X, targets, loss, mask)


def try_one(number: int) -> dict[str, Any]:
    """What is found for one drawn module; a bound is violated where the truth is larger."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    kind_of_module, case = draw(number)
    dense = case.hessians().dense()
    if not bool(dense.isfinite().all()):
        return {"left_out": "not finite"}
    if not bool(dense.any()):
        return {"left_out": "zero"}
    truth = float(torch.linalg.matrix_norm(dense, 2).mean())
    parts = places(case.module)
    pairs = list(itertools.combinations_with_replacement(range(len(parts)), 2))
    # the Frobenius norm is at least the spectral one, and takes less time
    above = {pair: float(dense[:, parts[pair[0]], parts[pair[1]]].norm(dim=(1, 2)).mean()) for pair in pairs}

    @functools.cache
    def spectral_norm(pair: tuple[int, int]) -> float:
        return float(torch.linalg.matrix_norm(dense[:, parts[pair[0]], parts[pair[1]]], 2).mean())

    each_gradient = case.gradients()
    gradient = float(each_gradient.norm(dim=1).mean())
    found: dict[str, Any] = {"number": number, "module": kind_of_module, "blocks": len(pairs)}
    for kind in KINDS:
        bound = case.bounds(kind)
        limits, ratios = bound.blocks.tolist(), []
        for place in range(len(parts)):
            one = spectral_norm((place, place))
            if one > 1e-9 * truth:
                ratios.append(float(bound.blocks[place, place]) / one)
        blocks = [pair for pair in pairs if above[pair] > limits[pair[0]][pair[1]]]
        excess = {pair: spectral_norm(pair) - limits[pair[0]][pair[1]] for pair in blocks}
        steeper = {place: float(each_gradient.mean(0)[place] - bound.gradients[place]) for place in range(len(parts))}
        found[kind] = {
            "total": int(truth > bound.total),
            **violations(case, dense, parts, excess, steeper),
            "ratio": bound.total / truth,
            "block_ratios": ratios,
        }
        if gradient:
            found[kind]["gradient_ratio"] = bound.gradient / gradient
    return found


def violations(
    case: Case,
    dense: Tensor,
    parts: list[slice],
    excess: dict[tuple[int, int], float],
    steeper: dict[int, float],
) -> dict[str, int]:
    """How often a truth is above its bound, and by more than it is uncertain itself, or by less: rounding.

    The truth of a block is uncertain by ten times what the closed form and automatic differentiation differ. That of a
    gradient is by ten times what forward and reverse mode differ, by the digits that p - 1 loses in the gradient of
    the loss, and by 1e-13 of the latter, where a normalisation lets nothing but rounding through.
    """
    excess = {pair: much for pair, much in excess.items() if much > 0}
    steeper = {place: much for place, much in steeper.items() if much > 0}
    found = {"blocks": 0, "gradients": 0, "rounding": 0}
    if not excess and not steeper:
        return found
    hessians, slopes = case.by_automatic_differentiation()
    gradients = case.gradients()
    for (i, j), much in excess.items():
        apart = dense[:, parts[i], parts[j]] - hessians[:, parts[i], parts[j]]
        found["blocks" if much > 10 * float(torch.linalg.matrix_norm(apart, 2).mean()) else "rounding"] += 1
    with torch.no_grad():
        outputs = case.module(case.X, case.mask)
    of_loss = loss_derivatives(case.loss, outputs, case.targets, case.mask).gradient.flatten(1).norm(dim=1)
    for place, much in steeper.items():
        truth, other = gradients[:, place], slopes[:, parts[place]].norm(dim=1)
        uncertain = 10 * (other - truth).abs() + 1e-15 * truth / of_loss + 1e-13 * of_loss
        found["gradients" if much > float(uncertain.mean()) else "rounding"] += 1
    return found


def of_drawn(quick: bool) -> dict[str, Any]:
    """Violations and ratios of all."""
    numbers = range(200 if quick else DRAWS)
    found = []
    console = Console(stderr=True)
    with (
        multiprocessing.get_context("spawn").Pool(PROCESSES) as pool,
        Terminal(console=console).progress("drawn", len(numbers)) as bar,
    ):
        for one in pool.imap_unordered(try_one, numbers, chunksize=10):
            found.append(one)
            bar(1)
    counted = [one for one in found if "left_out" not in one]
    results: dict[str, Any] = {
        "configurations": len(counted),
        "left_out": dict(Counter(one["left_out"] for one in found if "left_out" in one)),
        "blocks": sum(one["blocks"] for one in counted),
        "modules": dict(sorted(Counter(one["module"] for one in counted).items())),
    }
    for kind in KINDS:
        each = [one[kind] for one in counted]
        violated = [one["number"] for one in counted if any(one[kind][of] for of in ("total", "blocks", "gradients"))]
        by_module = defaultdict(list)
        for one in counted:
            by_module[one["module"]].append(one[kind]["ratio"])
        results[kind] = {
            "violations": {of: sum(one[of] for one in each) for of in ("total", "blocks", "gradients", "rounding")},
            "violated": sorted(violated),
            "not_finite": sum(not math.isfinite(one["ratio"]) for one in each),
            "ratio": quantiles(one["ratio"] for one in each),
            "diagonal_block_ratio": quantiles(ratio for one in each for ratio in one["block_ratios"]),
            "gradient_ratio": quantiles(one["gradient_ratio"] for one in each if "gradient_ratio" in one),
            "median_ratio_by_module": {name: statistics.median(ratios) for name, ratios in sorted(by_module.items())},
        }
    return results


def quantiles(numbers: Iterable[float]) -> dict[str, float]:
    """Of those that are finite."""
    finite = [number for number in numbers if math.isfinite(number)]
    return {f"{at:g}": float(value) for at, value in zip(QUANTILES, np.quantile(finite, QUANTILES), strict=True)}


# how far above they are


def digits() -> tuple[Tensor, Tensor]:
    """Patches of 4 x 4 pixels of 32 real images as `suffice hessian` takes them, and their classes."""
    images, classes = load_digits(return_X_y=True)
    patches = images[:32].reshape(-1, 2, 4, 2, 4).swapaxes(2, 3).reshape(32, 4, 16)
    columns = np.arange(16)
    angles = np.arange(4)[:, None] / 10_000 ** (2 * (columns // 2) / 16)
    positions = np.where(columns % 2 == 0, np.sin(angles), np.cos(angles))
    X = torch.from_numpy((patches - patches.mean()) / patches.std() + positions)
    return X, torch.from_numpy(classes[:32]).long()


def trained_cases(seed: int) -> Iterator[tuple[str, Case]]:
    """Every module, loss and input."""
    normal = torch.Generator().manual_seed(seed)
    real, classes = digits()
    noise = torch.randn(32, 8, 16, generator=normal, dtype=torch.float64)
    for inputs, X in (("digits", real), ("normal inputs", noise)):
        torch.manual_seed(seed)
        teachers: dict[str, Any] = {
            "attention": closed_form.SelfAttention(16, 16).double(),
            "block": closed_form.TransformerBlock(16, 16, 64).double(),
        }
        for name in ("attention", "block, norm post", "block, norm pre", "block, norm none"):
            for loss in ("mse", "cross_entropy"):
                module: Any = closed_form.SelfAttention(16, 16)
                teacher = teachers[name.split(",")[0]](X).detach()
                if name != "attention":
                    norm: Any = name.split()[-1]
                    module = closed_form.TransformerBlock(16, 16, 64, norm=norm)
                targets = classes
                if loss == "mse":
                    targets = teacher * (3 if name == "attention" else 1)
                    targets = targets + 0.1 * torch.randn(X.shape, generator=normal, dtype=torch.float64)
                else:
                    module = closed_form.BlockClassifier(module, 10)
                case = Case(module.double(), X, targets, loss)
                train(case, 300 if loss == "mse" else 80)
                yield f"{name}, {loss}, {inputs}", case.some(slice(MEASURED))


def train(case: Case, steps: int) -> None:
    """Adam on all samples."""
    optimizer = torch.optim.Adam(case.module.parameters(), 1e-2)
    for _ in range(steps):
        outputs = case.module(case.X)
        if case.loss == "mse":
            value = functional.mse_loss(outputs, case.targets)
        else:
            value = functional.cross_entropy(outputs, case.targets)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()


def spectral(matrix: Tensor) -> float:
    """The largest singular value of a matrix, by products if it is large."""
    return norm_of(of_matrix(matrix), "spectral", matrix)


def part_bounds(case: Case, without: Iterable[str]) -> Tensor:
    """The data-dependent bounds of the blocks, (samples, names, names), without what some methods of `Blocks` add."""
    with ExitStack() as patched, torch.no_grad():
        for name in without:
            patched.enter_context(mock.patch.object(Blocks, name))
        _, blocks = collect(case.module, case.X, case.targets, case.loss, "data", case.mask)
        return blocks.hessian()


def ratios_of(case: Case) -> dict[str, Any]:
    """Bound over truth, of each sample."""
    parts, names = places(case.module), [name.split(".")[-1] for name, _ in case.module.named_parameters()]
    truth, diagonal = [], []
    for H in case.hessians():
        dense = H.dense()
        truth.append(spectral(dense))
        diagonal.append([spectral(dense[place, place]) for place in parts])
    mean = case.hessians(reduction="mean").norm()
    gradients = case.gradients().norm(dim=1).tolist()
    results: dict[str, Any] = {}
    for kind in KINDS:
        bounds = [case.some(slice(sample, sample + 1)).bounds(kind) for sample in range(len(case.X))]
        by_block = torch.stack([bound.blocks.diagonal() for bound in bounds]) / torch.tensor(diagonal)
        results[kind] = {
            "total": [bound.total / norm for bound, norm in zip(bounds, truth, strict=True)],
            "over_norm_of_mean": [statistics.mean(bound.total for bound in bounds) / mean],
            "gradient": [bound.gradient / norm for bound, norm in zip(bounds, gradients, strict=True)],
            "blocks": dict(zip(names, by_block.mT.tolist(), strict=True)),
        }
    return results


def losses_of_ratio(case: Case) -> dict[str, Any]:
    """Where the data-dependent bound of the first samples is lost: factors whose product is the ratio."""
    outer, functional_part = part_bounds(case, ("add", "add_own", "add_norm")), part_bounds(case, ["add_outer"])
    count = len(case.module.state_dict())
    found: dict[str, list[Any]] = defaultdict(list)
    by_block: dict[str, list[list[float]]] = defaultdict(list)
    for sample in range(len(case.X)):
        truth = {}
        for part in ("full", "outer", "functional"):
            H = case.hessians(part)[sample]
            truth[part] = torch.tensor(list(H.block_norms().values())).view(count, count).double()
            if part == "full":
                whole = H.norm()
        j = truth["outer"].diagonal().sqrt()
        steps = {
            "blocks in place of the whole": truth["full"],
            "parts apart": truth["outer"] + truth["functional"],
            "Jacobians apart": j[:, None] * j + truth["functional"],
            "bounds of Jacobians": outer[sample] + truth["functional"],
            "bounds of the functional part": outer[sample] + functional_part[sample],
        }
        before = whole
        for name, matrix in steps.items():
            norm = float(torch.linalg.matrix_norm(matrix, 2))
            found[name].append(norm / before)
            before = norm
        for part, bound in (("outer", outer[sample]), ("functional", functional_part[sample])):
            by_block[part].append((bound.diagonal() / truth[part].diagonal()).tolist())
            norms = [float(torch.linalg.matrix_norm(matrix, 2)) for matrix in (bound, truth[part])]
            found[f"{part} part, bounds of blocks over blocks"].append(norms[0] / norms[1])
    names = [name.split(".")[-1] for name, _ in case.module.named_parameters()]
    return {
        "factors": {name: statistics.median(values) for name, values in found.items()},
        "diagonal_blocks": {
            part: {
                name: median_of_finite([row[place] for row in rows])
                for place, name in enumerate(names)
            }
            for part, rows in by_block.items()
        },
    }  # fmt: skip


def median_of_finite(values: Iterable[float]) -> float | None:
    """None where the truth is zero in all."""
    finite = [value for value in values if math.isfinite(value)]
    return statistics.median(finite) if finite else None


def of_trained(quick: bool) -> dict[str, Any]:
    """The ratios of all cases, the median over samples and seeds, and the largest."""
    seeds = 1 if quick else SEEDS
    gathered: dict[str, list[dict[str, Any]]] = defaultdict(list)
    lost: dict[str, Any] = {}
    with Terminal(console=Console(stderr=True)).progress("trained", 16 * seeds) as bar:
        for seed in range(seeds):
            for name, case in trained_cases(seed):
                gathered[name].append(ratios_of(case.some(slice(2)) if quick else case))
                if seed == 0 and "norm post" in name and not quick:
                    lost[name] = losses_of_ratio(case.some(slice(3)))
                bar(1)

    def summary(all_of: list[list[float]]) -> dict[str, float | None]:
        values = [value for some in all_of for value in some if not math.isnan(value)]
        return {"median": median_of_finite(values), "largest": max(values, default=None)}

    results: dict[str, Any] = {
        name: {
            kind: {
                **{of: summary([one[kind][of] for one in each]) for of in ("total", "over_norm_of_mean", "gradient")},
                "blocks": {
                    block: summary([one[kind]["blocks"][block] for one in each])["median"]
                    for block in each[0][kind]["blocks"]
                },
            }
            for kind in KINDS
        }
        for name, each in gathered.items()
    }
    return {"ratios": results, "where_it_is_lost": lost}


# what they take


def of_cost(quick: bool) -> dict[str, Any]:
    """Seconds over those of a gradient: the median over rounds of the ratio within a round, and that of the fastest."""
    results: dict[str, Any] = {}
    for size, (samples, tokens, width, hidden_width) in list(SIZES.items())[: 1 if quick else None]:
        torch.manual_seed(0)
        X, Y = torch.randn(2, samples, tokens, width, dtype=torch.float64)
        modules: dict[str, Any] = {
            "attention": closed_form.SelfAttention(width, width).double(),
            "block": closed_form.TransformerBlock(width, width, hidden_width).double(),
        }
        results[size] = {}
        for name, module in modules.items():

            def gradient(module: Any = module, X: Tensor = X, Y: Tensor = Y) -> Any:
                return torch.autograd.grad((module(X) - Y).square().mean(), list(module.parameters()))

            def bound(kind: Any, module: Any = module, X: Tensor = X, Y: Tensor = Y) -> Any:
                return closed_form.bounds.hessian_norm(module, X, Y, kind=kind)

            seconds = alternate(
                {"gradient": gradient, "data": lambda b=bound: b("data"), "a_priori": lambda b=bound: b("a_priori")},
                3 if quick else REPEATS,
            )
            results[size][name] = {
                "seconds": {side: min(taken) for side, taken in seconds.items()},
                **{
                    f"{kind}_over_gradient": {
                        "median": statistics.median(
                            [a / b for a, b in zip(seconds[kind], seconds["gradient"], strict=True)]
                        ),
                        "fastest": min(seconds[kind]) / min(seconds["gradient"]),
                    }
                    for kind in KINDS
                },
            }
    return results


PARTS = {"drawn": of_drawn, "trained": of_trained, "cost": of_cost}


def main() -> None:
    """The parts that are asked for; the others stay as they were."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="little of each part, and nothing is stored")
    arguments.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="some parts")
    asked = arguments.parse_args()
    torch.set_default_dtype(torch.float64)
    for part in asked.only:
        results = PARTS[part](asked.quick)
        if asked.quick:
            print(json.dumps({part: results}, indent=1), file=sys.stderr)
            continue
        path = RESULTS / "bounds.json"
        stored = json.loads(path.read_text()) if path.exists() else {}
        stored.pop("environment", None)
        save("bounds", {**stored, part: {"threads": environment()["threads"], **results}})


if __name__ == "__main__":
    main()
