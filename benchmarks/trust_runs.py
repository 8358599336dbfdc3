"""Small runs of every command that stores, for the benchmarks of what damage and changes do to a run's folder."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeAlias

from suffice.configuration import AnalyzeConfig, CurvatureConfig, ForecastConfig, HessianConfig, StudyConfig
from suffice.configuration.language import LanguageForecastConfig, LanguageStudyConfig
from suffice.data import load_samples
from suffice.runs.analyze import analyze
from suffice.runs.curvature import measure_curvature
from suffice.runs.forecast import forecast
from suffice.runs.hessian import measure_hessian
from suffice.runs.language import forecast_language
from suffice.runs.language_study import study_language
from suffice.runs.study import study
from suffice.runs.watch import SILENT, Watch

TIMES = {"seconds", "seconds_saved", "versions"}
"""Keys of a result that are no part of the answer."""

IMAGES = 60

Run: TypeAlias = Callable[[str, str, Path, Watch], Any]
"""Runs a command on a model and data, in a folder."""


def _analyze(model: str, data: str, out: Path, watch: Watch) -> Any:
    return analyze(
        AnalyzeConfig(model=model, data=data, samples=IMAGES, probes=2, method="head", epochs=2), out, watch=watch
    )


def _curvature(model: str, data: str, out: Path, watch: Watch) -> Any:
    config = CurvatureConfig(model=model, data=data, samples=30, method="head", epochs=2, count=2, points=2)
    return measure_curvature(config, out, watch=watch)


def _study(model: str, data: str, out: Path, watch: Watch) -> Any:
    config = StudyConfig(
        model=model, data=data, samples=IMAGES, methods=["head", "full"], sizes=[20, 30, 40], seeds=1, steps=2, probes=2
    )
    return study(config, out, workers=1, watch=watch)


def _forecast(model: str, data: str, out: Path, watch: Watch) -> Any:
    return forecast(ForecastConfig(model=model, data=data, samples=IMAGES, l2=0.01), out, watch=watch)


def _trainings(model: str, data: str, out: Path, watch: Watch) -> Any:
    config = ForecastConfig(model=model, data=data, samples=IMAGES, method="full", steps=2, estimator="symmetric")
    return forecast(config, out, watch=watch)


def _hessian(model: str, data: str, out: Path, watch: Watch) -> Any:
    config = HessianConfig(data=data, samples=8, hidden_width=4, key_width=4, patch_size=2, epochs=1, moments=2)
    return measure_hessian(config, out, watch=watch)


def _language(model: str, data: str, out: Path, watch: Watch) -> Any:
    config = LanguageForecastConfig(
        model="builtin:tiny-lm",
        data="builtin:questions",
        samples=160,
        method="lora(2)",
        train_batch_size=1,
        learning_rate=3e-3,
        answer_pattern="= ([0-9]+)",
        short_runs=True,
    )
    return forecast_language(config, out, watch=watch)[1]


def _language_study(model: str, data: str, out: Path, watch: Watch) -> Any:
    config = LanguageStudyConfig(
        model="builtin:tiny-lm",
        data="builtin:questions",
        methods=["full", "lora(2)"],
        sizes=[8, 16, 32],
        seeds=1,
        train_batch_size=4,
        warm_up=1,
        learning_rate=3e-3,
        test_samples=20,
    )
    return study_language(config, out, workers=1, watch=watch)


RUNS: dict[str, Run] = {
    "analyze": _analyze,
    "curvature": _curvature,
    "study": _study,
    "forecast": _forecast,
    "forecast of trainings": _trainings,
    "hessian": _hessian,
}
"""Of the model and the images that `inputs` makes."""

LANGUAGE_RUNS: dict[str, Run] = {"language forecast": _language, "language study": _language_study}
"""Of the language model and the questions that are built in."""


def inputs(folder: Path) -> tuple[Path, Path]:
    """Copies of the embedded model, and of some digits as one BMP file each, in a folder for each class."""
    model, data = folder / "model", folder / "data"
    shutil.copytree(str(files("suffice.models") / "tiny_vit"), model)
    digits = load_samples("builtin:digits")
    for row in range(IMAGES + 40):
        home = data / digits.classes[int(digits.labels[row])]
        home.mkdir(parents=True, exist_ok=True)
        digits[row].save(home / f"{row}.bmp")
    return model, data


def answer(result: Any) -> Any:
    """A result as JSON, without what differs from run to run."""
    return _without_times(json.loads(result.model_dump_json()))


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key not in TIMES}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


class Interrupting:
    """A watch that does something once, when so much progress has been told."""

    def __init__(self, after: int, act: Callable[[], None]) -> None:
        self._left, self._act = after, act

    def say(self, sentence: str) -> None:
        """Counts as progress."""
        self._tick(1)

    @contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """Counts what is done."""
        self._tick(1)
        yield self._tick

    def _tick(self, done: int) -> None:
        before, self._left = self._left, self._left - 1
        if before == 1:
            self._act()


def interrupt() -> None:
    """As Ctrl-C does."""
    raise KeyboardInterrupt


def ticks(run: Run, model: Path, data: Path, out: Path) -> int:
    """How often a run tells of progress."""
    watch = Interrupting(-1, lambda: None)
    run(str(model), str(data), out, watch)
    return -1 - watch._left


def drawn(seed: int) -> random.Random:
    """Moments and bits, not secrets."""
    return random.Random(seed)  # noqa: S311


__all__ = ["LANGUAGE_RUNS", "RUNS", "SILENT", "Interrupting", "answer", "drawn", "inputs", "interrupt", "ticks"]
