"""A module that a function of the user's own code makes, named as ``package.module:function``."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import default_collate

from suffice.data import LabelledSamples, task_of
from suffice.digest import digest
from suffice.errors import InputError, nearest, reason
from suffice.models.checkpoint import Checkpoint
from suffice.models.classifier import Classifier
from suffice.models.moving import mark_head
from suffice.models.source import BUILT_IN
from suffice.problem import Batch

Transform: TypeAlias = Callable[[Any], Tensor | Mapping[str, Tensor]]
"""What makes of one sample, an image of Pillow or a text, the input of the module: a tensor, or several by name."""

IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")

INPUTS = "inputs"
"""The key under which a single tensor is kept."""


def is_import_path(source: str) -> bool:
    """Whether a source is the path of a function.

    Example:
        >>> [is_import_path(source) for source in ("my_models.small:make", "builtin:mlp", "facebook/dinov2-small")]
        [True, False, False]
    """
    return IMPORT_PATH.fullmatch(source) is not None and not source.startswith(BUILT_IN)


@dataclass(frozen=True)
class ImportedClassifier(Classifier):
    """A module of the user's own, whose output c is the logit of class c.

    Attributes:
        transform: makes the input of the module of one sample.
    """

    transform: Transform

    @property
    def collate(self) -> Callable[[list[Any]], Batch]:
        """Stacks the samples."""
        return _stacked

    def predict(self, model: nn.Module, batch: Batch) -> Tensor:
        """The module's output, or what it has as ``logits``."""
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        return _logits(model(inputs[INPUTS]) if inputs.keys() == {INPUTS} else model(**inputs))

    def inputs(self, samples: LabelledSamples, rows: Int64[np.ndarray, " samples"]) -> "ImportedInputs":
        return ImportedInputs(samples, rows, self)


class ImportedInputs:
    """Samples as the transform makes them: dictionaries with "labels"."""

    notes = ()

    def __init__(
        self, samples: LabelledSamples, rows: Int64[np.ndarray, " samples"], classifier: ImportedClassifier
    ) -> None:
        self.samples = samples
        self.rows = rows
        self._classifier = classifier

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        taken = int(self.rows[row])
        target = self._classifier.target(self.samples, taken)
        return {**_input(self._classifier.transform, self.samples, taken), "labels": target}

    def describe(self, row: int) -> str:
        """The source of a sample, for messages."""
        return self.samples.describe(int(self.rows[row]))

    def fingerprint(self) -> str:
        """The hash of all samples as the transform makes them, and of their labels."""
        return digest([digest(self[row]) for row in range(len(self))])


