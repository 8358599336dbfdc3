"""``suffice study MODEL DATA``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from suffice.configuration import NO_FLAGS, StudyConfig, read_configuration
from suffice.configuration.language import LanguageStudyConfig

if TYPE_CHECKING:
    from suffice.engine import RayCluster


@with_terminal
@with_flags(StudyConfig, NO_FLAGS, also=LanguageStudyConfig)
def study(
    terminal: Terminal,
    out: Out = Path("runs/study"),
    config: Config = None,
    workers: Workers = None,
    engine: Engine = "local",
    address: Address = None,
    gpus_per_task: GpusPerTask = None,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    **flags: Any,
) -> None:
    """Learning curves by training at every size: the ground truth for k* and for forecasts.

    Trains by each method on nested subsets of the data with several seeds, and measures loss and accuracy on test data.
    Measures the loss surface at the trained weights, and compares k* with the size at which test loss and accuracy
    settle. Writes OUT/report.html, OUT/result.json, OUT/cells.csv and OUT/figures. The same command resumes a run that
    was interrupted; the results do not depend on --workers and --engine.

    [bold]Examples[/bold]

    The embedded Vision Transformer on handwritten digits, in a few minutes:

        suffice study builtin:tiny-vit builtin:digits --methods "head,lora(4),full" --sizes 20,50,100,200,500,1000

    A pretrained model on images with separate test images:

        suffice study ./dinov2-small ./train --test ./test --image-size 56 --methods "head,last_layers(1),lora(4)"

    A table of texts without a header: the text in column 3, a rating in column 2:

        suffice study ./minilm reviews.tsv --text-column 3 --label-column 2 --threshold 0 --metrics f1,auroc

    On a cluster of Ray, from a folder that all machines share, four trainings to a GPU:

        suffice study ./dinov2-small ./train --engine ray --address 10.0.0.7:6379 --gpus-per-task 0.25

    Trainings and surfaces in a bucket, where the same command on another machine takes them up:

        suffice study ./dinov2-small ./train --store s3://my-bucket/suffice

    A language model on questions with answers, in one epoch of 8 at a time, LoRA by default; its loss surface is
    not measured, and its learning curve is continued:

        suffice study builtin:tiny-lm ./sums.jsonl --methods "lora(8),full" --sizes 100,200,400,800
    """
    cluster = cluster_of(engine, address, gpus_per_task)
    if is_of_language(StudyConfig, flags, config):
        _of_language(
            terminal, read_configuration(LanguageStudyConfig, flags, config), out, workers, cluster, overwrite, dry_run
        )
        return
    asked = read_configuration(StudyConfig, flags, config)
    from suffice.cli.answer import finish
    from suffice.cli.check import end_with_summary
    from suffice.runs.study import study as run

    if dry_run:
        end_with_summary(asked, terminal)
        return
    finish(run(asked, out, workers, overwrite, terminal, cluster), out, terminal)


def _of_language(
    terminal: Terminal,
    asked: LanguageStudyConfig,
    out: Path,
    workers: int | None,
    cluster: "RayCluster | None",
    overwrite: bool,
    dry_run: bool,
) -> None:
    from suffice.cli.answer import finish
    from suffice.cli.check import print_sentences
    from suffice.runs.language_study import look_at, study_language

    if dry_run:
        print_sentences(look_at(asked, workers, cluster), terminal)
        return
    finish(study_language(asked, out, workers, overwrite, terminal, cluster), out, terminal)
