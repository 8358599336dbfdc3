"""How the norms of the Hessian's blocks grow with the scale sigma of the token embeddings X = sigma * standard normal.

Run as ``python experiments/embedding-scale/run.py [--out FOLDER] [--repeats 20] [--quick]``; five to seven minutes of
one core. It writes result.json and growth.png, and the tables in README.md between their markers. --quick takes
seconds, and writes only where --out says.

Each repeat draws weights and inputs anew, and scales the same inputs by every sigma. For each repeat a straight line is
fitted to log norm against log sigma; an exponent is the mean of its slopes, with Student's 90% interval.

Published values: W. Ormaniec, F. Dangel, S. P. Singh, "What Does It Mean to Be a Transformer?", arXiv 2410.10986.
"""

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import scipy
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from suffice import closed_form
from suffice.cli.terminal import Terminal
from suffice.runs.watch import duration
from suffice.storage import atomic_write

HERE = Path(__file__).parent
SEED = 0
PER_DECADE = 4
SIGMAS = [10 ** (step / PER_DECADE) for step in range(-2 * PER_DECADE, 2 * PER_DECADE + 1)]
RANGES = {"small": (0.0, 0.1), "one_to_ten": (1.0, 10.0), "large": (1.0, math.inf)}
"""Where lines are fitted, ends included. The authors' own grid ends at 10."""

PARTS = ("outer", "functional")
BLOCKS = {"Q": ("W_Q", "W_Q"), "V": ("W_V", "W_V"), "QV": ("W_Q", "W_V"), "QK": ("W_Q", "W_K")}
NORMS = ("frobenius", "spectral")
CONFIDENCE, BOOTSTRAP = 0.9, 400
LEAST_POINTS = 3
"""A repeat with fewer norms above 0 in a range has no slope there."""

WIDTH, TOKENS, SAMPLES, CLASSES, HIDDEN = 8, 8, 32, 4, 16
MANY = 128
DIGITS, WORDS = 2, 12
ADDITIONS = {"none": 48, "pre": 16}
"""Samples of the small GPT, by normalisation."""

ANSWERS = slice(-DIGITS - 2, -1)
"""The tokens after which a digit of the sum comes."""

Measure = Callable[[float], dict[tuple[str, str], Tensor]]
"""From sigma to the dense block of each part and pair of weights."""


@dataclass(frozen=True)
class Law:
    """What the formulas say of one block: sigma^small as sigma falls to 0, and as it grows sigma^power of each term, of
    which a share sigma^-rare is not saturated. Terms of one direction add up to power - rare, terms of random signs or
    orthogonal directions to power - rare / 2."""

    small: int
    power: int
    rare: int = 0

    @property
    def large(self) -> tuple[float, float]:
        return self.power - self.rare, self.power - self.rare / 2


@dataclass(frozen=True)
class Setup:
    """What is measured: ``draw`` makes weights and inputs from the global random numbers."""

    title: str
    draw: Callable[[], Measure]
    laws: Mapping[tuple[str, str], Law | None]
    """None where the block is exactly 0."""
    published: Mapping[tuple[str, str, str], float | str]
    """By part, block and range."""
    sigmas: tuple[float, float] = (0.0, math.inf)
    """Where it is measured."""


def _laws(outer: Sequence[Law | None], inner: Sequence[Law | None]) -> dict[tuple[str, str], Law | None]:
    """By part and block, from those of Q, V, QV and QK."""
    return {
        (part, block): law
        for part, laws in zip(PARTS, (outer, inner), strict=True)
        for block, law in zip(BLOCKS, laws, strict=True)
    }


def attention(kind: str, loss: str, samples: int = SAMPLES) -> Callable[[], Measure]:
    """One self-attention and a classifier on the mean token; no residual connection, no mask."""
    return lambda: _classifier(closed_form.SelfAttention(WIDTH, WIDTH, attention=kind), loss, samples)


def block(norm: str) -> Callable[[], Measure]:
    """One transformer block with GELU and a classifier on the mean token."""
    return lambda: _classifier(closed_form.TransformerBlock(WIDTH, WIDTH, HIDDEN, norm=norm), "cross_entropy", SAMPLES)


