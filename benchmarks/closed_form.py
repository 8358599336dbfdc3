"""Dense Hessians of a transformer block: closed form against automatic differentiation, and against bare products.

Run as ``python benchmarks/closed_form.py [--quick]`` on an idle machine. Post-norm, GELU, mean squared error, float64.

- automatic: Hessian-vector products with every unit vector by forward over reverse (`vmap(jvp(grad))`), and by double
  backward, both right through LayerNorm; each with the block's own operations and with `F.layer_norm`, at several chunk
  sizes, of which the fastest on a part of the columns is then run in full.
- limit: half of one product (P x N)(N x P) over the N tokens of all samples, and writing a new P x P array, by NumPy,
  whose large arrays are in huge pages; PyTorch's takes up to seven times as long.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import alternate, save
from recording import peak_bytes
from torch import Tensor
from torch.func import functional_call, grad, jvp, vmap
from torch.nn import functional

from suffice import closed_form

SIZES = {
    # name: width, key width, hidden width, tokens, samples, target of times faster
    "1 sample": (16, 16, 64, 8, 1, 8),
    "32 samples": (16, 16, 64, 8, 32, 40),
    "128 samples": (16, 16, 64, 8, 128, 80),
    "width 32, 16 samples": (32, 32, 64, 16, 16, 25),
}
CHUNKS = (16, 64, 256, 1024)
TRIED_COLUMNS = 64
"""So many columns, or one chunk if it is larger, are timed to choose a route."""


class FusedLayerNorm(closed_form.LayerNorm):
    """PyTorch's own layer normalisation."""

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.gamma, self.beta, self.eps)


class FusedBlock(closed_form.TransformerBlock):
    """The same block with the fused layer normalisation."""

    @property
    def norm_1(self) -> FusedLayerNorm:
        return FusedLayerNorm(self.gamma_1, self.beta_1, self.eps)

    @property
    def norm_2(self) -> FusedLayerNorm:
        return FusedLayerNorm(self.gamma_2, self.beta_2, self.eps)


def case(size: str) -> tuple[closed_form.TransformerBlock, Tensor, Tensor]:
    """A block with random weights, inputs and targets."""
    width, key_width, hidden_width, tokens, samples, _ = SIZES[size]
    torch.manual_seed(0)
    block = closed_form.TransformerBlock(width, key_width, hidden_width).double()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    X, Y = torch.randn(2, samples, tokens, width, dtype=torch.float64)
    return block, X, Y


