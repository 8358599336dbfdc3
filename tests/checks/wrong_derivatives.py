"""Small problems whose losses are right and whose derivatives are not, beside those of `small_models`.

Each names the parameter that must be found.
"""

from typing import NamedTuple

import torch
from more_sound_models import Before
from small_models import CLASSES, SAMPLES, WIDTH, Build, drawn, labels, problem_of
from torch import nn
from torch.nn import functional
from torch.utils.data import TensorDataset

from suffice import Problem


class Wrong(NamedTuple):
    """A problem by dtype, its code, and what its message names."""

    build: Build
    code: str
    names: str


WRONG: dict[str, Wrong] = {}


def wrong(names, code="SUF007"):
    """Enters a function that makes a model into the table, under its name."""

    def enter(make):
        def build(dtype=torch.float64):
            torch.manual_seed(0)
            made = make()
            return made if isinstance(made, Problem) else problem_of(made, drawn(SAMPLES, WIDTH), dtype=dtype)

        WRONG[make.__name__] = Wrong(build, code, names)
        return make

    return enter


class Layer(nn.Linear):
    """A layer whose forward is a function of itself and its input."""

    def __init__(self, function):
        super().__init__(WIDTH, WIDTH)
        self.function = function

    def forward(self, x):
        return self.function(self, x)


def layer(function):
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), Layer(function), nn.Tanh(), nn.Linear(WIDTH, CLASSES))


@wrong("0 along 2.weight")
def detached_weight():
    return layer(lambda self, x: functional.linear(x, self.weight.detach(), self.bias))


@wrong("0 along 2.weight")
def data_of_the_weight():
    return layer(lambda self, x: functional.linear(x, self.weight.data, self.bias))


@wrong("0 along 2.bias")
def detached_bias_beside_large_weights():
    return layer(lambda self, x: functional.linear(x, self.weight, 1e-2 * self.bias.detach()))


@wrong("0 along 0.weight")
def detached_features():
    return layer(lambda self, x: functional.linear(x.detach(), self.weight, self.bias))


@wrong("along 2.weight")
def norm_taken_for_a_constant():
    return layer(lambda self, x: functional.linear(x, self.weight / self.weight.detach().norm(), self.bias))


@wrong("along 2.weight")
def straight_through_rounding():
    def rounded(weight):
        return weight + ((4 * weight).round() / 4 - weight).detach()

    return layer(lambda self, x: functional.linear(x, rounded(self.weight), self.bias))


@wrong("along 0.weight")
def reversed_gradient():
    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.clone()

        @staticmethod
        def backward(context, gradient):
            return -gradient

    return layer(lambda self, x: super(Layer, self).forward(Reverse.apply(x)))


@wrong("along first.weight")
def backward_that_is_off_by_a_tenth():
    class Tanh(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            context.save_for_backward(x.tanh())
            return x.tanh()

        @staticmethod
        def backward(context, gradient):
            (y,) = context.saved_tensors
            return 1.1 * gradient * (1 - y**2)

    return Before(Tanh.apply)


@wrong("along first.weight")
def clipped_gradient():
    """A hook on the activations."""

    def clipped(x):
        if x.requires_grad:
            x.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
        return x * 1.0

    return Before(clipped)


@wrong("along factor")
def number_taken_out_of_the_graph():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor, self.head = nn.Parameter(torch.tensor(1.5)), nn.Linear(WIDTH, CLASSES)

        def forward(self, x):
            return self.head(float(self.factor.detach()) * x)

    return Scaled()


@wrong("0 along first.weight")
def detour_over_numpy():
    return Before(lambda x: torch.from_numpy(x.detach().cpu().numpy() ** 3).to(x))


@wrong("0 along first.weight")
def inference_on_the_way():
    def function(x):
        with torch.no_grad():
            return x.tanh()

    return Before(function)


class Merging(nn.Linear):
    """A low-rank layer that adds B A to W at ``eval()``, and takes it back at ``train()``."""

    def __init__(self, inputs=WIDTH, outputs=WIDTH):
        super().__init__(inputs, outputs)
        self.weight.requires_grad_(False)
        self.a, self.b = nn.Parameter(torch.randn(2, inputs)), nn.Parameter(torch.randn(outputs, 2))
        self.merged = False

    def train(self, mode=True):
        if mode == self.merged:
            self.weight.data += (-1 if mode else 1) * self.b.data @ self.a.data
            self.merged = not mode
        return super().train(mode)

    def forward(self, x):
        out = super().forward(x)
        return out if self.merged else out + x @ self.a.T @ self.b.T


@wrong("0 along 0.a")
def weights_merged_in_evaluation_mode():
    return nn.Sequential(Merging(), nn.Tanh(), nn.Linear(WIDTH, CLASSES))


@wrong("first.weight and 1 more) does not change any output", "SUF005")
def weights_copied_into_a_list():
    class Listed(Before):
        def __init__(self):
            super().__init__(torch.tanh)
            self.copies = [self.first.weight.detach().double(), self.first.bias.detach().double()]

        def forward(self, x):
            return self.head(functional.linear(x.double(), *self.copies).to(x).tanh())

    return problem_of(Listed(), drawn(SAMPLES, WIDTH), parameters="first.*")


@wrong("gradient in first.weight", "SUF008")
def root_of_zero():
    """The norm of what is zero has no gradient; the loss is fine."""
    return Before(lambda x: torch.cat([x[:, 1:], (x - x.detach()).square().sum(1, keepdim=True).sqrt()], 1))


@wrong("frequencies is complex", "SUF009")
def complex_weights():
    from small_models import fourier  # noqa: PLC0415

    return fourier(torch.float64)


@wrong("along first.weight")
def factor_of_the_loss_taken_for_a_constant():
    def loss(outputs, batch):
        losses = functional.cross_entropy(outputs.double(), batch[1], reduction="none")
        return losses * (1 + outputs.detach().double().square().mean(1))

    dataset = TensorDataset(drawn(SAMPLES, WIDTH), labels())
    return Problem(Before(torch.tanh).double(), dataset, loss)


@wrong("Its row 0 is for padding and gets no gradient")
def token_for_padding_that_occurs():
    model = nn.Sequential(nn.Embedding(9, WIDTH, padding_idx=0), nn.Flatten(), nn.Linear(5 * WIDTH, CLASSES))
    model[0].weight.data[0] = 1.0
    x = torch.arange(SAMPLES * 5).reshape(SAMPLES, 5) % 9
    return problem_of(model, x)
