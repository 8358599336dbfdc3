"""From a model and its samples to the curvature of the loss: spectrum, layers, and gaps along k."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import numpy as np
import torch
from jaxtyping import Float
from pydantic import TypeAdapter
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from suffice.configuration import CurvatureConfig
from suffice.curvature import (
    Hessian,
    SymmetricOperator,
    by_layer,
    gaps,
    layers,
    moments,
    parameter_count,
    spectral_density,
    top_eigenpairs,
)
from suffice.curvature.density import density_memory
from suffice.curvature.eigenpairs import eigenpairs_memory
from suffice.landscape import Plane, surface
from suffice.models import split
from suffice.models.language import LanguageModel
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
from suffice.runs.classified import Model, labels_of, load, problem_of, read_all, taken_rows, train
from suffice.runs.estimate import check_room
from suffice.runs.folder import open_folder, write_result
from suffice.runs.log import logged
from suffice.runs.watch import SILENT, Watch, duration
from suffice.software import versions
from suffice.storage import Pieces, Place

TRACE_DRAWS, LAYER_DRAWS, DENSITY_STEPS = 30, 10, 48

GAP_PRODUCTS = 18
"""Products of k samples that the gap at k takes, about."""

LEAST_SAMPLES = 3

WRAPPED, REPLACED = "base_model.model.", ".modules_to_save.default"
"""What PEFT adds to the names of parameters."""

EXTENT = 0.5
"""How far a plane goes, relative to ||w*||, at most."""

GIGABYTE = 1 << 30

FREE = frozenset({"radius", "memory", "surface", "surface_points"})
"""Settings that may change without a new measurement of the rest."""


def measure_curvature(
    config: CurvatureConfig, out: Path, overwrite: bool = False, watch: Watch = SILENT
) -> CurvatureResult:
    """Measures the Hessian of a model's mean loss, and writes ``result.json``.

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
    watch = logged(watch)
    samples, classifier, _, contents = load(config, watch)
    rows = taken_rows(config, len(samples))
    notes = list(classifier.notes)
    outcomes = classifier.vocabulary if isinstance(classifier, LanguageModel) else len(labels_of(samples))
    with open_folder(out, config, contents, overwrite, free=FREE) as run:
        if not run.resumed:
            read_all(samples, rows, watch)
        problem = problem_of(config, samples, classifier, rows, notes)
        moving = sum(value.numel() * value.element_size() for value in problem.moving.values())
        # the weights of a training with two moments of each, and the losses of a surface
        trained = 0 if config.method is None else 3 * moving
        check_room(run.stored, trained + (8 * config.surface_points**2 * len(problem) if config.surface else 0))
        if config.method is not None:
            train(config, problem, classifier, run.stored, run.identity, watch)
        problem, names = _from_features(problem, classifier, watch)
        blocks = _blocks(names)
        hessian = Hessian(problem, memory=round(config.memory * GIGABYTE))
        pieces = Pieces(run.stored / "curvature", run.identity)
        if not pieces.has("gaps"):
            # a product with the block of the last layer is cheap, with that of the first nearly one with all
            in_blocks = (LAYER_DRAWS + 14) * (len(blocks) + 1) // 2
            products = _spectrum_products(config) + in_blocks + DENSITY_STEPS * config.draws
            _announce(problem, hessian, config, products, watch)
        result = CurvatureResult(
            model=config.model,
            data=config.data,
            samples=len(problem),
            classes=len(labels_of(samples)),
            trained=config.method,
            moving_parameters=parameter_count(problem),
            center_norm=norm(problem.center()),
            spectrum=pieces.get("spectrum", TypeAdapter(Spectrum), lambda: _spectrum(problem, hessian, config, watch)),
            layers=pieces.get("layers", TypeAdapter(list[Layer]), lambda: _layers(hessian, blocks, config, watch)),
            density=pieces.get("density", TypeAdapter(Density), lambda: _density(hessian, config, watch)),
            gaps=pieces.get("gaps", TypeAdapter(GapsAlongK), lambda: _gaps(problem, hessian, config, watch)),
            surface=_surface_or_none(problem, hessian, config, outcomes, run.stored / "curvature", pieces, watch),
            radius=config.radius,
            notes=notes,
            configuration=config.asked(),
            versions=versions(),
        )
        write_result(result, run.path, indent=1)
        return result


