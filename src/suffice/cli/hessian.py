"""``suffice hessian``."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from suffice.cli.flags import Config, Out, Overwrite, with_flags
from suffice.configuration import WRITTEN, HessianConfig, read_configuration
from suffice.results import HessianResult


@with_flags(HessianConfig, WRITTEN)
def hessian(out: Out = Path("runs/hessian"), config: Config = None, overwrite: Overwrite = False, **flags: Any) -> None:
    """The exact Hessian of a small transformer block on real images, at initialisation and along its training.

    Writes OUT/report.html with heat maps of |H| and of its parts H_o and H_f, the norm of every block, and the spectrum
    with its outliers; OUT/result.json and OUT/figures.

    [bold]Examples[/bold]

    A post-norm block on handwritten digits, as in the paper:

        suffice hessian

    Pre-norm with four heads and an output projection:

        suffice hessian --norm pre --heads 4 --output-projection --out runs/pre-norm

    Other images, cut into 16 patches of 4 x 4 pixels:

        suffice hessian ./images --image-size 16 --patch-size 4 --samples 64
    """
    from suffice.runs.hessian import measure_hessian  # noqa: PLC0415 -- torch takes seconds to import

    console = Console()
    _print(measure_hessian(read_configuration(HessianConfig, flags, config), out, overwrite, console), out, console)


def _print(result: HessianResult, out: Path, console: Console) -> None:
    table = Table(title=f"Hessian of {sum(result.parameters.values()):,} parameters, {result.samples:,} samples")
    for column in ("epoch", "loss", "accuracy", "trace", "|H|", "|H_o|", "|H_f|", "outliers"):
        table.add_column(column, justify="right")
    for moment in result.moments:
        norms = [f"{moment.parts[part].spectral:.3g}" for part in ("full", "outer", "functional")]
        cells = (f"{moment.loss:.3f}", f"{moment.accuracy:.0%}", f"{moment.parts['full'].trace:.3g}")
        table.add_row(str(moment.epoch), *cells, *norms, str(moment.outliers))
    console.print(table)
    console.print("|H|: spectral norm, the largest |eigenvalue|; H = H_o + H_f.", markup=False)
    console.print(f"Report: {out / 'report.html'}", markup=False, soft_wrap=True)
