"""From a model and its samples to the curvature of the loss: spectrum, layers, and gaps along k."""

import math
import time
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import TypeAdapter
from torch.utils.data import TensorDataset

from suffice.configuration import CurvatureConfig
from suffice.curvature import (
    Hessian,
    by_layer,
    frobenius_norm,
    gaps,
    layers,
    parameter_count,
    spectral_density,
    top_eigenpairs,
    trace,
)
from suffice.digest import digest
from suffice.landscape import Plane, surface
from suffice.models import Classifier, split
from suffice.problem import TOGETHER, Problem, fastest_batch_size, norm
from suffice.results import (
    CurvatureResult,
    Density,
    Eigenvalue,
    GapsAlongK,
    Layer,
    Spectrum,
    SurfaceAlongK,
    WithError,
)
from suffice.runs.classified import load, problem_of, read_all, taken_rows, train
from suffice.runs.folder import open_folder, versions, write_result
from suffice.runs.pieces import Pieces
from suffice.runs.watch import SILENT, Watch, duration

TRACE_DRAWS, LAYER_DRAWS, DENSITY_STEPS = 30, 10, 48

SURFACES = 12
"""Sizes for which a surface is kept; the losses of all are in the run's folder."""

EXTENT = 0.5
"""How far a plane goes, relative to ||w*||, at most."""

GIGABYTE = 1 << 30

FREE = frozenset({"radius", "memory", "surface", "surface_points"})
"""Settings that may change without a new measurement of the rest."""


def measure_curvature(
    config: CurvatureConfig, out: Path, overwrite: bool = False, watch: Watch = SILENT
) -> CurvatureResult:
    """Measures the Hessian of a classifier's mean loss, and writes ``result.json``.

    A run with the same settings in the same folder is resumed: the parts that it has finished are taken as they are.

    Args:
        config: the settings.
        out: the run's folder.
        overwrite: replace a run with other settings.
        watch: told what is done and how long it should take; silent by default.

    Raises:
        InputError: bad input of any kind; finished parts stay in the folder.

    Example:
        >>> import pathlib, tempfile
        >>> config = CurvatureConfig(
        ...     model="builtin:tiny-vit", data="builtin:digits", samples=30, method="head", epochs=2, count=2, points=2
        ... )
        >>> result = measure_curvature(config, pathlib.Path(tempfile.mkdtemp()))
        >>> result.moving_parameters, len(result.spectrum.eigenvalues), result.gaps.sizes
        (650, 2, [1, 29])
    """
    samples, classifier = load(config)
    rows = taken_rows(config, len(samples))
    notes = list(classifier.notes)
    with open_folder(out, config, samples.fingerprint(), overwrite, free=FREE) as resumed:
        if not resumed:
            read_all(samples, rows, watch)
        problem = problem_of(config, samples, classifier, rows, notes)
        if config.method is not None:
            train(config, config.method, problem, classifier, out / "fine_tuning.pt", watch)
        weights = digest(problem.model.state_dict())
        problem = _from_features(problem, classifier, watch)
        hessian = Hessian(problem, memory=round(config.memory * GIGABYTE))
        pieces = Pieces(out / "curvature", weights)
        if not pieces.has("gaps"):
            _announce(problem, hessian, config, watch)
        result = CurvatureResult(
            model=config.model,
            data=config.data,
            samples=len(problem),
            classes=len(samples.classes),
            trained=config.method,
            moving_parameters=parameter_count(problem),
            center_norm=norm(problem.center()),
            spectrum=pieces.get("spectrum", TypeAdapter(Spectrum), lambda: _spectrum(problem, hessian, config, watch)),
            layers=pieces.get("layers", TypeAdapter(list[Layer]), lambda: _layers(hessian, config, watch)),
            density=pieces.get("density", TypeAdapter(Density), lambda: _density(hessian, config, watch)),
            gaps=pieces.get("gaps", TypeAdapter(GapsAlongK), lambda: _gaps(problem, config, watch)),
            surface=_surface_or_none(problem, hessian, config, len(samples.classes), out / "curvature", pieces, watch),
            radius=config.radius,
            notes=notes,
            configuration=config.asked(),
            versions=versions(),
        )
        write_result(result, out, indent=1)
        return result


