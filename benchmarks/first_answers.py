"""What people wait for: the summary of large data, and the first paint and the size of each kind of page.

Run as ``python benchmarks/first_answers.py [--pages RUN ...]`` on an idle machine. Data are made at random in a
temporary folder; ``suffice check`` runs in a process of its own for each. Pages are those of finished runs, opened once
uncounted and then several times in headless Chromium.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from environment import RESULTS, environment
from PIL import Image
from selenium import webdriver

IMAGES, ROWS, OPENED = 10_000, 1_000_000, 5


def images(folder: Path) -> Path:
    """Small PNG images of ten classes, of random pixels."""
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        of_class = folder / f"class {number % 10}"
        of_class.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(of_class / f"{number}.png")
    return folder


def table(file: Path) -> Path:
    """A table of texts, of random words."""
    random = np.random.default_rng(0)
    words = np.array(["good", "bad", "long", "film", "music", "slow", "bright", "night"])
    chosen = words[random.integers(len(words), size=(ROWS, 6))]
    with file.open("w") as stream:
        stream.write("text,label\n")
        stream.writelines(f"{' '.join(row)} {number},{number % 3}\n" for number, row in enumerate(chosen))
    return file


def summary(data: Path) -> dict[str, float]:
    """Seconds of ``suffice check``, of the processor as well, and its memory at most."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    program = [sys.executable, "-c", "import resource, sys\nfrom suffice.cli import app\ntry:\n    app()\nfinally:\n"
               "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"]  # fmt: skip
    done = subprocess.run([*program, "check", str(data), "--json"], capture_output=True, text=True, check=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    told = json.loads(done.stdout)
    assert told["samples"] in (IMAGES, ROWS)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "samples": told["samples"],
        "seconds": round(seconds, 2),
        "processor_seconds": round(used, 2),
        "gigabytes": round(int(done.stderr.split()[-1]) * 1024 / 1e9, 3),
    }


def page(run: Path) -> dict[str, Any]:
    """Megabytes of a report, milliseconds until its first contents are painted, requests, and what is complained of."""
    report = (run / "report.html").resolve()
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    with tempfile.TemporaryDirectory() as profile:
        for flag in ("--headless=new", "--no-sandbox", f"--user-data-dir={profile}"):
            options.add_argument(flag)
        with webdriver.Chrome(options, webdriver.ChromeService(str(shutil.which("chromedriver")))) as browser:
            painted, requests = [], 0
            for _ in range(OPENED + 1):
                browser.get(report.as_uri())
                time.sleep(1)
                script = "return performance.getEntriesByName('first-contentful-paint').map((entry) => entry.startTime)"
                painted += browser.execute_script(script)
                requests += len(browser.execute_script("return performance.getEntriesByType('resource')"))
            told = browser.get_log("browser")  # type: ignore[no-untyped-call]
            errors = [entry["message"] for entry in told if entry["level"] == "SEVERE"]
    return {
        "command": json.loads((run / "result.json").read_text())["command"],
        "megabytes": round(report.stat().st_size / 1e6, 3),
        "first_paint_milliseconds": round(statistics.median(painted[1:])),
        "requests": requests,
        "errors": errors,
    }


def main() -> None:
    """Writes ``results/first_answers.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", nargs="*", type=Path, default=[])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        summaries = {
            "images": summary(images(Path(folder) / "images")),
            "table": summary(table(Path(folder) / "t.csv")),
        }
    found = {
        "about": "python benchmarks/first_answers.py --pages RUN ...",
        "environment": environment() | {"load": round(os.getloadavg()[0], 1)},
        "summaries": summaries,
        "pages": [page(run) for run in asked.pages],
    }
    (RESULTS / "first_answers.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
