"""What a run tells, and where: the answer, the progress, caveats and warnings."""

import io
import logging
import os
import warnings

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

from suffice.checks.registry import UNUSED, Finding
from suffice.cli.main import one_line_errors
from suffice.cli.terminal import PatientConsole, Terminal
from suffice.errors import InputError, InputWarning


def on_screen(**arguments):
    """A terminal of a person."""
    console = Console(file=io.StringIO(), force_terminal=True, width=60)
    return Terminal(console=console, **arguments)


def test_a_bar_is_drawn_on_a_terminal_only(capsys):
    screen = on_screen()
    for terminal in (screen, Terminal()):
        with terminal.progress("training", 3) as advance:
            advance(3)
        with terminal.progress("curve") as advance:
            advance(1)
    assert "training" in screen.console.file.getvalue()
    assert "100%" in screen.console.file.getvalue()
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_a_sentence_is_one_line(capsys):
    sentence = "a " * 100 + "sentence"
    Terminal().say(sentence)
    assert capsys.readouterr() == ("", f"{sentence}\n")


def test_verbose_tells_when_a_step_began_and_how_long_it_took(capsys):
    with Terminal(verbose=True).progress("training", 3) as advance:
        advance(3)
    began, ended = capsys.readouterr().err.splitlines()
    assert began.startswith("[   0.0 s] training")
    assert ended.endswith("training: 0.0 s")


def test_quiet_and_verbose_together_are_refused():
    with pytest.raises(InputError, match="--quiet and --verbose"):
        Terminal(quiet=True, verbose=True)


def test_json_keeps_standard_output_for_itself(capsysbinary):
    terminal = Terminal(as_json=True)
    terminal.console.print("the answer")
    terminal.say("a sentence")
    terminal.print_json('{"class": "Äpfel"}')
    out, err = capsysbinary.readouterr()
    assert out.decode() == '{"class": "Äpfel"}\n'
    assert err.decode() == "the answer\na sentence\n"


def test_a_finding_is_a_note_said_once_and_warnings_of_libraries_are_not_shown(capsys):
    finding = Finding(UNUSED, "the loss does not depend on mask_token", "Nothing has to be done")
    terminal = Terminal()
    with terminal.listening():
        finding.report()
        finding.report()
        warnings.warn("of a library", RuntimeWarning, stacklevel=1)
        logging.getLogger("library").warning("logged")
    assert capsys.readouterr() == ("", f"Note: {finding}\n")


@pytest.mark.usefixtures("caplog")
def test_verbose_shows_warnings_of_libraries(capsys):
    with Terminal(verbose=True).listening():
        warnings.warn("of a\nlibrary", RuntimeWarning, stacklevel=1)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"RuntimeWarning at {__file__}:" in said
    assert said.endswith("of a library\n")


def test_quiet_shows_no_caveats(capsys):
    with Terminal(quiet=True).listening():
        warnings.warn("a caveat", InputWarning, stacklevel=1)
    assert capsys.readouterr() == ("", "")


def test_logging_and_warnings_are_put_back():
    before = (warnings.showwarning, logging.root.manager.disable)
    with pytest.raises(ZeroDivisionError), Terminal().listening():
        raise ZeroDivisionError
    assert (warnings.showwarning, logging.root.manager.disable) == before


def test_a_reader_who_leaves_does_not_end_the_run(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        terminal = Terminal()
        terminal.console.print("the answer")
        terminal.console.print("more")
        assert terminal.console.quiet
        stream.write("and what others print")
        stream.flush()


def test_a_reader_of_json_may_leave_too(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        Terminal(as_json=True).print_json("{}")
        stream.write("and what others print")
        stream.flush()


def test_names_cannot_drive_the_terminal(capsys):
    name = "cat\x1b[2J\x1b]0;title\x07\u202e\rgnp"
    screen = PatientConsole(file=io.StringIO(), force_terminal=True, width=200)
    Terminal(console=screen).say(f"one class is {name}.")
    table = Table(name)
    table.add_row(name)
    screen.print(Text(name), table)
    written = screen.file.getvalue()
    for control in ("\x1b[2J", "\x1b]0", "\x07", "\u202e", "\r"):
        assert control not in written
    assert "one class is cat\\x1b[2J" in written
    with pytest.raises(SystemExit), one_line_errors():
        raise InputError(f"{name}\nsecond line")
    assert capsys.readouterr().err == "suffice: cat\\x1b[2J\\x1b]0;title\\x07\\u202e gnp second line\n"
