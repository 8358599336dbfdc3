"""Flags made from a configuration, so that a key, its type and its explanation are written once."""

import inspect
from collections.abc import Callable, Set
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

POSITIONAL = ("model", "data")

Command = Callable[..., None]


def with_flags(configuration: type[BaseModel], written: Set[str]) -> Callable[[Command], Command]:
    """Gives a command of ``out``, ``config``, ``overwrite`` and ``**flags`` one flag a key, but for ``written``.

    A flag that is not given is None, and so left out of ``flags``: a configuration file decides then.
    """

    def decorate(command: Command) -> Command:
        def called(**given: Any) -> None:
            command(**{name: value for name, value in given.items() if value not in (None, [])})

        # a command's own keys come first, and last those that every configuration has
        lineage = [inspect.get_annotations(kind) for kind in configuration.__mro__]
        keys = sorted(
            configuration.model_fields,
            key=lambda name: next(depth for depth, own in enumerate(lineage) if name in own),
        )
        fields = [_parameter(name, configuration.model_fields[name]) for name in keys if name not in written]
        own = [
            parameter
            for parameter in inspect.signature(command).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        signature = inspect.Signature([*fields, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own)])
        called.__signature__ = signature  # type: ignore[attr-defined]
        called.__name__, called.__doc__ = command.__name__, command.__doc__
        return called

    return decorate


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    explained = str(field.description)
    if name in POSITIONAL:
        information: Any = typer.Argument(help=explained, show_default=False)
    else:
        value = ",".join(map(str, field.default)) if isinstance(field.default, list) else field.default
        default = "" if value in (None, "", {}) else f" (default: {value})"
        information = typer.Option(f"--{name.replace('_', '-')}", help=explained + default, show_default=False)
    annotation: Any = Annotated[_flag_type(field.annotation) | None, information]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _flag_type(annotation: Any) -> Any:
    """What the command line makes of a word; of lists of numbers and of several possibilities the configuration does.

    A flag for a list of words may be given several times.
    """
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return _flag_type(kinds[0]) if len(kinds) == 1 else str
    if get_origin(annotation) is list:
        item = get_args(annotation)[0]
        return list[str] if item is str or get_origin(item) is Literal else str
    return str if get_origin(annotation) is Literal else annotation


Out = Annotated[Path, typer.Option("--out", help="Folder of the run; one of the same configuration is resumed.")]
Config = Annotated[Path | None, typer.Option("--config", help="YAML file with any of these keys; flags override it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start anew, and replace the run that is there.")]
