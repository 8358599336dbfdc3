"""Runs that are killed at random moments and repeated: the same results, little work lost, nothing left behind.

Run as ``python benchmarks/kills.py [--count N] [--seed S] [--only ledger study ...]``: for each kind of run, once
through, then N times ``kill -9`` of the driver or of one of its workers, at a seeded random moment of as long a run,
and the same command again. Compared are the results, times left out; counted are pieces of work that were on disk at
the kill and were written again, processes that outlive the kill, and partial files at the end.
"""

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from environment import save

MODEL = ["builtin:tiny-vit", "builtin:digits"]
WORKERS = 2
COMMANDS = {
    "ledger": ["analyze", *MODEL, "--samples", "1400", "--probes", "8", "--workers", str(WORKERS)],
    "study": [
        *["study", *MODEL, "--samples", "300", "--methods", "head,lora(2)", "--sizes", "30,60,100", "--seeds", "2"],
        *["--steps", "20", "--probes", "2", "--workers", str(WORKERS)],
    ],
    "forecast": [
        *["forecast", *MODEL, "--samples", "120", "--method", "lora(2)", "--steps", "20"],
    ],
    "curvature": ["curvature", *MODEL, "--samples", "200", "--batch-size", "32"],
}
PIECES = ("**/*.zarr/c/**/*", "cells/*-*", "surfaces/*.json", "trainings/**/*", "moments/**/*", "fine_tuning.pt")
"""Files that are work which a repeated command takes up."""

TIMES = {"seconds", "seconds_saved", "checksum"}
"""Fields of a result that are no part of the answer, and the hash of all of it."""

PATIENCE = 30.0
"""Seconds within which the workers of a killed driver must have ended."""


@dataclass(frozen=True)
class Kill:
    """One kill, and what came of it."""

    who: str
    at_seconds: float
    pieces_at_kill: int
    written_again: int
    in_flight: int
    outlived: int
    leftovers: int
    same_result: bool
    statuses: list[int]


def command(kind: str, out: Path) -> list[str]:
    """A run in a process of its own."""
    return [sys.executable, "-m", "suffice", *COMMANDS[kind], "--out", str(out)]


def begin(kind: str, out: Path) -> subprocess.Popen[bytes]:
    """The run, begun; what it says goes nowhere."""
    return subprocess.Popen(command(kind, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def without_times(value: Any) -> Any:
    """A result without what differs from run to run."""
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def result(out: Path) -> Any:
    """What a run found."""
    file = out / "result.json"
    return without_times(json.loads(file.read_text())) if file.exists() else None


def pieces(out: Path) -> Iterator[Path]:
    """Work on disk."""
    found = {path for pattern in PIECES for path in out.glob(pattern)}
    return (path for path in found if path.is_file() and not path.name.startswith(".") and "partial" not in path.name)


def written(out: Path) -> dict[str, int]:
    """When each piece was written; those that go between two looks are left out."""
    times = {}
    for path in pieces(out):
        try:
            times[str(path)] = path.stat().st_mtime_ns
        except FileNotFoundError:
            continue
    return times


def leftovers(out: Path) -> list[str]:
    """Partial files."""
    return [path.name for path in out.rglob("*") if "partial" in path.name]


def digest_of(out: Path) -> dict[str, str]:
    """The bytes of each shard of an array."""
    return {
        str(path.relative_to(out)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in out.glob("**/*.zarr/c/**/*")
        if path.is_file()
    }


def outliving(processes: list[psutil.Process]) -> int:
    """How many of some processes are still there."""
    _, alive = psutil.wait_procs(processes, PATIENCE)
    for process in alive:
        process.kill()
    return len(alive)


def kill_once(kind: str, out: Path, whole: float, expected: Path, draw: random.Random) -> Kill:
    """One run that is killed, and the same command again."""
    moment, of_worker = draw.uniform(0, whole), draw.random() < 0.5
    began = time.perf_counter()
    driver = begin(kind, out)
    watched = psutil.Process(driver.pid)
    children: list[psutil.Process] = []
    who = "driver"
    try:
        driver.wait(moment)
    except subprocess.TimeoutExpired:
        children = watched.children(recursive=True)
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        before = written(out)
        if of_worker and workers:
            who = "worker"
            draw.choice(workers).kill()
        else:
            driver.kill()
    else:
        who, before = "nobody", written(out)  # it was done
    at = time.perf_counter() - began
    first = driver.wait()
    outlived = outliving(children)
    second = subprocess.run(command(kind, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = written(out)
    return Kill(
        who=who,
        at_seconds=at,
        pieces_at_kill=len(before),
        # a checkpoint is written anew after each epoch, as it should be
        written_again=sum(
            after.get(path) != moment for path, moment in before.items() if not path.endswith("fine_tuning.pt")
        ),
        in_flight=WORKERS if "--workers" in COMMANDS[kind] else 1,
        outlived=outlived,
        leftovers=len(leftovers(out)),
        same_result=result(out) == result(expected) and digest_of(out) == digest_of(expected),
        statuses=[first, second.returncode],
    )


def main() -> None:
    """All kinds of runs, and the counts."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=25)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    asked = arguments.parse_args()
    found: dict[str, Any] = {}
    for kind in asked.only:
        draw = random.Random(f"{kind} {asked.seed}")  # noqa: S311 -- moments, not secrets
        with tempfile.TemporaryDirectory() as folder:
            expected = Path(folder, "through")
            began = time.perf_counter()
            subprocess.run(command(kind, expected), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            whole = time.perf_counter() - began
            kills = []
            for number in range(asked.count):
                out = Path(folder, str(number))
                kills.append(kill_once(kind, out, whole, expected, draw))
                shutil.rmtree(out)
        found[kind] = {
            "command": ["suffice", *COMMANDS[kind]],
            "uninterrupted_seconds": whole,
            "kills": len(kills),
            "of_workers": sum(kill.who == "worker" for kill in kills),
            "of_drivers": sum(kill.who == "driver" for kill in kills),
            "same_results": sum(kill.same_result for kill in kills),
            "pieces_written_again": sum(kill.written_again for kill in kills),
            "processes_that_outlived": sum(kill.outlived for kill in kills),
            "partial_files_left": sum(kill.leftovers for kill in kills),
            "each": [asdict(kill) for kill in kills],
        }
        save("kills", found)  # each kind takes long
    failed = sum(
        not kill["same_result"] or kill["written_again"] > 0 or kill["outlived"] or kill["leftovers"]
        for kind in found.values()
        for kill in kind["each"]
    )
    sys.exit(f"{failed} of the kills left something wrong" if failed else 0)


if __name__ == "__main__":
    main()
