"""The application, and how it reports errors."""

import contextlib
import errno
import signal
import sys
import threading
from collections.abc import Iterator

import typer
from typer.exceptions import TyperException

from suffice import __version__
from suffice.cli.analyze import analyze
from suffice.cli.check import check
from suffice.cli.curvature import curvature
from suffice.cli.curve import curve
from suffice.cli.demo import demo
from suffice.cli.forecast import forecast
from suffice.cli.hessian import hessian
from suffice.cli.monitor import monitor
from suffice.cli.report import report
from suffice.cli.status import status
from suffice.cli.study import study
from suffice.cli.terminal import INTERRUPTED, leave
from suffice.errors import InputError, printable

STATUSES = (
    "Exit status: 0 answered; 1 an error of suffice itself, with its trace; 2 wrong usage or input; "
    "3 a --fail-if condition holds; 130 interrupted."
)

commands = typer.Typer(
    name="suffice",
    help="How many samples are enough? Measures how the loss surface of a model settles as the data set grows.",
    epilog=STATUSES,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (demo, check, analyze, curvature, hessian, study, forecast, curve, monitor, report, status):
    commands.command(epilog=STATUSES)(command)

LONGEST = 1500
"""Characters of an error: what was given may be a file's whole content."""


@commands.callback(invoke_without_command=True)
def main(
    context: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version and stop.")
) -> None:
    """How many samples are enough? Measures how the loss surface of a model settles as the data set grows."""
    if version:
        typer.echo(f"suffice {__version__}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


def app() -> None:
    """Runs a command; bad input ends with one line on standard error and exit status 2.

    Raises:
        SystemExit: always, with the exit status.
    """
    with one_line_errors(), _terminated_as_interrupted():
        status = commands(standalone_mode=False)
    if status == INTERRUPTED:
        _print_error("stopped; finished work is kept, and the same command resumes the run", INTERRUPTED)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        leave(sys.stdout)
    sys.exit(status)


ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that end a run; Windows has one of them."""


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A request to terminate, as schedulers send it, and a closed terminal end a run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.getsignal(one) for one in ENDING}
    for one, handler in before.items():
        if handler != signal.SIG_IGN:  # as nohup has it
            signal.signal(one, signal.default_int_handler)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turns errors that a user can fix into one line that says how; other errors pass unchanged."""
    try:
        yield
    except Exception as error:
        message = _fixable(error)
        if message is None:
            raise
        sys.exit(_print_error(message, 2))


def _fixable(error: BaseException | None) -> str | None:
    """The message for an error that a user can fix, or for one behind it: torch and Zarr wrap those of the disk."""
    while error is not None:
        if isinstance(error, InputError):
            return str(error)
        if isinstance(error, TyperException):
            return f"{error.format_message() if isinstance(error, typer.BadParameter) else error}; see --help"
        if lost := _lost_gpu(error):
            return f"the GPU is lost ({lost}); finished work is kept, and the same command resumes the run"
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return "the disk is full; finished work is kept: free some space, and the same command resumes the run"
        if isinstance(error, OSError) and error.filename is not None:
            return f"{error.filename}: {error.strerror}; give a file or folder that can be read or written"
        error = error.__cause__ or error.__context__
    return None


def _lost_gpu(error: BaseException) -> str | None:
    """Without loading torch: where it is not loaded, it has raised nothing."""
    if "torch" not in sys.modules:
        return None
    from suffice.engine import lost_gpu

    return lost_gpu(error)


def _print_error(message: str, status: int) -> int:
    line = printable(" ".join(message.split()))
    print(f"suffice: {line if len(line) <= LONGEST else f'{line[:LONGEST]} …'}", file=sys.stderr)
    return status