def spectrum_and_gaps(
    config: CurvatureConfig, problem: Problem, classifier: Model, pieces: Pieces, watch: Watch
) -> tuple[Spectrum, GapsAlongK]:
    """The two parts from which the bound on what one more sample changes follows.

    Args:
        config: of the measurement.
        problem: the model at w*, and the samples.
        classifier: whose model it is.
        pieces: keep the parts.
        watch: told what is done.
    """
    problem, _ = _from_features(problem, classifier, watch)
    hessian = Hessian(problem, memory=round(config.memory * GIGABYTE))
    if not pieces.has("gaps"):
        _announce(problem, hessian, config, _spectrum_products(config), watch)
    return (
        pieces.get("spectrum", TypeAdapter(Spectrum), lambda: _spectrum(problem, hessian, config, watch)),
        pieces.get("gaps", TypeAdapter(GapsAlongK), lambda: _gaps(problem, hessian, config, watch)),
    )


def _from_features(problem: Problem, classifier: Model, watch: Watch) -> tuple[Problem, dict[str, str]]:
    """The same losses from kept outputs of the frozen part, where the model can be split before what moves.

    Also the whole model's name of each parameter that moves.
    """
    if isinstance(classifier, LanguageModel):
        return problem, {name: name for name in problem.moving}
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
        return problem, {name: name for name in problem.moving}
    features: list[Tensor] = []
    with problem.measuring(), watch.progress("frozen part", len(problem)) as progress:
        for found in problem.each(lambda some, batch: cut.features(batch), TOGETHER):
            features += map(_unpadded if cut.is_masked else torch.clone, found)
            progress(len(found))
    samples = _Features(features, problem.all_targets(), problem.describe)
    rest = Problem(cut.rest, samples, classifier.loss, order="source", collate=_padded)
    return rest, dict(zip(rest.moving, problem.moving, strict=True))


@final
@dataclass(frozen=True)
class _Features:
    """Kept outputs of the frozen part with their targets; what a sample is called is said by the first problem."""

    features: Sequence[Tensor]
    targets: Tensor
    describe: Callable[[int], str]

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.features[row], self.targets[row]


def _unpadded(features: Float[Tensor, "tokens width"]) -> Float[Tensor, "fewer width"]:
    """Those of one text, without what its batch padded it with; the last column is the attention mask."""
    return features[: int(features[:, -1].nonzero().max()) + 1].clone()


def _padded(samples: list[tuple[Float[Tensor, "*_"], Tensor]]) -> tuple[Float[Tensor, "batch *_"], Tensor]:
    features, targets = zip(*samples, strict=True)
    return pad_sequence(list(features), batch_first=True), torch.stack(targets)


@final
class _Watched(SymmetricOperator):
    """An operator that tells of its products."""

    def __init__(self, operator: SymmetricOperator, progress: Callable[[int], None]) -> None:
        self._operator, self._progress = operator, progress

    @property
    def shape(self) -> tuple[int, int]:
        return self._operator.shape

    @property
    def dtype(self) -> torch.dtype:
        return self._operator.dtype

    @property
    def device(self) -> torch.device:
        return self._operator.device

    def _product(self, vectors: Float[Tensor, "parameters columns"]) -> Float[Tensor, "parameters columns"]:
        found = self._operator @ vectors
        self._progress(vectors.shape[1])
        return found


def _announce(problem: Problem, hessian: Hessian, config: CurvatureConfig, products: int, watch: Watch) -> None:
    """Says how long the gaps and some products besides should take, from the time of one."""
    vector = torch.ones(hessian.shape[0], dtype=hessian.dtype, device=hessian.device)
    hessian @ vector  # builds the graphs that are kept
    start = time.perf_counter()
    hessian @ vector
    seconds = time.perf_counter() - start
    parameters, samples = hessian.shape[0], len(problem)
    seconds *= products + GAP_PRODUCTS * sum(_sizes(problem, config)) / samples
    bases = (eigenpairs_memory(parameters, config.count).unrestarted, density_memory(parameters, DENSITY_STEPS))
    fewer = max(samples // 4, LEAST_SAMPLES)
    advice = f"; --samples {fewer} takes about {duration(seconds * fewer / samples)}" if fewer < samples else ""
    watch.say(
        f"{parameters:,} parameters, {samples:,} samples, {config.count} eigenpairs: about {duration(seconds)}, "
        f"{max((hessian.memory + max(bases)) / GIGABYTE, 0.01):.2g} GB{advice}."
    )


def _spectrum_products(config: CurvatureConfig) -> int:
    return 3 * config.count + 10 + TRACE_DRAWS


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
        f"{max(8e-6 * points**2 * len(problem), 0.1):,.2g} MB on disk; fewer --surface-points take less."
    )


