"""``suffice check DATA``."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suffice.cli.flags import Config, with_flags, with_terminal
from suffice.cli.language import is_of_language
from suffice.cli.terminal import Terminal
from suffice.configuration import WRITTEN, CheckConfig, DataConfig, HessianConfig, read_configuration
from suffice.configuration.language import LanguageCheckConfig, LanguageMeasuredConfig
from suffice.errors import shortened
from suffice.results import DataSummary


@with_terminal
@with_flags(CheckConfig, WRITTEN, also=LanguageCheckConfig)
def check(terminal: Terminal, config: Config = None, **flags: Any) -> None:
    """What do the data hold? A summary before any work: classes, splits, copies, what is left out, and what is wrong.

    Every image is decoded. Nothing is trained, and nothing is written. Every command that takes data begins with the
    short form of this, and ends with it if --dry-run is given.

    [bold]Examples[/bold]

    A folder of images:

        suffice check ./images

    A table with other columns, and samples that are in the test data as well:

        suffice check ./reviews.csv --text-column review --label-column stars --test ./test.csv

    The time and memory that a model takes:

        suffice check ./images --model ./dinov2-small --image-size 56

    Prompts and completions for a language model, and how many tokens it makes of them:

        suffice check ./sums.jsonl --model builtin:tiny-lm
    """
    if is_of_language(CheckConfig, flags, config):
        _show_texts(read_configuration(LanguageCheckConfig, flags, config), terminal)
        return
    asked = read_configuration(CheckConfig, flags, config)
    from suffice.runs.summary import check as run

    show_summary(run(asked), terminal)


def _show_texts(asked: LanguageCheckConfig, terminal: Terminal) -> None:
    from suffice.runs.texts_summary import check_texts, texts_in_words

    summary = check_texts(asked)
    if terminal.as_json:
        terminal.print_json(summary.model_dump_json(indent=1))
    else:
        print_sentences(texts_in_words(summary), terminal)


def show_summary(summary: DataSummary, terminal: Terminal) -> None:
    """Prints it for a person, or as JSON where that was asked for."""
    if terminal.as_json:
        terminal.print_json(summary.model_dump_json(indent=1))
    else:
        print_summary(summary, terminal.console)


def end_with_summary(asked: DataConfig | HessianConfig, terminal: Terminal) -> None:
    """The summary of the data of a command, in place of its work."""
    if isinstance(asked, LanguageMeasuredConfig):
        from suffice.runs.texts import summary_in_words

        print_sentences(summary_in_words(asked), terminal)
        return
    from suffice.runs.summary import check as run

    same = {name: getattr(asked, name) for name in CheckConfig.model_fields if hasattr(asked, name)}
    show_summary(run(CheckConfig(**same)), terminal)


def print_sentences(sentences: Sequence[str], terminal: Terminal) -> None:
    """Each on a line, whatever the width."""
    for sentence in sentences:
        terminal.console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def print_summary(summary: DataSummary, console: Console) -> None:
    """The classes as a table, and all the rest in sentences."""
    from suffice.runs.summary import cost_in_words, headline_of, sentences_of

    _, *others = sentences_of(summary)
    end = "." if summary.numbers is not None else ""
    console.print(f"{headline_of(summary)}{end}", style="bold", markup=False, soft_wrap=True)
    table = Table()
    table.add_column("label", justify="right")
    table.add_column("class")
    table.add_column("samples", justify="right")
    table.add_column("share", justify="right")
    for label, of in enumerate(summary.classes):
        share = of.samples / summary.samples
        table.add_row(str(label), escape(shortened(of.name)), f"{of.samples:,}", f"{share:.1%}")
    if summary.classes:
        console.print(table)
    for sentence in others:
        console.print(sentence, markup=False)
    if summary.texts is not None:
        texts = summary.texts
        told = f"The texts have {texts.shortest:,} to {texts.longest:,} characters, {texts.median:,} in the median."
        console.print(told)
    for message in summary.unreadable:
        console.print(f"Cannot be read: {message}", style="red", markup=False)
    if summary.unreadable_count > len(summary.unreadable):
        console.print(f"… and {summary.unreadable_count - len(summary.unreadable):,} more.", style="red")
    if summary.cost is not None:
        console.print(cost_in_words(summary.cost), markup=False)