def _classifier(body: closed_form.SelfAttention, loss: str, samples: int) -> Measure:
    module = closed_form.BlockClassifier(body, CLASSES).double()
    inputs = torch.randn(samples, TOKENS, WIDTH, dtype=torch.float64)
    targets = torch.randint(CLASSES, (samples,))
    if loss == "mse":
        targets = torch.randn(samples, CLASSES, dtype=torch.float64)

    def measure(sigma: float) -> dict[tuple[str, str], Tensor]:
        parts = {part: closed_form.hessian(module, sigma * inputs, targets, loss, part).dense() for part in PARTS}
        return _blocks(module, parts, "block.")

    return measure


def small_gpt(norm: str, last_norm: bool) -> Callable[[], Measure]:
    """The set-up of the authors, smaller: one causal block with ReLU, an output projection and residual connections,
    that predicts the digits of a sum; words and places are embedded with the same sigma; weights have the deviation
    0.8 / sqrt(width). With ``last_norm`` the outputs are normalised before the logits."""

    def draw() -> Measure:
        module = closed_form.TransformerBlock(
            WIDTH, WIDTH, 4 * WIDTH, norm=norm, activation="relu", causal=True, output_projection=True,
            attention_bias=True, learnable_norm=False,
        ).double()  # fmt: skip
        deviation = 0.8 / math.sqrt(WIDTH)
        for name, weight in module.named_parameters():
            if name.startswith("W_"):
                nn.init.normal_(weight, std=deviation)
        logits_of = deviation * torch.randn(WIDTH, WORDS, dtype=torch.float64)
        tokens = additions(ADDITIONS[norm])
        words = torch.randn(WORDS, WIDTH, dtype=torch.float64)
        places = torch.randn(tokens.shape[1], WIDTH, dtype=torch.float64)
        inputs = words[tokens] + places
        targets = tokens[:, -DIGITS - 1 :]

        def logits(outputs: Tensor) -> Tensor:
            outputs = outputs[..., ANSWERS, :]
            return (closed_form.layers.normalize(outputs, module.eps) if last_norm else outputs) @ logits_of

        def loss(outputs: Tensor, target: Tensor) -> Tensor:
            return functional.cross_entropy(logits(outputs), target)

        def gauss_newton(outputs: Tensor, at: Tensor) -> Tensor:
            """Has the Hessian of the loss in the logits, and no other second derivative, where outputs are ``at``."""
            p, moved = logits(at).softmax(-1), logits(outputs) - logits(at)
            return ((p * moved.square()).sum(-1) - (p * moved).sum(-1).square()).mean() / 2

        def measure(sigma: float) -> dict[tuple[str, str], Tensor]:
            # outer means: second derivatives of the loss in the logits alone, so a last normalisation is not among them
            scaled = sigma * inputs
            if not last_norm:
                parts = {part: closed_form.hessian(module, scaled, targets, loss, part).dense() for part in PARTS}
            else:
                outer = closed_form.hessian(module, scaled, module(scaled).detach(), gauss_newton, "outer").dense()
                parts = {"outer": outer, "functional": closed_form.hessian(module, scaled, targets, loss).dense()}
                parts["functional"] -= outer
            return _blocks(module, parts)

        return measure

    return draw


def additions(samples: int) -> Tensor:
    """Random sums written out as words: 12+99=111."""
    terms = torch.randint(10**DIGITS, (2, samples))
    rows = [
        f"{a:0{DIGITS}d}:{b:0{DIGITS}d};{a + b:0{DIGITS + 1}d}" for a, b in zip(*terms.tolist(), strict=True)
    ]  # after 9 come : and ; as words 10 and 11
    return torch.tensor([[ord(sign) - ord("0") for sign in row] for row in rows])


def _blocks(module: nn.Module, parts: Mapping[str, Tensor], prefix: str = "") -> dict[tuple[str, str], Tensor]:
    places, start = {}, 0
    for name, weight in module.named_parameters():
        places[name] = slice(start, start + weight.numel())
        start += weight.numel()
    return {
        (part, block): dense[places[prefix + rows], places[prefix + columns]]
        for part, dense in parts.items()
        for block, (rows, columns) in BLOCKS.items()
    }