def _from_features(problem: Problem, classifier: Classifier, watch: Watch) -> Problem:
    """The same losses from kept outputs of the frozen part, where the model can be split before what moves."""
    moving = set(problem.moving.values())
    required = {parameter: parameter.requires_grad for parameter in problem.model.parameters()}
    try:
        for parameter in required:
            parameter.requires_grad_(parameter in moving)
        with problem.measuring():
            cut = split(problem.model, classifier.predict, problem.batch(slice(0, 2)))
    finally:
        for parameter, requires_grad in required.items():
            parameter.requires_grad_(requires_grad)
    if cut is None:
        return problem
    found = []
    with problem.measuring(), watch.progress("frozen part", len(problem)) as progress:
        for some, batch in problem.batches(TOGETHER):
            found.append(cut.features(batch))
            progress(len(some))
    longest = max(features.shape[1] for features in found)
    if found[0].ndim == 3:  # texts of a batch are padded to its longest one
        found = [torch.nn.functional.pad(part, (0, 0, 0, longest - part.shape[1])) for part in found]
    data = TensorDataset(torch.cat(found), problem.all_targets().to(found[0].device))
    return Problem(cut.rest, data, order="source")


def _announce(problem: Problem, hessian: Hessian, config: CurvatureConfig, watch: Watch) -> None:
    """Says what is measured and how long it should take, from the time of two products."""
    vector = torch.ones(hessian.shape[0], dtype=hessian.dtype, device=hessian.device)
    hessian @ vector  # builds the graphs that are kept
    start = time.perf_counter()
    hessian @ vector
    seconds = time.perf_counter() - start
    in_layers = (LAYER_DRAWS + 14) * len(layers(hessian.names))
    products = 3 * config.count + 10 + 2 * TRACE_DRAWS + in_layers + DENSITY_STEPS * config.draws + 4 * config.points
    watch.say(
        f"{parameter_count(problem):,} parameters, {len(problem):,} samples: about {products:,} products with the "
        f"Hessian, about {duration(products * seconds)}, {hessian.memory / GIGABYTE:.1f} GB of graphs; "
        "fewer --samples, --draws and --points take less."
    )


def _announce_surface(problem: Problem, points: int, watch: Watch) -> None:
    """Says what a surface takes, from the time of one batch of forward passes."""
    with problem.measuring():
        size = fastest_batch_size(problem)
        positions, batch = next(problem.batches(size))
        problem.losses(batch)
        start = time.perf_counter()
        problem.losses(batch)
        seconds = (time.perf_counter() - start) / len(positions) * len(problem)
    watch.say(
        f"Surface of {points} x {points} points, {len(problem):,} samples: about {duration(points**2 * seconds)}, "
        f"{8e-6 * points**2 * len(problem):,.0f} MB on disk; fewer --surface-points take less."
    )


def _spectrum(problem: Problem, hessian: Hessian, config: CurvatureConfig, watch: Watch) -> Spectrum:
    with watch.progress("eigenvalues") as progress:
        pairs = top_eigenpairs(hessian, min(config.count, hessian.shape[0]), seed=config.seed)
        progress(1)
        total, size = trace(hessian, TRACE_DRAWS, config.seed), frobenius_norm(hessian, TRACE_DRAWS, config.seed)
    with problem.measuring():
        loss = sum(float(problem.losses(batch, len(some)).sum()) for some, batch in problem.batches(TOGETHER))
    return Spectrum(
        loss=loss / len(problem),
        eigenvalues=[
            Eigenvalue(value=value, residual=residual)
            for value, residual in zip(pairs.values.tolist(), pairs.residuals.tolist(), strict=True)
        ],
        trace=WithError(value=total.value, error=total.error),
        frobenius=WithError(value=size.value, error=size.error),
    )


