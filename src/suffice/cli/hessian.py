"""``suffice hessian``."""

from pathlib import Path
from typing import Any

from suffice.cli.flags import Config, DryRun, Out, Overwrite, with_flags, with_terminal
from suffice.cli.terminal import Terminal
from suffice.configuration import WRITTEN, HessianConfig, read_configuration


@with_terminal
@with_flags(HessianConfig, WRITTEN)
def hessian(
    terminal: Terminal,
    out: Out = Path("runs/hessian"),
    config: Config = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    **flags: Any,
) -> None:
    """The exact Hessian of a small transformer block on real images, at initialisation and along its training.

    Writes OUT/report.html with heat maps of |H| and of its parts H_o and H_f, the norm of every block and the spectrum
    with its outliers; also OUT/result.json and OUT/figures. The same command resumes a run that was interrupted.

    [bold]Examples[/bold]

    A post-norm block on handwritten digits, as in the paper:

        suffice hessian

    Pre-norm with four heads and an output projection:

        suffice hessian --norm pre --heads 4 --output-projection --out runs/pre-norm

    Other images, cut into 16 patches of 4 x 4 pixels:

        suffice hessian ./images --image-size 16 --patch-size 4 --samples 64
    """
    asked = read_configuration(HessianConfig, flags, config)
    from suffice.cli.answer import finish
    from suffice.cli.check import end_with_summary
    from suffice.runs.hessian import measure_hessian

    if dry_run:
        end_with_summary(asked, terminal)
        return
    finish(measure_hessian(asked, out, overwrite, terminal), out, terminal)