ATTENTION = _laws(
    [Law(6, 6, 3), Law(2, 2, 1), Law(4, 4, 3), Law(6, 6, 3)], [Law(5, 5, 2), None, Law(3, 3, 2), Law(3, 5, 2)]
)
PUBLISHED: dict[tuple[str, str, str], float | str] = {
    ("outer", "Q", "small"): 5.98,
    ("functional", "Q", "small"): 4.97,
    ("outer", "V", "small"): 1.98,
    ("outer", "Q", "one_to_ten"): 4.08,
    ("functional", "Q", "one_to_ten"): 4.02,
    ("outer", "V", "one_to_ten"): 1.75,
}
PUBLISHED_PRE: dict[tuple[str, str, str], float | str] = {
    (part, name, where): text
    for part in PARTS
    for name in ("Q", "V")
    for where, text in (("small", "about 0"), ("one_to_ten", "-1 to -2"))
}
LINEAR = {("outer", name, where): 6.0 for name in ("Q", "V") for where in ("small", "one_to_ten")}

SETUPS = {
    "attention_cross_entropy": Setup(
        "Self-attention, cross-entropy", attention("softmax", "cross_entropy"), ATTENTION, PUBLISHED
    ),
    "attention_many_samples": Setup(
        f"The same, {MANY} samples",
        attention("softmax", "cross_entropy", MANY),
        ATTENTION,
        PUBLISHED,
        sigmas=(1.0, math.inf),
    ),
    "attention_mse": Setup(
        "Self-attention, MSE",
        attention("softmax", "mse"),
        _laws([Law(6, 6, 2), Law(2, 2), Law(4, 4, 2), Law(6, 6, 2)], [Law(5, 6, 2), None, Law(3, 4, 2), Law(3, 6, 2)]),
        {},
    ),
    "linear_cross_entropy": Setup(
        "Linear attention, cross-entropy",
        attention("linear", "cross_entropy"),
        _laws([Law(6, 6, 3)] * 4, [None, None, Law(3, 3), Law(3, 3)]),
        {},
    ),
    "linear_mse": Setup(
        "Linear attention, MSE",
        attention("linear", "mse"),
        _laws([Law(6, 6)] * 4, [None, None, Law(3, 6), Law(3, 6)]),
        LINEAR,
    ),
    "pre_norm": Setup(
        "Pre-norm block",
        block("pre"),
        _laws([Law(0, 0, 1)] * 4, [Law(0, 0), Law(0, -2), Law(0, 0), Law(0, 0)]),
        PUBLISHED_PRE,
    ),
    "post_norm": Setup(
        "Post-norm block",
        block("post"),
        _laws(
            [Law(4, 4, 2), Law(0, 0), Law(2, 2, 2), Law(4, 4, 2)], [Law(4, 4, 2), Law(0, 0), Law(2, 2, 2), Law(2, 4, 2)]
        ),
        {},
    ),
    "gpt": Setup("Small GPT, no norm", small_gpt("none", last_norm=False), ATTENTION, PUBLISHED, sigmas=(0.0, 10.0)),
    "gpt_pre_norm": Setup(
        "Small GPT, pre-norm",
        small_gpt("pre", last_norm=True),
        _laws([Law(0, -2)] * 4, [Law(0, -1), Law(0, -2), Law(0, -1), Law(0, -1)]),
        PUBLISHED_PRE,
    ),
}

Norms = dict[tuple[str, str, str], np.ndarray]
"""By part, block and kind of norm: (repeats, sigmas)."""


def norms_of(blocks: Mapping[tuple[str, str], Tensor]) -> dict[tuple[str, str, str], float]:
    """Both norms of each block."""
    orders = dict(zip(NORMS, ("fro", 2), strict=True))
    return {
        (*place, kind): float(torch.linalg.matrix_norm(matrix, order))
        for place, matrix in blocks.items()
        for kind, order in orders.items()
    }


def sigmas_of(setup: Setup, sigmas: Sequence[float]) -> list[float]:
    """Those at which a set-up is measured."""
    return [sigma for sigma in sigmas if _within(sigma, setup.sigmas)]


