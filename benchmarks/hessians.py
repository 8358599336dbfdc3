"""Products with Hessians, their top eigenpairs and gaps along k, against other software.

Run as ``python benchmarks/hessians.py DINOV2_SMALL FASHION_MNIST [--only vit block lora gaps] [--threads N]`` on an
idle machine. Peers: ``pip install --no-deps curvlinops-for-pytorch==3.0.1 backpack-for-pytorch unfoldNd einconv
linear_operator opt-einsum einops pyhessian``; what is not installed is left out. Models are trained first. Answers are
compared before times: products with each other, eigenpairs by their true residuals.
"""

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from environment import RESULTS, alternate, save
from scipy.sparse.linalg import eigsh
from spectra import trained_vit
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import TensorDataset

from suffice.curvature import Hessian, gaps, mean_gradient, top_eigenpairs, unflattened
from suffice.curvature.hessian import check_hessian
from suffice.data import load_samples
from suffice.models import adapted, load_classifier, split
from suffice.problem import Problem
from suffice.training import FineTuning, fine_tune

COUNT, TOLERANCE, REPEATS, PIXELS, MEMORY = 10, 1e-3, 3, 56, 6 << 30
BATCH = 64


@dataclass
class Case:
    """A problem on pairs (x, y), and a module with logits of the same losses for the others."""

    problem: Problem
    module: nn.Module
    whole: Problem | None = None
    """All parameters of the same model on the same samples."""
    trained: tuple[nn.Parameter, ...] = ()
    """Those of that model that were trained."""


def vit() -> Case:
    """The embedded Vision Transformer on 500 digits, all parameters."""
    model, pixels, labels = trained_vit(500, 300)
    module = Logits(model).eval()
    return Case(Problem(module, TensorDataset(pixels, labels), order="source"), module)


