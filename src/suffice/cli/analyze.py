"""``suffice analyze MODEL DATA``."""

from pathlib import Path
from typing import Any

from suffice.cli.flags import (
    Address,
    Config,
    DryRun,
    Engine,
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
from suffice.configuration import WRITTEN, AnalyzeConfig, MLPConfig, read_analysis, read_configuration
from suffice.configuration.language import LanguageAnalyzeConfig
from suffice.errors import InputError


@with_terminal
@with_flags(AnalyzeConfig, WRITTEN, also=LanguageAnalyzeConfig)
def analyze(
    terminal: Terminal,
    out: Out = Path("runs/analyze"),
    config: Config = None,
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    gpus_per_task: GpusPerTask = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    **flags: Any,
) -> None:
    """Has the loss surface of a classifier or language model settled, and how many samples are enough?

    Writes OUT/report.html, OUT/result.json and OUT/figures. The same command resumes a run that was interrupted; the
    results do not depend on --workers and --engine.

    [bold]Examples[/bold]

    A classifier trained elsewhere, on images that it was not trained on (one folder for each class):

        suffice analyze ./my-classifier ./validation-images --held-out 0

    A pretrained model with a new head, trained on four fifths of the images:

        suffice analyze facebook/dinov2-small ./images --method head --image-size 56

    Texts and ratings from the named columns; --threshold 3 makes two classes of the ratings:

        suffice analyze ./minilm ./reviews.csv --text-column review --label-column stars --threshold 3 --method head

    IDX files, the last two layers trained, a tolerance of 2%:

        suffice analyze ./model ./fashion-mnist --method "last_layers(2)" --samples 2000 --tolerance 0.02

    A language model, fine-tuned for one epoch on prompts and completions:

        suffice analyze builtin:tiny-lm ./sums.jsonl --method "lora(4)" --samples 200 --probes 2

    The same run again:

        suffice analyze --config runs/analyze/config.yaml --out runs/again

    The MLP experiment: fully connected networks on synthetic data; experiments/mlp/config.yaml has its keys:

        suffice analyze builtin:mlp --out runs/mlp
    """
    cluster = cluster_of(engine, address, gpus_per_task)
    asked: AnalyzeConfig | MLPConfig
    if is_of_language(AnalyzeConfig, flags, config):
        asked = read_configuration(LanguageAnalyzeConfig, flags, config)
    else:
        asked = read_analysis(flags, config)
    from suffice.cli.answer import finish
    from suffice.cli.check import end_with_summary

    if dry_run and not isinstance(asked, MLPConfig):
        end_with_summary(asked, terminal)
        return
    if isinstance(asked, MLPConfig):
        if workers is not None or cluster is not None:
            raise InputError(f"{asked.model} runs in one process: leave out --workers and --engine")
        from suffice.runs.mlp import measure_mlps

        finish(measure_mlps(asked, out, overwrite, terminal), out, terminal)
    else:
        from suffice.runs.analyze import analyze as run

        finish(run(asked, out, overwrite, terminal, workers, cluster), out, terminal)
