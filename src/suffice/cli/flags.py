"""Flags made from a configuration, so that a key, its type and its explanation are written once."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

POSITIONAL = ("model", "data")

Command = Callable[..., None]


def with_flags(configuration: type[BaseModel]) -> Callable[[Command], Command]:
    """Gives a command, which takes ``out``, ``config``, ``overwrite`` and ``**flags``, one flag for each key.

    A flag that is not given is None, and so left out of ``flags``: a configuration file decides then.
    """

    def decorate(command: Command) -> Command:
        def called(**given: Any) -> None:
            command(**{name: value for name, value in given.items() if value is not None and value != []})

        fields = [_parameter(name, field) for name, field in configuration.model_fields.items() if name != "versions"]
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
    if field.default is not None and not field.is_required():
        explained += f" (default: {field.default})"
    value_type = next(
        (kind for kind in (bool, list[str], int, float) if kind in (field.annotation, *_members(field))), str
    )
    if "auto" in _members(field):
        value_type = str
    if name in POSITIONAL:
        information: Any = typer.Argument(help=explained, show_default=False)
    else:
        flags = [f"--{name.replace('_', '-')}"]
        information = typer.Option(*flags, help=explained, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[value_type | None, information]
    )


def _members(field: FieldInfo) -> list[Any]:
    """The alternatives of a union, and the values of its literals."""
    members = list(get_args(field.annotation))
    return [*members, *(value for member in members for value in get_args(member) if isinstance(value, str))]


Out = Annotated[Path, typer.Option("--out", help="Folder of the run; one of the same configuration is resumed.")]
Config = Annotated[Path | None, typer.Option("--config", help="YAML file with any of these keys; flags override it.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a run of another configuration.")]
