"""How right is the forecast of a fine-tuning from one run? Gains to 2, 4 and 8 times the samples, on GSM8K.

    python benchmarks/language/gains.py ../shared/data/gsm8k runs/gains --minutes 3
    python benchmarks/language/gains.py ../shared/data/gsm8k runs/gains --report

Makes recordings in the folder, the most useful first, until the minutes are over, and goes on when it is called again.
A run trains builtin:tiny-lm on answers for one epoch at a constant rate. Then the weights on the way are those of
shorter trainings, so a long run is the truth at every size, and its beginning would be a pilot. Truth and pilots come
from different seeds, and measure different test samples: 400 for the truth, 200 for a pilot's hold-out. Pilots of seeds
0 to 7 were looked at when the method was made (development), those of 20 to 27 were not (held out).
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int64
from rich.console import Console
from rich.table import Table

from suffice.data.completions import load_completions
from suffice.errors import InputError
from suffice.forecasting.one_run import forecast_one_run
from suffice.integrations import Recorder
from suffice.models.language import LanguageModel, LanguageProblem, load_language_model
from suffice.results import Recording, read_recording

PILOTS = (400, 800)
TIMES = (2, 4, 8)
LONGEST = max(PILOTS) * max(TIMES)
TRUTH = range(100, 104)
DEVELOPMENT, HELD_OUT = range(8), range(20, 28)
TOGETHER, RATE, WARM_STEPS, DECAY = 4, 1e-3, 10, 0.01
TESTED, HOLDOUT = 400, 200
SIZES = (100, 200, 400, 800, 1600, 3200, 6400)


class Task:
    """Samples as tokens, and the pretrained model's losses of them, measured once."""

    def __init__(self, data: Path, folder: Path) -> None:
        language = load_language_model("builtin:tiny-lm")
        self.train = language.tokens(load_completions(str(data / "train.jsonl")))
        self.test = language.tokens(load_completions(str(data / "test.jsonl")))
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


def baselines(recording: Recording, samples: int) -> dict[str, float]:
    """Gains per (1/k0 - 1/k) and per doubling of simpler ways, from the hold-out at k0/2 and k0."""
    half, whole = (
        float(next(at for at in recording.holdouts if at.seen == size).losses.mean())
        for size in (samples // 2, samples)
    )
    return {"1/k": (half - whole) * samples, "log-linear": half - whole}


def report(folder: Path) -> None:
    means, errors, runs = truth(folder)
    rows = []
    for kind in ("development", "held_out"):
        for k0 in PILOTS:
            gains: dict[tuple[str, int], list[float]] = {}
            covered: dict[int, list[bool]] = {times: [] for times in TIMES}
            refused = 0
            for file in sorted(folder.glob(f"{kind}_*.json")):
                whole = read_recording(file)
                if not whole.holdouts or whole.holdouts[-1].seen < k0:
                    continue
                pilot = beginning(whole, k0)
                try:
                    found = forecast_one_run(pilot)
                except InputError:
                    refused += 1
                    continue
                simple = baselines(pilot, k0)
                for times in TIMES:
                    true = means[k0] - means[times * k0]
                    gain = found.gain(times * k0)
                    covered[times].append(gain.low <= true <= gain.high)
                    for name, value in {
                        "one run": gain.value,
                        "1/k": simple["1/k"] * (1 / k0 - 1 / (times * k0)),
                        "log-linear": simple["log-linear"] * math.log2(times),
                    }.items():
                        gains.setdefault((name, times), []).append(value / true - 1)
            if not gains:
                continue
            rows.append({
                "kind": kind, "k0": k0, "pilots": len(covered[2]), "refused": refused,
                "true_gain": {times: means[k0] - means[times * k0] for times in TIMES},
                "rms": {f"{name} {times}": float(np.sqrt(np.mean(np.square(values))))
                        for (name, times), values in gains.items()},
                "bias": {times: float(np.mean(gains["one run", times])) for times in TIMES},
                "covered": {times: float(np.mean(covered[times])) for times in TIMES},
            })  # fmt: skip
    (folder / "gains.json").write_text(
        json.dumps({"truth": means, "error": errors, "runs": runs, "rows": rows}, indent=1) + "\n"
    )
    table = Table(
        "pilots", "k0", "n (refused)", *(f"{name} {t}x" for name in ("true", "RMS", "bias", "covers") for t in TIMES)
    )
    for row in rows:
        table.add_row(
            row["kind"], str(row["k0"]), f"{row['pilots']} ({row['refused']})",
            *(f"{row['true_gain'][t]:.3f}" for t in TIMES), *(f"{row['rms'][f'one run {t}']:.0%}" for t in TIMES),
            *(f"{row['bias'][t]:+.0%}" for t in TIMES), *(f"{row['covered'][t]:.0%}" for t in TIMES),
        )  # fmt: skip
    console = Console(width=160)
    console.print({size: round(mean, 3) for size, mean in means.items()}, f"(mean of {runs} runs)")
    console.print(table)
    for row in rows:
        console.print(row["kind"], row["k0"], {name: f"{value:.0%}" for name, value in row["rms"].items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with train.jsonl and test.jsonl of GSM8K")
    parser.add_argument("folder", type=Path, help="recordings and gains.json")
    parser.add_argument("--minutes", type=float, default=3.0, help="no run begins after so many")
    parser.add_argument("--report", action="store_true", help="train nothing, and report what is there")
    arguments = parser.parse_args()
    if not arguments.report:
        end = time.monotonic() + 60 * arguments.minutes
        task = Task(arguments.data, arguments.folder)
        for file, seed, samples, tested in wanted(arguments.folder):
            if time.monotonic() > end:
                break
            if (
                not file.exists()
                or read_recording(file).holdouts[-1:] == []
                or read_recording(file).holdouts[-1].seen < samples
            ):
                run(task, seed, samples, file, tested)
                print(f"{file.name}: {samples:,} samples", flush=True)
    report(arguments.folder)


if __name__ == "__main__":
    main()
