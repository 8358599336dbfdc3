"""The MLP experiment: |L_{k+1} - L_k| of fully connected networks on data from a known distribution."""

import itertools
import time
import zlib
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch.utils.data import TensorDataset

from suffice.configuration import MLPConfig
from suffice.data import SyntheticRegression, Target
from suffice.digest import digest
from suffice.errors import InputError
from suffice.landscape import Convergence, Ledger, Probes, log_slope, moving_average, record, root_mean_square
from suffice.models import mlp
from suffice.problem import Problem
from suffice.results import MLPResult, Network, Surrounding
from suffice.runs.folder import open_folder, write_result
from suffice.runs.log import logged
from suffice.runs.state import plan
from suffice.runs.watch import SILENT, Watch, counted, duration
from suffice.software import versions
from suffice.storage import Pieces
from suffice.training import FineTuning, fine_tune

SIZES = 24
"""Sizes at which curves are stored, and with them those at which moving averages are compared."""

COMPARED = (100, 500)

FIRST_SIZE, SLOPE_SIZES = 10, 16
"""Slopes are fitted at log-spaced sizes from the tenth on: before it, L_k itself moves too much."""


ORDERS = 100
"""Random orders of the samples that slopes in order are compared with."""


def measure_mlps(config: MLPConfig, out: Path, overwrite: bool = False, watch: Watch = SILENT) -> MLPResult:
    """Trains a network for each target, width and depth, and measures how the loss surface around it settles.

    Each network has its own samples, so that the networks are independent; those of one target learn the same function.
    A network is stored when it is finished, and a run that was interrupted trains only the others.

    Args:
        config: the data, the networks, the training, and the radii around w*.
        out: the run's folder.
        overwrite: replace a run with other settings.
        watch: told what is done and how long it should take; silent by default.

    Raises:
        InputError: bad input of any kind, or a training that diverges; finished work stays in the folder.

    Source: "Convergence of the loss function surface in transformer neural network architectures", section 5.1.

    Example:
        >>> import pathlib, tempfile
        >>> config = MLPConfig(targets=["linear"], widths=[4], depths=[1, 2], samples=60, epochs=2, radii=[0.1])
        >>> result = measure_mlps(config, pathlib.Path(tempfile.mkdtemp()))
        >>> [(network.width, network.depth, len(network.surroundings)) for network in result.networks]
        [(4, 1, 2), (4, 2, 2)]
    """
    regressions = {
        target: SyntheticRegression(target, config.dimension, config.noise, config.seed) for target in config.targets
    }
    asked = [_Asked(*one) for one in itertools.product(config.targets, config.widths, config.depths)]
    data = digest([each.fingerprint() for each in regressions.values()])
    watch = logged(watch)
    with open_folder(out, config, {"data": data}, overwrite) as run:
        pieces = Pieces(run.path / "networks", run.identity)
        plan(run.path, {"networks": len(asked)})
        missing = [one for one in asked if not pieces.has(one.name)]
        if missing:
            middle = missing[len(missing) // 2]
            each = _seconds_each(config, regressions[middle.target], middle)
            watch.say(
                f"{counted(len(asked), 'network')}, {len(asked) - len(missing)} of them done: "
                f"{counted(config.epochs, 'epoch')} of training on {config.samples:,} samples each, and losses at "
                f"{1 + config.probes * len(config.radii)} points; about {duration(each * len(missing))}."
            )
        with watch.progress("networks", len(asked)) as progress:
            progress(len(asked) - len(missing))
            for one in missing:
                try:
                    network = _network(config, regressions[one.target], one)
                except InputError as error:
                    raise InputError(f"{one.target}, width {one.width}, depth {one.depth}: {error}") from error
                pieces.write(one.name, network.model_dump(mode="json"))
                progress(1)
        k = np.arange(1.0, config.samples)
        exact = moving_average(1 / k, config.smoothing)
        at = _slope_sizes(config.samples)
        result = MLPResult(
            samples=config.samples,
            noise_floor=config.noise**2,
            sizes=_sizes(config.samples).tolist(),
            slope_sizes=at.tolist(),
            law_slope=log_slope(at, 1 / np.sqrt(at * (at + 1.0))).value,
            smoothed_exact=_rounded(exact[_sizes(config.samples) - 1]),
            smoothed_exact_slope=log_slope(at, exact[at - 1]).value,
            networks=[Network.model_validate(pieces.read(one.name)) for one in asked],
            configuration=config.asked(),
            versions=versions(),
        )
        write_result(result, run.path)
        return result


class _Asked(NamedTuple):
    """Which network."""

    target: Target
    width: int
    depth: int

    @property
    def name(self) -> str:
        return f"{self.target}_width_{self.width}_depth_{self.depth}"

    def seeds(self, seed: int) -> list[int]:
        """Of its samples, of fresh ones, of its weights and of its training."""
        key = [seed, zlib.crc32(self.target.encode()), self.width, self.depth]
        return [int(drawn) for drawn in np.random.SeedSequence(key).generate_state(4)]


def _problem(config: MLPConfig, regression: SyntheticRegression, one: _Asked) -> tuple[Problem, Problem]:
    """The network with the samples that it is to be trained on, and the same network with fresh ones."""
    of_samples, of_fresh, of_weights, _ = one.seeds(config.seed)
    model = mlp(config.dimension, one.width, one.depth, of_weights)
    samples, fresh = (
        TensorDataset(*(torch.from_numpy(part) for part in regression.draw(config.samples, seed)))
        for seed in (of_samples, of_fresh)
    )
    return Problem(model, samples, loss="mse", order="source"), Problem(model, fresh, loss="mse", order="source")


def _settings(config: MLPConfig, one: _Asked) -> FineTuning:
    return FineTuning(
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        batch_size=config.train_batch_size,
        weight_decay=0.0,
        seed=one.seeds(config.seed)[-1],
        optimizer="sgd",
    )


def _network(config: MLPConfig, regression: SyntheticRegression, one: _Asked) -> Network:
    problem, fresh = _problem(config, regression, one)
    fine_tune(problem, _settings(config, one))
    surroundings = _surroundings(config, problem)
    unseen = Convergence(record(fresh, Probes.points(fresh, []))).sample
    return Network(
        target=one.target,
        width=one.width,
        depth=one.depth,
        parameters=sum(parameter.numel() for parameter in problem.moving.values()),
        training_loss=surroundings[0].loss,
        fresh_loss=_short(unseen.center_loss),
        fresh_spread=_short(unseen.variance**0.5),
        surroundings=surroundings,
    )


def _surroundings(config: MLPConfig, problem: Problem) -> list[Surrounding]:
    """At w* and at each radius; the directions of the probes are the same at all radii."""
    center = record(problem, Probes.points(problem, []))
    found = [_surrounding(config, 0.0, center)]
    for radius in sorted(config.radii):
        ledger = record(problem, Probes.sphere(problem, radius, config.probes, config.seed))
        found.append(_surrounding(config, radius, ledger.at(range(1, 1 + config.probes))))
    return found


def _surrounding(config: MLPConfig, radius: float, ledger: Ledger) -> Surrounding:
    curves = Convergence(ledger, seed=config.seed)
    sizes, at = _sizes(config.samples), _slope_sizes(config.samples)
    steps = root_mean_square(curves.in_order(np.arange(1, config.samples)))
    smoothed = moving_average(steps, config.smoothing)
    slope = log_slope(at, steps[at - 1])
    draw = np.random.default_rng(config.seed)
    orders = [root_mean_square(curves.in_order(at, draw.permutation(config.samples))) for _ in range(ORDERS)]
    slopes = [log_slope(at, drawn).value for drawn in orders]
    low, high = curves.sample.interval(curves.confidence, relative=False)
    band = curves.band(sizes)
    return Surrounding(
        radius=radius,
        loss=_short(curves.sample.means.mean()),
        spread=_short(curves.sample.variance**0.5),
        spread_interval=(_short(low**0.5), _short(high**0.5)),
        expected=_rounded(curves.difference(sizes)),
        band=(_rounded(band[0]), _rounded(band[1])),
        in_order=_rounded(steps[sizes - 1]),
        smoothed=_rounded(smoothed[sizes - 1]),
        slope=_short(slope.value),
        slope_error=_short(slope.error),
        slope_of_orders=_short(fmean(slopes)),
        slope_of_orders_deviation=_short(stdev(slopes)),
        smoothed_slope=_short(log_slope(at, smoothed[at - 1]).value),
    )


def _sizes(samples: int) -> Int64[np.ndarray, " sizes"]:
    """Log-spaced, with those at which moving averages are compared."""
    compared = [size for size in COMPARED if size < samples]
    sizes: Int64[np.ndarray, " sizes"] = np.union1d(_log_spaced(1, samples - 1, SIZES), compared).astype(np.int64)
    return sizes


def _slope_sizes(samples: int) -> Int64[np.ndarray, " sizes"]:
    return _log_spaced(FIRST_SIZE, samples - 1, SLOPE_SIZES)


def _log_spaced(first: int, last: int, count: int) -> Int64[np.ndarray, " sizes"]:
    return np.unique(np.geomspace(first, last, count).round().astype(np.int64))


def _rounded(curve: Float64[np.ndarray, " sizes"]) -> list[float]:
    return [_short(value) for value in curve]


def _short(value: float) -> float:
    """To four digits, so that a file with all curves stays small."""
    return float(f"{value:.4g}")


def _seconds_each(config: MLPConfig, regression: SyntheticRegression, one: _Asked) -> float:
    """About the time for a network: training by the epoch, and one measurement."""
    problem, _ = _problem(config, regression, one)
    epoch = replace(_settings(config, one), epochs=1, learning_rate=1e-9)
    fine_tune(problem, epoch)  # the first is slower than the others
    start = time.perf_counter()
    fine_tune(problem, epoch)
    trained = time.perf_counter()
    _surroundings(config, problem)
    return config.epochs * (trained - start) + time.perf_counter() - trained
