"""Sound problems beside those of `small_models`: each has something that a guard could take for a fault."""

import numpy as np
import torch
from small_models import (
    CLASSES,
    SAMPLES,
    TOKENS,
    WIDTH,
    Build,
    Pooled,
    drawn,
    kind_of,
    labels,
    moved,
    problem_of,
    tokens,
)
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset

from suffice import Problem

MORE_SOUND: dict[str, Build] = {}


class Before(nn.Module):
    """A function before a head."""

    def __init__(self, function, width=WIDTH):
        super().__init__()
        self.first, self.function, self.head = nn.Linear(WIDTH, width), function, nn.Linear(width, CLASSES)

    def forward(self, x):
        return self.head(self.function(self.first(x)))


def of(function, dtype, x=None):
    torch.manual_seed(0)
    return problem_of(Before(function), drawn(SAMPLES, WIDTH) if x is None else x, dtype=dtype)


@kind_of(MORE_SOUND)
def kink_at_the_weights(dtype=torch.float64):
    """Black images and biases of zero: units stand at the kink of ReLU, where the left and the right slope differ."""
    problem = of(torch.relu, dtype, drawn(SAMPLES, WIDTH) * torch.tensor([1.0, 1, 0, 0, 0, 0])[:, None])
    nn.init.zeros_(problem.model.first.bias)
    return problem


@kind_of(MORE_SOUND)
def dead_units(dtype=torch.float64):
    problem = of(torch.relu, dtype)
    problem.model.first.bias.data[:2] = -50
    return problem


@kind_of(MORE_SOUND)
def head_of_zeros(dtype=torch.float64):
    problem = of(torch.tanh, dtype)
    nn.init.zeros_(problem.model.head.weight)
    return problem


@kind_of(MORE_SOUND)
def ties_of_a_maximum(dtype=torch.float64):
    return of(lambda x: x.maximum(-x).sort(1).values, dtype)


@kind_of(MORE_SOUND)
def hard_choice(dtype=torch.float64):
    """Values are chosen by their size; the derivative is that of the chosen ones."""
    return of(lambda x: x * (x.detach() > x.detach().mean(1, keepdim=True)), dtype)


@kind_of(MORE_SOUND)
def absolute_error(dtype=torch.float64):
    torch.manual_seed(0)

    def loss(outputs, batch):
        return (outputs - batch[1]).abs().mean(1)

    return problem_of(nn.Linear(WIDTH, 2), drawn(SAMPLES, WIDTH), drawn(SAMPLES, 2, seed=2), dtype, loss=loss)


@kind_of(MORE_SOUND)
def losses_of_zero_and_one(dtype=torch.float64):
    """Their derivatives are zero wherever there are any."""
    torch.manual_seed(0)

    def loss(outputs, batch):
        return outputs.argmax(-1).ne(batch[1]).double() + 0 * outputs.sum(1)

    return problem_of(nn.Linear(WIDTH, CLASSES), drawn(SAMPLES, WIDTH), dtype=dtype, loss=loss)


@kind_of(MORE_SOUND)
def interpolated(dtype=torch.float64):
    """Losses of 1e-9 and less, from logits of hundreds: rounding is a large part of each."""
    torch.manual_seed(0)
    x = 300 * functional.one_hot(labels(), WIDTH).double() + drawn(SAMPLES, WIDTH)
    model = nn.Linear(WIDTH, CLASSES)
    model.weight.data = 0.05 * torch.eye(CLASSES, WIDTH) * torch.arange(1.0, CLASSES + 1)[:, None]
    return problem_of(model, x, dtype=dtype)


