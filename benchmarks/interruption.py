"""Whether a study that is killed again and again ends as one that is not.

Run as ``python benchmarks/interruption.py [--kills N] [--seed S] [CONFIG]``: runs the study of a configuration, by
default that of experiments/vit-digits, once through and once killed by SIGKILL at N random moments of as long a run,
and compares the two results, times left out.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from environment import save

ROOT = Path(__file__).parents[1]
TIMES = {"seconds", "seconds_saved"}
"""Fields of a result that are no part of the answer."""


def command(config: Path, out: Path) -> list[str]:
    """The study in a process of its own."""
    return [sys.executable, "-m", "suffice", "study", "--config", str(config), "--out", str(out)]


def without_times(value: Any) -> Any:
    """A result without what differs from run to run."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def result(out: Path) -> Any:
    """What a run found."""
    return without_times(json.loads((out / "result.json").read_text()))


def finished(out: Path) -> int:
    """Pieces of work on disk."""
    return sum(1 for kind in ("cells", "surfaces") for _ in (out / kind).glob("*-*.json"))


def main() -> None:
    """Both runs, and the comparison."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("config", nargs="?", type=Path, default=ROOT / "experiments/vit-digits/config.yaml")
    arguments.add_argument("--kills", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--through", type=Path, help="folder of a finished run, to save the time of the first")
    arguments.add_argument("--through-seconds", type=float, help="what that one took")
    asked = arguments.parse_args()
    draw = random.Random(asked.seed)  # noqa: S311 -- moments, not secrets
    with tempfile.TemporaryDirectory() as folder:
        through, killed = asked.through or Path(folder, "through"), Path(folder, "killed")
        start = time.perf_counter()
        if asked.through is None:
            subprocess.run(command(asked.config, through), check=True, stdout=subprocess.DEVNULL)
        whole = asked.through_seconds or time.perf_counter() - start
        # moments of working time: a run that goes on begins where the last was killed
        moments = sorted(draw.uniform(0, whole) for _ in range(asked.kills))
        pieces = []
        for moment, before in zip(moments, [0.0, *moments], strict=False):
            process = subprocess.Popen(command(asked.config, killed), stdout=subprocess.DEVNULL)
            try:
                process.wait(timeout=moment - before)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            pieces.append(finished(killed))
        subprocess.run(command(asked.config, killed), check=True, stdout=subprocess.DEVNULL)
        same = result(through) == result(killed)
        save(
            "interruption",
            {
                "config": str(asked.config.resolve().relative_to(ROOT)),
                "uninterrupted_seconds": whole,
                "killed_at_seconds": moments,
                "pieces_finished_at_each_kill": pieces,
                "pieces": finished(killed),
                "same_result": same,
            },
        )
    sys.exit(not same)


if __name__ == "__main__":
    main()
