"""Makes the prior over the shapes of learning curves that suffice ships, from other people's curves.

Run as ``PYTHONPATH=benchmarks/forecast python benchmarks/forecast/priors.py SHARED``, SHARED being the folder of models
and data. It writes ``src/suffice/forecasting/shapes.json``.

The prior is the distribution over a fixed grid of shapes under which pilots *and what came after them* are likeliest
(Kiefer and Wolfowitz 1956), a mixture of a few patterns, found by expectation maximisation (Dempster, Laird and Rubin
1977) that is stopped early. Each data set, or family of models, counts the same.
"""

import argparse
import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64
from outside_curves import LEARNERS, SEED, Pilot, language_models, lcdb, parts_of_data_sets, parts_of_families

import suffice
from suffice.forecasting.posterior import ROUNDING, Units, posterior_cells, units
from suffice.forecasting.shapes import PRIORS, Family, Grid, ShapePrior

PATTERNS = 6
ITERATIONS = 30
"""Chosen on development data sets: 1 to 10 patterns, 12 to 120 iterations and smoothing from 2e-6 to 5e-4."""

SMOOTHING = 1e-5
"""Added to the shares of shapes; of those of wander and noise, and of patterns at a level, 20 and 1,000 times it."""

NOISE_EXPONENT = {"error": 0.23, "loss": 0.0, "score": 0.23}
"""LCDB's deviations between trainings fall as n^-0.23: a median over 80 data sets that were drawn before the split, so
some held-out ones are among them."""

LEVELS = {"error": (0.08, 0.22, 0.45), "loss": (), "score": ()}

EXPONENTS, DELAYS = (0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.1, 1.5, 2.0, 2.8), (0.0, 0.3, 1.5, 6.0, 25.0)

SLOPES = {
    "error": [
        *[(-0.3, 0.2), (-0.08, 0.06), (0, 0.01), (0.03, 0.02), (0.08, 0.03), (0.15, 0.05), (0.25, 0.07)],
        *[(0.4, 0.1), (0.6, 0.15), (0.9, 0.3)],
    ],
    "score": [(-0.5, 0.3), (-0.1, 0.1), (0, 0.03), (0.1, 0.08), (0.3, 0.15), (0.6, 0.2), (1, 0.3), (1.6, 0.5)],
}
WANDER = {
    "error": (0.003, 0.01, 0.025, 0.06, 0.13, 0.3),
    "loss": (0.001, 0.003, 0.01, 0.03, 0.08, 0.25),
    "score": (0.01, 0.03, 0.1, 0.25, 0.6, 1.5),
}
NOISE = {
    "error": (0.003, 0.012, 0.03, 0.06, 0.12, 0.25),
    "loss": (0.0005, 0.002, 0.006, 0.02, 0.06, 0.2),
    "score": (0.01, 0.03, 0.1, 0.3, 0.6, 1.2),
}

BEYOND_ZERO = 1.1
"""Shapes that fall by more than this share of the level cannot be those of errors and losses, which stay above 0."""


def grid_of(family: Family) -> Grid:
    shapes = np.array(list(itertools.product(EXPONENTS, DELAYS)))
    return Grid(
        slopes=np.array(SLOPES.get(family, SLOPES["error"]), dtype=float),
        exponents=shapes[:, 0],
        delays=shapes[:, 1],
        wander=np.array(WANDER[family]),
        noise=np.array(NOISE[family]),
        noise_exponent=NOISE_EXPONENT[family],
    )


def with_later(given: Units, pilot: Pilot) -> Units:
    """The pilot and what came after it: what a prior has to make likely."""
    ratios = np.array([4.0, 8.0])
    if pilot.later_errors is None:
        known, unknown = np.full(2, (ROUNDING * given.noise_unit) ** 2), np.full(2, given.noise_unit**2)
    else:
        known, unknown = np.square(np.maximum(pilot.later_errors / given.unit, 5e-4)), np.zeros(2)
    return replace(
        given,
        ratios=np.append(given.ratios, ratios),
        scores=np.append(given.scores, (pilot.later - given.level) / given.unit),
        known=np.append(given.known, known),
        unknown=np.append(given.unknown, unknown),
    )


@dataclass(frozen=True)
class Evidence:
    """Likelihoods of pilots on the grid, each over its largest; their weights; and their levels."""

    likelihood: Float32[np.ndarray, "pilots cells"]
    weights: Float64[np.ndarray, " pilots"]
    level: Int64[np.ndarray, " pilots"]