def _within(sigma: float, ends: tuple[float, float]) -> bool:
    return ends[0] <= sigma * (1 + 1e-9) and sigma <= ends[1] * (1 + 1e-9)


def measure_all(sigmas: Sequence[float], repeats: int, seed: int, console: Console) -> dict[str, Norms]:
    """The norms in every set-up; tells first how long it will take."""
    seconds = 0.0
    for setup in SETUPS.values():
        torch.manual_seed(seed)
        measure = setup.draw()
        measure(1.0)
        start = time.perf_counter()
        norms_of(measure(1.0))
        seconds += (time.perf_counter() - start) * len(sigmas_of(setup, sigmas)) * repeats
    console.print(f"{len(SETUPS)} set-ups, {len(sigmas)} sigmas, {repeats} repeats: about {duration(seconds)}")
    results = {}
    with Terminal(console=console).progress(
        "norms", sum(len(sigmas_of(setup, sigmas)) for setup in SETUPS.values()) * repeats
    ) as done:
        for number, (name, setup) in enumerate(SETUPS.items()):
            rows = []
            for repeat in range(repeats):
                torch.manual_seed((seed * 1000 + number) * 1000 + repeat)
                measure = setup.draw()
                rows.append([])
                for sigma in sigmas_of(setup, sigmas):
                    rows[-1].append(norms_of(measure(sigma)))
                    done(1)
            results[name] = {key: np.array([[at[key] for at in row] for row in rows]) for key in rows[0][0]}
    return results


def exponent(sigmas: Sequence[float], norms: np.ndarray, ends: tuple[float, float]) -> dict[str, Any]:
    """The mean slope of log norm against log sigma over the repeats, with its interval, from the norms above 0."""
    inside = np.array([_within(sigma, ends) for sigma in sigmas])
    x, rows = np.log(np.array(sigmas)[inside]), norms[:, inside]
    usable = np.isfinite(rows) & (rows > 0)
    slopes = [
        float(np.polyfit(x[good], np.log(row[good]), 1)[0])
        for row, good in zip(rows, usable, strict=True)
        if good.sum() >= LEAST_POINTS
    ]
    answer: dict[str, Any] = {"norms": int(rows.size), "norms_left_out": int((~usable).sum()), "repeats": len(slopes)}
    if not slopes:
        return answer | {"mean": None, "low": None, "high": None, "median": None, "of_mean": None}
    mean, half = statistics.fmean(slopes), 0.0
    if len(slopes) > 1:
        t = stats.t.ppf((1 + CONFIDENCE) / 2, len(slopes) - 1)
        half = float(t) * statistics.stdev(slopes) / math.sqrt(len(slopes))
    ends_of = {"mean": mean, "low": mean - half, "high": mean + half, "median": statistics.median(slopes)}
    return answer | {key: round(value, 4) for key, value in ends_of.items()} | {"of_mean": _of_mean(x, rows)}