def _spectrum(problem: Problem, hessian: Hessian, config: CurvatureConfig, watch: Watch) -> Spectrum:
    with watch.progress("eigenvalues", _spectrum_products(config)) as progress:
        watched = _Watched(hessian, progress)
        pairs = top_eigenpairs(watched, min(config.count, hessian.shape[0]), seed=config.seed)
        total, size = moments(watched, TRACE_DRAWS, config.seed)
    return Spectrum(
        loss=float(problem.weighted_mean(problem.all_losses())),
        eigenvalues=[
            Eigenvalue(value=value, residual=residual)
            for value, residual in zip(pairs.values.tolist(), pairs.residuals.tolist(), strict=True)
        ],
        trace=WithError(value=total.value, error=total.error),
        frobenius=WithError(value=size.value, error=size.error),
    )


def _blocks(names: Mapping[str, str]) -> dict[str, list[str]]:
    """The names of the parameters of each layer, by what the layer is called in the model without adapters."""
    own = {name.removeprefix(WRAPPED).replace(REPLACED, ""): part for part, name in names.items()}
    return {layer: [own[name] for name in members] for layer, members in layers(list(own)).items()}


def _layers(
    hessian: Hessian, blocks: Mapping[str, Sequence[str]], config: CurvatureConfig, watch: Watch
) -> list[Layer]:
    with watch.progress("layers", len(blocks)) as progress:
        found = by_layer(hessian, draws=LAYER_DRAWS, seed=config.seed, blocks=blocks, progress=progress)
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
    with watch.progress("spectral density", config.draws * min(DENSITY_STEPS, hessian.shape[0])) as progress:
        found = spectral_density(_Watched(hessian, progress), config.draws, config.seed, DENSITY_STEPS)
    return found.plain()


def _sizes(problem: Problem, config: CurvatureConfig) -> list[int]:
    return [int(size) for size in np.unique(np.geomspace(1, len(problem) - 1, config.points).round().astype(int))]


def _gaps(problem: Problem, hessian: Hessian, config: CurvatureConfig, watch: Watch) -> GapsAlongK:
    hessian.release()  # gaps keep graphs of their own
    sizes = _sizes(problem, config)
    with watch.progress("gaps along k", len(sizes)) as progress:
        found = gaps(problem, sizes, seed=config.seed, memory=round(config.memory * GIGABYTE), progress=progress)
    return found.plain()


def _surface_or_none(
    problem: Problem,
    hessian: Hessian,
    config: CurvatureConfig,
    outcomes: int,
    folder: Place,
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
        lambda: _surface(problem, hessian, config, directions, outcomes, folder / name, watch),
    )


def _surface(
    problem: Problem,
    hessian: Hessian,
    config: CurvatureConfig,
    directions: Literal["random", "eigenvectors"],
    outcomes: int,
    store: Place,
    watch: Watch,
) -> SurfaceAlongK:
    points = config.surface_points
    if directions == "random":
        plane = Plane.random(problem, EXTENT, points, config.seed)
    else:
        pairs = top_eigenpairs(hessian, 2, seed=config.seed)
        steepest = max(abs(float(pairs.values[0])), np.finfo(float).tiny)
        # by there the loss has risen to that of chance if it were quadratic
        rise = math.sqrt(2 * math.log(max(outcomes, 2)) / steepest) / norm(problem.center())
        first, second = pairs.vectors.T
        labels = ("first eigenvector", "second eigenvector")
        plane = Plane.spanned(problem, first, second, min(EXTENT, rise), points, labels)
    _announce_surface(problem, points, watch)
    with watch.progress("surface", len(problem) * len(plane.coordinates)) as progress:
        found = surface(problem, plane, store, config.batch_size, progress)
    return found.result(directions)
