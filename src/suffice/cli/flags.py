"""Flags made from a configuration, so that a key, its type and its description are written once."""

import inspect
from collections.abc import Callable, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from suffice import __version__
from suffice.cli.terminal import Terminal
from suffice.configuration import Config as Configuration
from suffice.errors import InputError, nearest

if TYPE_CHECKING:
    from suffice.engine import RayCluster

POSITIONAL = ("model", "data", "scores")

Command = Callable[..., None]

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, and all else on standard error.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print when each step began, how long it took, and all warnings.")
]


def with_flags(
    configuration: type[Configuration], written: Set[str], also: type[Configuration] | None = None
) -> Callable[[Command], Command]:
    """Gives a command of ``out``, ``config``, ``overwrite`` and ``**flags`` a flag for each key except ``written``.

    It has flags for the further keys of ``also``, of which the command takes one or the other. A command that writes a
    run's folder has ``--wait`` as well. A flag that is not given is left out of ``flags``, so
    that a configuration file decides.
    """

    def decorate(command: Command) -> Command:
        def called(wait: bool = False, **given: Any) -> None:
            with _patience(wait):
                command(**{name: value for name, value in given.items() if value not in (None, [])})

        # a command's own keys come first, and last those that every configuration has
        lineage = [inspect.get_annotations(kind) for kind in configuration.__mro__]
        keys = sorted(
            configuration.model_fields,
            key=lambda name: next(depth for depth, own in enumerate(lineage) if name in own),
        )
        further = {} if also is None else {key: also.model_fields[key] for key in also.model_fields if key not in keys}
        fields = [
            parameter
            for name, field in {**{key: configuration.model_fields[key] for key in keys}, **further}.items()
            if name not in written
            for parameter in _parameters(name, field, configuration.OTHER_NAMES.get(name, ()))
        ]
        own = [
            parameter
            for parameter in inspect.signature(command).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        if any(parameter.name == "overwrite" for parameter in own):
            own.append(inspect.Parameter("wait", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Wait))
        signature = inspect.Signature([*fields, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own)])
        called.__signature__ = signature  # type: ignore[attr-defined]
        called.__name__, called.__doc__ = command.__name__, command.__doc__
        return called

    return decorate


def _patience(wait: bool) -> AbstractContextManager[None]:
    if not wait:
        return nullcontext()
    from suffice.storage import waiting

    return waiting()


def _parameters(name: str, field: FieldInfo, other_names: Sequence[str]) -> list[inspect.Parameter]:
    """The flag of a key, and one for each of its other names, so that the configuration sees which were given."""
    if name in POSITIONAL and field.default is not None:
        return [_parameter(name, field, typer.Argument(help=str(field.description), show_default=False))]
    value = ",".join(map(str, field.default)) if isinstance(field.default, list) else field.default
    default = "" if value in (None, "", {}) else f" (default: {value})"
    explained = {name: f"{field.description}{default}"} | dict.fromkeys(other_names, f"another name of {_flag(name)}")
    return [
        _parameter(word, field, typer.Option(_flags(word, field), help=help_text, show_default=False))
        for word, help_text in explained.items()
    ]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _flags(name: str, field: FieldInfo) -> str:
    """A flag, and what turns it off if it is on by default."""
    return f"{_flag(name)}/--no-{_flag(name)[2:]}" if field.default is True else _flag(name)


def _parameter(name: str, field: FieldInfo, information: Any) -> inspect.Parameter:
    annotation: Any = Annotated[_flag_type(field.annotation) | None, information]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _flag_type(annotation: Any) -> Any:
    """The type of a flag. Lists of numbers and unions are strings here, which the configuration then reads.

    A flag for a list of words may be repeated.
    """
    if get_origin(annotation) in (Union, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return _flag_type(kinds[0]) if len(kinds) == 1 else str
    if get_origin(annotation) is list:
        item = get_args(annotation)[0]
        return list[str] if item is str or get_origin(item) is Literal else str
    return str if get_origin(annotation) is Literal else annotation


def with_terminal(command: Command) -> Command:
    """Gives a command of ``terminal`` the flags ``--json``, ``--quiet`` and ``--verbose`` in its place.

    While the command runs, its terminal shows the caveats of which suffice warns.
    """

    def called(as_json: AsJson, quiet: Quiet, verbose: Verbose, **given: Any) -> None:
        terminal = Terminal(as_json, quiet, verbose)
        if verbose:
            terminal.say(f"suffice {__version__}: reading the settings, loading libraries")
        with terminal.listening():
            command(terminal=terminal, **given)

    flags = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in (("as_json", AsJson), ("quiet", Quiet), ("verbose", Verbose))
    ]
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in inspect.signature(command).parameters.values()
        if parameter.name != "terminal"
    ]
    called.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
    called.__name__, called.__doc__ = command.__name__, command.__doc__
    return called


Out = Annotated[Path, typer.Option("--out", help="Folder of the run; a run with the same settings is resumed.")]
Config = Annotated[Path | None, typer.Option("--config", help="YAML file with the settings; flags override it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what the data hold, and stop there.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the run in the folder, when the new one is complete.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait while another run is writing to the folder.")]
FailIf = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-if",
        help='End with exit status 3 if this holds of the prediction, such as "accuracy<0.9 at 2000", "size>5000", '
        '"probability<0.8 at 2000" or, of a language model, "perplexity>7 at 2000"; repeat the flag for each one.',
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Number of processes that run in parallel; results do not depend on it.")
]
Engine = Annotated[
    str, typer.Option("--engine", help='Where it runs: "local", or "ray" for a cluster (pip install "suffice\\[ray]").')
]
Address = Annotated[
    str | None,
    typer.Option("--address", help="HOST:PORT of a running Ray cluster (default: RAY_ADDRESS, or one begun here)."),
]
GpusPerTask = Annotated[
    float | None,
    typer.Option("--gpus-per-task", help="Share of a GPU that a task takes on a Ray cluster (default: 0)."),
]


def cluster_of(engine: str, address: str | None, gpus_per_task: float | None) -> "RayCluster | None":
    """The cluster that flags ask for; none for this machine.

    Raises:
        InputError: another engine, or flags of a cluster without one.
    """
    if engine == "local":
        for name, value in (("--address", address), ("--gpus-per-task", gpus_per_task)):
            if value is not None:
                raise InputError(f"{name} {value}: is for a cluster; add --engine ray")
        return None
    if engine != "ray":
        raise InputError(f"--engine {engine}: give local or ray{nearest(engine, ['local', 'ray'])}")
    from suffice.engine import RayCluster

    return RayCluster(address, gpus_per_task or 0.0)