def load_imported(
    source: str, samples: LabelledSamples, image_size: int | None = None, seed: int = 0
) -> ImportedClassifier:
    """A classifier from ``package.module:function``, which is called.

    The function takes no arguments, or one named ``classes``, which is given the number of classes (1 for numbers). It
    returns a ``torch.nn.Module``, or a pair of one and a transform that makes its input of one sample (an image of
    Pillow, or a text): a tensor, or a dictionary of tensors, which the module takes by name. Without a transform,
    images become tensors (3, height, width) with values from 0 to 1. The module gives logits, (batch, classes), or an
    object that has them as ``logits``; output c is that of class c.

    The head is the last linear layer that runs, if its output is that of the module. One for another number of classes
    is replaced by a new one. Modules in the current folder are found as well.

    Args:
        source: the path of the function. **Its code is run**, so it is to be named by a person and by nothing else.
        samples: the samples to classify; the first ones are tried.
        image_size: height and width of images in pixels, without a transform; by default their own.
        seed: random seed while the function runs, and of a new head.

    Raises:
        InputError: no such function, one that fails or returns something else, texts without a transform, a module that
            does not take the samples, or outputs for another number of classes without a head to be replaced.
    """
    function = _function(source)
    task = task_of(samples)
    count = 1 if task == "regression" else len(samples.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module, transform = _made(source, function, count)
        own = transform is not None
        used = transform if transform is not None else _plain(source, samples, image_size)
        if own and image_size is not None:
            raise InputError(f"image_size = {image_size}: the transform of {source} decides the size; leave it out")
        module.eval()
        head, width = _head(source, module, used, samples)
        is_new = width != count
        if is_new:
            _replace(source, module, head, width, count)
    mark_head(module, head)
    found = "its last linear layer has no output of its own" if head is None else f"the head is {head}"
    notes = [f"The module is that of {source}: {found}."]
    if is_new:
        notes.append(f"It had {width:,} outputs: the head is a new one with {count:,}.")
    checkpoint = Checkpoint(
        model=module,
        folders=(),
        labels=tuple(range(len(samples.classes))),
        matched_by_name=True,  # by what the function promises
        has_new_head=is_new,
        notes=tuple(notes),
        task=task,
    )
    return ImportedClassifier(checkpoint, checkpoint.notes, used)


def _function(source: str) -> Callable[..., Any]:
    name, _, attribute = source.partition(":")
    with _current_folder():
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = f"{name} cannot be found" if error.name and name.startswith(error.name) else reason(error)
            raise InputError(
                f"{source}: {missing}: give package.module:function as Python imports it from {Path.cwd()}"
            ) from error
        except Exception as error:  # whatever the user's code raises
            raise InputError(f"{source}: importing {name} fails ({reason(error)})") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        known = [word for word, value in vars(module).items() if callable(value) and not word.startswith("_")]
        raise InputError(f"{source}: {name} has no function {attribute!r}{nearest(attribute, known)}")
    return cast(Callable[..., Any], function)


@contextmanager
def _current_folder() -> Iterator[None]:
    """The current folder among those from which is imported, as with ``python -m``."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _made(source: str, function: Callable[..., Any], classes: int) -> tuple[nn.Module, Transform | None]:
    try:
        takes = "classes" in inspect.signature(function).parameters
        with _current_folder():
            made = function(classes=classes) if takes else function()
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"{source}: calling it fails ({reason(error)})") from error
    module, transform = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, nn.Module) or not (transform is None or callable(transform)):
        raise InputError(
            f"{source}: returns {_kinds(made)}: it has to return a torch.nn.Module, or a pair of one and a transform"
        )
    return module, transform


def _kinds(made: Any) -> str:
    """
    Example:
        >>> _kinds((1, "a")), _kinds(None)
        ('(int, str)', 'NoneType')
    """
    return f"({', '.join(type(part).__name__ for part in made)})" if isinstance(made, tuple) else type(made).__name__


def _plain(source: str, samples: LabelledSamples, image_size: int | None) -> Transform:
    if isinstance(samples[0], str):
        raise InputError(
            f"{source}: the data are texts, and it returns a module alone: return a pair of the module and a transform "
            "that makes tensors of a text"
        )

    def pixels(image: Image.Image) -> Float[Tensor, "3 height width"]:
        sized = image if image_size is None else image.resize((image_size, image_size), Image.Resampling.BILINEAR)
        values = np.array(sized.convert("RGB"), dtype=np.float32) / 255
        return torch.from_numpy(values).permute(2, 0, 1).contiguous()

    return pixels


def _input(transform: Transform, samples: LabelledSamples, row: int) -> dict[str, Tensor]:
    try:
        made = transform(samples[row])
    except InputError:
        raise
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"{samples.describe(row)}: the transform fails ({reason(error)})") from error
    by_name = made if isinstance(made, Mapping) else {INPUTS: made}
    for name, value in by_name.items():
        if not isinstance(value, Tensor) or name == "labels":
            raise InputError(
                f"{samples.describe(row)}: the transform makes {name!r} a {type(value).__name__}: it has to return a "
                "tensor, or a dictionary of tensors without labels"
            )
    return dict(by_name)


def _stacked(items: list[Any]) -> Batch:
    shapes = [{name: tuple(value.shape) for name, value in item.items() if isinstance(value, Tensor)} for item in items]
    if any(shape != shapes[0] for shape in shapes):
        other = next(shape for shape in shapes if shape != shapes[0])
        raise InputError(
            f"the transform makes samples of different shapes, {shapes[0]} and {other}: resize images (or give "
            "--image-size), pad texts"
        )
    return default_collate(items)


def _logits(output: Any) -> Tensor:
    return cast(Tensor, getattr(output, "logits", output))


def _head(source: str, module: nn.Module, transform: Transform, samples: LabelledSamples) -> tuple[str | None, int]:
    """The path of the head, if one is found, and the number of outputs, from the first samples."""
    batch = _stacked([_input(transform, samples, row) for row in range(min(2, len(samples)))])
    outputs: dict[str, Tensor] = {}

    def note(path: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, arguments, output: outputs.update({path: output})

    hooks = [
        part.register_forward_hook(note(path))
        for path, part in module.named_modules()
        if type(part) is nn.Linear and path
    ]
    try:
        with torch.no_grad():
            logits = _logits(module(batch[INPUTS]) if batch.keys() == {INPUTS} else module(**batch))
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"{source}: the module does not take these samples ({reason(error)})") from error
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        shape = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"{source}: the module gives {shape}: it has to give logits, (batch, classes)")
    head = next((path for path, output in outputs.items() if output is logits or _same(output, logits)), None)
    return head, logits.shape[1]


def _same(output: Tensor, logits: Tensor) -> bool:
    return output.shape == logits.shape and torch.equal(output, logits)


def _replace(source: str, module: nn.Module, head: str | None, width: int, classes: int) -> None:
    if head is None:
        raise InputError(
            f"{source}: the module has {width:,} outputs, the data have {classes:,} classes, and no linear layer is "
            "last: let the function take the number of classes as its argument classes"
        )
    parent, _, name = head.rpartition(".")
    old = cast(nn.Linear, module.get_submodule(head))
    new = nn.Linear(old.in_features, classes, old.bias is not None, old.weight.device, old.weight.dtype)
    setattr(module.get_submodule(parent), name, new)
