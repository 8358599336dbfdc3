"""The exact Hessian of a small transformer block on real images, at initialisation and along its training."""

import io
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from PIL import Image
from torch import Tensor
from torch.utils.data import TensorDataset

from suffice.closed_form import BlockClassifier, TransformerBlock, hessian
from suffice.closed_form.bounds import hessian_norm
from suffice.closed_form.hessian import check_memory
from suffice.configuration import HessianConfig
from suffice.data import LabelledSamples, load_collection
from suffice.errors import InputError
from suffice.problem import Problem
from suffice.results import (
    BoundName,
    HessianResult,
    HessianSummary,
    Moment,
    NormBounds,
    PartName,
)
from suffice.runs.folder import open_folder, write_result
from suffice.runs.log import logged
from suffice.runs.state import plan
from suffice.runs.summary import summary_of, tell
from suffice.runs.watch import SILENT, Watch, counted, duration
from suffice.software import versions
from suffice.storage import Pieces
from suffice.training import FineTuning, fine_tune

CELLS = 300
"""Cells of a side of a heat map, at most."""

RANKS = 200
"""About so many eigenvalues are stored, the largest and the smallest all, the others at even ratios."""


def measure_hessian(config: HessianConfig, out: Path, overwrite: bool = False, watch: Watch = SILENT) -> HessianResult:
    """Trains a block with a linear classifier, and measures its Hessian at initialisation and along the training.

    Each image becomes grey and square; its patches are the tokens, with sinusoidal positions added (A. Vaswani et al.,
    "Attention Is All You Need", section 3.5). All is in float64.

    Args:
        config: the block, the data, the training, and the number of moments.
        out: the run's folder.
        overwrite: replace a run with other settings.
        watch: told what is done and how long it should take; silent by default.

    Raises:
        InputError: bad input of any kind.

    Example:
        >>> import pathlib, tempfile
        >>> config = HessianConfig(samples=8, hidden_width=4, key_width=4, patch_size=2, epochs=1, moments=2)
        >>> result = measure_hessian(config, pathlib.Path(tempfile.mkdtemp()))
        >>> [moment.epoch for moment in result.moments], result.tokens, result.width
        ([0, 1], 16, 4)
    """
    if config.image_size % config.patch_size:
        raise InputError(
            f"image_size = {config.image_size} is not a multiple of patch_size = {config.patch_size}: take one that is"
        )
    images = _images(config, watch)
    if config.samples > len(images):
        raise InputError(f"samples = {config.samples}: {config.data} has {len(images)}")
    model = _model(config, len(images.classes))
    size = sum(parameter.numel() for parameter in model.parameters())
    # the Hessian, its eigenvalues and room for both
    check_memory(next(model.parameters()), 3, size, size)
    watch = logged(watch)
    with open_folder(out, config, {"data": images.fingerprint()}, overwrite) as run:
        pieces = Pieces(run.path / "moments", run.identity)
        rows = np.random.default_rng(config.seed).permutation(len(images))[: config.samples]
        X, y = _tokens(images, rows, config), torch.from_numpy(images.labels[rows])

        epochs = moments_of(config.epochs, config.moments)
        plan(run.path, {"moments": len(epochs)})
        watch.say(
            f"{size:,} parameters, {len(X):,} samples of {X.shape[1]} tokens: {counted(config.epochs, 'epoch')} of "
            f"training, and the Hessian at {counted(len(epochs), 'moment')}; about "
            f"{duration(len(epochs) * _seconds_each(model, X, y, size))}."
        )
        moments = []
        with watch.progress("measuring", len(epochs)) as progress:
            for epoch in _training(model, X, y, config, epochs):
                moments.append(_stored_moment(model, X, y, epoch, pieces))
                progress(1)
        result = HessianResult(
            data=config.data,
            samples=len(X),
            tokens=X.shape[1],
            width=X.shape[2],
            classes=model.classes,
            parameters={name: parameter.numel() for name, parameter in model.named_parameters()},
            moments=moments,
            configuration=config.asked(),
            versions=versions(),
        )
        write_result(result, run.path, indent=1)
        return result


