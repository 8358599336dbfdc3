"""`suffice.study`: the learning curves of a study, for a program."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suffice.configuration import StudyConfig, read_configuration
from suffice.results import LearningCurve
from suffice.runs import study as runs


def study(
    config: StudyConfig | Mapping[str, Any], out: str | Path = "runs/study", workers: int | None = None
) -> dict[str, LearningCurve]:
    """Trains at each size and seed by each method; returns the learning curve of each method, with all classes.

    The folder ``out`` gets ``result.json`` and ``cells.csv``, and each training when it is finished: the same call
    resumes one that was interrupted. ``suffice report OUT`` makes ``report.html`` and the figures from it, which
    ``suffice study`` on the command line does by itself. See `suffice.runs.study.study`.

    Args:
        config: what to train on what; the keys are the flags of ``suffice study``.
        out: the run's folder.
        workers: number of processes that train at the same time. From a script with more than one, call this below
            ``if __name__ == "__main__":``.

    Raises:
        InputError: bad input of any kind.

    Example:
        >>> import tempfile
        >>> asked = {"model": "builtin:tiny-vit", "data": "builtin:digits", "samples": 300, "sizes": [20, 100]}
        >>> curves = study(asked | {"seeds": 1, "steps": 20}, tempfile.mkdtemp(), workers=1)
        >>> curves["head"].sizes, curves["head"].accuracy.mean.shape
        ([20, 100], (2,))
    """
    asked = config if isinstance(config, StudyConfig) else read_configuration(StudyConfig, dict(config))
    return runs.study(asked, Path(out), workers).study.curves