def evidence(pilots: Sequence[Pilot], family: Family, grid: Grid) -> Evidence:
    rows = np.empty((len(pilots), int(np.prod(grid.size))), dtype=np.float32)
    levels = []
    for row, pilot in zip(rows, pilots, strict=True):
        given = units(pilot.sizes, pilot.scores, None, family, grid.noise_exponent)
        found = posterior_cells(with_later(given, pilot), grid).log_likelihood.ravel()
        row[:] = np.exp(found - found.max())
        levels.append(int(np.searchsorted(LEVELS[family], given.level, side="right")))
    return Evidence(rows, equal_by_origin(pilots), np.array(levels))


def equal_by_origin(pilots: Sequence[Pilot]) -> Float64[np.ndarray, " pilots"]:
    _, which, counts = np.unique([pilot.origin for pilot in pilots], return_inverse=True, return_counts=True)
    weights = 1 / counts[which]
    return weights / weights.sum()


def possible(grid: Grid, family: Family) -> Float64[np.ndarray, "slopes shapes"]:
    falls = grid.slopes[:, :1] * (1 + grid.delays) / grid.exponents
    return np.ones_like(falls) if family == "score" else (falls <= BEYOND_ZERO).astype(float)


def learned(given: Evidence, grid: Grid, family: Family) -> ShapePrior:
    """Expectation maximisation from random patterns, seeded."""
    random = np.random.default_rng(SEED)
    allowed = possible(grid, family)
    wander, noise = (random.dirichlet(np.full(length, 2.0), PATTERNS) for length in grid.size[:2])
    shapes = random.dirichlet(np.full(allowed.size, 2.0), PATTERNS).reshape(PATTERNS, *allowed.shape) * allowed
    shapes /= shapes.sum((1, 2), keepdims=True)
    levels = np.array(LEVELS[family])
    prior = ShapePrior(grid, shapes, wander, noise, levels, np.full((len(levels) + 1, PATTERNS), 1 / PATTERNS))
    for _ in range(ITERATIONS):
        prior = step(given, prior, allowed)
    return prior


def of_patterns(prior: ShapePrior) -> Float32[np.ndarray, "patterns cells"]:
    cells = np.einsum("pw,pn,psh->pwnsh", prior.wander, prior.noise, prior.shapes, optimize=True)
    return cells.reshape(len(cells), -1).astype(np.float32)


def responsibilities(
    given: Evidence, prior: ShapePrior, cells: Float32[np.ndarray, "patterns cells"]
) -> tuple[Float64[np.ndarray, "pilots patterns"], Float64[np.ndarray, "pilots patterns"]]:
    """What each pilot adds to each pattern: in all, and over the pattern's likelihood of it."""
    of_each = (given.likelihood @ cells.T).astype(float)
    shares = prior.patterns[given.level]
    over = (given.weights / (shares * of_each).sum(1))[:, None] * shares
    return over * of_each, over


def step(given: Evidence, prior: ShapePrior, allowed: Float64[np.ndarray, "slopes shapes"]) -> ShapePrior:
    cells = of_patterns(prior)
    added, over = responsibilities(given, prior, cells)
    totals = ((over.T.astype(np.float32) @ given.likelihood) * cells).reshape(-1, *prior.grid.size).astype(float)
    mass = totals.sum((1, 2, 3, 4))[:, None]
    return replace(
        prior,
        wander=normalised(totals.sum((2, 3, 4)) + 20 * SMOOTHING * mass),
        noise=normalised(totals.sum((1, 3, 4)) + 20 * SMOOTHING * mass),
        shapes=normalised((totals.sum((1, 2)) + SMOOTHING * allowed).reshape(len(mass), -1)).reshape(
            prior.shapes.shape
        ),
        patterns=patterns_at_levels(added, given.level, len(prior.patterns)),
    )


def patterns_at_levels(
    added: Float64[np.ndarray, "pilots patterns"], level: Int64[np.ndarray, " pilots"], levels: int
) -> Float64[np.ndarray, "levels patterns"]:
    everywhere = 1000 * SMOOTHING * added.sum(0)
    return normalised(np.stack([added[level == number].sum(0) + everywhere for number in range(levels)]))


def normalised(rows: Float64[np.ndarray, "rows shares"]) -> Float64[np.ndarray, "rows shares"]:
    return rows / rows.sum(1, keepdims=True)


