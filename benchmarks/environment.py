"""What a result was measured on, and the clock that all benchmarks use."""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

RESULTS = Path(__file__).parent / "results"


def environment() -> dict[str, Any]:
    """The hardware and the software, without names of hosts or folders."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def alternate(sides: Mapping[Any, Callable[[], Any]], repeats: int) -> dict[Any, list[float]]:
    """Seconds of each side, ``repeats`` times in turn after one round that is not counted: drift hits all alike."""
    seconds: dict[Any, list[float]] = {name: [] for name in sides}
    for _ in range(repeats + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: taken[1:] for name, taken in seconds.items()}


def save(name: str, results: Mapping[str, Any]) -> None:
    """Prints the results and writes them, with the environment, to ``results/name.json``."""
    text = json.dumps({"environment": environment(), **results}, indent=1)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n")
