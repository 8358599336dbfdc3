"""Small problems whose losses are not functions of sample and weights alone, one for each way that this comes about.

Each is listed with the code that it gets and with what the message must name.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from small_models import CLASSES, SAMPLES, WIDTH, drawn, labels
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset

from suffice import Problem

COUNT = 40
"""Samples of the problems with lengths of their own: more than the guards look at."""


class Faulty(NamedTuple):
    """A problem by dtype, its code, and what its message names."""

    build: Callable[[torch.dtype], Problem]
    code: str
    names: str


FAULTY: dict[str, Faulty] = {}


def faulty(code, names):
    """Enters a function that makes a model into the table, under its name."""

    def enter(make):
        def build(dtype=torch.float32):
            torch.manual_seed(0)
            made = make()
            if isinstance(made, Problem):
                made.model.to(dtype).eval()
                return made
            model, *data = made if isinstance(made, tuple) else (made,)
            x = data[0] if data else drawn(SAMPLES, WIDTH)
            return Problem(model.to(dtype).eval(), TensorDataset(x, labels()), order="source")

        FAULTY[make.__name__] = Faulty(build, code, names)
        return make

    return enter


class Around(nn.Module):
    """Two layers with something of one's own between them."""

    def __init__(self, between):
        super().__init__()
        self.first, self.between, self.last = nn.Linear(WIDTH, 8), between, nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.last(self.between(self.first(x).tanh()))


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


# random, or with a memory


class FunctionalDropout(nn.Module):
    def forward(self, x):
        return functional.dropout(x, 0.1)


@faulty("SUF001", "between (FunctionalDropout) draws random numbers")
def functional_dropout():
    return Around(FunctionalDropout())


class DropoutInForward(Around):
    def forward(self, x):
        return self.last(functional.dropout(self.first(x).tanh(), 0.2))


@faulty("SUF001", "the forward of the model itself (DropoutInForward) draws random numbers")
def dropout_in_the_forward_of_the_model():
    return DropoutInForward(None)


class StaysInTraining(nn.Dropout):
    def train(self, mode=True):
        return super().train(True)


@faulty("SUF001", "module between (StaysInTraining) stays in training mode")
def dropout_that_cannot_be_turned_off():
    return Around(StaysInTraining(0.3))


@faulty("SUF001", "module between (RReLU) stays in training mode")
def randomised_relu_in_training_mode():
    model = Around(nn.RReLU(0.1, 0.9))
    model.between.train = lambda mode=True: model.between
    return model


class RareDrop(nn.Module):
    """Leaves a whole layer out, once in four runs."""

    def forward(self, x):
        return x if torch.rand(()) > 1 / 4 else torch.zeros_like(x)


@faulty("SUF001", "changes from run to run")
def layer_that_is_rarely_left_out():
    return Around(RareDrop())


@faulty("SUF001", "module between (Of) draws random numbers")
def noise_on_the_activations():
    return Around(Of(lambda x: x + 0.01 * torch.randn_like(x)))


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, x):
        self.runs += 1
        return x * (1 + 0.01 * self.runs)


@faulty("SUF001", "between (Counts) keeps something from run to run")
def buffer_that_counts_runs():
    return Around(Counts())


