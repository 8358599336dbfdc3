"""How many samples are enough? The loss surface of a model as the data set grows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from suffice import closed_form
from suffice.configuration import StudyConfig, read_configuration
from suffice.errors import InputError
from suffice.forecasting import forecast, forecast_head
from suffice.landscape import Convergence, Ledger, Probes, record
from suffice.problem import Problem
from suffice.results import LearningCurve, SufficientSize

__all__ = [
    "Convergence",
    "InputError",
    "LearningCurve",
    "Ledger",
    "Probes",
    "Problem",
    "SufficientSize",
    "closed_form",
    "forecast",
    "forecast_head",
    "record",
    "study",
]
__version__ = "0.1.0"


def study(
    config: StudyConfig | Mapping[str, Any], out: str | Path = "runs/study", workers: int | None = None
) -> dict[str, LearningCurve]:
    """Trains at each size and seed by each method; returns the learning curve of each method, with all classes.

    What is done, and what else is written to ``out``, is told by `suffice.runs.study.study`. A call that was
    interrupted, made again, goes on.

    Args:
        config: what to train on what; the keys are the flags of ``suffice study``.
        out: the run's folder.
        workers: processes that train at the same time. From a script with more than one, call this below
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
    from suffice.runs.study import study as run  # noqa: PLC0415 -- transformers takes seconds to import

    asked = config if isinstance(config, StudyConfig) else read_configuration(StudyConfig, dict(config))
    return run(asked, Path(out), workers).study.curves
