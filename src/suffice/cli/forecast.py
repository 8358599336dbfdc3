"""``suffice forecast MODEL DATA``."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from suffice.cli.flags import (
    Address,
    Config,
    DryRun,
    Engine,
    FailIf,
    GpusPerTask,
    Out,
    Overwrite,
    Workers,
    cluster_of,
    with_flags,
    with_terminal,
)
from suffice.cli.language import is_of_language
from suffice.cli.terminal import Terminal
from suffice.configuration import WRITTEN, CurveConfig, ForecastConfig, read_configuration
from suffice.configuration.language import LanguageForecastConfig
from suffice.errors import InputError
from suffice.results import Unit

Recorded = Annotated[
    list[Path] | None,
    typer.Option(
        "--from",
        help="A recording of a training run (suffice.integrations), in place of MODEL and DATA: nothing is trained. "
        "Again for each shorter run of the same training, with the same hold-out.",
    ),
]

OF_RECORDINGS = {"sizes": "sizes", "target_loss": "target", "assurance": "assurance", "of": "of", "seed": "seed"}
"""Flags that go with --from, and the names of the settings; --unit goes with it as well."""


@with_terminal
@with_flags(ForecastConfig, WRITTEN, also=LanguageForecastConfig)
def forecast(
    terminal: Terminal,
    out: Out = Path("runs/forecast"),
    config: Config = None,
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    gpus_per_task: GpusPerTask = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    fail_if: FailIf = None,
    recorded: Recorded = None,
    **flags: Any,
) -> None:
    """How good would a model be with more samples, how many more would reach a target, and which method is best?

    Trains on the samples at hand, a new head by default, and predicts the learning curve from that training. For a
    head, the test loss is estimated by ten-fold cross-validation; for other methods, from --test data or from seven
    trainings on parts of the samples. Writes OUT/report.html, OUT/result.json and OUT/figures. The same command resumes
    a run that was interrupted; another target needs no new training. Trainings and frozen features run in --workers
    processes, on which the results do not depend.

    [bold]Examples[/bold]

    How many more images would reach an accuracy of 85%?

        suffice forecast ./dinov2-small ./images --image-size 56 --target-accuracy 0.85

    The same with the penalty of the head tuned again at each size:

        suffice forecast ./dinov2-small ./images --image-size 56 --target-accuracy 0.85 --recipe tuned

    The same for LoRA, with other images to test on:

        suffice forecast ./dinov2-small ./images --image-size 56 --method "lora(4)" --steps 300 --test ./others

    Which method from which size on: a head, LoRA, or all of the model?

        suffice forecast ./dinov2-small ./images --image-size 56 --method "head,lora(4),full" --target-accuracy 0.85

    A model trained elsewhere on these images:

        suffice forecast ./my-classifier ./images --method full --trained --test ./others

    What would 1,000, 5,000 and 20,000 sentences bring?

        suffice forecast ./minilm ./reviews.csv --label-column stars --threshold 3 --sizes 1000,5000,20000

    Up to which size is one more sample worth its cost, if 10,000 samples are worth a point of accuracy?

        suffice forecast ./dinov2-small ./images --cost-per-sample 0.000001

    The embedded Vision Transformer on handwritten digits:

        suffice forecast builtin:tiny-vit builtin:digits --samples 400 --target-loss 0.5

    In a script: the result as JSON, and exit status 3 if 2,000 sentences are too few for 85%:

        suffice forecast ./minilm ./reviews.csv --json --fail-if "accuracy<0.85 at 2000" > result.json

    What would more examples bring to the fine-tuning of a language model? Trains once, one epoch at a constant rate:

        suffice forecast builtin:tiny-lm ./sums.jsonl --method "lora(8)" --train-batch-size 4 --target-loss 0.3

    The same with the columns named, and all of the model trained:

        suffice forecast builtin:tiny-lm ./tasks.csv --prompt-column task --completion-column solution --method full

    How many answers are right, by completions of the prompts to test on?

        suffice forecast builtin:tiny-lm ./sums.jsonl --train-batch-size 4 --answer-pattern "= ([0-9]+)"

    By a run of your own, which was recorded:

        suffice forecast --from learning_curve.json --target-loss 2.1

    The same with two shorter runs, which make the interval narrower:

        suffice forecast --from all.json --from half.json --from quarter.json

    The same for the mean over all tokens, which is what Trainer prints:

        suffice forecast --from learning_curve.json --unit token --target-loss 2.1
    """
    cluster = cluster_of(engine, address, gpus_per_task)
    if recorded and (workers is not None or cluster is not None):
        raise InputError("--from trains nothing: leave out --workers and --engine")
    if recorded and (config is not None or dry_run):
        raise InputError("--from reads a recording at once: leave out --config and --dry-run")
    if recorded:
        _from_recording(terminal, recorded, out, overwrite, fail_if, flags)
        return
    if is_of_language(ForecastConfig, flags, config):
        if workers is not None or cluster is not None:
            raise InputError("a language model is trained once, in one process: leave out --workers and --engine")
        asked_of_language = read_configuration(LanguageForecastConfig, flags, config)
        _of_language(terminal, asked_of_language, out, overwrite, dry_run, fail_if)
        return
    asked = read_configuration(ForecastConfig, flags, config)
    from suffice.cli.answer import finish
    from suffice.cli.check import end_with_summary
    from suffice.cli.gate import gates_of_forecast, judge, predictions_of
    from suffice.runs.forecast import forecast as run
    from suffice.runs.methods import forecast_methods

    if dry_run:
        end_with_summary(asked, terminal)
        return
    gates = gates_of_forecast(fail_if, asked)
    made = (run if len(asked.methods) == 1 else forecast_methods)(asked, out, overwrite, terminal, workers, cluster)
    finish(made, out, terminal)
    judge(gates, predictions_of(made), terminal)


def _of_language(
    terminal: Terminal,
    asked: LanguageForecastConfig,
    out: Path,
    overwrite: bool,
    dry_run: bool,
    fail_if: list[str] | None,
) -> None:
    from suffice.cli.answer import finish
    from suffice.cli.check import print_sentences
    from suffice.cli.gate import gates_of_language, judge, prediction_of_scores
    from suffice.runs.language import estimate, forecast_language, prepare

    gates = gates_of_language(fail_if, asked)
    if dry_run:
        prepared = prepare(asked)
        print_sentences([prepared.in_words, estimate(prepared, asked).in_words, *prepared.notes], terminal)
        return
    there, result = forecast_language(asked, out, overwrite, terminal)
    finish(result, out, terminal)
    judge(gates, {asked.method: prediction_of_scores(there, result)}, terminal)


def _from_recording(
    terminal: Terminal,
    recorded: list[Path],
    out: Path,
    overwrite: bool,
    fail_if: list[str] | None,
    flags: dict[str, Any],
) -> None:
    unit = flags.pop("unit", "sample")
    if unit not in get_args(Unit):
        raise InputError(f"--unit {unit}: give sample or token")
    others = [f"--{name.replace('_', '-')}" for name in flags if name not in OF_RECORDINGS]
    if others:
        allowed = ", ".join(f"--{name.replace('_', '-')}" for name in [*OF_RECORDINGS, "unit"])
        raise InputError(f"--from goes with {allowed}: leave {', '.join(others)} out")
    given = {OF_RECORDINGS[name]: value for name, value in flags.items()}
    fixed = {"scores": [str(path) for path in recorded], "metric": "loss", "kind": "language model"}
    asked = read_configuration(CurveConfig, {**given, **fixed}, None)
    from suffice.cli.answer import finish
    from suffice.cli.gate import gates_of_curve, judge, prediction_of_scores
    from suffice.runs.recorded import forecast_recording

    gates = gates_of_curve(fail_if, asked)
    there, result = forecast_recording(asked, out, overwrite, terminal, unit)
    finish(result, out, terminal)
    judge(gates, {"curve": prediction_of_scores(there, result)}, terminal)