@kind_of(MORE_SOUND)
def huge_logits(dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Linear(WIDTH, CLASSES)
    model.weight.data *= 1e3
    return problem_of(model, drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(MORE_SOUND)
def parts_that_cancel(dtype=torch.float64):
    """The outputs are a small difference of large numbers."""
    return of(lambda x: (x + 1e3) - 1e3, dtype)


@kind_of(MORE_SOUND)
def softmax_in_float32(dtype=torch.float64):
    """As in attention of Hugging Face's models, whatever their dtype."""
    return of(lambda x: functional.softmax(3 * x, -1, dtype=torch.float32).to(x.dtype), dtype)


@kind_of(MORE_SOUND)
def spectral_norm(dtype=torch.float64):
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(WIDTH, 5))
    return problem_of(nn.Sequential(layer, nn.Tanh(), nn.Linear(5, CLASSES)), drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(MORE_SOUND)
def weight_norm(dtype=torch.float64):
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, 5))
    return problem_of(nn.Sequential(layer, nn.Tanh(), nn.Linear(5, CLASSES)), drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(MORE_SOUND)
def weights_made_in_forward(dtype=torch.float64):
    """Keeps a tensor that is not a leaf: such a model cannot be copied."""
    torch.manual_seed(0)

    class Made(nn.Module):
        def __init__(self):
            super().__init__()
            self.factor, self.base = nn.Parameter(torch.ones(5, 1)), nn.Parameter(torch.randn(5, WIDTH))
            self.head = nn.Linear(5, CLASSES)
            self.weight = self.factor * self.base

        def forward(self, x):
            self.weight = self.factor * self.base
            return self.head((x @ self.weight.T).tanh())

    return problem_of(Made(), drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(MORE_SOUND)
def frozen_and_moving(dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, 5), nn.Tanh(), nn.Linear(5, CLASSES))
    model[0].requires_grad_(False)
    return problem_of(model, drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(MORE_SOUND)
def moves_without_requiring_a_gradient(dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, 5), nn.Tanh(), nn.Linear(5, CLASSES)).requires_grad_(False)
    return problem_of(model, drawn(SAMPLES, WIDTH), dtype=dtype, parameters=["0.*"])


@kind_of(MORE_SOUND)
def biases_of_keys_alone(dtype=torch.float64):
    """Softmax does not change with them, but for rounding: all derivatives are zero."""
    from transformers import ViTConfig, ViTForImageClassification  # noqa: PLC0415

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    model = moved(ViTForImageClassification(ViTConfig(**sizes, image_size=16, patch_size=8, num_labels=CLASSES)))
    names = [name for name, _ in model.named_parameters() if name.endswith(("key.bias", "k_proj.bias"))]
    assert len(names) == 2
    dataset = TensorDataset(drawn(SAMPLES, 3, 16, 16), labels())

    def predict(model, batch):
        return model(batch[0].to(next(model.parameters()).dtype)).logits

    return Problem(model.to(dtype).eval(), dataset, predict=predict, parameters=names)


@kind_of(MORE_SOUND)
def counts_its_runs(dtype=torch.float64):
    """A buffer changes from run to run, and the losses do not."""

    class Counting(nn.Linear):
        def __init__(self):
            super().__init__(WIDTH, CLASSES)
            self.register_buffer("runs", torch.zeros(()))

        def forward(self, x):
            self.runs += 1
            return super().forward(x)

    torch.manual_seed(0)
    return problem_of(Counting(), drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(MORE_SOUND)
def dropout_in_training_only(dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, 5), nn.Dropout(0.5), nn.Linear(5, CLASSES))
    return problem_of(model, drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(MORE_SOUND)
def takes_no_single_sample(dtype=torch.float64):
    """``squeeze`` takes a dimension too many from a batch of one."""
    torch.manual_seed(0)

    def loss(outputs, batch):
        return (outputs - batch[1]).square()

    def predict(model, batch):
        return model(batch[0].to(dtype)).squeeze()

    dataset = TensorDataset(drawn(SAMPLES, WIDTH), drawn(SAMPLES, seed=2).to(dtype))
    return Problem(nn.Linear(WIDTH, 1).to(dtype), dataset, loss, predict)


class Sequences(Dataset):
    """Sequences of many lengths."""

    def __init__(self, count=40):
        draw = np.random.default_rng(0)
        self.rows = [torch.from_numpy(draw.integers(1, 9, size=1 + 5 * row % 12)) for row in range(count)]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        return self.rows[row], row % CLASSES


def masked(items):
    longest = max(len(row) for row, _ in items)
    rows = torch.stack([functional.pad(row, (0, longest - len(row))) for row, _ in items])
    return rows, rows > 0, torch.tensor([label for _, label in items])


class MeanOfTokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(9, WIDTH, padding_idx=0), nn.Linear(WIDTH, CLASSES)

    def forward(self, x, mask):
        vectors = self.embedding(x) * mask[:, :, None]
        return self.head((vectors.sum(1) / mask.sum(1, keepdim=True)).tanh())


@kind_of(MORE_SOUND)
def padding_that_is_masked(dtype=torch.float64):
    torch.manual_seed(0)

    def loss(outputs, batch):
        return functional.cross_entropy(outputs.double(), batch[2], reduction="none")

    model = MeanOfTokens().to(dtype)
    return Problem(model, Sequences(), loss, lambda model, batch: model(*batch[:2]), collate=masked)


@kind_of(MORE_SOUND)
def causal_transformer(dtype=torch.float64):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 6, batch_first=True, dropout=0.3)
    mask = nn.Transformer.generate_square_subsequent_mask(TOKENS)

    class Causal(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = moved(layer)
            self.register_buffer("mask", mask)

        def forward(self, x):
            return self.layer(x, src_mask=self.mask, is_causal=True)

    return problem_of(Pooled(Causal()), drawn(SAMPLES, TOKENS, WIDTH), dtype=dtype)


@kind_of(MORE_SOUND)
def group_norm(dtype=torch.float64):
    torch.manual_seed(0)
    layers = nn.Conv2d(1, WIDTH, 3), nn.GroupNorm(2, WIDTH), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3)
    return problem_of(nn.Sequential(*layers), drawn(SAMPLES, 1, 5, 5), dtype=dtype)


@kind_of(MORE_SOUND)
def bag_of_tokens(dtype=torch.float64):
    torch.manual_seed(0)
    model = nn.Sequential(nn.EmbeddingBag(9, WIDTH, sparse=True, mode="sum"), nn.Linear(WIDTH, CLASSES))
    return problem_of(model, tokens(9), dtype=dtype)
