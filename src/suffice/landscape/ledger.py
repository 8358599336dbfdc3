"""The loss of every sample at every probe: measured once, kept on disk, resumed."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from suffice.checks import check_evaluation_mode, check_kept, check_losses, check_moves, check_recorded, check_samples
from suffice.digest import digest, digest_of_samples
from suffice.errors import InputError
from suffice.landscape.probes import Probes
from suffice.memory import Halving, has_run_out
from suffice.problem import Batch, Problem, fastest_batch_size, norm
from suffice.storage import Place, RowShards, StoreError, atomic_write, locked, place, read_bytes

SHARD_SAMPLES = 256
"""Samples of a shard, unless a batch is larger: a kill loses seconds, and drawing the probes' weights for each shard
costs a few percent of running the model."""

LONG = 20
"""With more shards than these, the first is checked before the others are measured."""

AGAIN = 8
"""Samples of a store that are run again, at least."""

ALIKE, LEAST = 1e-4, 1e-7
"""Relative and absolute difference of losses that were stored and run again; rounding is below."""

LOSSES, INDEX, WEIGHTS = "losses.zarr", "index.npy", "sample_weights.npy"
"""What lies in a store."""

OF_SAMPLES = "weights of samples"
"""Their hash in the identity of a store, beside that of the model's weights; none where all are 1."""


class Ledger:
    """Per-sample losses l_i(w_j) of m samples at q probes.

    Attributes:
        index: data set row of each ledger row, (m,).
        sample_weights: n_i of each ledger row, (m,); 1 unless the samples of the problem have weights.
        distance: ||w_j - w*|| of each probe, (q,); the first is w* itself.
        batch_size: samples that were run at a time.
        center_norm: ||w*|| of the moving parameters.
    """

    def __init__(
        self,
        shards: RowShards,
        index: Int64[np.ndarray, " samples"],
        sample_weights: Float64[np.ndarray, " samples"] | None = None,
    ) -> None:
        identity = shards.identity
        self.index = index
        self.sample_weights = np.ones(len(index)) if sample_weights is None else sample_weights
        self.distance: Float64[np.ndarray, " probes"] = np.asarray(identity["distance"], dtype=np.float64)
        self.batch_size: int = identity["batch_size"]
        self.center_norm: float = identity["center_norm"]
        self._shards = shards

    @classmethod
    def open(cls, store: str | Place) -> "Ledger":
        """The ledger that `record` stored in a folder.

        Raises:
            InputError: there is none, it is not complete, or a file is damaged.
        """
        shards = RowShards.open(place(store) / LOSSES)
        if missing := shards.missing():
            raise InputError(
                f"{store}: this ledger is not complete: {len(missing)} of {len(shards.shards())} shards are missing or "
                "damaged; run record again with this store to finish it"
            )
        return cls(shards, *read_rows(place(store), shards.identity))

    @property
    def losses(self) -> Float64[np.ndarray, "samples probes"]:
        """l_i(w_j), rows in the problem's order; read from the store at each call.

        Raises:
            InputError: a file of the store was damaged or removed since the ledger was opened.
        """
        return self._shards.read()

    def prefix_means(self, sizes: Sequence[int]) -> Float64[np.ndarray, "sizes probes"]:
        """L_k(w_j) at each probe: the (weighted) mean loss of the first k samples. The store is read shard by shard.

        Args:
            sizes: k, from 1 to the number of samples.

        Raises:
            InputError: other sizes; a file of the store was damaged or removed since the ledger was opened.
        """
        asked = checked_sizes(sizes, len(self.index))
        means = np.empty((len(asked), len(self.distance)))
        total, weight = np.zeros(len(self.distance)), np.cumsum(self.sample_weights)
        for rows in self._shards.shards():
            sums = total + np.cumsum(self._shards.read(rows) * self.sample_weights[rows, None], axis=0)
            here = (rows.start < asked) & (asked <= rows.stop)
            means[here] = sums[asked[here] - rows.start - 1] / weight[asked[here] - 1, None]
            total = sums[-1]
        return means

    def variances(self) -> Float64[np.ndarray, " probes"]:
        r"""S^2(w_j), the variance over the samples of the loss at each probe. The store is read shard by shard.

        Of samples with weights it is that of :math:`(n_i / \bar n) (l_i - L_m)`, see `Convergence`.
        """
        samples = len(self.index)
        means = self.prefix_means([samples])[0]
        squares, relative = np.zeros(len(means)), self.sample_weights / self.sample_weights.mean()
        for rows in self._shards.shards():
            squares += np.square((self._shards.read(rows) - means) * relative[rows, None]).sum(0)
        return squares / (samples - 1)

    def at(self, probes: Sequence[int]) -> "Ledger":
        """The same samples at some of the probes only; what is said of w* is then said of the first of them."""
        columns = list(probes)
        losses = self.losses[:, columns]
        identity = self._shards.identity | {"distance": self.distance[columns].tolist()}
        shards = RowShards.resume(None, losses.shape, len(losses), identity)
        shards.write(slice(0, len(losses)), losses)
        return Ledger(shards, self.index, self.sample_weights)


