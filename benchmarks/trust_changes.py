"""Whether a changed weight, pixel or label is noticed, whenever it changes.

Run as ``python benchmarks/trust_changes.py [--cases N] [--seed S]``: each case changes one number of the model, one
pixel, or the label of one image: after a run has finished, after it was interrupted at a random moment, or at a random
moment while it runs. It counts as noticed if that run or the next one ends with an error of one line that says so, as
new if the answer is that of a run which never saw what was there before, and else as missed.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from environment import save
from PIL import Image
from safetensors.torch import load_file, save_file
from trust_runs import RUNS, SILENT, Interrupting, answer, drawn, inputs, interrupt, ticks

from suffice.errors import InputError
from suffice.runs.watch import Watch

MOMENTS = ("finished", "interrupted", "running")


def change_weight(model: Path, data: Path, draw: random.Random) -> None:
    """One number of one tensor, in a file of the same size and time of modification."""
    file = model / "model.safetensors"
    weights, before = load_file(file), file.stat()
    name = draw.choice(sorted(weights))
    values = weights[name].flatten()
    values[draw.randrange(len(values))] += 0.01
    weights[name] = values.reshape(weights[name].shape)
    save_file(weights, file, {"format": "pt"})
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_pixel(model: Path, data: Path, draw: random.Random) -> None:
    """One pixel of one image, likewise."""
    file = draw.choice(sorted(data.rglob("*.bmp")))
    before = file.stat()
    with Image.open(file) as image:
        changed = image.copy()
    place = draw.randrange(changed.width), draw.randrange(changed.height)
    changed.putpixel(place, (int(changed.getpixel(place)) + 1) % 256)
    changed.save(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_label(model: Path, data: Path, draw: random.Random) -> None:
    """One image goes to the folder of another class."""
    file = draw.choice(sorted(data.rglob("*.bmp")))
    home = draw.choice([folder for folder in sorted(data.iterdir()) if folder != file.parent])
    file.rename(home / file.name)


CHANGES: dict[str, Callable[[Path, Path, random.Random], None]] = {
    "weight": change_weight,
    "pixel": change_pixel,
    "label": change_label,
}


def outcome(name: str, change: str, moment: str, after: int, folder: Path, draw: random.Random) -> tuple[str, str]:
    """Whether a change is noticed, new or missed, and what is said.

    Args:
        name: of the run.
        change: what changes.
        moment: when.
        after: for the last two moments, how much progress is told before.
        folder: holds model and data.
        draw: of what changes.
    """
    model, data, out = folder / "model", folder / "data", folder / "out"

    def run(where: Path, watch: Watch = SILENT) -> Any:
        return RUNS[name](str(model), str(data), where, watch)

    def act() -> None:
        CHANGES[change](model, data, draw)

    try:
        if moment == "finished":
            run(out)
            act()
        elif moment == "interrupted":
            with suppress(KeyboardInterrupt):
                run(out, Interrupting(after, interrupt))
            act()
        else:
            run(out, Interrupting(after, act))
        found = answer(run(out))
    except InputError as error:
        is_told = any(words in str(error) for words in ("changed", "cannot be read")) and "\n" not in str(error)
        return ("noticed" if is_told else "missed"), str(error)
    return ("new" if found == answer(run(folder / "fresh")) else "missed"), ""


def measure(cases: int, seed: int, names: list[str]) -> dict[str, Any]:
    """Changes one thing after the other, in copies of model and data."""
    draw, told = drawn(seed), []
    found: dict[str, Counter[str]] = {change: Counter() for change in CHANGES}
    with tempfile.TemporaryDirectory() as folder:
        inputs(Path(folder, "whole"))
        whole = Path(folder, "whole")
        lengths = {name: ticks(RUNS[name], whole / "model", whole / "data", Path(folder, name)) for name in names}
        for case in range(cases):
            name, change = names[case % len(names)], draw.choice(list(CHANGES))
            if name == "hessian" and change == "weight":
                change = "pixel"  # its model is made from the seed
            moment, after = draw.choice(MOMENTS), draw.randint(1, lengths[name])
            copy = Path(folder, "copy")
            shutil.copytree(whole, copy)
            what, words = outcome(name, change, moment, after, copy, draw)
            found[change][what] += 1
            if what == "missed":
                told.append({"run": name, "change": change, "moment": moment, "after": after, "told": words})
            shutil.rmtree(copy)
    return {"cases": cases, "seed": seed, "changes": found, "missed": told}


def main() -> None:
    """Measures, and ends with 1 where a change is missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cases", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=0)
    asked = arguments.parse_args()
    found = measure(asked.cases, asked.seed, list(RUNS))
    save("trust_changes", found)
    sys.exit(bool(found["missed"]))


if __name__ == "__main__":
    main()
