"""``suffice study MODEL DATA``."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from suffice.cli.flags import Config, Out, Overwrite, with_flags
from suffice.configuration import NO_FLAGS, StudyConfig, read_configuration
from suffice.results import LearningCurve, StudyResult

Workers = Annotated[
    int | None, typer.Option("--workers", help="Processes that train at the same time (default: one for each core).")
]


@with_flags(StudyConfig, NO_FLAGS)
def study(
    out: Out = Path("runs/study"),
    config: Config = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
    **flags: Any,
) -> None:
    """The ground truth: how good is a model that is trained on so many samples, and would k* have told?

    Trains by each method on nested parts of the data, with several seeds, and measures loss and accuracy on test data.
    Measures the loss surface where the trainings end, and sets k* beside the size at which test loss and accuracy
    settle. Writes OUT/report.html, OUT/result.json, OUT/cells.csv and OUT/figures. A run that was interrupted goes on
    where it stopped, and the results do not depend on --workers.

    [bold]Examples[/bold]

    The embedded Vision Transformer on handwritten digits, in a few minutes:

        suffice study builtin:tiny-vit builtin:digits --methods "head,lora(4),full" --sizes 20,50,100,200,500,1000

    A pretrained model on images with a test set of their own:

        suffice study ./dinov2-small ./train --test ./test --image-size 56 --methods "head,last_layers(1),lora(4)"

    Texts from a table without a header, whose third column has the text and whose second a rating:

        suffice study ./minilm reviews.tsv --text-column 3 --label-column 2 --threshold 0 --metrics f1,auroc
    """
    from suffice.runs.study import study as run  # noqa: PLC0415 -- transformers takes seconds to import

    console = Console()
    _print(run(read_configuration(StudyConfig, flags, config), out, workers, overwrite, console), out, console)


def _print(result: StudyResult, out: Path, console: Console) -> None:
    curves = result.study.curves
    table = Table(title="Test accuracy by number of training samples, the mean over seeds")
    table.add_column("samples", justify="right")
    for method in curves:
        table.add_column(method, justify="right")
    for size in sorted({size for curve in curves.values() for size in curve.sizes}):
        table.add_row(f"{size:,}", *(_accuracy(curve, size) for curve in curves.values()))
    console.print(table)
    for note in result.notes:
        console.print(f"Note: {escape(note)}")
    console.print(f"Report: {out / 'report.html'}", markup=False, soft_wrap=True)


def _accuracy(curve: LearningCurve, size: int) -> str:
    return f"{curve.accuracy.mean[curve.sizes.index(size)]:.1%}" if size in curve.sizes else "–"
