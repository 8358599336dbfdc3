"""``suffice curvature MODEL DATA``."""

from pathlib import Path
from typing import Any

from suffice.cli.flags import Config, DryRun, Out, Overwrite, with_flags, with_terminal
from suffice.cli.language import is_of_language
from suffice.cli.terminal import Terminal
from suffice.configuration import WRITTEN, CurvatureConfig, read_configuration
from suffice.configuration.language import LanguageCurvatureConfig


@with_terminal
@with_flags(CurvatureConfig, WRITTEN, also=LanguageCurvatureConfig)
def curvature(
    terminal: Terminal,
    out: Out = Path("runs/curvature"),
    config: Config = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    **flags: Any,
) -> None:
    """The curvature of a model's loss: top eigenvalues, their density, layers, and what one more sample changes.

    Writes OUT/report.html, OUT/result.json and OUT/figures. The same command resumes a run that was interrupted.

    [bold]Examples[/bold]

    A classifier trained elsewhere, in all its parameters:

        suffice curvature ./my-classifier ./images --samples 500

    The last block of DINOv2, trained first; its frozen part runs once:

        suffice curvature ./dinov2-small ./images --method "last_layers(1)" --image-size 56 --samples 1000

    A low-rank adapter of a model of texts; --threshold 0 makes two classes of the ratings:

        suffice curvature ./minilm ./reviews.csv --label-column rating --threshold 0 --method "lora(4)" --samples 500

    The low-rank adapter of a language model, fine-tuned on prompts and completions:

        suffice curvature builtin:tiny-lm ./sums.jsonl --method "lora(2)" --samples 40 --count 3

    Some parameters only, with more eigenvalues:

        suffice curvature ./my-classifier ./images --parameters "classifier.*" --count 30

    The loss surface on a plane of random directions as well, which the report shows for every number of samples:

        suffice curvature ./my-classifier ./images --samples 500 --surface random --surface-points 21
    """
    kind = LanguageCurvatureConfig if is_of_language(CurvatureConfig, flags, config) else CurvatureConfig
    asked = read_configuration(kind, flags, config)
    from suffice.cli.answer import finish
    from suffice.cli.check import end_with_summary
    from suffice.runs.curvature import measure_curvature

    if dry_run:
        end_with_summary(asked, terminal)
        return
    finish(measure_curvature(asked, out, overwrite, terminal), out, terminal)
