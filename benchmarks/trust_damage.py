"""What becomes of a run whose stored files are damaged.

Run as ``python benchmarks/trust_damage.py [--cases N] [--seed S]``: finishes a small run of each command, or interrupts
it at a random moment, damages one file of its folder (truncated, emptied, one bit flipped, or deleted), runs the same
command again, and counts equal answers, errors of one line, other answers, and tracebacks.
"""

import argparse
import random
import shutil
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from environment import save
from trust_runs import LANGUAGE_RUNS, RUNS, SILENT, Interrupting, answer, drawn, inputs, interrupt, ticks

from suffice.errors import InputError, InputWarning

KINDS = ("truncated", "emptied", "flipped", "deleted")

STATES = ("finished", "interrupted")

ALL = RUNS | LANGUAGE_RUNS


def damage(file: Path, kind: str, draw: random.Random) -> None:
    """Damages a file; one that is empty can only be deleted."""
    held = bytearray(file.read_bytes())
    if kind == "deleted" or not held:
        file.unlink()
        return
    if kind == "truncated":
        held = held[: draw.randrange(1, len(held))] if len(held) > 1 else held[:0]
    elif kind == "emptied":
        held = held[:0]
    else:
        held[draw.randrange(len(held))] ^= 1 << draw.randrange(8)
    file.write_bytes(held)


def outcome(name: str, model: Path, data: Path, out: Path, expected: Any) -> tuple[str, str]:
    """What the same command makes of a folder: equal, error, different or traceback; and what it says."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            found = answer(ALL[name](str(model), str(data), out, SILENT))
    except InputError as error:
        return ("error" if "\n" not in str(error) else "traceback"), str(error)
    except Exception:
        return "traceback", traceback.format_exc()
    return ("equal" if found == expected else "different"), ""


def measure(cases: int, seed: int, names: list[str]) -> dict[str, Any]:
    """Damages one file after the other, in copies of finished runs and in interrupted ones by turns."""
    draw, found, told = drawn(seed), Counter[str](), []
    by_kind: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    by_state: dict[str, Counter[str]] = {state: Counter() for state in STATES}
    with tempfile.TemporaryDirectory() as folder:
        model, data = inputs(Path(folder))
        expected = {name: answer(ALL[name](str(model), str(data), Path(folder, name), SILENT)) for name in names}
        lengths = {name: ticks(ALL[name], model, data, Path(folder, "counted", name)) for name in names}
        for case in range(cases):
            name, state = names[case // len(STATES) % len(names)], STATES[case % len(STATES)]
            kind, out = draw.choice(KINDS), Path(folder, "damaged")
            if state == "finished":
                shutil.copytree(Path(folder, name), out)
            while not (files := sorted(path for path in out.rglob("*") if path.is_file())):
                with suppress(KeyboardInterrupt):  # anew where it was interrupted before it wrote
                    after = draw.randrange(1, lengths[name] + 1)
                    ALL[name](str(model), str(data), out, Interrupting(after, interrupt))
            file = draw.choice(files)
            damage(file, kind, draw)
            what, words = outcome(name, model, data, out, expected[name])
            for counts in (found, by_kind[kind], by_state[state]):
                counts[what] += 1
            if what in ("different", "traceback"):
                at = {"run": name, "state": state, "file": str(file.relative_to(out)), "kind": kind}
                told.append(at | {"told": words})
            shutil.rmtree(out)
    by = {"by_kind": by_kind, "by_state": by_state}
    return {"cases": cases, "seed": seed, "outcomes": found, **by, "faults": told}


def main() -> None:
    """Measures, and ends with 1 where there is a fault."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cases", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    found = measure(asked.cases, asked.seed, list(ALL))
    save("trust_damage", found)
    sys.exit(bool(found["faults"]))


if __name__ == "__main__":
    main()