def moments_of(epochs: int, count: int) -> list[int]:
    """Epochs at which the Hessian is measured: 0, the last, and between them at even ratios.

    Example:
        >>> moments_of(30, 4)
        [0, 1, 5, 30]
    """
    if epochs == 0 or count == 1:
        return [0]
    exponents = [1.0] if count == 2 else [step / (count - 2) for step in range(count - 1)]
    return sorted({0, *(round(epochs**exponent) for exponent in exponents)})


def _model(config: HessianConfig, classes: int) -> BlockClassifier:
    torch.manual_seed(config.seed)
    block = TransformerBlock(
        config.patch_size**2,
        config.key_width,
        config.hidden_width,
        config.heads,
        config.norm,
        config.activation,
        config.attention,
        config.causal,
        config.query_key,
        config.output_projection,
        config.attention_bias,
    )
    return BlockClassifier(block, classes, config.pool).double()


def _images(config: HessianConfig, watch: Watch) -> LabelledSamples:
    data = load_collection(config.data)
    images = data.at_hand
    if not isinstance(images[0], Image.Image):
        raise InputError(
            f"{config.data}: a table of texts, and images are needed here: give a folder of images, IDX files, or "
            "builtin:digits"
        )
    tell(summary_of(data), watch)
    return images


def _tokens(
    images: LabelledSamples, rows: Int64[np.ndarray, " samples"], config: HessianConfig
) -> Float[Tensor, "samples tokens width"]:
    """The patches of each image, of mean 0 and deviation 1 over all of them, with their positions."""
    side, patch = config.image_size, config.patch_size
    pixels = np.stack(
        [
            np.asarray(
                cast(Image.Image, images[int(row)]).convert("L").resize((side, side), Image.Resampling.BOX),
                dtype=np.float64,
            )
            for row in rows
        ]
    )
    across = side // patch
    patches = pixels.reshape(-1, across, patch, across, patch).swapaxes(2, 3).reshape(len(rows), across**2, patch**2)
    scale = patches.std()
    if scale == 0:
        raise InputError(f"{config.data}: all pixels of these images are the same")
    return torch.from_numpy((patches - patches.mean()) / scale + _positions(across**2, patch**2))


