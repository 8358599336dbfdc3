"""What the guards cost, what they find, and whether they refuse sound models.

Run as ``python benchmarks/checks.py [--threads N] [--shared FOLDER]`` on an idle machine. The tables of models are
those of the tests.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import alternate, save
from recording import vit_problem
from torch import Tensor

import suffice
from suffice.checks import check_gradient, check_losses, check_samples, loss_at
from suffice.curvature import mean_gradient, output_gradients
from suffice.data import load_samples
from suffice.models import adapted, load_classifier
from suffice.problem import Problem

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "checks")]

from engines import ENGINES  # noqa: E402
from faulty_models import FAULTY  # noqa: E402
from more_sound_models import MORE_SOUND  # noqa: E402
from small_models import SOUND, WRONG_GRADIENT  # noqa: E402
from wrong_derivatives import WRONG  # noqa: E402

SHARES = {"missing": 0.0, "half": 0.5, "ten percent too large": 1.1, "six percent too large": 1.06}
"""What an engine's gradient of one tensor is multiplied with."""

METHODS = ("head", "last_layers(2)", "lora(4)", "full")


def recording(samples: int, repeats: int) -> dict[str, Any]:
    """Seconds of recording at 9 probes without guards and with them, on a model that has not been checked yet."""

    def record(checks: bool) -> Callable[[], None]:
        def run() -> None:
            problem = vit_problem(samples)
            problem.checks = checks
            probes = suffice.Probes.sphere(problem)
            start = time.perf_counter()
            suffice.record(problem, probes)
            taken[checks].append(time.perf_counter() - start)

        return run

    taken: dict[bool, list[float]] = {False: [], True: []}
    alternate({"without": record(False), "with": record(True)}, repeats)
    guards = []
    for _ in range(repeats):
        problem = vit_problem(samples)
        start = time.perf_counter()
        check_samples(problem)
        check_losses(problem)
        guards.append(time.perf_counter() - start)
    return {
        "samples": samples,
        "probes": 9,
        "seconds_without": taken[False][1:],
        "seconds_with": taken[True][1:],
        "seconds_guards": guards,
        "share": statistics.median(guards) / statistics.median(taken[False][1:]),
    }


def dinov2(shared: Path) -> dict[str, Any]:
    """Seconds of each guard on DINOv2-S, before losses, mean gradients and gradients of outputs."""
    samples = load_samples(str(shared / "data" / "fashion-mnist"))
    found = {}
    for method in METHODS:
        classifier = load_classifier(str(shared / "models" / "dinov2-small"), samples, 56)
        model = adapted(classifier.model, method)
        inputs = classifier.inputs(samples, np.arange(100))
        problem = Problem(model, inputs, predict=classifier.predict, collate=classifier.collate)
        found[method] = {
            "moving": sum(parameter.numel() for parameter in problem.moving.values()),
            "seconds_losses": seconds(lambda: (check_samples(problem), check_losses(problem))),  # noqa: B023
            "seconds_mean_gradient": guarded(problem, lambda: mean_gradient(problem, positions=np.arange(1))),  # noqa: B023
            "seconds_output_gradients": guarded(
                problem,
                lambda: output_gradients(problem, np.arange(1), torch.ones(1, 10)),  # noqa: B023
            ),
        }
    return found


def guarded(problem: Problem, run: Callable[[], object]) -> float:
    """What a first call takes longer than a second one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SUF010")
        first, second = seconds(run), seconds(run)
    return first - second


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def outcome(run: Callable[[], object]) -> str:
    """The code of what is found, or "passed"."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="SUF010")
        warnings.filterwarnings("ignore", message="None of the inputs")
        warnings.filterwarnings("ignore", message="the model is in training mode")
        try:
            run()
        except suffice.InputError as error:
            return str(error).partition(":")[0]
    return "passed"