def of_weights(block: closed_form.TransformerBlock, X: Tensor, Y: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The loss as a function of all weights in one vector, and that vector."""
    shapes = {name: parameter.shape for name, parameter in block.named_parameters()}

    def loss(w: Tensor) -> Tensor:
        parts = w.split([shape.numel() for shape in shapes.values()])
        weights = {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return (functional_call(block, weights, (X,)) - Y).square().mean()

    return loss, torch.cat([parameter.detach().flatten() for parameter in block.parameters()])


def forward_over_reverse(loss: Callable[[Tensor], Tensor], w: Tensor, columns: Tensor, chunk: int) -> Tensor:
    """Products with the columns, so many at a time."""
    return vmap(lambda v: jvp(grad(loss), (w,), (v,))[1], chunk_size=chunk)(columns)


def double_backward(loss: Callable[[Tensor], Tensor], w: Tensor, columns: Tensor, chunk: int) -> Tensor:
    """The same by differentiating the gradient backwards."""
    w = w.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(w), w, create_graph=True)
    rows = [
        torch.autograd.grad(gradient, w, some, retain_graph=True, is_grads_batched=True)[0]
        for some in columns.split(chunk)
    ]
    w.requires_grad_(False)
    return torch.cat(rows)


def automatic_routes(size: str) -> dict[tuple[str, str, int], Callable[[Tensor], Tensor]]:
    """Each automatic route, as a function of the columns to multiply with."""
    block, X, Y = case(size)
    fused = FusedBlock(*SIZES[size][:3]).double()
    fused.load_state_dict(block.state_dict())
    routes = {}
    for layer_norm, module in (("plain", block), ("fused", fused)):
        loss, w = of_weights(module, X, Y)
        for derivative in (forward_over_reverse, double_backward):
            for chunk in CHUNKS:
                routes[derivative.__name__, layer_norm, chunk] = (
                    lambda columns, derivative=derivative, loss=loss, w=w, chunk=chunk: derivative(
                        loss, w, columns, chunk
                    )
                )
    return routes


def fastest(routes: dict[Any, Callable[[Tensor], Tensor]], P: int) -> tuple[Any, dict[str, float]]:
    """The route with the least seconds a column, and those of all."""
    units = torch.eye(P, dtype=torch.float64)
    seconds = {}
    for name, route in routes.items():
        columns = units[: max(TRIED_COLUMNS, name[-1])]
        seconds[name] = min(alternate({name: lambda r=route, c=columns: r(c)}, 1)[name]) / len(columns)
    best = min(seconds, key=lambda name: seconds[name])
    return best, {" ".join(map(str, name)): value for name, value in seconds.items()}


def compare(size: str, repeats: int, ours_repeats: int) -> dict[str, Any]:
    """Closed form, automatic and limit of one size."""
    block, X, Y = case(size)
    P, N = sum(parameter.numel() for parameter in block.parameters()), X.shape[0] * X.shape[1]
    routes = automatic_routes(size)
    best, by_route = fastest(routes, P)
    units = torch.eye(P, dtype=torch.float64)

    def closed() -> Tensor:
        return closed_form.hessian(block, X, Y).dense()

    exact, theirs = closed(), routes[best](units)
    error = float((exact - theirs).norm() / theirs.norm())
    assert error < 1e-12, error
    del exact, theirs
    seconds = alternate({"closed form": closed, "automatic": lambda: routes[best](units)}, repeats)
    vectors, out = torch.randn(P, N, dtype=torch.float64), torch.empty(P, P, dtype=torch.float64)
    near = alternate(
        {
            "closed form": closed,
            "product": lambda: torch.mm(vectors, vectors.mT, out=out),
            "write": lambda: torch.from_numpy(np.ones((P, P))),
        },
        ours_repeats,
    )
    limit = min(near["product"]) / 2 + min(near["write"])
    ours = min(*seconds["closed form"], *near["closed form"])
    return {
        "P": P,
        "tokens_in_all": N,
        "relative_error": error,
        "automatic_route": " ".join(map(str, best)),
        "times_faster": min(seconds["automatic"]) / ours,
        "times_faster_median": statistics.median(seconds["automatic"]) / statistics.median(seconds["closed form"]),
        "times_faster_target": SIZES[size][-1],
        "over_limit": ours / limit,
        "over_limit_target": 2.5,
        "seconds": {name: min(taken) for name, taken in near.items()} | {"automatic": min(seconds["automatic"])},
        "all_seconds": {"automatic": seconds["automatic"], "closed form": near["closed form"]},
        "seconds_a_column": by_route,
    }


def memory(size: str) -> float:
    """The peak of making a dense Hessian in a process of its own, in dense Hessians."""
    command = [sys.executable, __file__, "--memory", size]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak_of(size: str) -> float:
    """In this process, after everything was loaded and run once at a small size."""
    small = closed_form.TransformerBlock(4, 4, 4).double()
    closed_form.hessian(small, *torch.randn(2, 2, 3, 4, dtype=torch.float64)).dense()
    block, X, Y = case(size)
    before = peak_bytes()
    H = closed_form.hessian(block, X, Y).dense()
    return (peak_bytes() - before) / (H.numel() * H.element_size())


def main() -> None:
    """All sizes, one after the other."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="the smallest size only, and nothing is stored")
    arguments.add_argument("--memory", help="only make one dense Hessian of this size, and print the peak")
    asked = arguments.parse_args()
    if asked.memory:
        print(peak_of(asked.memory))
        return
    results: dict[str, Any] = {}
    for size in list(SIZES)[:1] if asked.quick else SIZES:
        samples = SIZES[size][4]
        results[size] = {"memory_in_dense_hessians": memory(size)} | compare(size, 5 if samples == 1 else 2, 9)
        print(size, json.dumps(results[size], indent=1), file=sys.stderr)
    if not asked.quick:
        save(Path(__file__).stem, results)


if __name__ == "__main__":
    main()
