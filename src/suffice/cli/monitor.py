"""``suffice monitor SCORES``."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from suffice.cli.flags import Config, FailIf, Out, Overwrite, with_flags, with_terminal
from suffice.cli.terminal import Terminal
from suffice.configuration import WRITTEN, MonitorConfig, read_configuration
from suffice.errors import InputError
from suffice.results import is_recording

ReportEvery = Annotated[
    float | None,
    typer.Option("--report-every", help="Look again every so many seconds if the scores changed, until told to stop."),
]


@with_terminal
@with_flags(MonitorConfig, WRITTEN)
def monitor(
    terminal: Terminal,
    out: Out = Path("runs/monitor"),
    config: Config = None,
    overwrite: Overwrite = False,
    fail_if: FailIf = None,
    report_every: ReportEvery = None,
    **flags: Any,
) -> None:
    """Stop labelling, or label more? Asked after each batch, by the scores so far.

    Takes the scores of models trained on all labels so far, one line more with each batch, all on one hold-out of
    random samples that no model was trained on. Says "stop" or "label N more", by a forecast, and apart from it what
    was measured, with intervals that hold however often you look. Batches may be chosen actively, the hold-out may not.
    Writes OUT/report.html, OUT/result.json and OUT/figures.

    [bold]Examples[/bold]

    Stop when doubling the labels would bring less than 2 points of accuracy. The hold-out has 500 samples:

        suffice monitor labels.csv --gain 0.02 --holdout 500 --pool 5000

    Stop at an accuracy of 90%; batches have 200 labels:

        suffice monitor labels.csv --target 0.9 --holdout 500 --batch 200

    With the score of each sample of the hold-out, numpy.savez("looks.npz", sizes=..., sample_scores=...), which tells
    more:

        suffice monitor looks.npz --gain 0.02

    Have more examples stopped paying in the fine-tuning of a language model? By the recording of the run:

        suffice monitor learning_curve.json --gain 0.05

    In a script: exit status 3 when there is nothing more to label:

        suffice monitor labels.csv --gain 0.02 --holdout 500 --quiet --fail-if "labels<1"
    """
    asked = read_configuration(MonitorConfig, flags, config)
    if flags.get("metric") not in (None, "loss") and any(is_recording(Path(source)) for source in asked.scores):
        raise InputError(f"--metric {flags['metric']}: a recording holds losses; leave it out")
    if report_every is not None and not 0 < report_every < float("inf"):
        raise InputError(f"--report-every {report_every:g}: give seconds, above 0")
    from suffice.cli.answer import finish
    from suffice.cli.gate import gates_of_monitor, judge
    from suffice.runs.monitor import monitor as run

    gates = gates_of_monitor(fail_if)
    while True:
        seen = _changed(asked)
        result = run(asked, out, overwrite, terminal)
        finish(result, out, terminal)
        if report_every is None or result.decision.action == "stop":
            break
        while _changed(asked) == seen:
            time.sleep(report_every)
    judge(gates, {"monitor": result.decision}, terminal)


def _changed(asked: MonitorConfig) -> list[tuple[int, int]]:
    """When the sources were last written, and how long they are."""
    found = [Path(source).stat() for source in asked.scores if Path(source).exists()]
    return [(at.st_mtime_ns, at.st_size) for at in found]
