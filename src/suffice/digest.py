"""Hashes of contents: the same for the same values, in every process, whatever object holds them."""

import hashlib
import sys
from collections.abc import Iterator, Mapping, Set
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from suffice.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

ALGORITHM = "blake2b"

SIZE = 16
"""Bytes of a hash: two different contents have the same one with probability 2^-128."""

SCALARS = frozenset({type(None), bool, int, float, complex, str})

TOGETHER = 256
"""Samples that are read at a time."""


def digest(*values: Any) -> str:
    r"""The BLAKE2b hash (RFC 7693) of some values, as ``blake2b:`` and 32 hexadecimal digits.

    Tensors and arrays count by type, shape and bytes, images by mode, size and pixels, mappings without regard to
    order, data sets by their ``fingerprint()``, and other objects by the state that ``pickle`` would store; nothing is
    pickled. A tensor and an array of the same values have the same hash, a list and a tuple too.

    Args:
        values: what to hash, nested to any depth.

    Raises:
        InputError: an object without a state to be read, such as a generator, a tensor without values, or values that
            are nested too deep.

    Example:
        >>> digest({"x": np.zeros(2), "y": [1]}) == digest({"y": (1,), "x": np.zeros(2)})
        True
        >>> digest(np.zeros(2)) == digest(np.zeros(2, dtype="float32"))
        False
        >>> digest("sample")
        'blake2b:576eb1171c276fe048d127e1cf334019'
    """
    hasher = hashlib.blake2b(digest_size=SIZE)
    try:
        for value in values:
            for piece in _pieces(value, ()):
                hasher.update(piece)
    except RecursionError as error:
        raise InputError("values that are nested too deep cannot be hashed") from error
    return f"{ALGORITHM}:{hasher.hexdigest()}"


def digest_of_input(item: Any) -> bytes:
    """A short hash of what a model is given of a sample: equal for equal pixels, texts or tensors.

    Args:
        item: an image, a text, a tensor, or a sequence or mapping of these.

    Example:
        >>> digest_of_input(np.zeros(2)) == digest_of_input(np.zeros(2)), digest_of_input("a") == digest_of_input("b")
        (True, False)
    """
    if _is_a(item, "torch", "Tensor"):
        item = item.detach().cpu().numpy()
    if isinstance(item, Mapping):
        content = b"".join(digest_of_input(key) + digest_of_input(value) for key, value in sorted(item.items()))
    elif isinstance(item, tuple | list):
        content = b"".join(map(digest_of_input, item))
    elif hasattr(item, "__array_interface__"):
        content = np.ascontiguousarray(item).tobytes()
    else:
        content = repr(item).encode()
    return hashlib.blake2b(content, digest_size=SIZE).digest()


def is_digest(value: object) -> bool:
    """Whether a value is what `digest` gives."""
    return isinstance(value, str) and value.startswith(f"{ALGORITHM}:")


def digest_of_samples(samples: Any) -> str:
    """The hash of all samples of a map-style data set.

    A ``TensorDataset`` is hashed by its tensors, and a data set with a method ``fingerprint()`` by what that returns.
    Any other is read once, so its items have to be the same each time they are read.

    Args:
        samples: a map-style data set.

    Raises:
        InputError: items without a content that can be hashed.

    Example:
        >>> digest_of_samples([("good", 1), ("bad", 0)]) == digest_of_samples([("good", 1), ("bad", 1)])
        False
    """
    if _has_fingerprint(samples):
        return digest(samples)
    torch = sys.modules.get("torch")
    if torch is not None and type(samples) is torch.utils.data.TensorDataset:
        return digest(samples.tensors)
    hasher = hashlib.blake2b(digest_size=SIZE)
    for start in range(0, len(samples), TOGETHER):
        rows = list(range(start, min(start + TOGETHER, len(samples))))
        items = samples.__getitems__(rows) if hasattr(samples, "__getitems__") else (samples[row] for row in rows)
        for item in items:
            for piece in _pieces(item, ()):
                hasher.update(piece)
    return f"{ALGORITHM}:{hasher.hexdigest()}"


def _pieces(value: Any, around: tuple[int, ...]) -> Iterator[Any]:
    """A value as bytes, each part after its kind and length, so that no two values give the same.

    Args:
        value: to hash.
        around: what holds it, as ids, outermost first; an object that holds itself ends there.
    """
    if type(value) in SCALARS:
        yield _head(type(value).__name__, repr(value))
    elif isinstance(value, bytes | bytearray | memoryview):
        yield _head("bytes", memoryview(value).nbytes)
        yield bytes(value)
    elif type(value) in (np.ndarray, np.memmap) or isinstance(value, np.generic):
        yield from _of_array(np.asarray(value), around)
    elif _is_a(value, "torch", "Tensor"):
        yield from _of_tensor(value, around)
    elif isinstance(value, type | FunctionType | BuiltinFunctionType):
        yield _head("name", f"{value.__module__}.{value.__qualname__}")
    elif id(value) in around:
        yield _head("inside", len(around) - around.index(id(value)))
    else:
        yield from _of_container(value, (*around, id(value)))


