"""``suffice curve SCORES``."""

from pathlib import Path
from typing import Any

from suffice.cli.flags import Config, FailIf, Out, Overwrite, with_flags, with_terminal
from suffice.cli.terminal import Terminal
from suffice.configuration import WRITTEN, CurveConfig, read_configuration


@with_terminal
@with_flags(CurveConfig, WRITTEN)
def curve(
    terminal: Terminal,
    out: Out = Path("runs/curve"),
    config: Config = None,
    overwrite: Overwrite = False,
    fail_if: FailIf = None,
    **flags: Any,
) -> None:
    """How many samples reach a target, by the scores that you already have at a few sizes?

    Takes the scores of any trainer and any model at two sizes or more, better four, and continues their learning curve:
    the curve with its band, the size that reaches the target, how likely the target is by each size, and what to train
    next. Nothing is trained. Scores are accuracies from 0 to 1 unless --metric says otherwise. Writes OUT/report.html,
    OUT/result.json and OUT/figures.

    [bold]Examples[/bold]

    A table with the columns size and score, one line for each training, repeats welcome. How many samples bring the
    accuracy to 90%, with probability 0.8?

        suffice curve scores.csv --target 0.9 --assurance 0.8

    Another metric and other columns; a column named cost tells what a training of that size costs:

        suffice curve detection.csv --metric score --size-column images --score-column mAP --target 42

    Run folders of Hugging Face's Trainer, which do not tell how many samples were trained on:

        suffice curve runs/a runs/b --score-column eval_accuracy --size-of runs/a=500 --size-of runs/b=2000 --target 0.9

    The arrays of scikit-learn's learning_curve, saved by numpy.savez("curve.npz", train_sizes=..., test_scores=...):

        suffice curve curve.npz --target 0.95 --sizes 5000,20000

    In a script: is 90% to be expected from 2,000 samples? Ends with exit status 3 if not:

        suffice curve scores.csv --quiet --fail-if "accuracy<0.9 at 2000"
    """
    asked = read_configuration(CurveConfig, flags, config)
    from suffice.cli.answer import finish
    from suffice.cli.gate import gates_of_curve, judge, prediction_of_scores
    from suffice.runs.curve import curve_and_result

    gates = gates_of_curve(fail_if, asked)
    there, result = curve_and_result(asked, out, overwrite, terminal)
    finish(result, out, terminal)
    judge(gates, {"curve": prediction_of_scores(there, result)}, terminal)