class Logits(nn.Module):
    """A Hugging Face classifier on pixels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self.model(pixel_values=pixels, **({} if pixels.shape[1] == 1 else EXTENDED)).logits)


EXTENDED = {"interpolate_pos_encoding": True}


def dinov2(folder: str, data: str, method: str, count: int) -> Case:
    """DINOv2-small on Fashion-MNIST, after 100 steps; of the last block its input is kept."""
    samples = load_samples(f"{data}/train-images-idx3-ubyte.gz")
    classifier = load_classifier(folder, samples, PIXELS)
    model = adapted(classifier.model, method)
    inputs = classifier.inputs(samples, np.arange(count))
    problem = Problem(model, inputs, predict=classifier.predict, order="source", checks=False)
    fine_tune(problem, FineTuning(steps=100, batch_size=16, learning_rate=1e-3))
    batch = problem.batch(slice(None))
    pixels, labels = batch["pixel_values"], batch["labels"]
    if method.startswith("lora"):
        module = Logits(model).eval()
        return Case(Problem(module, TensorDataset(pixels, labels), order="source"), module)
    parts = split(model, classifier.predict, problem.batch(slice(0, 2)))
    assert parts is not None
    with torch.no_grad():
        features = torch.cat([parts.features({"pixel_values": some}) for some in pixels.split(BATCH)])
    full = Logits(model).eval()
    trained = tuple(parameter for parameter in full.parameters() if parameter.requires_grad)
    whole = Problem(full, TensorDataset(pixels, labels), parameters="*", order="source", checks=False)
    return Case(Problem(parts.rest, TensorDataset(features, labels), order="source"), parts.rest, whole, trained)


def forward_over_reverse(problem: Problem, vector: Tensor) -> Tensor:
    """jvp(grad) of each batch."""

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = problem.model

        def forward(self, batch: Any) -> Tensor:
            return problem.losses(batch).sum()

    weights = {name: value.detach() for name, value in problem.moving.items()}
    tangents = unflattened(problem, vector)
    total = torch.zeros(len(vector), dtype=torch.float64)
    with problem.measuring(), sdpa_kernel(SDPBackend.MATH):
        module = Loss()
        for _, batch in problem.batches(BATCH):

            def loss(weights: dict[str, Tensor], batch: Any = batch) -> Tensor:
                return functional_call(module, {f"model.{name}": value for name, value in weights.items()}, (batch,))

            _, product = jvp(grad(loss), (weights,), (tangents,))
            total += torch.cat([product[name].flatten() for name in weights]).double()
    return (total / len(problem)).to(vector.dtype)


def curvlinops(case: Case, is_whole: bool = False) -> Any:
    """Their operator on the same batches; of what moves, or of the whole model, as one would give it to them."""
    from curvlinops import HessianLinearOperator  # noqa: PLC0415

    problem = case.whole if is_whole and case.whole is not None else case.problem
    pixels, labels = cast(TensorDataset, problem.dataset).tensors
    data = list(zip(pixels.split(BATCH), labels.split(BATCH), strict=True))
    module = problem.model if is_whole else case.module
    moving = case.trained if is_whole else case.problem.moving.values()
    return HessianLinearOperator(module, nn.CrossEntropyLoss(), list(moving), data, check_deterministic=False)


def plain_gradient(case: Case) -> Tensor:
    """Of the mean loss, as one would write it, attention written out as for Hessians."""
    parameters = list(case.problem.moving.values())
    totals = [torch.zeros_like(parameter) for parameter in parameters]
    pixels, labels = cast(TensorDataset, case.problem.dataset).tensors
    with torch.enable_grad():
        for x, y in zip(pixels.split(BATCH), labels.split(BATCH), strict=True):
            loss = functional.cross_entropy(case.module(x), y, reduction="sum")
            torch._foreach_add_(totals, torch.autograd.grad(loss, parameters))
    return torch.cat([total.flatten() for total in totals]) / len(pixels)


def products(case: Case) -> dict[str, Any]:
    """Seconds of one product by each way, and of a gradient."""
    problem = case.problem
    kept, rebuilt = Hessian(problem, memory=MEMORY, batch_size=BATCH), Hessian(problem, memory=0, batch_size=BATCH)
    vector = torch.randn(kept.shape[0], generator=torch.Generator().manual_seed(0))
    vector /= vector.norm()
    sides: dict[str, Callable[[], Tensor]] = {
        "kept": lambda: kept @ vector,
        "rebuilt": lambda: rebuilt @ vector,
        "jvp(grad)": lambda: forward_over_reverse(problem, vector),
    }
    if case.whole is not None:
        whole = Hessian(case.whole, memory=0, batch_size=BATCH)
        long = torch.randn(whole.shape[0], generator=torch.Generator().manual_seed(0))
        sides["all parameters, rebuilt"] = lambda: whole @ long
    expected = sides["kept"]()
    answers = {"rebuilt": sides["rebuilt"](), "jvp(grad)": sides["jvp(grad)"]()}
    if importlib.util.find_spec("curvlinops"):
        operator = curvlinops(case)
        sides["curvlinops"] = lambda: operator @ vector
        with sdpa_kernel(SDPBackend.MATH):
            answers["curvlinops"] = operator @ vector
    differences = {name: float((found - expected).norm() / expected.norm()) for name, found in answers.items()}
    assert differences["jvp(grad)"] < 1e-4, differences
    gradients = {"gradient": lambda: plain_gradient(case), "gradient, fused attention": lambda: mean_gradient(problem)}

    def written_out(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        def within() -> Tensor:
            with sdpa_kernel(SDPBackend.MATH):
                return run()

        return within

    runs = {name: written_out(run) for name, run in sides.items()}
    runs["gradient"] = written_out(gradients["gradient"])
    runs["gradient, fused attention"] = gradients["gradient, fused attention"]
    seconds = {name: statistics.median(taken) for name, taken in alternate(runs, REPEATS).items()}
    return {
        "parameters": kept.shape[0],
        "samples": len(problem),
        "bytes_of_graphs": kept.memory,
        "relative_differences_from_kept": differences,
        "seconds": seconds,
        "over_gradient": {name: taken / seconds["gradient"] for name, taken in seconds.items()},
    }


def true_residuals(problem: Problem, values: np.ndarray, vectors: np.ndarray) -> list[float]:
    """Relative, by our products, which agree with jvp(grad)."""
    columns = torch.from_numpy(np.ascontiguousarray(vectors)).float()
    found = (Hessian(problem, memory=MEMORY, batch_size=BATCH) @ columns).double().numpy()
    return (np.linalg.norm(found - vectors * values, axis=0) / np.abs(values)).tolist()


def eigenpairs(case: Case) -> dict[str, Any]:
    """Seconds from the model to ten eigenpairs, each side by itself, and their true residuals."""
    problem = case.problem
    start = time.perf_counter()
    check_hessian(problem)
    found: dict[str, Any] = {"guards_seconds": time.perf_counter() - start}

    def ours() -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        pairs = top_eigenpairs(Hessian(problem, memory=MEMORY, batch_size=BATCH), COUNT, TOLERANCE)
        return pairs.values.numpy(), pairs.vectors.double().numpy(), {"products": pairs.products}

    def arpack(operator: Any) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        counted = 0
        product = operator.matvec

        def matvec(vector: np.ndarray) -> np.ndarray:
            nonlocal counted
            counted += 1
            return product(vector)

        from scipy.sparse.linalg import LinearOperator  # noqa: PLC0415

        wrapped = LinearOperator(operator.shape, matvec=matvec, dtype=np.float32)
        values, vectors = eigsh(wrapped, COUNT, which="LM", tol=TOLERANCE)
        order = np.argsort(-np.abs(values))
        return values[order].astype(float), vectors[:, order].astype(float), {"products": counted}

    def theirs(is_whole: bool = False) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        with sdpa_kernel(SDPBackend.MATH):
            return arpack(curvlinops(case, is_whole).to_scipy(dtype=np.float32))

    def pyhessian() -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        from pyhessian import hessian  # noqa: PLC0415

        moving = list(problem.moving.values())
        pixels, labels = cast(TensorDataset, problem.dataset).tensors
        with sdpa_kernel(SDPBackend.MATH):
            data = list(zip(pixels.split(BATCH), labels.split(BATCH), strict=True))
            other = hessian(case.module, nn.CrossEntropyLoss(), dataloader=data, cuda=False)
            values, vectors = other.eigenvalues(maxIter=60, tol=1e-3, top_n=COUNT)
        flat = np.stack([torch.cat([part.flatten() for part in one]).double().numpy() for one in vectors], 1)
        assert len(flat) == sum(parameter.numel() for parameter in moving)
        return np.array(values, float), flat, {}

    sides: dict[str, Callable[[], tuple[np.ndarray, np.ndarray, dict[str, Any]]]] = {"suffice": ours}
    sides["suffice's products, ARPACK"] = lambda: arpack(Hessian(problem, memory=MEMORY, batch_size=BATCH).to_scipy())
    if importlib.util.find_spec("curvlinops"):
        sides["curvlinops, ARPACK"] = theirs
        if case.whole is not None:
            sides["curvlinops on the whole model, ARPACK"] = lambda: theirs(is_whole=True)
    if importlib.util.find_spec("pyhessian"):
        sides["PyHessian"] = pyhessian
    for name, run in sides.items():
        start = time.perf_counter()
        values, vectors, more = run()
        taken = time.perf_counter() - start
        found[name] = {
            "seconds": taken,
            "values": np.round(values, 4).tolist(),
            "largest_true_residual": max(true_residuals(problem, values, vectors)),
            **more,
        }
    for name in sides:
        found[name]["times_slower"] = found[name]["seconds"] / found["suffice"]["seconds"]
    return found


def gaps_along_k() -> dict[str, Any]:
    """Seconds of gaps at 30 sizes of 2,000 samples, the embedded Vision Transformer, over jvp(grad) products."""
    model, pixels, labels = trained_vit(1797, 300)
    rows = torch.arange(2000) % len(pixels)  # there are 1,797 digits; time does not depend on which these are
    module = Logits(model).eval()
    problem = Problem(module, TensorDataset(pixels[rows], labels[rows]), order="source")
    check_hessian(problem)
    vector = torch.randn(sum(value.numel() for value in problem.moving.values()))
    forward_over_reverse(problem, vector)
    start = time.perf_counter()
    for _ in range(3):
        forward_over_reverse(problem, vector)
    product = (time.perf_counter() - start) / 3
    sizes = np.unique(np.geomspace(1, 1999, 37).round().astype(int))[-30:]
    assert len(sizes) == 30
    start = time.perf_counter()
    found = gaps(problem, sizes.tolist(), memory=MEMORY)
    taken = time.perf_counter() - start
    again = [abs(other / norm - 1) for other, norm in zip(found.independent, found.hessian, strict=True)]
    return {
        "samples": len(problem),
        "sizes": sizes.tolist(),
        "seconds": taken,
        "seconds_of_a_jvp_grad_product": product,
        "jvp_grad_products": taken / product,
        "products_with_all_samples": found.products,
        "largest_relative_residual": float((found.residual / found.hessian).max()),
        "largest_difference_from_an_independent_start": float(np.nanmax(again)),
    }


def main() -> None:
    """The cases asked for, beside the stored others."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", help="folder of DINOv2-small")
    arguments.add_argument("data", help="folder of Fashion-MNIST's IDX files")
    parts = ["vit", "block", "lora", "gaps"]
    arguments.add_argument("--only", nargs="+", choices=parts, default=parts)
    arguments.add_argument("--threads", type=int, default=torch.get_num_threads())
    asked = arguments.parse_args()
    torch.set_num_threads(asked.threads)
    build = {
        "vit": vit,
        "block": lambda: dinov2(asked.model, asked.data, "last_layers(1)", 256),
        "lora": lambda: dinov2(asked.model, asked.data, "lora(4)", 128),
    }
    name = "hessians" if asked.threads > 1 else "hessians_one_thread"
    stored = RESULTS / f"{name}.json"
    results = json.loads(stored.read_text()) if stored.exists() else {}
    results.pop("environment", None)
    for one in asked.only:
        if one == "gaps":
            results[one] = gaps_along_k()
        else:
            case = build[one]()
            results[one] = {"products": products(case), "eigenpairs": eigenpairs(case)}
        save(name, results)


if __name__ == "__main__":
    main()
