"""``suffice forecast MODEL DATA``."""

from pathlib import Path
from typing import Any

from rich.console import Console

from suffice.cli.answer import print_forecast
from suffice.cli.flags import Config, Out, Overwrite, with_flags
from suffice.configuration import WRITTEN, ForecastConfig, read_configuration


@with_flags(ForecastConfig, WRITTEN)
def forecast(
    out: Out = Path("runs/forecast"), config: Config = None, overwrite: Overwrite = False, **flags: Any
) -> None:
    """How good would a model be with more samples, and how many more would bring it to a target?

    Trains on the samples at hand, a new head by default, and forecasts the learning curve from where that ends. Of a
    head ten folds tell the test loss, of other models --test data or seven trainings on parts. Writes OUT/report.html,
    OUT/result.json and OUT/figures. A run that was interrupted goes on where it stopped; another target takes no
    training.

    [bold]Examples[/bold]

    How many more images would bring the accuracy to 85%?

        suffice forecast ./dinov2-small ./images --image-size 56 --target-accuracy 0.85

    And of LoRA on it, where 500 other images are there to test on?

        suffice forecast ./dinov2-small ./images --image-size 56 --method "lora(4)" --steps 300 --test ./others

    Of a model that was trained on these images elsewhere?

        suffice forecast ./my-classifier ./images --method full --trained --test ./others

    What would 1,000, 5,000 and 20,000 sentences bring?

        suffice forecast ./minilm ./reviews.csv --label-column stars --threshold 3 --sizes 1000,5000,20000

    Up to how many samples is one worth its cost, where 10,000 are worth a point of accuracy?

        suffice forecast ./dinov2-small ./images --cost-per-sample 0.000001

    The embedded Vision Transformer on handwritten digits:

        suffice forecast builtin:tiny-vit builtin:digits --samples 400 --target-loss 0.5
    """
    from suffice.runs.forecast import forecast as run  # noqa: PLC0415 -- transformers takes seconds to import

    console = Console()
    print_forecast(run(read_configuration(ForecastConfig, flags, config), out, overwrite, console), out, console)