def _of_container(value: Any, around: tuple[int, ...]) -> Iterator[Any]:
    if _has_fingerprint(value):
        yield _head("fingerprint", value.fingerprint())
    elif isinstance(value, Mapping):
        yield _head("mapping", len(value))
        for key in sorted(value, key=lambda key: (type(key).__name__, repr(key))):
            yield from _pieces(key, around)
            yield from _pieces(value[key], around)
    elif isinstance(value, list | tuple):
        yield _head("sequence", len(value))
        if all(type(item) in SCALARS for item in value):  # much faster, for long lists of tokens
            yield _head("scalars", list(value))
        else:
            for item in value:
                yield from _pieces(item, around)
    elif isinstance(value, Set):
        yield _head("set", len(value))
        yield from sorted(digest(item).encode() for item in value)
    elif _is_a(value, "PIL.Image", "Image"):
        yield _head("image", value.mode, *value.size)
        yield from _pieces(value.getpalette(), around)
        yield value.tobytes()
    else:
        yield from _of_object(value, around)


def _of_array(array: np.ndarray, around: tuple[int, ...]) -> Iterator[Any]:
    if array.dtype.hasobject:
        yield _head("objects", *array.shape)
        yield from _pieces(array.tolist(), around)
        return
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(array.shape)
    yield _head("array", array.dtype, *array.shape)
    if array.nbytes:
        yield array.reshape(-1).view(np.uint8).data


def _of_tensor(tensor: "Tensor", around: tuple[int, ...]) -> Iterator[Any]:
    torch = sys.modules["torch"]
    tensor = tensor.detach()
    kind = str(tensor.dtype).removeprefix("torch.")
    if tensor.device.type == "meta":
        raise InputError("a tensor on the meta device has no values: load the weights first")
    if hasattr(tensor, "__tensor_flatten__"):  # a tensor that is made of others
        names, context = tensor.__tensor_flatten__()
        yield from _pieces([type(tensor), {name: getattr(tensor, name) for name in names}, context], around)
    elif tensor.is_quantized:
        yield _head("quantized", kind, *tensor.shape)
        scale = (
            (tensor.q_scale(), tensor.q_zero_point())
            if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric)
            else (tensor.q_per_channel_scales(), tensor.q_per_channel_zero_points(), tensor.q_per_channel_axis())
        )
        yield from _pieces([tensor.int_repr(), scale], around)
    elif tensor.is_nested:
        yield from _pieces(list(tensor.unbind()), around)
    elif tensor.layout is not torch.strided:
        yield _head("sparse", kind, *tensor.shape)
        # the positions and values of an uncoalesced one are not unique
        whole = tensor.to_sparse_coo().coalesce()
        yield from _pieces([whole.indices(), whole.values()], around)
    else:
        values = tensor.cpu().resolve_conj().resolve_neg()
        if values.is_complex():
            values = torch.view_as_real(values)
        # types of less than a byte, among others, can be copied only as another type of their size
        same_size = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[values.element_size()]
        yield _head("array", kind, *tensor.shape)
        if values.numel():
            yield values.view(same_size).contiguous().reshape(-1).view(torch.uint8).numpy().data


def _of_object(value: Any, around: tuple[int, ...]) -> Iterator[Any]:
    """The state that pickle would store."""
    try:
        reduced = value.__reduce_ex__(4)
    except Exception as error:  # every object has reasons of its own
        raise InputError(
            f"the contents of a {type(value).__name__} cannot be hashed: give the data set that holds it a method "
            "fingerprint() that returns another text when its contents change"
        ) from error
    if isinstance(reduced, str):
        yield _head("name", f"{type(value).__module__}.{reduced}")
        return
    call, arguments, *rest = reduced
    state, items, pairs = (*rest[:3], None, None, None)[:3]
    parts = [type(value), call, arguments, state, *(None if part is None else list(part) for part in (items, pairs))]
    yield _head("object")
    yield from _pieces(parts, around)


def _has_fingerprint(value: Any) -> bool:
    return callable(getattr(value, "fingerprint", None)) and not isinstance(value, type)


def _is_a(value: object, module: str, name: str) -> bool:
    """Whether a value is of a class of a package that is not imported for the purpose."""
    return module in sys.modules and isinstance(value, getattr(sys.modules[module], name))


def _head(kind: str, *content: object) -> bytes:
    text = " ".join(map(str, content))
    return f"{kind} {len(text)} {text} ".encode("utf-8", "surrogatepass")