def _layers(hessian: Hessian, config: CurvatureConfig, watch: Watch) -> list[Layer]:
    with watch.progress("layers", len(layers(hessian.names))) as progress:
        found = by_layer(hessian, draws=LAYER_DRAWS, seed=config.seed, progress=progress)
    return [
        Layer(
            name=layer.name,
            parameters=layer.parameters,
            trace=WithError(value=layer.trace.value, error=layer.trace.error),
            largest=Eigenvalue(value=float(layer.eigenvalues[0]), residual=float(layer.residuals[0])),
        )
        for layer in found
    ]


def _density(hessian: Hessian, config: CurvatureConfig, watch: Watch) -> Density:
    with watch.progress("spectral density"):
        found = spectral_density(hessian, config.draws, config.seed, DENSITY_STEPS)
    return Density(
        grid=found.grid.tolist(),
        density=found.density.tolist(),
        error=found.error.tolist(),
        width=found.width,
    )


def _gaps(problem: Problem, config: CurvatureConfig, watch: Watch) -> GapsAlongK:
    sizes = np.unique(np.geomspace(1, len(problem) - 1, config.points).round().astype(int)).tolist()
    with watch.progress("gaps along k", len(sizes)) as progress:
        found = gaps(problem, sizes, seed=config.seed, memory=round(config.memory * GIGABYTE), progress=progress)
    return GapsAlongK(
        sizes=sizes,
        loss=found.loss.tolist(),
        gradient=found.gradient.tolist(),
        hessian=found.hessian.tolist(),
        residual=found.residual.tolist(),
        independent=[None if math.isnan(value) else value for value in found.independent.tolist()],
    )


def _surface_or_none(
    problem: Problem,
    hessian: Hessian,
    config: CurvatureConfig,
    classes: int,
    folder: Path,
    pieces: Pieces,
    watch: Watch,
) -> SurfaceAlongK | None:
    directions = config.surface
    if directions is None:
        return None
    name = f"surface_{directions}_{config.surface_points}"
    return pieces.get(
        name,
        TypeAdapter(SurfaceAlongK),
        lambda: _surface(problem, hessian, config, directions, classes, folder / name, watch),
    )


def _surface(
    problem: Problem,
    hessian: Hessian,
    config: CurvatureConfig,
    directions: Literal["random", "eigenvectors"],
    classes: int,
    store: Path,
    watch: Watch,
) -> SurfaceAlongK:
    points = config.surface_points
    if directions == "random":
        plane = Plane.random(problem, EXTENT, points, config.seed)
    else:
        pairs = top_eigenpairs(hessian, 2, seed=config.seed)
        steepest = max(abs(float(pairs.values[0])), np.finfo(float).tiny)
        # by there the loss has risen to that of chance if it were quadratic
        rise = math.sqrt(2 * math.log(classes) / steepest) / norm(problem.center())
        first, second = pairs.vectors.T
        labels = ("first eigenvector", "second eigenvector")
        plane = Plane.spanned(problem, first, second, min(EXTENT, rise), points, labels)
    _announce_surface(problem, points, watch)
    with watch.progress("surface", len(problem) * len(plane.coordinates)) as progress:
        found = surface(problem, plane, store, config.batch_size, progress)
    sizes = np.unique(np.geomspace(1, len(problem), SURFACES).round().astype(int)).tolist()
    centers = found.ledger.prefix_means(sizes)[:, 0]
    return SurfaceAlongK(
        directions=directions,
        labels=plane.labels,
        x=plane.x.tolist(),
        y=plane.y.tolist(),
        sizes=sizes,
        **SurfaceAlongK.packed(found.at(sizes)),
        distance=found.distance(sizes).tolist(),
        at_center=np.abs(centers - centers[-1]).tolist(),
        chance=found.chance(sizes).tolist(),
    )
