"""Layers with random weights, and the Hessians of their losses by automatic differentiation."""

from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace

import mpmath
import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call, grad, jacrev, jvp, vmap

from suffice.closed_form import Activation, BlockClassifier, Hessian, SampleHessians, SelfAttention, TransformerBlock
from suffice.closed_form import hessian as closed_form
from suffice.closed_form.losses import sample_losses

fewer = settings(max_examples=max(3, settings().max_examples // 2))
"""For tests that take long for every example."""

SINE = Activation(torch.sin, torch.cos, lambda x: -torch.sin(x))
ACTIVATIONS = ("gelu", "tanh", "relu", "identity", SINE)


def quartic(z, target):
    return ((z - target) ** 4).mean()


def coupled(z, target):
    """Convex, and every token meets every other."""
    return torch.cosh((z * target).sum() / 4) + (z - target).square().mean()


def wavy(z, target):
    """Neither convex nor apart."""
    return torch.sin((z * target).sum()) + (z.sum(0) ** 3).mean()


def linear(z, target):
    return (z * target).sum()


CONVEX = ("mse", "cross_entropy", quartic, coupled)
LOSSES = (*CONVEX, wavy, linear)


@dataclass
class Case:
    """A module with random weights, biases and scales, random samples for it, and a loss; in float64.

    It is made when first used, since nothing but hypothesis may draw while hypothesis does, and beartype would.
    """

    drawn: dict
    loss: object
    pool: str | None = None
    classes: int = 3
    samples: int = 2
    tokens: int = 3
    padded: bool = False
    seed: int = 0
    chosen: object = ...

    @cached_property
    def made(self) -> SimpleNamespace:
        module = (TransformerBlock if "hidden_width" in self.drawn else SelfAttention)(**self.drawn)
        module = (BlockClassifier(module, self.classes, self.pool) if self.pool else module).double()
        normal = Normal(self.seed)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                size = len(parameter) ** -0.5 if parameter.ndim == 2 else 0.5
                parameter.copy_(size * normal(*parameter.shape) + ("gamma" in name))
        inputs = normal(self.samples, self.tokens, self.drawn["width"])
        targets = normal(*(inputs.shape if self.pool is None else (self.samples, self.classes)))
        if self.loss == "cross_entropy":
            targets = (100 * targets[:, 0]).long() % self.classes
        drawn = normal(self.samples, self.tokens)
        mask = (drawn > 0) | (drawn == drawn.amax(1, keepdim=True)) if self.padded else torch.ones_like(drawn).bool()
        inputs, targets, mask = (tensor[self.chosen] for tensor in (inputs, targets, mask))
        return SimpleNamespace(module=module, inputs=inputs, targets=targets, mask=mask if self.padded else None)

    module = property(lambda self: self.made.module)
    inputs = property(lambda self: self.made.inputs)
    targets = property(lambda self: self.made.targets)
    mask = property(lambda self: self.made.mask)

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where each parameter is among all."""
        places, start = {}, 0
        for name, parameter in self.module.named_parameters():
            places[name] = slice(start, start := start + parameter.numel())
        return places

    @cached_property
    def weights(self) -> Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.module.parameters()])

    def hessian(self, **arguments) -> Hessian | SampleHessians:
        return closed_form(self.module, self.inputs, self.targets, self.loss, mask=self.mask, **arguments)

    def only(self, *samples) -> "Case":
        """The same with some of the samples, in this order."""
        return replace(self, chosen=list(samples))


class Normal:
    """Normal numbers from a seed, whatever else draws."""

    def __init__(self, seed):
        self.random = torch.Generator().manual_seed(seed)

    def __call__(self, *shape) -> Tensor:
        return torch.randn(*shape, generator=self.random, dtype=torch.float64)


@st.composite
def cases(draw, **fixed):
    """Every kind of module in every configuration that is not fixed."""

    def one_of(name, *values):
        return fixed[name] if name in fixed else draw(st.sampled_from(fixed.get(f"{name}_of", values)))

    loss = one_of("loss", *LOSSES)
    heads = draw(st.integers(1, 3))
    drawn = {
        "width": heads * draw(st.integers(1, 6 // heads)),
        "key_width": heads * draw(st.integers(1, 6 // heads)),
        "heads": heads,
        "attention": one_of("attention", "softmax", "linear"),
        "causal": one_of("causal", False, True),
        "query_key": one_of("query_key", "split", "merged"),
        "output_projection": one_of("output_projection", False, True),
        "attention_bias": one_of("attention_bias", False, True),
    }
    if one_of("block", True, True, True, False):
        drawn |= {
            "hidden_width": draw(st.integers(1, 6)),
            "norm": one_of("norm", "post", "pre", "none"),
            "activation": one_of("activation", *ACTIVATIONS),
            # with a small eps, two numbers become -1 and 1 and have next to no derivative: nothing left to compare
            "eps": one_of("eps", 1e-5, 0.1) if drawn["width"] > 2 else 0.1,
            "learnable_norm": one_of("learnable_norm", True, True, False),
        }
    return Case(
        drawn,
        loss,
        pool=one_of("pool", "mean", "first", *[None] * 3 * (loss != "cross_entropy")),
        classes=draw(st.integers(1, 4)),
        samples=draw(st.integers(1, 3)),
        tokens=draw(st.integers(1, 5)),
        padded=one_of("padded", False, True),
        seed=draw(st.integers(0, 2**32)),
    )


def outputs(case, weights) -> Tensor:
    named = dict(case.module.named_parameters())
    named = {name: weights[place].view(named[name].shape) for name, place in case.places.items()}
    return functional_call(case.module, named, (case.inputs, case.mask))


def sample_loss(case, sample, z) -> Tensor:
    """The loss of one sample's outputs, as the documentation says it."""
    target = case.targets[sample]
    if callable(case.loss):
        return case.loss(z, target)
    if case.loss == "cross_entropy":
        return z.logsumexp(0) - z[target]
    real = slice(None) if case.mask is None or case.pool else case.mask[sample].nonzero()[:, 0]
    return ((z - target)[real] ** 2).mean()


def mean_loss(case, weights) -> Tensor:
    z = outputs(case, weights)
    return sum(sample_loss(case, sample, z[sample]) for sample in range(len(z))) / len(z)


def train(case) -> None:
    """Adam on all samples, until a quarter of the loss is left."""
    optimizer = torch.optim.Adam(case.module.parameters(), lr=0.02)
    first = None
    for _ in range(400):
        loss = sample_losses(case.loss, case.module(case.inputs, case.mask), case.targets, case.mask).mean()
        first = loss.item() if first is None else first
        if loss.item() < first / 4:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    raise AssertionError(f"the loss only went from {first} to {loss.item()}")


def automatic(case) -> Tensor:
    """The Hessian by products with unit vectors, forward over reverse: right through every layer."""
    weights, gradient = case.weights, grad(lambda weights: mean_loss(case, weights))
    return vmap(lambda v: jvp(gradient, (weights,), (v,))[1])(torch.eye(len(weights)).double())


def by_differences(case, step=2e-4) -> Tensor:
    """The Hessian by central differences of the gradient, of fourth order."""
    weights, gradients = case.weights, vmap(grad(lambda weights: mean_loss(case, weights)))
    steps = step * torch.eye(len(weights)).double()
    near, far = (gradients(weights + k * steps) - gradients(weights - k * steps) for k in (1, 2))
    return (8 * near - far) / (12 * step)


def outer_part(case) -> Tensor:
    """J' (d2l/dz2) J with the Jacobian J of the outputs."""
    z, J = outputs(case, case.weights), jacrev(lambda weights: outputs(case, weights))(case.weights)

    def of_sample(sample):
        second = jacrev(jacrev(lambda flat: sample_loss(case, sample, flat.view(z.shape[1:]))))(z[sample].flatten())
        return J[sample].flatten(0, -2).mT @ second @ J[sample].flatten(0, -2)

    return sum(of_sample(sample) for sample in range(len(z))) / len(z)


def precise(case) -> Tensor:
    """The Hessian by differences of the loss with 100 digits; for a block with one head, softmax, tanh and MSE."""
    mpmath.mp.dps, step = 100, mpmath.mpf(10) ** -30
    exp, tanh, sqrt = (np.frompyfunc(function, 1, 1) for function in (mpmath.exp, mpmath.tanh, mpmath.sqrt))
    X, target, weights = (
        np.vectorize(mpmath.mpf, otypes=[object])(tensor) for tensor in (case.inputs, case.targets, case.weights)
    )
    shapes = {name: parameter.shape for name, parameter in case.module.named_parameters()}

    def loss(weights):
        w = {name: weights[place].reshape(shapes[name]) for name, place in case.places.items()}

        def normalize(x, number):
            centered = x - x.mean(-1, keepdims=True)
            s = sqrt((centered * centered).mean(-1, keepdims=True) + mpmath.mpf(case.drawn["eps"]))
            return centered / s * w[f"gamma_{number}"] + w[f"beta_{number}"]

        def attend(x):
            T = (x @ w["W_Q"]) @ (x @ w["W_K"]).swapaxes(1, 2) / mpmath.sqrt(case.drawn["key_width"])
            A = exp(T - T.max(-1, keepdims=True))
            return A / A.sum(-1, keepdims=True) @ x @ w["W_V"]

        def feed_forward(x):
            return tanh(x @ w["W_1"] + w["b_1"]) @ w["W_2"] + w["b_2"]

        if case.drawn["norm"] == "post":
            Y = normalize(X + attend(X), 1)
            Z = normalize(Y + feed_forward(Y), 2)
        else:
            R = X + attend(normalize(X, 1))
            Z = R + feed_forward(normalize(R, 2))
        return ((Z - target) ** 2).mean()

    steps = step * np.eye(len(weights), dtype=int)
    here, there = loss(weights), [loss(weights + one) for one in steps]
    H = torch.zeros(len(weights), len(weights), dtype=torch.float64)
    for i in range(len(weights)):
        for j in range(i + 1):
            both = loss(weights + steps[i] + steps[j])
            H[i, j] = H[j, i] = float((both - there[i] - there[j] + here) / step**2)
    return H


def error(found, expected) -> float:
    """The Frobenius norm of the difference, relative."""
    assert found.shape == expected.shape
    return float((found - expected).norm()) / size(expected)


def size(expected) -> float:
    """The Frobenius norm; or 0.1, where all is 0 but for rounding: weights, tokens and targets are of size 1."""
    return max(float(expected.norm()), 0.1)
