"""`Problem`: a model, its per-sample loss, its samples in a fixed order, and the parameters that move."""

import copy
import glob
import itertools
import math
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, default_collate

from suffice.errors import InputError, InputWarning, nearest, reason
from suffice.memory import Halving, has_run_out

Batch: TypeAlias = Any
"""What the collate function returns: ``(x, y)``, or a dictionary with "labels"."""

State: TypeAlias = Mapping[str, Tensor]
"""Values of the moving parameters by name."""

Found = TypeVar("Found")

Loss: TypeAlias = Literal["cross_entropy", "mse"] | Callable[[Any, Batch], Float[Tensor, " batch"]]


TOGETHER = 64
"""Samples in a batch where nothing else decides the batch size."""


BATCH_BYTES = {"cpu": 8 << 20, "cuda": 256 << 20}
"""Size of a batch's largest activation that runs fastest; on a CPU it stays in the cache (benchmarks/recording.py)."""

LARGEST_BATCH = 4096


_TOLD_OF: weakref.WeakSet[nn.Module] = weakref.WeakSet()
"""Models of which was said that they are in training mode."""


@runtime_checkable
class Samples(Protocol):
    """A map-style data set."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Any: ...


class Problem:
    r"""A module, its prediction, its per-sample loss :math:`l_i(w)`, and the samples in the order that k counts.

    Args:
        model: any module; its dtype and device are kept.
        dataset: map-style; items are batched as ``DataLoader`` does: ``(x, y)`` tuples, or dictionaries
            with "labels" as in Hugging Face's libraries.
        loss: "cross_entropy" (logits ``(batch, classes)``, labels ``(batch,)``), "mse" (the mean over the
            output's dimensions), or ``loss(outputs, batch)`` that returns one loss per sample, ``(batch,)``.
        predict: ``predict(model, batch)`` gives the outputs z; by default ``model(x)`` for tuples and
            ``model(**inputs).logits`` for dictionaries.
        parameters: which parameters move: None for all that require a gradient, or one or several globs
            over ``named_parameters()``. A shared parameter counts once, under its first name.
        order: "shuffled" (by ``seed``) or "source", the data set's own.
        seed: random seed of the shuffle.
        collate: replaces ``torch.utils.data.default_collate``.
        checks: check the model once, at the first measurement; False skips that.
        sample_weights: n_i > 0 of the samples, in the order of the data set: means over samples are
            :math:`L_k = \sum_{i \le k} n_i l_i / \sum_{i \le k} n_i`, as with n_i the tokens of an answer and l_i their
            mean loss. By default all are 1.

    Attributes:
        sample_weights: n_i in the order that k counts, (m,).
        is_weighted: some of them are not 1.

    Raises:
        InputError: fewer than 3 samples, no parameter that moves, a glob that matches nothing, parameters
            that are not finite, or weights of samples that are not positive.

    Example:
        >>> import torch, suffice
        >>> x, y = torch.randn(100, 5), torch.randint(3, (100,))
        >>> problem = suffice.Problem(torch.nn.Linear(5, 3), torch.utils.data.TensorDataset(x, y))
        >>> len(problem), list(problem.moving)
        (100, ['weight', 'bias'])
    """

    def __init__(
        self,
        model: nn.Module,
        dataset: Samples,
        loss: Loss = "cross_entropy",
        predict: Callable[[nn.Module, Batch], Any] | None = None,
        parameters: str | Sequence[str] | None = None,
        order: Literal["shuffled", "source"] = "shuffled",
        seed: int = 0,
        collate: Callable[[list[Any]], Batch] | None = None,
        checks: bool = True,
        sample_weights: ArrayLike | None = None,
    ) -> None:
        if not callable(loss) and loss not in ("cross_entropy", "mse"):
            raise InputError(f"loss is 'cross_entropy', 'mse' or a callable, not {loss!r}")
        if order not in ("shuffled", "source"):
            raise InputError(f"order is 'shuffled' or 'source', not {order!r}")
        if not isinstance(model, nn.Module):
            raise InputError(f"the model is a {type(model).__name__}, not a torch.nn.Module: wrap it in one")
        count = _length(dataset)
        if count < 3:
            raise InputError(f"{count} samples: at least 3 are needed to estimate a variance")
        if loss == "cross_entropy":
            _check_softmax(model)
        self.model = model
        self.dataset = dataset
        self.loss = loss
        self.checks = checks
        self.moving: dict[str, nn.Parameter] = _moving_parameters(model, parameters)
        rows = np.arange(count)
        self.index: Int64[np.ndarray, " samples"] = (
            rows if order == "source" else np.random.default_rng(seed).permutation(rows)
        )
        weights = np.ones(count) if sample_weights is None else _checked_weights(sample_weights, count)
        self.sample_weights: Float64[np.ndarray, " samples"] = weights[self.index]
        self.is_weighted = bool((weights != 1).any())
        self.predict = default_predict if predict is None else predict
        self._collate = default_collate if collate is None else collate
        plain = self._collate is default_collate
        self._tensors = dataset.tensors if type(dataset) is TensorDataset and plain else None
        _check_parameters(model, self.moving)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def device(self) -> torch.device:
        """Where the moving parameters, and so the batches, live."""
        return next(iter(self.moving.values())).device

    @property
    def collate(self) -> Callable[[list[Any]], Batch]:
        """Makes a batch of samples."""
        return self._collate

    def center(self) -> dict[str, Tensor]:
        """A copy of the moving parameters as they are now: w*."""
        return {name: parameter.detach().clone() for name, parameter in self.moving.items()}

    def batch(self, positions: slice | Int64[np.ndarray, " batch"]) -> Batch:
        """The collated samples at some positions of the problem's order, on the model's device."""
        rows = self.index[positions]
        if self._tensors is not None:
            chosen = torch.from_numpy(rows)
            batch: Batch = tuple(tensor.index_select(0, chosen.to(tensor.device)) for tensor in self._tensors)
        elif hasattr(self.dataset, "__getitems__"):
            batch = self._collated(self.dataset.__getitems__(rows.tolist()))
        else:
            batch = self._collated([self.dataset[row] for row in rows.tolist()])
        return _to_device(batch, self.device)

    def _collated(self, items: list[Any]) -> Batch:
        try:
            return self._collate(items)
        except InputError:
            raise
        except Exception as error:
            if has_run_out(error):
                raise
            raise InputError(f"these samples do not make a batch ({reason(error)}): give collate=") from error

    def batches(
        self, batch_size: int, positions: slice | Int64[np.ndarray, " chosen"] = slice(None)
    ) -> Iterator[tuple[Int64[np.ndarray, " batch"], Batch]]:
        """Batches of samples, with the positions of each batch in the problem's order. The last may be smaller.

        Every pass over the samples uses this loop. For a mean, add up the sums of the batches and divide once by the
        number of samples; the mean of the batches' means is another number.

        Args:
            batch_size: samples in a batch.
            positions: which samples, in which order; all by default.

        Raises:
            InputError: a batch size below 1, or positions that are not there.

        Example:
            >>> data = TensorDataset(torch.randn(10, 5), torch.randint(3, (10,)))
            >>> problem = Problem(nn.Linear(5, 3), data, order="source")
            >>> for positions, (x, y) in problem.batches(4, slice(1, 8)):
            ...     print(positions, tuple(x.shape))
            [1 2 3 4] (4, 5)
            [5 6 7] (3, 5)
        """
        if batch_size < 1:
            raise InputError(f"batch_size = {batch_size}: must be at least 1")
        chosen = self.positions(positions)
        for start in range(0, len(chosen), batch_size):
            some = chosen[start : start + batch_size]
            yield some, self.batch(some)

    def each(
        self,
        run: Callable[[Int64[np.ndarray, " batch"], Batch], Found],
        batch_size: int,
        positions: slice | Int64[np.ndarray, " chosen"] = slice(None),
    ) -> Iterator[Found]:
        """What a function gives for each of the `batches`; one for which memory runs out is run in halves.

        Args:
            run: takes the positions of a batch and the batch.
            batch_size: samples in a batch, unless memory runs out.
            positions: which samples, in which order; all by default.

        Raises:
            InputError: as `batches`, or memory runs out with one sample.

        Example:
            >>> data = TensorDataset(torch.randn(10, 5), torch.randint(3, (10,)))
            >>> problem = Problem(nn.Linear(5, 3), data)
            >>> [len(losses) for losses in problem.each(lambda some, batch: problem.losses(batch), 4)]
            [4, 4, 2]
        """
        if batch_size < 1:
            raise InputError(f"batch_size = {batch_size}: must be at least 1")
        return Halving(batch_size)(lambda some: run(some, self.batch(some)), self.positions(positions))

    def positions(self, chosen: slice | Int64[np.ndarray, " chosen"] = slice(None)) -> Int64[np.ndarray, " chosen"]:
        """Positions in the problem's order, 0 to m - 1, as numbers.

        Raises:
            InputError: positions that are not there.
        """
        if isinstance(chosen, slice):
            return np.arange(len(self))[chosen]
        positions = np.asarray(chosen)
        if positions.ndim != 1 or (positions.size and positions.dtype.kind not in "iu"):
            raise InputError(
                f"positions are whole numbers in one dimension, not {positions.dtype} of shape {positions.shape}: of a "
                "mask, take np.flatnonzero(mask)"
            )
        positions = positions.astype(np.int64)
        if len(positions) and (positions.min() < 0 or positions.max() >= len(self)):
            raise InputError(
                f"positions go from {positions.min()} to {positions.max()}: there are samples 0 to {len(self) - 1}"
            )
        return positions

    def describe(self, position: int) -> str:
        """Names the sample at a position, for messages: by the data set's ``describe(row)``, or by its row."""
        row = int(self.index[position])
        return str(self.dataset.describe(row)) if hasattr(self.dataset, "describe") else f"data set row {row}"

    def outputs(self, batch: Batch) -> Any:
        """The model's outputs z on a batch.

        Raises:
            InputError: the model does not take the batch.
        """
        try:
            return self.predict(self.model, batch)
        except InputError:
            raise
        except Exception as error:
            if has_run_out(error):
                raise
            raise InputError(
                f"the model does not take these samples ({reason(error)}): mend them, or say how with predict="
            ) from error

    def all_outputs(self) -> Float64[Tensor, "samples outputs"]:
        """The outputs z of all samples, in the order of the problem; for losses with a name.

        Raises:
            InputError: a callable loss, or outputs that are not a tensor, not logits, or not finite.
        """
        if callable(self.loss):
            raise InputError("the loss must be 'cross_entropy' or 'mse' here, not a callable")

        def outputs_of(some: Int64[np.ndarray, " batch"], batch: Batch) -> Float64[Tensor, "batch outputs"]:
            outputs = as_tensor(self.outputs(batch))
            if len(some) == 1:
                outputs = outputs.reshape(1, -1)
            if self.loss == "cross_entropy" and outputs.ndim != 2:
                raise InputError(f"cross_entropy takes logits (batch, classes), not {tuple(outputs.shape)}")
            return outputs.double().reshape(len(outputs), -1).cpu()

        with self.measuring():
            all_of_them = torch.cat(list(self.each(outputs_of, TOGETHER)))
        bad = (~all_of_them.isfinite().all(1)).nonzero()
        if len(bad):
            raise InputError(f"the outputs of {self.describe(int(bad[0]))} are not finite: look at that sample")
        return all_of_them

    def all_targets(self) -> Tensor:
        """The labels, or the values to be predicted, of all samples, in the order of the problem."""
        return torch.cat([self.targets(batch).cpu() for _, batch in self.batches(TOGETHER)])

    def elsewhere(self, samples: Samples) -> "Problem":
        """The same model and loss on other samples, in the order of these.

        Raises:
            InputError: samples with weights, as those of the others are not known.
        """
        self.need_equal_weights("other samples")
        moving = [glob.escape(name) for name in self.moving]
        return Problem(
            self.model, samples, self.loss, self.predict, moving, "source", collate=self._collate, checks=self.checks
        )

    def from_features(
        self, features: Float[Tensor, "samples *shape"], predict: Callable[[nn.Module, Batch], Any]
    ) -> "Problem":
        """The same losses, computed from features of the samples instead of the samples themselves.

        Args:
            features: of all samples, in the order of the problem.
            predict: computes the outputs z from the model and a batch of pairs (features, targets).
        """
        found = copy.copy(self)
        by_row = torch.empty_like(features)
        by_row[torch.from_numpy(self.index).to(features.device)] = features
        targets = self.all_targets()
        targets_by_row = torch.empty_like(targets)
        targets_by_row[torch.from_numpy(self.index)] = targets
        found._tensors = (by_row, targets_by_row.to(features.device))
        found.predict, found.checks = predict, False  # the guards look at the samples themselves
        return found

    def targets(self, batch: Batch) -> Tensor:
        """The labels, or the values to be predicted, of a batch."""
        return _targets(batch)

    def losses(self, batch: Batch, samples: int | None = None) -> Float[Tensor, " batch"]:
        """The loss of each sample of a batch; see `losses_of`."""
        return self.losses_of(self.outputs(batch), batch, samples)

    def losses_of(self, outputs: Any, batch: Batch, samples: int | None = None) -> Float[Tensor, " batch"]:
        """The loss of each sample, from the outputs z of their batch.

        The named losses are evaluated in float64 whatever the model's dtype: in float32 a cross-entropy below 1e-7
        is rounded to nothing, and then depends on how the samples were batched.

        Args:
            outputs: z of the model, or any other values.
            batch: holds the labels, or the values to be predicted.
            samples: number of samples in the batch, to check that each has one loss.

        Raises:
            InputError: the loss does not take these outputs and targets.
        """
        if self.loss == "cross_entropy":
            losses: Any = _cross_entropy(as_tensor(outputs), _targets(batch))
        elif self.loss == "mse":
            losses = _squared_error(as_tensor(outputs), _targets(batch))
        else:
            losses = self._own_losses(outputs, batch)
        if not isinstance(losses, Tensor) or losses.ndim != 1:
            shape = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise InputError(f"loss(outputs, batch) must return one loss per sample, shape (batch,), not {shape}")
        if samples is not None and len(losses) != samples:
            raise InputError(f"there must be one loss per sample, not {len(losses)} for {samples} samples")
        return losses

    def _own_losses(self, outputs: Any, batch: Batch) -> Any:
        try:
            return cast(Callable[[Any, Batch], Any], self.loss)(outputs, batch)
        except InputError:
            raise
        except Exception as error:
            if has_run_out(error):
                raise
            raise InputError(
                f"the loss fails ({reason(error)}): it is called as loss(outputs, batch), with the whole batch, and "
                "returns one loss per sample"
            ) from error

    def weighted_sum(
        self, losses: Float[Tensor, " batch"], positions: slice | Int64[np.ndarray, " batch"]
    ) -> Float[Tensor, ""]:
        r""":math:`\sum_i n_i l_i` of a batch, to be added up and divided once by the `total_weight` of all.

        Args:
            losses: of the samples.
            positions: of the samples in the problem's order.

        Example:
            >>> data = TensorDataset(torch.randn(3, 5), torch.randint(3, (3,)))
            >>> problem = Problem(nn.Linear(5, 3), data, order="source", sample_weights=[1, 2, 3])
            >>> problem.weighted_sum(torch.tensor([5.0, 7.0]), slice(1, 3)), problem.total_weight(slice(1, 3))
            (tensor(31.), 5.0)
        """
        if not self.is_weighted:
            return losses.sum()
        return (losses * torch.from_numpy(self.sample_weights[positions]).to(losses)).sum()

    def total_weight(self, positions: slice | Int64[np.ndarray, " chosen"] = slice(None)) -> float:
        r""":math:`\sum_i n_i` of some samples, or of all: their number, unless they have weights."""
        return float(self.sample_weights[positions].sum())

    def weighted_mean(
        self, losses: Float[Tensor, " batch"], positions: slice | Int64[np.ndarray, " batch"] = slice(None)
    ) -> Float[Tensor, ""]:
        r""":math:`\sum_i n_i l_i / \sum_i n_i` of some samples, or of all."""
        return (
            self.weighted_sum(losses, positions) / self.total_weight(positions) if self.is_weighted else losses.mean()
        )

    def unweighted(self) -> "Problem":
        """The same problem with samples that count alike."""
        found = copy.copy(self)
        found.sample_weights, found.is_weighted = np.ones(len(self)), False
        return found

    def need_equal_weights(self, what: str) -> None:
        """Refuses samples with weights.

        Args:
            what: is not known of them.

        Raises:
            InputError: the samples have weights.
        """
        if self.is_weighted:
            raise InputError(
                f"{what}: not for samples with weights, as those of --unit token; leave the weights out (--unit sample)"
            )

    def all_losses(
        self, batch_size: int = TOGETHER, positions: slice | Int64[np.ndarray, " chosen"] = slice(None)
    ) -> Float64[Tensor, " chosen"]:
        """The losses of some samples at the present weights, or of all."""
        with self.measuring():
            found = self.each(lambda some, batch: self.losses(batch, len(some)).double(), batch_size, positions)
            return torch.cat(list(found))

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Evaluation mode, no autocast, no TF32, no fast paths, no gradients recorded; all put back at the end."""
        is_training = any(module.training for module in self.model.modules())
        if is_training and self.model not in _TOLD_OF and _is_stochastic(self.model):
            _TOLD_OF.add(self.model)
            warnings.warn(
                "the model is in training mode and has dropout or batch normalisation: it is measured in "
                "evaluation mode and put back afterwards",
                InputWarning,
                stacklevel=4,
            )
        fast_path, precision = torch.backends.mha.get_fastpath_enabled(), torch.get_float32_matmul_precision()
        cudnn_tf32 = torch.backends.cudnn.allow_tf32
        try:
            with evaluation_mode(self.model), torch.no_grad(), _without_autocast(self.device.type):
                torch.backends.mha.set_fastpath_enabled(False)
                torch.set_float32_matmul_precision("highest")
                torch.backends.cudnn.allow_tf32 = False
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)
            torch.set_float32_matmul_precision(precision)
            torch.backends.cudnn.allow_tf32 = cudnn_tf32

    @contextmanager
    def at(self, state: State) -> Iterator[None]:
        """The model at other values of its moving parameters; the old ones are put back at the end."""
        before = {name: parameter.data for name, parameter in self.moving.items()}
        try:
            for name, parameter in self.moving.items():
                parameter.data = state[name]
            torch.clear_autocast_cache()
            yield
        finally:
            for name, parameter in self.moving.items():
                parameter.data = before[name]
            torch.clear_autocast_cache()


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; each module's own mode is put back at the end.

    They are put back by ``train()``, which undoes what layers do at ``eval()``, as those that merge an adapter into
    their weights.

    Raises:
        InputError: the model has no evaluation mode.
    """
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
    except NotImplementedError as error:
        raise InputError(
            f"the model ({type(model).__name__}) has no evaluation mode ({reason(error)}): give the nn.Module that it "
            "was made from"
        ) from error
    try:
        yield
    finally:
        for module, training in modes.items():  # each before those inside it
            if module.training != training:
                module.train(training)
            module.training = training


@contextmanager
def _without_autocast(device: str) -> Iterator[None]:
    """No autocast but that of forward itself, whose cache of converted weights ends with it.

    ``torch.autocast(enabled=False)`` around a forward pass would keep that cache: probes, and derivatives after losses
    without gradients, would use old weights.
    """
    before = torch.is_autocast_enabled(device), torch.is_autocast_cache_enabled()
    torch.set_autocast_enabled(device, False)
    torch.set_autocast_cache_enabled(False)
    torch.clear_autocast_cache()
    try:
        yield
    finally:
        torch.set_autocast_enabled(device, before[0])
        torch.set_autocast_cache_enabled(before[1])


def fastest_batch_size(problem: Problem) -> int:
    """The power of two for which the largest activation of a batch, or its inputs, fills `BATCH_BYTES`.

    A fixed rule rather than a timing, so that results are the same bits on the next run.
    """

    def fitting(positions: Int64[np.ndarray, " batch"], batch: Batch) -> int:
        largest = _bytes(batch)

        def look(module: nn.Module, inputs: object, outputs: object) -> None:
            nonlocal largest
            largest = max(largest, _bytes(outputs))

        hooked = (module for module in problem.model.modules() if not isinstance(module, torch.jit.ScriptModule))
        hooks = [module.register_forward_hook(look) for module in hooked]
        try:
            look(problem.model, batch, problem.outputs(batch))
        finally:
            for hook in hooks:
                hook.remove()
        return len(positions) * budget // largest

    budget = BATCH_BYTES.get(problem.device.type, BATCH_BYTES["cuda"])
    samples = min(max(min(problem.each(fitting, 2, slice(0, 2))), 1), LARGEST_BATCH)
    return 1 << (samples.bit_length() - 1)


def _bytes(value: Batch) -> int:
    """Size of the largest tensor in nested outputs."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, (str, bytes)):
        return 1
    if isinstance(value, dict):
        value = value.values()
    return max((_bytes(item) for item in value), default=1) if hasattr(value, "__iter__") else 1


def norm(state: State) -> float:
    """The Euclidean norm of all values together, in float64; a complex number counts as its two parts.

    Example:
        >>> norm({"weight": torch.tensor([3.0, 0.0]), "bias": torch.tensor([4.0])})
        5.0
    """
    return math.sqrt(sum(float(wide(value).abs().square().sum()) for value in state.values()))


def wide(value: Tensor) -> Tensor:
    """The values in float64, or in complex128: ``double()`` would drop imaginary parts."""
    return value.to(torch.promote_types(value.dtype, torch.float64))


def as_tensor(outputs: Any) -> Tensor:
    """Outputs that are one tensor, as the named losses need them.

    Raises:
        InputError: they are something else.
    """
    if not isinstance(outputs, Tensor):
        raise InputError(f"the outputs are a {type(outputs).__name__}, not a tensor: take it out with predict=")
    return outputs


def _moving_parameters(model: nn.Module, globs: str | Sequence[str] | None) -> dict[str, nn.Parameter]:
    if globs is None:
        moving = {
            name: parameter
            for name, parameter in model.named_parameters()
            if parameter.requires_grad and not _is_empty(parameter)
        }
        if not moving:
            raise InputError("no parameter requires a gradient: say which ones move, as parameters=['classifier.*']")
        return moving
    globs = [globs] if isinstance(globs, str) else list(globs)
    if not globs:
        raise InputError("no parameter is to move: say which ones, as parameters=['classifier.*']")
    names = dict(model.named_parameters(remove_duplicate=False))  # a shared parameter has several
    chosen = set()
    for pattern in globs:
        matched = {parameter for name, parameter in names.items() if fnmatchcase(name, pattern)}
        if not matched:
            raise InputError(f"no parameter matches {pattern!r}{nearest(pattern, list(names))}")
        chosen |= matched
    moving = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter in chosen and not _is_empty(parameter)
    }
    if not moving:
        raise InputError(f"the parameters {', '.join(globs)} have no values: choose others")
    for name, parameter in moving.items():
        if not (parameter.is_floating_point() or parameter.is_complex()):
            raise InputError(f"the parameter {name!r} holds {parameter.dtype}: it cannot move, leave it out")
    return moving


def _is_empty(parameter: nn.Parameter) -> bool:
    """Without values, there is nothing to move; one that has no shape yet is refused later."""
    return not isinstance(parameter, nn.parameter.UninitializedParameter) and parameter.numel() == 0


def _checked_weights(given: ArrayLike, count: int) -> Float64[np.ndarray, " samples"]:
    weights = np.asarray(given, dtype=np.float64)
    if weights.shape != (count,):
        raise InputError(f"sample_weights of shape {weights.shape}: give one weight for each of the {count:,} samples")
    bad = np.flatnonzero(~((weights > 0) & np.isfinite(weights)))
    if len(bad):
        raise InputError(f"sample_weights: that of row {bad[0]} is {weights[bad[0]]:g}, and it must be positive")
    return weights


def _length(dataset: Samples) -> int:
    if isinstance(dataset, (DataLoader, Mapping)):
        raise InputError(
            f"the data set is a {type(dataset).__name__}, not samples one by one: give "
            + ("its .dataset" if isinstance(dataset, DataLoader) else "a TensorDataset, or a list of samples")
        )
    try:
        return len(dataset)
    except TypeError as error:
        raise InputError(
            f"the data set ({type(dataset).__name__}) has no length: give a map-style one, such as list(...) of it"
        ) from error


def _check_softmax(model: nn.Module) -> None:
    """A checkpoint of transformers names the loss of its head, if that is another than the softmax's."""
    kind = getattr(getattr(model, "config", None), "problem_type", None)
    if kind in ("multi_label_classification", "regression"):
        raise InputError(
            f"the model's config has problem_type {kind!r}, whose loss is not the cross-entropy of a softmax: give "
            "loss=, or remove problem_type if the head was trained with a softmax"
        )


def _check_parameters(model: nn.Module, moving: Mapping[str, nn.Parameter]) -> None:
    """Those that can be used: there, finite, and each moving one with memory of its own.

    Buffers are not looked at: a causal mask that is kept as a buffer has minus infinities.
    """
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise InputError(f"the parameter {name!r} has no shape yet: run the model on a batch first")
        if parameter.is_meta:
            raise InputError(f"the parameter {name!r} has no values (device meta): load the weights first")
        if name in moving and parameter.layout != torch.strided:
            raise InputError(f"the parameter {name!r} is sparse and cannot move: leave it out with parameters=")
        if name in moving and parameter.is_inference():
            raise InputError(f"the parameter {name!r} was made under inference_mode and cannot move: load it outside")
        number = parameter.is_floating_point() or parameter.is_complex()
        if number and not bool(torch.isfinite(_values(parameter)).all()):
            raise InputError(f"the weights {name!r} have values that are not finite: the checkpoint cannot be used")
    _check_memory_of_their_own(model, moving)


def _values(parameter: Tensor) -> Tensor:
    """All values, or those that a sparse tensor stores."""
    if parameter.layout == torch.strided:
        return parameter
    return parameter._values() if parameter.layout == torch.sparse_coo else parameter.values()


def _check_memory_of_their_own(model: nn.Module, moving: Mapping[str, nn.Parameter]) -> None:
    """Two parameters over the same memory move together where ``at`` and an optimiser would move each for itself."""
    spans = []
    for name, parameter in itertools.chain(model.named_parameters(), model.named_buffers()):
        if parameter.is_meta or parameter.layout != torch.strided or parameter.numel() == 0:
            continue
        axes = list(zip(parameter.shape, parameter.stride(), strict=True))
        if name in moving and any(step == 0 and size > 1 for size, step in axes):
            raise InputError(f"values of the parameter {name!r} share memory: make it contiguous before it moves")
        last = sum((size - 1) * step for size, step in axes)
        start, width = parameter.data_ptr(), parameter.element_size()
        spans.append((start, start + (last + 1) * width, name, parameter))
    spans.sort(key=lambda span: span[:2])
    for first, (_, end, name, parameter) in enumerate(spans):
        for start, _, other, second in spans[first + 1 :]:
            if start >= end:
                break
            if (name in moving or other in moving) and _share_values(parameter, second):
                raise InputError(
                    f"{name!r} and {other!r} share memory but are two: tie them as one nn.Parameter, copy one with "
                    "clone(), or leave them out with parameters="
                )


def _share_values(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors over one piece of memory have values in common; columns side by side have none."""
    if one.element_size() != other.element_size():
        return True
    low = min(one.data_ptr(), other.data_ptr())
    return bool(torch.isin(_indices(one, low), _indices(other, low)).any())


def _indices(tensor: Tensor, start: int) -> Int64[Tensor, " values"]:
    """Where the values lie in memory, counted from an address."""
    offset = (tensor.data_ptr() - start) // tensor.element_size()
    last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return torch.arange(offset + last + 1).as_strided(tensor.shape, tensor.stride(), offset).reshape(-1)


def _is_stochastic(model: nn.Module) -> bool:
    """Whether training mode changes the outputs, as far as modules tell: attention has its dropout as a number."""
    return any(
        isinstance(module, nn.modules.batchnorm._BatchNorm)
        or (isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0)
        or any("drop" in name and isinstance(value, float) and value > 0 for name, value in vars(module).items())
        for module in model.modules()
    )


def _to_device(batch: Batch, device: torch.device) -> Batch:
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {key: _to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        moved = [_to_device(value, device) for value in batch]
        return type(batch)(*moved) if hasattr(batch, "_fields") else tuple(moved)
    return batch


def default_predict(model: nn.Module, batch: Batch) -> Any:
    """The outputs of ``model(x)`` for pairs (x, y), the logits of ``model(**inputs)`` for dictionaries with labels."""
    dtype = next((value.dtype for value in model.parameters() if value.is_floating_point()), None)

    def as_model(value: Any) -> Any:
        return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value

    if isinstance(batch, Mapping):
        return model(**{key: as_model(value) for key, value in batch.items() if key != "labels"}).logits
    if isinstance(batch, tuple) and len(batch) == 2:
        return model(as_model(batch[0]))
    raise InputError("samples are neither (x, y) tuples nor dictionaries: say how to use them with predict=")


def _targets(batch: Batch) -> Tensor:
    if isinstance(batch, tuple) and len(batch) != 2:
        raise InputError(
            f"samples of {len(batch)} parts do not say which one is the target: give (x, y) pairs, with x a tuple or "
            "dictionary of the others, or a callable loss"
        )
    if isinstance(batch, Mapping):
        if "labels" not in batch:
            raise InputError(f'the samples have no "labels", only {", ".join(map(str, batch))}')
        return cast(Tensor, batch["labels"])
    return cast(Tensor, batch[1])


def _cross_entropy(logits: Tensor, labels: Tensor) -> Float64[Tensor, " batch"]:
    if logits.ndim == 1 and labels.shape == (1,):
        logits = logits[None]  # of one sample, squeeze() takes the dimension of the batch too
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise InputError(
            f"cross_entropy takes logits (batch, classes) and labels (batch,), not {tuple(logits.shape)} and "
            f"{tuple(labels.shape)}: give a callable loss"
        )
    if logits.is_complex() or labels.is_complex():
        raise InputError("cross_entropy takes real logits and labels: give a callable loss for complex ones")
    if logits.shape[1] == 1:
        raise InputError(
            "the model has one output, whose softmax is always 1: give a callable loss, such as the binary "
            "cross-entropy, or loss='mse' for numbers"
        )
    if labels.is_floating_point():
        raise InputError("cross_entropy takes labels as integers; for numbers to be predicted take loss='mse'")
    labels = labels.long()
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise InputError(
            f"labels go from {int(labels.min())} to {int(labels.max())}, "
            f"but the model has classes 0 to {logits.shape[1] - 1}"
        )
    return functional.cross_entropy(logits.double(), labels, reduction="none")


def _squared_error(outputs: Tensor, targets: Tensor) -> Float64[Tensor, " batch"]:
    if targets.ndim > 0 and len(targets) == 1 and outputs.numel() == targets.numel() and outputs.shape[:1] != (1,):
        outputs = outputs[None]  # of one sample, squeeze() takes the dimension of the batch too
    shapes = [[length for length in tensor.shape[1:] if length != 1] for tensor in (outputs, targets)]
    if outputs.ndim == 0 or outputs.shape[:1] != targets.shape[:1] or shapes[0] != shapes[1]:
        raise InputError(
            f"mse compares outputs {tuple(outputs.shape)} with targets {tuple(targets.shape)}: give them one shape, "
            "but for dimensions of size 1"
        )
    samples = len(outputs)
    errors = wide(outputs).reshape(samples, -1) - wide(targets).reshape(samples, -1)
    return ((errors.real**2 + errors.imag**2) if errors.is_complex() else errors**2).mean(1)