class RunningMean(nn.Module):
    """Moves its mean in evaluation mode too."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))

    def forward(self, x):
        self.mean.lerp_(x.mean(0).detach(), 0.1)
        return x - self.mean


@faulty("SUF001", "between (RunningMean) keeps something from run to run")
def running_mean_that_moves_in_evaluation():
    return Around(RunningMean())


@faulty("SUF001", "the prediction or the loss around the model")
def random_prediction():
    def predict(model, batch):
        x = batch[0].to(next(model.parameters()).dtype)
        return functional.dropout(model(x), 0.5)

    return Problem(
        nn.Linear(WIDTH, CLASSES), TensorDataset(drawn(SAMPLES, WIDTH), labels()), predict=predict, order="source"
    )


# other samples


@faulty("SUF002", "module between (BatchNorm1d) uses batch statistics")
def batch_normalisation_without_statistics():
    return Around(nn.BatchNorm1d(8, track_running_stats=False))


@faulty("SUF002", "module between (BatchNorm1d) stays in training mode")
def batch_normalisation_that_stays_in_training():
    model = Around(nn.BatchNorm1d(8, momentum=0.0))
    model.between.train = lambda mode=True: model.between
    return model


@faulty("SUF002", "module between (BatchNorm2d) uses batch statistics")
def images_with_batch_statistics():
    layers = {"conv": nn.Conv2d(1, 4, 3), "between": nn.BatchNorm2d(4, track_running_stats=False)}
    layers |= {"act": nn.ReLU(), "flat": nn.Flatten(), "last": nn.Linear(36, CLASSES)}
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model, drawn(SAMPLES, 1, 5, 5)


@faulty("SUF002", "module between (Of) looks at the whole batch")
def mean_over_the_batch():
    return Around(Of(lambda x: x - x.mean(0)))


@faulty("SUF002", "module between (Of) looks at the whole batch")
def scale_of_the_largest_in_the_batch():
    def quantised(x):
        scale = x.abs().max() / 7
        return (x / scale).round() * scale

    return Around(Of(quantised))


@faulty("SUF002", "module between (Of) looks at the whole batch")
def attention_over_the_batch():
    return Around(Of(lambda x: (x @ x.T / 8).softmax(-1) @ x))


@faulty("SUF002", "module between (Of) looks at the whole batch")
def neighbours_in_the_batch():
    """A shift as in temporal models, but over the wrong dimension."""
    return Around(Of(lambda x: torch.cat([x[:, :4], x.roll(1, 0)[:, 4:]], 1)))


class Capacity(nn.Module):
    """Experts that take half a batch each at most; what comes too late is passed on as it is."""

    def __init__(self):
        super().__init__()
        self.router, self.experts = nn.Linear(8, 2), nn.ModuleList(nn.Linear(8, 8) for _ in range(2))

    def forward(self, x):
        chosen, out = self.router(x).argmax(-1), x.clone()
        for number, expert in enumerate(self.experts):
            rows = (chosen == number).nonzero()[: max(1, len(x) // 4), 0]
            out[rows] = expert(x[rows])
        return out


@faulty("SUF002", "module between (Capacity) looks at the whole batch")
def experts_with_a_capacity():
    return Around(Capacity())


@faulty("SUF002", "the prediction or the loss around the model")
def loss_relative_to_the_batch():
    def loss(outputs, batch):
        losses = functional.cross_entropy(outputs.double(), batch[1], reduction="none")
        return losses / losses.max()

    return Problem(nn.Linear(WIDTH, CLASSES), TensorDataset(drawn(SAMPLES, WIDTH), labels()), loss, order="source")


@faulty("SUF002", "the collate function looks at the whole batch")
def collation_that_centres_the_batch():
    def collate(items):
        x = torch.stack([x for x, _ in items])
        return x - x.mean(0), torch.stack([y for _, y in items])

    dataset = TensorDataset(drawn(SAMPLES, WIDTH), labels())
    return Problem(nn.Linear(WIDTH, CLASSES), dataset, collate=collate, order="source")


# padding


class Texts(Dataset):
    """Token sequences; only one in the middle of the first samples is short."""

    def __init__(self, short=17):
        draw = torch.Generator().manual_seed(0)
        self.rows = [torch.randint(1, 9, (3 if row == short else 7,), generator=draw) for row in range(COUNT)]

    def __len__(self):
        return COUNT

    def __getitem__(self, row):
        return self.rows[row], row % CLASSES


def padded_right(items):
    longest = max(len(row) for row, _ in items)
    rows = [functional.pad(row, (0, longest - len(row))) for row, _ in items]
    return torch.stack(rows), torch.tensor([y for _, y in items])


def padded_left(items):
    longest = max(len(row) for row, _ in items)
    rows = [functional.pad(row, (longest - len(row), 0)) for row, _ in items]
    return torch.stack(rows), torch.tensor([y for _, y in items])


def of_texts(body, collate=padded_right):
    model = nn.Sequential()
    model.add_module("embedding", nn.Embedding(9, WIDTH))
    model.add_module("body", body)
    model.add_module("head", nn.Linear(WIDTH, CLASSES))
    return Problem(model, Texts(), collate=collate, order="source")


@faulty("SUF003", "module body (Of) sees it")
def mean_over_padding():
    return of_texts(Of(lambda x: x.mean(1)))


@faulty("SUF003", "module body (Of) sees it")
def last_position():
    return of_texts(Of(lambda x: x[:, -1]))


@faulty("SUF003", "module body (Of) sees it")
def first_position_with_padding_on_the_left():
    return of_texts(Of(lambda x: x[:, 0]), padded_left)


@faulty("SUF003", "module body.0 (Of) sees it")
def fourier_transform_over_padding():
    return of_texts(nn.Sequential(Of(lambda x: torch.fft.fft(x, dim=1).real), Of(lambda x: x[:, 0])))


@faulty("SUF003", "sees it")
def attention_without_a_mask():
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 8, batch_first=True)
    return of_texts(nn.Sequential(layer, Of(lambda x: x[:, 0])))


@faulty("SUF002", "module body.0 (Of) looks at the whole batch")
def texts_with_a_mean_over_the_batch():
    """Lengths differ here too, and are not what makes the losses differ."""
    return of_texts(nn.Sequential(Of(lambda x: x - x.mean((0, 1))), Of(lambda x: x[:, 0])))


# the data set


class Augmented(Dataset):
    """Each reading shifts the sample anew."""

    def __len__(self):
        return SAMPLES

    def __getitem__(self, row):
        return drawn(SAMPLES, WIDTH)[row] + 0.1 * torch.randn(WIDTH), int(labels()[row])


@faulty("SUF004", "data set row 0")
def random_augmentation():
    return Problem(nn.Linear(WIDTH, CLASSES), Augmented(), order="source")