def record(
    problem: Problem,
    probes: Probes,
    store: str | Place | None = None,
    batch_size: int | Literal["auto"] = "auto",
    progress: Callable[[int], None] = lambda losses: None,
    elsewhere: Callable[[Sequence[slice]], None] | None = None,
) -> Ledger:
    """Measures the loss of every sample at every probe, in one pass over the data.

    Each shard of samples is read once and run at all probes. With a store, each shard is on disk when it is
    finished, and a later call with the same arguments computes only the shards that are missing or damaged, and one
    sample of each other to compare it. The store keeps hashes of the weights and of all samples (see
    `suffice.digest.digest_of_samples`), and is locked meanwhile.

    Args:
        problem: the model, its samples and its loss.
        probes: where to measure.
        store: a folder to keep the ledger in, or the URL of a place in a store; None keeps it in memory.
        batch_size: samples to run at a time; "auto" takes the size that runs fastest, from the size of the activations.
        progress: called with the number of losses measured, or found in the store, since the last call.
        elsewhere: called with the shards that are missing after the first, to measure them by `record_shard` in other
            processes; those that are missing after that are measured here.

    Before the first measurement the guards of `suffice.checks` run, unless the problem says otherwise.

    Raises:
        InputError: a loss that is not finite (names the sample and the probe), probes of other parameters or of other
            values of them, a store with the ledger of other weights, samples or settings, or one in use; or a failed
            guard (its code, and the module or parameter).

    Example:
        >>> import torch, suffice
        >>> data = torch.utils.data.TensorDataset(torch.randn(50, 5), torch.randint(3, (50,)))
        >>> problem = suffice.Problem(torch.nn.Linear(5, 3), data)
        >>> ledger = suffice.record(problem, suffice.Probes.sphere(problem))
        >>> ledger.losses.shape
        (50, 9)
    """
    if batch_size != "auto" and batch_size < 1:
        raise InputError(f"batch_size = {batch_size}: must be at least 1")
    probes.check(problem)
    check_samples(problem)
    check_evaluation_mode(problem)
    check_kept(problem, 2 if batch_size == "auto" else batch_size)
    folder = None if store is None else place(store)
    with nullcontext() if folder is None else locked(folder), problem.measuring():
        size = fastest_batch_size(problem) if batch_size == "auto" else batch_size
        halving = Halving(size)
        check_losses(problem, size)
        contents = {} if folder is None else _contents(problem, probes)
        shards = RowShards.resume(
            None if folder is None else folder / LOSSES,
            shape=(len(problem), len(probes)),
            shard_rows=size * max(1, SHARD_SAMPLES // size),
            identity=contents
            | {
                "distance": probes.distance.tolist(),
                "batch_size": size,
                "center_norm": norm(problem.center()),
            },
        )
        if folder is not None:
            with atomic_write(folder / INDEX) as file:
                np.save(file, problem.index, allow_pickle=False)
            if problem.is_weighted:
                with atomic_write(folder / WEIGHTS) as file:
                    np.save(file, problem.sample_weights, allow_pickle=False)
        missing = {rows.start for rows in shards.missing()}
        is_new = bool(missing)
        finished = [rows for rows in shards.shards() if rows.start not in missing]
        if finished:
            _check_same(problem, probes, shards, finished, size, halving)
            progress(sum(rows.stop - rows.start for rows in finished) * len(probes))
        for rows in shards.shards():
            if rows.start in missing:
                shards.write(rows, _measure(problem, probes, rows, halving, progress))
            if rows.start == 0:
                first = shards.read(rows)
                _check_moves(problem, probes, first, halving.size)
                if len(shards.shards()) > LONG:
                    check_recorded(problem, first[:, 0], size, len(problem) * len(probes))
                later = [rows for rows in shards.shards() if rows.start in missing and rows.start > 0]
                if elsewhere is not None and later:
                    elsewhere(later)
                    missing = {rows.start for rows in shards.missing()}
        if is_new:
            check_recorded(problem, shards.read()[:, 0], size, len(problem) * len(probes))
    return Ledger(shards, problem.index, problem.sample_weights)


def record_shard(problem: Problem, probes: Probes, store: str | Place, rows: slice) -> None:
    """Measures one shard of a ledger that `record` has begun in another process.

    Args:
        problem: with the same samples, weights and order.
        probes: the same.
        store: the folder that `record` was given.
        rows: of the shard.

    Raises:
        InputError: there is no such store, or it is one of other weights or probes.
    """
    shards = RowShards.open(place(store) / LOSSES)
    identity = shards.identity
    own = {"weights": _weights(problem), "order": digest(problem.index), "distance": probes.distance.tolist()}
    if any(identity[name] != value for name, value in own.items()):
        raise InputError(f"{store} is begun with other weights, samples or probes than a worker has: begin it anew")
    with problem.measuring():
        shards.write(rows, _measure(problem, probes, rows, Halving(identity["batch_size"]), lambda losses: None))


def checked_sizes(sizes: Sequence[int], samples: int) -> Int64[np.ndarray, " sizes"]:
    """Sizes k as an array.

    Raises:
        InputError: a size below 1 or above the number of samples.
    """
    asked = np.asarray(sizes, dtype=np.int64)
    for size in asked[(asked < 1) | (asked > samples)]:
        raise InputError(f"size {size}: sizes go from 1 to the number of samples, {samples}")
    return asked


def _measure(
    problem: Problem, probes: Probes, rows: slice, halving: Halving, progress: Callable[[int], None]
) -> Float64[np.ndarray, "rows probes"]:
    batches: dict[tuple[int, int], Batch] = {}

    def losses_of(some: Int64[np.ndarray, " batch"]) -> Float[Tensor, " batch"]:
        ends = int(some[0]), int(some[-1])
        try:
            if ends not in batches:
                batches[ends] = problem.batch(some)
            return problem.losses(batches[ends], len(some))
        except Exception as error:
            if has_run_out(error):
                batches.clear()  # smaller ones follow
            raise

    positions = problem.positions(rows)
    losses = np.empty((len(positions), len(probes)))
    for probe in range(len(probes)):
        with problem.at(probes[probe]):
            measured = list(halving(losses_of, positions))
        losses[:, probe] = torch.cat(measured).double().cpu().numpy()
        progress(len(losses))
    _check_finite(losses, problem, rows)
    return losses


def _check_moves(problem: Problem, probes: Probes, losses: Float64[np.ndarray, "rows probes"], batch_size: int) -> None:
    """A probe at which the first losses are those at the centre must differ from it in its outputs."""
    for probe in np.flatnonzero((losses[:, 1:] == losses[:, :1]).all(0)) + 1:
        check_moves(problem, probes[int(probe)], problem.batches(batch_size), f"probe {probe}")


def _check_same(
    problem: Problem,
    probes: Probes,
    shards: RowShards,
    finished: Sequence[slice],
    batch_size: int,
    halving: Halving,
) -> None:
    """Runs the first stored batch again, and others where samples from all over the store have another loss.

    A callable loss, the prediction, collation and the software have no hash, and they may have changed for some samples
    only, as by class weights. A shard does not say which run it is of: one sample of each is run at all probes.
    """
    stored = np.concatenate([np.arange(rows.start, rows.stop) for rows in finished])
    spread = stored[np.linspace(0, len(stored) - 1, min(AGAIN, len(stored))).round().astype(int)]
    other = _changed(problem, probes, shards, spread, range(1), halving)
    if len(finished) > 1:
        firsts = np.array([rows.start for rows in finished[1:]])
        other |= _changed(problem, probes, shards, firsts, range(len(probes)), halving)
    for start in dict.fromkeys([finished[0].start, *sorted(row // batch_size * batch_size for row in other)]):
        rows = slice(start, min(start + batch_size, len(problem)))
        measured = _measure(problem, probes, rows, halving, lambda losses: None)
        if not np.allclose(shards.read(rows), measured, rtol=ALIKE, atol=LEAST):
            raise InputError(
                "the store holds other losses of these samples at these weights: the loss, the prediction or the "
                f"software has changed, or the file of rows {rows.start} to {rows.stop - 1} is of another run; give "
                "another store"
            )


def _changed(
    problem: Problem,
    probes: Probes,
    shards: RowShards,
    rows: Int64[np.ndarray, " rows"],
    at: range,
    halving: Halving,
) -> set[int]:
    """The rows whose stored loss at any of some probes is another than that of now."""
    known = np.concatenate([shards.read(slice(row, row + 1)) for row in rows])
    differs = np.zeros(len(rows), dtype=bool)
    for probe in at:
        with problem.at(probes[probe]):
            now = torch.cat(list(halving(lambda some: problem.losses(problem.batch(some), len(some)), rows)))
        differs |= ~np.isclose(known[:, probe], now.double().cpu().numpy(), rtol=ALIKE, atol=LEAST)
    return set(rows[differs].tolist())


def _contents(problem: Problem, probes: Probes) -> dict[str, Any]:
    """What decides the losses: samples, weights, points and loss; a callable loss cannot be told from another."""
    return {
        "weights": _weights(problem),
        "samples": digest_of_samples(problem.dataset),
        "order": digest(problem.index),
        "probes": probes.description,
        "loss": "callable" if callable(problem.loss) else problem.loss,
    } | ({OF_SAMPLES: digest(problem.sample_weights)} if problem.is_weighted else {})


def _weights(problem: Problem) -> str:
    return digest(dict(problem.model.named_buffers()) | problem.model.state_dict())


def read_rows(
    store: Place, identity: Mapping[str, Any]
) -> tuple[Int64[np.ndarray, " samples"], Float64[np.ndarray, " samples"] | None]:
    """The data set row of each row of a store, and the weights of these samples if they have any.

    Raises:
        InputError: a file is missing or damaged.
    """
    weights = identity.get(OF_SAMPLES)
    index = _read_array(store / INDEX, identity["order"])
    return index, None if weights is None else _read_array(store / WEIGHTS, weights)


def _read_array(file: Place, expected: str) -> np.ndarray:
    try:
        found: np.ndarray = np.load(io.BytesIO(read_bytes(file)), allow_pickle=False)
    except StoreError:
        raise
    except Exception as error:  # numpy has many for a damaged header
        raise InputError(f"{file} is missing or damaged: run record again with this store to write it anew") from error
    if digest(found) != expected:
        raise InputError(f"{file} is damaged: run record again with this store to write it anew")
    return found


def _check_finite(losses: Float64[np.ndarray, "rows probes"], problem: Problem, rows: slice) -> None:
    bad = np.argwhere(~np.isfinite(losses))
    if len(bad):
        row, probe = (int(number) for number in bad[0])
        where = "the centre w*" if probe == 0 else f"probe {probe}"
        raise InputError(
            f"the loss of {problem.describe(rows.start + row)} at {where} is {losses[row, probe]}: "
            "look at that sample, or take probes nearer to w*"
        )