def of_kind(given: Evidence, prior: ShapePrior) -> Float64[np.ndarray, "levels patterns"]:
    """How common the same patterns are among some of the pilots."""
    cells = of_patterns(prior)
    for _ in range(ITERATIONS):
        added, _ = responsibilities(given, prior, cells)
        prior = replace(prior, patterns=patterns_at_levels(added, given.level, len(prior.patterns)))
    return prior.patterns


def some(given: Evidence, pilots: Sequence[Pilot], chosen: Sequence[str]) -> Evidence:
    which = np.array([pilot.kind in chosen for pilot in pilots])
    weights = given.weights[which]
    return Evidence(given.likelihood[which], weights / weights.sum(), given.level[which])


def stored(prior: ShapePrior, kinds: dict[str, Float64[np.ndarray, "levels patterns"]]) -> dict[str, Any]:
    """For JSON: shares in 4 digits after the point."""
    grid = {name: np.asarray(value).tolist() for name, value in asdict(prior.grid).items()}
    shares = {name: np.round(getattr(prior, name), 4).tolist() for name in ("wander", "noise", "shapes")}
    rounded = {kind: np.round(patterns, 4).tolist() for kind, patterns in kinds.items()}
    return {"grid": grid, "levels": prior.levels.tolist(), "kinds": rounded, **shares}


def family_of_curves(
    family: Family, pilots: Sequence[Pilot], weights: Float64[np.ndarray, " pilots"], kinds: dict[str, list[str]]
) -> dict[str, Any]:
    grid = grid_of(family)
    given = replace(evidence(pilots, family, grid), weights=weights)
    prior = learned(given, grid, family)
    shares = {kind: of_kind(some(given, pilots, names), prior) for kind, names in kinds.items()}
    return stored(prior, {"any": prior.patterns} | shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    shared = parser.parse_args().shared
    tables, texts = lcdb(shared, "learn", seed=0, one_each=False), language_models(shared, "learn")
    both = [*tables, *texts]
    half_each = np.append(equal_by_origin(tables), equal_by_origin(texts)) / 2
    of_tables = equal_by_origin(tables)
    families = {
        "error": family_of_curves("error", tables, of_tables, {kind: [kind] for kind in LEARNERS}),
        "loss": family_of_curves("loss", both, half_each, {"language model": ["language model"]}),
        "score": family_of_curves("score", tables, of_tables, {}),
    }
    with np.load(shared / "data" / "learning-curves" / "lcdb.npz") as of_lcdb:
        data_sets = parts_of_data_sets(of_lcdb["dataset"].tolist())
    about = {
        "what": "How common slopes, shapes, wander and noise are among learning curves: see suffice.forecasting.shapes",
        "made by": "benchmarks/forecast/priors.py",
        "error": "LCDB 1.1 (Yan, Mohr and Viering 2025, CC BY 4.0): test errors of 27 learners on the data sets below",
        "loss": "the same errors and, with equal weight, test losses of language models of the families below "
        "(Lin et al. 2024, Apache-2.0)",
        "score": "the same errors in units of their range",
        "learned from": {"OpenML": sorted(data_sets["learn"]), "models": sorted({pilot.origin for pilot in texts})},
        "chosen by": {"OpenML": sorted(data_sets["development"])},
        "kept apart": {"OpenML": sorted(data_sets["held_out"])},
    }
    names = sorted({pilot.origin for part in ("development", "held_out") for pilot in language_models(shared, part)})
    parts = parts_of_families([*names, *about["learned from"]["models"]])
    about["chosen by"]["models"], about["kept apart"]["models"] = parts["development"], parts["held_out"]
    path = Path(suffice.__file__).parent / "forecasting" / PRIORS
    path.write_text(to_json({"about": about, "families": families}))
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def to_json(value: Any) -> str:
    """Lists of numbers on one line each."""
    text = json.dumps(value, indent=1)
    decoder, lines, at = json.JSONDecoder(), [], 0
    while (start := text.find("[", at)) >= 0:
        found, end = decoder.raw_decode(text, start)
        short = json.dumps(found, separators=(",", ":"))
        lines += [text[at:start], short]
        at = end
    return "".join([*lines, text[at:]]).replace("0.0,", "0,").replace("0.0]", "0]") + "\n"


if __name__ == "__main__":
    main()