def _of_mean(x: np.ndarray, rows: np.ndarray) -> list[float] | None:
    """The slope of the mean norm over the repeats, which a few large ones carry, and its interval by bootstrap."""
    draws = np.random.default_rng(SEED).integers(len(rows), size=(BOOTSTRAP, len(rows)))
    means = np.vstack([rows.mean(0), rows[draws].mean(1)])
    if not (np.isfinite(means).all() and (means > 0).all()):
        return None
    slopes = np.polyfit(x, np.log(means.T), 1)[0]
    ends = np.quantile(slopes[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return [round(float(value), 4) for value in (slopes[0], *ends)]


def summarize(measured: Mapping[str, Norms], sigmas: Sequence[float], repeats: int, seed: int) -> dict[str, Any]:
    """All that result.json holds."""
    setups = {}
    for name, norms in measured.items():
        setup = SETUPS[name]
        there = sigmas_of(setup, sigmas)
        entries = []
        for (part, block), law in setup.laws.items():
            frobenius = norms[part, block, "frobenius"]
            fits = {
                kind: {
                    where: exponent(there, norms[part, block, kind], ends)
                    for where, ends in RANGES.items()
                    if max(ends[0], setup.sigmas[0]) < min(ends[1], setup.sigmas[1])
                    and not (where == "large" and setup.sigmas[1] <= RANGES["one_to_ten"][1])
                }
                for kind in NORMS
            }
            entries.append(
                {
                    "part": part,
                    "block": list(BLOCKS[block]),
                    "short": block,
                    "exactly_zero": not frobenius.any(),
                    "expected": law and {"small": law.small, "large": law.large},
                    "published": {where: setup.published.get((part, block, where)) for where in RANGES},
                    "exponents": fits["frobenius"],
                    "spectral_exponents": fits["spectral"],
                    "quartiles": [_rounded(np.quantile(frobenius, q, axis=0)) for q in (0.25, 0.5, 0.75)],
                    "spectral_median": _rounded(np.median(norms[part, block, "spectral"], axis=0)),
                    "zeros": (frobenius == 0).sum(0).tolist(),
                }
            )
        setups[name] = {"title": setup.title, "sigmas": _rounded(there), "blocks": entries}
    return {
        "what": "norms of blocks of the Hessian against the scale of the inputs; exponents of the Frobenius norm",
        "source_of_published": "W. Ormaniec, F. Dangel, S. P. Singh, arXiv 2410.10986",
        "seed": seed,
        "repeats": repeats,
        "confidence": CONFIDENCE,
        "ranges": {where: [low, None if high == math.inf else high] for where, (low, high) in RANGES.items()},
        "sizes": {
            "width": WIDTH,
            "key_width": WIDTH,
            "tokens": TOKENS,
            "samples": SAMPLES,
            "many_samples": MANY,
            "classes": CLASSES,
            "hidden_width": HIDDEN,
            "gpt": {"tokens": 3 * DIGITS + 3, "samples": ADDITIONS, "words": WORDS, "hidden_width": 4 * WIDTH},
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "matplotlib": mpl.__version__,
        },
        "setups": setups,
    }


def _rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    return [float(f"{value:.5g}") for value in values]


def table(result: Mapping[str, Any], shorts: Sequence[str]) -> str:
    """The exponents as Markdown."""
    lines = [
        "| set-up | part | block | σ ≤ 0.1 | formulas, σ → 0 | published | 1 ≤ σ ≤ 10 "
        "| the same, of the mean norm | published | σ ≥ 1 | formulas, σ → ∞ |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for setup in result["setups"].values():
        for entry in setup["blocks"]:
            if entry["short"] not in shorts:
                continue
            place = f"| {setup['title']} | {entry['part']} | {_name(entry)} |"
            if entry["expected"] is None:
                lines.append(
                    f"{place} {'exactly 0' if entry['exactly_zero'] else 'rounding'} | exactly 0 | | | | | | |"
                )
                continue
            low, high = entry["expected"]["large"]
            fits, published = entry["exponents"], entry["published"]
            cells = [
                _fit(fits.get("small")),
                f"{entry['expected']['small']:g}" if "small" in fits else "",
                _published(published["small"]) if "small" in fits else "",
                _fit(fits["one_to_ten"]),
                _fit(fits["one_to_ten"], "of_mean"),
                _published(published["one_to_ten"]),
                _fit(fits.get("large")),
                _signed(f"{low:g}" if low == high else f"{low:g} to {high:g}"),
            ]
            lines.append(f"{place} {' | '.join(cells)} |")
    return "\n".join(lines)


def _name(entry: Mapping[str, Any]) -> str:
    return ", ".join(entry["block"])


def _fit(fit: Mapping[str, Any] | None, which: str = "") -> str:
    """The mean of the slopes, or the slope of the mean norm, with its interval."""
    if fit is None or fit["mean"] is None:
        return ""
    if which == "of_mean":
        if fit["of_mean"] is None:
            return ""
        value, low, high = fit["of_mean"]
        return _signed(f"{value:.2f} ({low:.2f} to {high:.2f})")
    return _signed(f"{fit['mean']:.2f} ± {fit['high'] - fit['mean']:.2f}") + ("*" if fit["norms_left_out"] else "")


def _published(value: float | str | None) -> str:
    return "" if value is None else _signed(value if isinstance(value, str) else f"{value:g}")


def _signed(text: str) -> str:
    return text.replace("-0.00", "0.00").replace("-", "−")


def left_out(result: Mapping[str, Any]) -> str:
    """How many norms were exactly 0 though the block is not, in words."""
    counts = {}
    for setup in result["setups"].values():
        for entry in setup["blocks"]:
            fit = entry["exponents"].get("large", entry["exponents"]["one_to_ten"])
            if entry["expected"] is not None and fit["norms_left_out"]:
                counts[f"{setup['title']}, {entry['part']}, {_name(entry)}"] = (fit["norms_left_out"], fit["norms"])
    if not counts:
        return "No norm was exactly 0 except in the blocks that are 0 by their formulas."
    each = "; ".join(f"{place}: {some} of {all_} at σ ≥ 1" for place, (some, all_) in counts.items())
    return f"\\* Norms that were exactly 0 (exp underflows) are left out of the fits: {each}."


MARKERS = {"table": ("Q", "V"), "mixed": ("QV", "QK")}


def write_tables(readme: str, result: Mapping[str, Any]) -> str:
    """The text with what stands between its markers made anew."""
    texts = {name: table(result, shorts) for name, shorts in MARKERS.items()} | {"left-out": left_out(result)}
    for name, text in texts.items():
        head, opening, rest = readme.partition(f"<!-- {name} -->\n")
        _, closing, tail = rest.partition(f"<!-- /{name} -->")
        if opening and closing:
            readme = f"{head}{opening}{text}\n{closing}{tail}"
    return readme


COLORS = {"Q": "#0072B2", "V": "#D55E00", "QV": "#009E73"}
DRAWN = {
    "attention_cross_entropy": "Self-attention",
    "gpt": "Small GPT, no norm",
    "gpt_pre_norm": "The same with pre-norm",
    "linear_mse": "Linear attention, MSE",
}


def draw(result: Mapping[str, Any]) -> Figure:
    """Outer and functional parts of four set-ups, with the fitted and the published slopes."""
    canvas = Figure(figsize=(13.6, 7.4), layout="constrained")
    panels = canvas.subplots(len(PARTS), len(DRAWN), sharex=True)
    for column, (name, title) in enumerate(DRAWN.items()):
        for row, part in enumerate(PARTS):
            axes = panels[row, column]
            setup = result["setups"][name]
            entries = [entry for entry in setup["blocks"] if entry["part"] == part and entry["short"] in COLORS]
            _panel(axes, setup["sigmas"], entries)
            axes.set_xlim(result["setups"]["linear_mse"]["sigmas"][0], result["setups"]["linear_mse"]["sigmas"][-1])
            if row == 0:
                axes.set_title(title, fontsize=14, fontweight="bold")
            if column == 0:
                axes.set_ylabel(f"{part} part\nFrobenius norm of the block", fontsize=12)
            if row == len(PARTS) - 1:
                axes.set_xlabel("scale σ of the embeddings", fontsize=12)
    canvas.suptitle(
        "How the Hessian of attention grows with its inputs", fontsize=16, fontweight="bold", x=0.01, ha="left"
    )
    lines = [mpl.lines.Line2D([], [], color=color, linewidth=2.2) for color in COLORS.values()]
    names = [f"({', '.join(BLOCKS[block])})" for block in COLORS]
    lines.append(mpl.lines.Line2D([], [], color="#222222", linestyle=(0, (1.5, 1.5)), linewidth=2))
    canvas.legend(
        lines,
        [*names, "published slope"],
        loc="upper right",
        ncols=4,
        frameon=False,
        fontsize=12,
        handlelength=1.6,
        columnspacing=1.2,
    )
    canvas.supxlabel(
        "Median and quartiles over the repeats. Numbers: exponents, σ ≤ 0.1 (mean slope) and 1 ≤ σ ≤ 10 (slope of the "
        "mean norm) [published, arXiv 2410.10986]",
        fontsize=11,
        color="#444444",
    )
    return canvas


def _panel(axes: Axes, sigmas: Sequence[float], entries: Sequence[Mapping[str, Any]]) -> None:
    x = np.array(sigmas)
    tops, bottoms = [], []
    zeros, labels = [], {"small": [], "one_to_ten": []}
    for entry in entries:
        if entry["expected"] is None:
            zeros.append(entry)
            continue
        color = COLORS[entry["short"]]
        low, median, high = (np.array(values) for values in entry["quartiles"])
        seen = median > 0
        axes.plot(x[seen], median[seen], color=color, linewidth=2.2)
        axes.fill_between(x, np.maximum(low, 1e-300), np.maximum(high, 1e-300), color=color, alpha=0.2, linewidth=0)
        tops.append(high.max())
        bottoms.append(median[x <= 10 * (1 + 1e-9)].min())
        for where, place in (("small", 10**-1.5), ("one_to_ten", 10**0.5)):
            fit, published = entry["exponents"].get(where), entry["published"][where]
            if fit is None or fit["mean"] is None:
                continue
            text = _signed(f"{fit['mean'] if where == 'small' or fit['of_mean'] is None else fit['of_mean'][0]:.2f}")
            if published is not None:
                text += f" [{_published(published).replace('about ', '≈ ').replace(' to ', '…')}]"
            labels[where].append((text, color))
            if isinstance(published, float):
                ends = np.array([0.01, 0.1] if where == "small" else [1.0, 10.0])
                middle = math.exp(np.interp(math.log(place), np.log(x[seen]), np.log(median[seen])))
                axes.plot(
                    ends, middle * (ends / place) ** published, color="#222222", linestyle=(0, (1.5, 1.5)), linewidth=2
                )
    axes.set(xscale="log", yscale="log")
    if tops:
        bottom, top = math.log10(min(bottoms)), math.log10(max(tops))
        room = max(top - bottom, 1.0)
        axes.set_ylim(10 ** (bottom - 0.42 * room), 10 ** (top + 0.08 * room))
    else:
        axes.set_yticks([])
    falling = all(entry["quartiles"][1][0] > entry["quartiles"][1][-1] for entry in entries)
    for where, place in (("small", 0.03), ("one_to_ten", 0.47)):
        for line, (text, color) in enumerate(reversed(labels[where])):
            height = 0.03 + 0.075 * line + (0.72 if falling and where == "one_to_ten" else 0)
            axes.text(
                place, height, text, color=color, transform=axes.transAxes, fontsize=11, fontweight="bold"
            )  # fmt: skip
    if zeros:
        text = "exactly 0: " + ", ".join(f"({_name(entry)})" for entry in zeros)
        axes.text(0.03, 0.95, text, transform=axes.transAxes, va="top", fontsize=10, color="#444444")
    for edge in (0.1, 1, 10):
        axes.axvline(edge, color="#BBBBBB", linewidth=0.8, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.2)


def save(result: Mapping[str, Any], folder: Path) -> None:
    """Writes result.json and growth.png, and the table in README.md if one lies there."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / "result.json") as file:
        file.write((json.dumps(result, ensure_ascii=False) + "\n").encode())
    with atomic_write(folder / "growth.png") as file:
        draw(result).savefig(file, format="png", dpi=100, metadata={"Software": "suffice"})
    readme = folder / "README.md"
    if readme.exists():
        text = write_tables(readme.read_text(), result)
        with atomic_write(readme) as file:
            file.write(text.encode())


def main(given: Sequence[str] | None = None) -> None:
    """All set-ups, one after the other."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, help="a folder (default: the script's own; none with --quick)")
    arguments.add_argument("--repeats", type=int, default=20, help="draws of weights and inputs (default: 20)")
    arguments.add_argument("--quick", action="store_true", help="2 repeats and 9 sigmas, in seconds")
    asked = arguments.parse_args(given)
    if asked.repeats < 2:
        arguments.error("--repeats must be at least 2: an interval needs two slopes")
    torch.set_num_threads(1)  # the matrices are small, and sums come in the same order
    console = Console(stderr=True)
    sigmas, repeats = (SIGMAS[::2], 2) if asked.quick else (SIGMAS, asked.repeats)
    result = summarize(measure_all(sigmas, repeats, SEED, console), sigmas, repeats, SEED)
    folder = asked.out or (None if asked.quick else HERE)
    if folder is not None:
        save(result, folder)
        console.print(f"{folder}: result.json, growth.png")
    print(table(result, list(BLOCKS)))
    print(left_out(result))


if __name__ == "__main__":
    main()
