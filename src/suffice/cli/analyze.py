"""``suffice analyze MODEL DATA``."""

from pathlib import Path
from typing import Any

from rich.console import Console

from suffice.cli.answer import print_answer, print_base_answer
from suffice.cli.flags import Config, Out, Overwrite, with_flags
from suffice.configuration import WRITTEN, AnalyzeConfig, BaseConfig, read_analysis


@with_flags(AnalyzeConfig, WRITTEN)
def analyze(out: Out = Path("runs/analyze"), config: Config = None, overwrite: Overwrite = False, **flags: Any) -> None:
    """Has the loss surface of a classifier of images or texts settled, and how many samples are enough?

    Writes OUT/report.html, OUT/result.json and OUT/figures. A run that was interrupted goes on where it stopped.

    [bold]Examples[/bold]

    A classifier that was trained elsewhere, on images it has not seen (one sub-folder a class):

        suffice analyze ./my-classifier ./validation-images --held-out 0

    A pretrained model with a new head, trained on four fifths of the images:

        suffice analyze facebook/dinov2-small ./images --fine-tune head --image-size 56

    Texts and their labels, in columns of these names; --threshold 3 makes two classes of numbers:

        suffice analyze ./minilm ./reviews.csv --text-column review --label-column stars --threshold 3 --fine-tune head

    IDX files, the last two layers, a tolerance of 2%:

        suffice analyze ./model ./fashion-mnist --fine-tune "last_layers(2)" --samples 2000 --tolerance 0.02

    The same run again:

        suffice analyze --config runs/analyze/config.yaml --out runs/again

    Fully connected networks on synthetic data, the base experiment, whose keys are in experiments/base/config.yaml:

        suffice analyze builtin:mlp --out runs/base
    """
    from suffice.runs.analyze import analyze as run  # noqa: PLC0415 -- transformers takes seconds to import
    from suffice.runs.base import measure_base  # noqa: PLC0415

    console = Console()
    asked = read_analysis(flags, config)
    if isinstance(asked, BaseConfig):
        print_base_answer(measure_base(asked, out, overwrite, console), out, console)
    else:
        print_answer(run(asked, out, overwrite, console), out, console)