def _positions(tokens: int, width: int) -> Float64[np.ndarray, "tokens width"]:
    """Sines and cosines of the position, one pair of columns for each wave length."""
    columns = np.arange(width)
    angles = np.arange(tokens)[:, None] / 10_000 ** (2 * (columns // 2) / width)
    return np.where(columns % 2 == 0, np.sin(angles), np.cos(angles))


def _training(model: BlockClassifier, X: Tensor, y: Tensor, config: HessianConfig, epochs: list[int]) -> Iterator[int]:
    """The model at each of some epochs, one after the other."""
    yield 0
    if epochs == [0]:
        return
    states: dict[int, dict[str, Tensor]] = {}
    done = 0

    def note(samples: int) -> None:
        nonlocal done
        done += samples
        epoch = done // len(X)
        if done % len(X) == 0 and epoch in epochs:
            states[epoch] = {name: value.clone() for name, value in model.state_dict().items()}

    settings = FineTuning(config.epochs, config.learning_rate, seed=config.seed)
    fine_tune(Problem(model, TensorDataset(X, y), seed=config.seed), settings, progress=note)
    for epoch, state in states.items():
        model.load_state_dict(state)
        yield epoch


def _seconds_each(model: BlockClassifier, X: Tensor, y: Tensor, size: int) -> float:
    """About the time for one moment: three Hessians, their norms, and one eigenvalue decomposition."""
    small = torch.randn(400, 400, dtype=X.dtype)
    small = small + small.mT
    # the first call wakes the threads up, and others may be at work
    decomposition = min(_seconds(lambda: torch.linalg.eigvalsh(small)) for _ in range(3)) * (size / 400) ** 3
    return decomposition + 3 * _seconds(lambda: hessian(model, X, y, "cross_entropy").block_norms())


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _stored_moment(model: BlockClassifier, X: Tensor, y: Tensor, epoch: int, pieces: Pieces) -> Moment:
    """The Hessian at an epoch, measured once: a resumed run reads it from its folder."""
    name = f"epoch_{epoch}"
    if pieces.has(name):
        return Moment.model_validate(pieces.read(name))
    moment, heat_map = _moment(model, X, y, epoch)
    held = io.BytesIO()
    np.save(held, heat_map.astype(np.float32), allow_pickle=False)
    pieces.write(name, moment.model_dump(mode="json"), {".npy": held.getvalue()})
    return moment


def _moment(
    model: BlockClassifier, X: Tensor, y: Tensor, epoch: int
) -> tuple[Moment, Float64[np.ndarray, "parts cells cells"]]:
    with torch.no_grad():
        logits = model(X)
    parts: dict[PartName, HessianSummary] = {}
    maps = []
    eigenvalues: Float64[np.ndarray, " P"] = np.empty(0)
    for part in get_args(PartName):
        H = hessian(model, X, y, "cross_entropy", part)
        dense = H.dense()
        if part == "full":
            eigenvalues = torch.linalg.eigvalsh(dense).flip(0).numpy()
        maps.append(_cells(dense))
        frobenius = float(dense.norm())
        del dense
        norms = H.block_norms()
        parts[part] = HessianSummary(
            trace=H.trace(),
            frobenius=frobenius,
            spectral=H.norm(),
            block_norms=_table(norms, H.names),
        )
    bounds: dict[BoundName, NormBounds] = {}
    for kind in get_args(BoundName):
        bound = hessian_norm(model, X, y, "cross_entropy", kind)
        bounds[kind] = NormBounds(spectral=bound["total"], block_norms=_table(bound, H.names))
    indices = _indices(len(eigenvalues))
    moment = Moment(
        epoch=epoch,
        loss=float(torch.nn.functional.cross_entropy(logits, y)),
        accuracy=float((logits.argmax(-1) == y).double().mean()),
        parts=parts,
        bounds=bounds,
        ranks=(indices + 1).tolist(),
        eigenvalues=eigenvalues[indices].tolist(),
        outliers=_outliers(eigenvalues, model.classes),
    )
    return moment, np.stack(maps)


def _table(norms: Mapping[Any, float], names: Sequence[str]) -> list[list[float]]:
    return [[norms[row, column] for column in names] for row in names]


def _cells(dense: Float[Tensor, "P P"]) -> Float64[np.ndarray, "cells cells"]:
    """Root mean squares of the entries in cells of about the same size, so that P x P entries fit into a picture."""
    edges = np.linspace(0, len(dense), min(CELLS, len(dense)) + 1).round().astype(np.int64)
    squares = dense.square().numpy()
    sums = np.add.reduceat(np.add.reduceat(squares, edges[:-1], axis=0), edges[:-1], axis=1)
    cells: Float64[np.ndarray, "cells cells"] = np.sqrt(sums / np.outer(np.diff(edges), np.diff(edges)))
    return cells


def _indices(size: int) -> Int64[np.ndarray, " indices"]:
    """Indices into the spectrum, dense at both ends."""
    from_end = np.unique(np.geomspace(1, max(1, math.ceil(size / 2)), RANKS // 2).astype(np.int64)) - 1
    indices: Int64[np.ndarray, " indices"] = np.unique(np.concatenate([from_end, size - 1 - from_end]))
    return indices


def _outliers(eigenvalues: Float64[np.ndarray, " P"], classes: int) -> int:
    """How many eigenvalues lie before the widest gap among the largest."""
    largest = eigenvalues[: 4 * classes + 1]
    largest = largest[largest > 0]
    return 0 if len(largest) < 2 else int(np.argmax(largest[:-1] / largest[1:])) + 1
