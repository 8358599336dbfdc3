"""Memory and seconds of a head's forecast at three sizes, each in a fresh process, and of another checkout beside it.

Run as ``OMP_NUM_THREADS=1 PYTHONPATH=benchmarks python benchmarks/forecast/head_scale.py --against OTHER/src``. Seconds
are those of the processor; memory is the largest resident set less that before the forecast, with the features in it.
A case that takes longer than the limit of the processor is killed, and has no figures.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from environment import save

CASES: dict[str, dict[str, Any]] = {
    "many classes of wide features": {"samples": 20_000, "columns": 768, "classes": 100, "l2": 0.1},
    "two samples of each class": {"samples": 2_000, "columns": 64, "classes": 1_000, "l2": 0.1},
    "two samples of each class, penalty by folds": {"samples": 2_000, "columns": 64, "classes": 1_000, "l2": None},
    "a million samples": {"samples": 1_000_000, "columns": 64, "classes": 10, "l2": 0.1},
    "a million samples in float32": {
        "samples": 1_000_000, "columns": 64, "classes": 10, "l2": 0.1, "dtype": "float32",
    },
}  # fmt: skip

LIMIT = 600
"""Seconds of the processor for a case."""

TOGETHER = 10_000
"""Samples that are drawn at a time."""


def drawn(samples: int, columns: int, classes: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Normal features around a centre for each class; centres are as far apart whatever the columns."""
    random = np.random.default_rng(0)
    labels = np.resize(np.arange(classes), samples)
    centres = 2.4 / columns**0.5 * random.normal(size=(classes, columns))
    features = np.empty((samples, columns), dtype=dtype)
    for start in range(0, samples, TOGETHER):
        part = labels[start : start + TOGETHER]
        features[start : start + TOGETHER] = centres[part] + random.normal(size=(len(part), columns))
    return features, labels


def measure(samples: int, columns: int, classes: int, l2: float | None, dtype: str = "float64") -> dict[str, float]:
    """In this process, whose memory tells."""
    from suffice.forecasting import forecast_head  # noqa: PLC0415 - of the checkout that PYTHONPATH names

    features, labels = drawn(samples, columns, classes, dtype)
    forecast_head(features[:300, :5], labels[:300] % 2, [600], 0.1)  # imports all there is
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    began = time.process_time(), time.perf_counter()
    curve = forecast_head(features, labels, [2 * samples], l2)
    return {
        "processor_s": time.process_time() - began[0],
        "clock_s": time.perf_counter() - began[1],
        "features_gb": features.nbytes / 1e9,
        "above_gb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 1e9,
        "penalty": curve.penalty or np.nan,
        "slope": curve.slope or np.nan,
        "loss": float(curve.loss.mean[0]),
    }


def in_a_process(name: str, source: Path) -> dict[str, float] | None:
    """The measurement of a case with the package of a checkout; None where it took too long."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))

    path = os.pathsep.join([str(source.resolve()), str(Path(__file__).parents[1])])
    run = subprocess.run(
        [sys.executable, __file__, "--case", name],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        preexec_fn=limited,
        check=False,
    )
    return json.loads(run.stdout) if run.returncode == 0 else None


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--against", type=Path, help="src of another checkout")
    arguments.add_argument("--only", nargs="*", default=list(CASES), choices=list(CASES))
    arguments.add_argument("--case", choices=list(CASES), help="measure it in this process")
    given = arguments.parse_args()
    if given.case is not None:
        print(json.dumps(measure(**CASES[given.case])))
        return
    sides = {"this": Path(__file__).parents[2] / "src"}
    if given.against is not None:
        sides["other"] = given.against
    rows = []
    for name in given.only:
        rows.append({"case": name, **CASES[name], **{side: in_a_process(name, at) for side, at in sides.items()}})
        print(rows[-1], flush=True)
    save("forecast_head_scale", {"limit_s": LIMIT, "cases": rows})


if __name__ == "__main__":
    main()