def tables() -> dict[str, Any]:
    """Sound models: how many are refused. Faulty ones: how many get their code, and the right name."""
    alarms: dict[str, list[str]] = {"losses": [], "derivatives": []}
    tried = Counter()
    for name, build in (SOUND | MORE_SOUND | WRONG_GRADIENT).items():
        tried["losses"] += 1
        if outcome(lambda: check_losses(build(torch.float32))) != "passed":  # noqa: B023
            alarms["losses"].append(name)
    for name, build in (SOUND | MORE_SOUND).items():
        for engine, take in ENGINES.items():
            for dtype in (torch.float64, torch.float32):
                tried["derivatives"] += 1
                if outcome(lambda: take(build(dtype))) != "passed":  # noqa: B023
                    alarms["derivatives"].append(f"{name}, {engine}, {dtype}")
    found = Counter()
    for faulty in FAULTY.values():
        problem = faulty.build(torch.float32)
        found["losses"] += outcome(lambda: suffice.record(problem, suffice.Probes.sphere(problem))) == faulty.code  # noqa: B023
    for wrong in WRONG.values():
        found["derivatives"] += outcome(lambda: mean_gradient(wrong.build())) == wrong.code  # noqa: B023
    for build in WRONG_GRADIENT.values():
        found["derivatives"] += outcome(lambda: mean_gradient(build())) == "SUF007"  # noqa: B023
    return {
        "sound": dict(tried),
        "refused": alarms,
        "faulty": {"losses": len(FAULTY), "derivatives": len(WRONG) + len(WRONG_GRADIENT)},
        "found": dict(found),
    }


def altered(name: str, share: float) -> Callable[[Problem, int], dict[str, Tensor]]:
    """An engine that is wrong in one tensor."""

    def gradient(problem: Problem, position: int) -> dict[str, Tensor]:
        with torch.enable_grad():
            loss = loss_at(problem, position)
            parameters = list(problem.moving.values())
            found = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        gradients = dict(zip(problem.moving, found, strict=True))
        return gradients | {name: share * gradients[name]}

    return gradient


def tensors(problem: Problem) -> Iterator[str]:
    """Tensors of a problem whose gradient is not zero for all samples."""
    with torch.enable_grad(), problem.measuring():
        parameters = list(problem.moving.values())
        for parameter in parameters:
            parameter.requires_grad_()
        with torch.enable_grad():
            total = problem.losses(problem.batch(slice(None))).sum()
        found = torch.autograd.grad(total, parameters, allow_unused=True, materialize_grads=True)
    norms = {name: float(part.to_dense().norm()) for name, part in zip(problem.moving, found, strict=True)}
    largest = max(norms.values())
    yield from (name for name, norm in norms.items() if norm > 1e-9 * largest)


def detection() -> dict[str, Any]:
    """Of each tensor of each sound model: whether its wrong gradient is found, and named."""
    counts = {kind: Counter() for kind in SHARES}
    missed = []
    for name, build in SOUND.items():
        for tensor in tensors(build()):
            for kind, share in SHARES.items():
                problem = build()
                for parameter in problem.moving.values():
                    parameter.requires_grad_()
                counts[kind]["tried"] += 1
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        check_gradient(problem, "altered", altered(tensor, share))
                except suffice.InputError as error:
                    counts[kind]["found"] += 1
                    counts[kind]["named"] += f"along {tensor}," in str(error)
                else:
                    missed.append(f"{name}: {tensor}, {kind}")
    return {"by_kind": {kind: dict(count) for kind, count in counts.items()}, "missed": missed}


def main() -> None:
    """All parts, one after the other."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments.add_argument("--shared", type=Path, help="folder with models/dinov2-small and data/fashion-mnist")
    asked = arguments.parse_args()
    torch.set_num_threads(asked.threads)
    results = {"recording": recording(2_000, 5), "tables": tables(), "detection": detection()}
    if asked.shared:
        results["dinov2_small"] = dinov2(asked.shared)
    save("checks", results)


if __name__ == "__main__":
    main()
