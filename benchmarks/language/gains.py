"""How right is the forecast of a fine-tuning from one run? Gains to 2, 4 and 8 times the samples, on two tasks.

    python benchmarks/language/gains.py ../shared/data runs/gains --task gsm8k --minutes 30
    python benchmarks/language/gains.py ../shared/data runs/gains --task reviews --minutes 15
    python benchmarks/language/gains.py ../shared/data runs/gains --report held_out

Makes recordings in the folder, the most useful first, until the minutes are over, and goes on when it is called again.
A run trains builtin:tiny-lm on answers of GSM8K, or on sentences of movie reviews, for one epoch at a constant rate.
Then the weights on the way are those of shorter trainings, so a long run is the truth at every size, and its beginning
would be a pilot. Truth and pilots come from different seeds, and measure different test samples: 400 for the truth, 200
for a pilot's hold-out. Pilots of seeds 0 to 7 are for making the method (development); those of 20 to 27 judge it (held
out). The two short runs beside a pilot are the beginnings, to k0/2 and k0/4, of the next two pilots of its kind.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import save
from jaxtyping import Float64, Int64
from rich.console import Console
from rich.table import Table

from suffice.data.completions import Texts, load_completions
from suffice.errors import InputError
from suffice.forecasting.one_run import forecast_one_run
from suffice.integrations import Recorder
from suffice.models.language import LanguageModel, LanguageProblem, load_language_model
from suffice.results import Recording, read_recording

PILOTS = (400, 800)
TIMES = (2, 4, 8)
LONGEST = max(PILOTS) * max(TIMES)
TASKS = ("gsm8k", "reviews")
TRUTH = range(100, 104)
DEVELOPMENT, HELD_OUT = range(8), range(20, 28)
TOGETHER, RATE, WARM_STEPS, DECAY = 4, 1e-3, 10, 0.01
TESTED, HOLDOUT = 400, 200
SIZES = (100, 200, 400, 800, 1600, 3200, 6400)


def texts_of(task: str, data: Path) -> tuple[Texts, Texts]:
    """Samples to train on, and to test on."""
    if task == "gsm8k":
        return tuple(load_completions(str(data / "gsm8k" / f"{part}.jsonl")) for part in ("train", "test"))
    file = data / "movie-reviews" / "movieReviewSnippets_GroundTruth.txt"
    lines = [line.split("\t")[2].strip() for line in file.read_text("utf-8").split("\n") if line.strip()]
    order = np.random.default_rng(0).permutation(len(lines))
    whole = Texts("text", lines, range(1, len(lines) + 1), file.name)
    return whole.subset(order[1000:].tolist()), whole.subset(order[:1000].tolist())


class Task:
    """Samples as tokens, and the pretrained model's losses of them, measured once."""

    def __init__(self, name: str, data: Path, folder: Path) -> None:
        language = load_language_model("builtin:tiny-lm")
        self.train, self.test = (language.tokens(texts) for texts in texts_of(name, data))
        file = folder / "before.npy"
        if not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            np.save(file, language.problem(self.train, order="source").all_losses(16).numpy())
        self.before: Float64[np.ndarray, " samples"] = np.load(file)

    def fresh(self) -> LanguageModel:
        """The pretrained model."""
        return load_language_model("builtin:tiny-lm")


def run(task: Task, seed: int, samples: int, file: Path, tested: slice) -> None:
    """One epoch at a constant rate, recorded; hold-outs at each of the sizes."""
    language = task.fresh()
    order = np.random.default_rng(seed).permutation(len(task.train))[:samples]
    problem = language.problem(task.train, order="source")
    test = language.problem(task.test, order="source")
    held = np.arange(len(test))[tested]
    optimizer = torch.optim.AdamW(problem.moving.values(), RATE, weight_decay=DECAY)
    recorder = Recorder(file, samples)
    optimism: dict[int, float] = {}
    torch.manual_seed(seed)
    for step, rows in enumerate(batches(order)):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARM_STEPS)
        losses = problem.losses(problem.batch(rows))
        recorder.batch(losses, rate=optimizer.param_groups[0]["lr"], before=task.before[rows])
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        if (step + 1) * TOGETHER in SIZES or (step + 1) * TOGETHER == samples:
            recorder.holdout(losses_at(test, held))
        if (step + 1) * TOGETHER in PILOTS and samples == max(PILOTS):
            seen = losses_at(problem, order[: (step + 1) * TOGETHER][:: (step + 1) * TOGETHER // HOLDOUT])
            optimism[(step + 1) * TOGETHER] = float(recorder.recording.holdouts[-1].losses.mean() - seen.mean())
    file.with_suffix(".optimism").write_text(json.dumps(optimism))
    recorder.save()


def batches(order: Int64[np.ndarray, " samples"]) -> Iterator[Int64[np.ndarray, " batch"]]:
    yield from np.split(order, range(TOGETHER, len(order), TOGETHER))


def losses_at(test: LanguageProblem, held: Int64[np.ndarray, " held"]) -> Float64[np.ndarray, " held"]:
    return test.all_losses(16, held).numpy()


def wanted(folder: Path) -> Iterator[tuple[Path, int, int, slice]]:
    """Files, seeds, samples and test samples of the runs, the most useful first."""
    first, rest = slice(0, TESTED), slice(TESTED, TESTED + HOLDOUT)
    pilots = [(DEVELOPMENT, "development"), (HELD_OUT, "held_out")]
    yield folder / f"truth_{TRUTH[0]}.json", TRUTH[0], LONGEST, first
    for seeds, kind in pilots:
        for seed in seeds:
            yield folder / f"{kind}_{seed}.json", seed, max(PILOTS), rest
    for seed in TRUTH[1:]:
        yield folder / f"truth_{seed}.json", seed, LONGEST, first


def truth(folder: Path) -> tuple[dict[int, float], dict[int, float], int]:
    """The mean loss at each size over the long runs, its standard error, and how many runs there are."""
    runs = [read_recording(file) for file in sorted(folder.glob("truth_*.json"))]
    runs = [one for one in runs if one.holdouts and one.holdouts[-1].seen == LONGEST]
    if not runs:
        raise SystemExit("no long run is complete: go on with more --minutes")
    losses = {
        at.seen: [float(one.holdouts[row].losses.mean()) for one in runs] for row, at in enumerate(runs[0].holdouts)
    }
    means = {size: float(np.mean(values)) for size, values in losses.items()}
    errors = {size: float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
              for size, values in losses.items()}  # fmt: skip
    return means, errors, len(runs)


def beginning(recording: Recording, samples: int) -> Recording:
    """The run as it would have been on fewer samples."""
    return recording.model_copy(
        update={
            "samples": samples,
            "batches": [batch for batch in recording.batches if batch.seen < samples],
            "holdouts": [at for at in recording.holdouts if at.seen <= samples],
        }
    )


def loss_at(recording: Recording, size: int) -> float:
    return float(next(at for at in recording.holdouts if at.seen == size).losses.mean())


def simpler(file: Path, recording: Recording, shorter: list[Recording], k0: int) -> dict[str, dict[int, float]]:
    """Gains to each size by simpler ways: by the hold-out of the run at k0/2 and k0, by retrainings at k0/2 and k0, and
    by the gap between hold-out and training samples at the end."""
    whole = loss_at(recording, k0)
    within = loss_at(recording, k0 // 2) - whole
    retrained = loss_at(shorter[0], k0 // 2) - whole
    optimism = json.loads(file.with_suffix(".optimism").read_text())[str(k0)]
    return {
        "1/k": {times: within * k0 * (1 / k0 - 1 / (times * k0)) for times in TIMES},
        "log-linear within the run": {times: within * math.log2(times) for times in TIMES},
        "log-linear, retrained at a half": {times: retrained * math.log2(times) for times in TIMES},
        "optimism": {times: optimism / 2 * (1 - 1 / times) for times in TIMES},
    }


def judge(folder: Path, kind: str, k0: int) -> dict[str, Any] | None:
    """Errors of the gains of all pilots of a kind against the truth, relative to it."""
    means, errors, runs = truth(folder)
    files = sorted(folder.glob(f"{kind}_*.json"))
    whole = [read_recording(file) for file in files]
    gains: dict[str, dict[int, list[float]]] = {}
    held: dict[str, dict[int, dict[str, bool]]] = {}
    refused: dict[str, list[str]] = {}
    for row, file in enumerate(files):
        pilot = beginning(whole[row], k0)
        shorter = [beginning(whole[(row + step) % len(files)], k0 // 2**step) for step in (1, 2)]
        found: dict[str, dict[int, float]] = simpler(file, pilot, shorter, k0)
        for name, beside in {"one run": [], "one run and two short ones": shorter}.items():
            try:
                forecast = forecast_one_run(pilot, shorter=beside)
            except InputError as error:
                refused.setdefault(name, []).append(str(error))
                continue
            found[name] = {}
            for times in TIMES:
                gain, true = forecast.gain(times * k0), means[k0] - means[times * k0]
                found[name][times] = gain.value
                held.setdefault(name, {}).setdefault(times, {})[file.stem] = gain.low <= true <= gain.high
        for name, of_times in found.items():
            for times, value in of_times.items():
                gains.setdefault(name, {}).setdefault(times, []).append(value / (means[k0] - means[times * k0]) - 1)
    if not files:
        return None
    return {
        "task": folder.name,
        "k0": k0,
        "pilots": len(files),
        "long_runs": runs,
        "refused": refused,
        "true_gain": {times: means[k0] - means[times * k0] for times in TIMES},
        "error_of_true_gain": {times: math.hypot(errors[k0], errors[times * k0]) for times in TIMES},
        "rms": {name: {times: root_mean_square(values) for times, values in of.items()} for name, of in gains.items()},
        "bias": {name: {times: float(np.mean(values)) for times, values in of.items()} for name, of in gains.items()},
        "covered": {
            name: {times: float(np.mean(list(yes.values()))) for times, yes in of.items()} for name, of in held.items()
        },
        "covered_by_pilot": {
            name: {pilot: float(np.mean([of[times][pilot] for times in TIMES])) for pilot in of[TIMES[0]]}
            for name, of in held.items()
        },
    }


def root_mean_square(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def coverage(rows: list[dict[str, Any]], name: str) -> dict[str, float]:
    """The share of intervals that hold, and its 90% interval by resampling pilots of each task: those of one pilot
    hold or fail together, whatever k0."""
    clusters: list[float] = []
    for task in sorted({row["task"] for row in rows}):
        of_task = [row["covered_by_pilot"][name] for row in rows if row["task"] == task and name in row["covered"]]
        pilots = dict.fromkeys(pilot for of_pilots in of_task for pilot in of_pilots)
        clusters += [
            float(np.mean([of_pilots[pilot] for of_pilots in of_task if pilot in of_pilots])) for pilot in pilots
        ]
    if not clusters:
        return {}
    draws = np.random.default_rng(0).choice(clusters, (10_000, len(clusters))).mean(1)
    low, high = np.quantile(draws, [0.05, 0.95])
    return {"share": float(np.mean(clusters)), "low": float(low), "high": float(high), "clusters": len(clusters)}


def report(folder: Path, kind: str) -> None:
    found = (judge(folder / task, kind, k0) for task in TASKS for k0 in PILOTS if (folder / task).exists())
    rows = [row for row in found if row is not None]
    names = ("one run", "one run and two short ones")
    result = {"kind": kind, "rows": rows, "coverage": {name: coverage(rows, name) for name in names}}
    console = Console(width=160)
    table = Table("task", "k0", "way", *(f"{name} {t}x" for name in ("RMS", "bias", "covers") for t in TIMES))
    for row in rows:
        for name, rms in row["rms"].items():
            table.add_row(
                row["task"], str(row["k0"]), name, *(f"{rms[t]:.0%}" for t in TIMES),
                *(f"{row['bias'][name][t]:+.0%}" for t in TIMES),
                *(f"{row['covered'][name][t]:.0%}" if name in row["covered"] else "" for t in TIMES),
            )  # fmt: skip
    console.print(table)
    for row in rows:
        gains = {t: f"{row['true_gain'][t]:.3f} ({row['error_of_true_gain'][t]:.3f})" for t in TIMES}
        console.print(f"{row['task']} {row['k0']}: true gains {gains}, refused {row['refused']}")
    console.print(result["coverage"])
    save(f"language_gains_{kind}", result)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with gsm8k/ and movie-reviews/")
    parser.add_argument("folder", type=Path, help="of recordings")
    parser.add_argument("--task", choices=TASKS, default=TASKS[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="no run begins after so many")
    parser.add_argument("--report", choices=("development", "held_out"), help="train nothing, and judge these pilots")
    arguments = parser.parse_args()
    if arguments.report is not None:
        report(arguments.folder, arguments.report)
        return
    end = time.monotonic() + 60 * arguments.minutes
    folder = arguments.folder / arguments.task
    task = Task(arguments.task, arguments.data, folder)
    for file, seed, samples, tested in wanted(folder):
        if time.monotonic() > end:
            break
        if not is_complete(file, samples):
            run(task, seed, samples, file, tested)
            print(f"{file.name}: {samples:,} samples", flush=True)


def is_complete(file: Path, samples: int) -> bool:
    if not file.exists():
        return False
    holdouts = read_recording(file).holdouts
    return bool(holdouts) and holdouts[-1].seen == samples


if __name__ == "__main__":
    main()
