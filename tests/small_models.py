"""Small problems, one function for each kind of model: what must hold of any model is tested on all of them.

Each builds its problem anew, from a seed of its own, and takes the dtype of the model. Parameters that are zero at
first are moved away from there, unless the zeros are the point: a gradient that vanishes would test nothing.
"""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import Dataset, TensorDataset

from suffice import Problem

SAMPLES, CLASSES, WIDTH, TOKENS = 6, 3, 4, 5

Build = Callable[..., Problem]

SOUND: dict[str, Build] = {}
"""Models whose losses and derivatives suffice must get right."""

FEW = {"norm_mlp", "regression", "transformer_layer", "vit", "lora_at_start", "lstm", "sparse_embedding", "experts"}
"""Kinds that stand for the others in the quick profile, where each of them takes long."""

WRONG_GRADIENT: dict[str, Build] = {}
"""Models for which autograd fails, or gives another number than finite differences; losses and training work."""


def few_of(kinds: Iterable[str]) -> list[Any]:
    """All these kinds, sorted, as parameters of a test: those that are not among the `FEW` in the deep profile only."""
    return [kind if kind in FEW else pytest.param(kind, marks=pytest.mark.deep) for kind in sorted(kinds)]


def kind_of(table: dict[str, Build]) -> Callable[[Build], Build]:
    """Enters a function into a table, under its name."""

    def enter(build: Build) -> Build:
        table[build.__name__] = build
        return build

    return enter


class Items(Dataset):
    """The samples of a batch of named tensors, one by one."""

    def __init__(self, **batch):
        self.batch = batch

    def __len__(self):
        return len(self.batch["labels"])

    def __getitem__(self, row):
        return {name: value[row] for name, value in self.batch.items()}


def drawn(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def labels():
    return torch.arange(SAMPLES) % CLASSES


def tokens(vocabulary):
    return torch.randint(1, vocabulary, (SAMPLES, TOKENS), generator=torch.Generator().manual_seed(1))


def problem_of(model, x, y=None, dtype=torch.float64, **arguments):
    """The model in evaluation mode and in a dtype, its buffers too, on pairs (x, y)."""
    return Problem(model.to(dtype).eval(), TensorDataset(x, labels() if y is None else y), **arguments)


def moved(model, size=0.2):
    """The model with all its parameters moved a little."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=size)
    return model


class Pooled(nn.Module):
    """Runs layers over sequences, and a head over the mean of what comes out."""

    def __init__(self, body, head=None):
        super().__init__()
        self.body = body
        self.head = nn.Linear(WIDTH, CLASSES) if head is None else head

    def forward(self, x):
        out = self.body(x)
        return self.head((out[0] if isinstance(out, tuple) else out).mean(1))


@kind_of(SOUND)
def linear(dtype=torch.float64):
    torch.manual_seed(0)
    return problem_of(nn.Linear(WIDTH, CLASSES), drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(SOUND)
def norm_mlp(dtype=torch.float64):
    """An MLP with LayerNorm."""
    torch.manual_seed(0)
    layers = nn.Linear(WIDTH, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, CLASSES)
    return problem_of(moved(nn.Sequential(*layers)), drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(SOUND)
def regression(dtype=torch.float64):
    """Outputs of two dimensions, and a squared error."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, 5), nn.Tanh(), nn.Linear(5, 6), nn.Unflatten(1, (2, 3)))
    return problem_of(model, drawn(SAMPLES, WIDTH), drawn(SAMPLES, 2, 3, seed=2), dtype, loss="mse")


@kind_of(SOUND)
def own_loss(dtype=torch.float64):
    """A loss of the user's own, and outputs that are not a tensor."""
    torch.manual_seed(0)

    def loss(outputs, batch):
        return (outputs["mean"][:, 0] - batch[0][:, 0]).square() * outputs["scale"].exp() - outputs["scale"]

    def predict(model, batch):
        outputs = model(batch[0].to(dtype))
        return {"mean": outputs[:, :2], "scale": outputs[:, 2]}

    return problem_of(nn.Linear(WIDTH, 3), drawn(SAMPLES, WIDTH), dtype=dtype, loss=loss, predict=predict)


@kind_of(SOUND)
def transformer_layer(dtype=torch.float64):
    """PyTorch's own layer, which has a fast path without derivatives."""
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 6, batch_first=True)
    return problem_of(Pooled(moved(layer)), drawn(SAMPLES, TOKENS, WIDTH), dtype=dtype)


def hugging_face(library, config, method, dtype, **batch):
    import transformers  # noqa: PLC0415

    from suffice.models import adapted  # noqa: PLC0415

    torch.manual_seed(0)
    model = getattr(transformers, library).from_config(config, attn_implementation="sdpa")
    return Problem(adapted(moved(model, 0.1).to(dtype).eval(), method), Items(**batch, labels=labels()))


SMALL = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "num_labels": CLASSES}
IMAGES = {"image_size": 16, "patch_size": 8}


def image_classifier(config, method, dtype):
    pixels = drawn(SAMPLES, 3, 16, 16)
    return hugging_face("AutoModelForImageClassification", config, method, dtype, pixel_values=pixels)


@kind_of(SOUND)
def vit(dtype=torch.float64):
    """A Hugging Face model whose attention is torch's fused one."""
    from transformers import ViTConfig  # noqa: PLC0415

    return image_classifier(ViTConfig(**SMALL, **IMAGES, intermediate_size=16), "full", dtype)


@kind_of(SOUND)
def dinov2(dtype=torch.float64):
    """Forward leaves the parameter ``embeddings.mask_token`` out."""
    from transformers import Dinov2Config  # noqa: PLC0415

    return image_classifier(Dinov2Config(**SMALL, **IMAGES), "full", dtype)


@kind_of(SOUND)
def lora_at_start(dtype=torch.float64):
    """B = 0, so that the gradients of A vanish."""
    from transformers import ViTConfig  # noqa: PLC0415

    return image_classifier(ViTConfig(**SMALL, **IMAGES, intermediate_size=16), "lora(2)", dtype)


@kind_of(SOUND)
def bert(dtype=torch.float64):
    """Texts of several lengths with a 2-D mask; tokens that do not occur, and keys' biases, have zero gradients."""
    from transformers import BertConfig  # noqa: PLC0415

    config = BertConfig(**SMALL, intermediate_size=16, vocab_size=20, max_position_embeddings=16)
    mask = (torch.arange(TOKENS) < 2 + torch.arange(SAMPLES)[:, None] % 4).long()  # two of them are full
    texts = {"input_ids": tokens(20) * mask, "attention_mask": mask}
    return hugging_face("AutoModelForSequenceClassification", config, "full", dtype, **texts)


@kind_of(SOUND)
def lstm(dtype=torch.float64):
    torch.manual_seed(0)
    body = nn.LSTM(3, WIDTH, num_layers=2, batch_first=True)
    return problem_of(Pooled(body), drawn(SAMPLES, TOKENS, 3), dtype=dtype)


@kind_of(SOUND)
def gru(dtype=torch.float64):
    torch.manual_seed(0)
    return problem_of(Pooled(nn.GRU(3, WIDTH, batch_first=True)), drawn(SAMPLES, TOKENS, 3), dtype=dtype)


@kind_of(SOUND)
def convolution(dtype=torch.float64):
    """With batch normalisation, whose running statistics are not those of a new module."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(WIDTH)
    norm.running_mean.uniform_(-0.5, 0.5)
    norm.running_var.uniform_(0.5, 2.0)
    layers = nn.Conv2d(1, WIDTH, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(WIDTH * 9, CLASSES)
    return problem_of(nn.Sequential(*layers), drawn(SAMPLES, 1, 5, 5), dtype=dtype)


@kind_of(SOUND)
def sparse_embedding(dtype=torch.float64):
    """Gradients of an embedding as sparse tensors; some of its rows do not occur."""
    torch.manual_seed(0)
    return problem_of(Pooled(nn.Embedding(9, WIDTH, sparse=True)), tokens(7), dtype=dtype)


class Tied(nn.Module):
    """An embedding whose weights are those of the head too, as in language models."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, WIDTH)
        self.head = nn.Linear(WIDTH, 9, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x):
        return self.head(self.embedding(x).mean(1).tanh())


@kind_of(SOUND)
def tied_weights(dtype=torch.float64):
    torch.manual_seed(0)
    return problem_of(Tied(), tokens(9), dtype=dtype)


class Spare(nn.Module):
    """A layer that forward leaves out, between two that it does not."""

    def __init__(self):
        super().__init__()
        self.first, self.spare, self.last = nn.Linear(WIDTH, 5), nn.Linear(5, 5), nn.Linear(5, CLASSES)

    def forward(self, x):
        return self.last(self.first(x).tanh())


@kind_of(SOUND)
def spare_layer(dtype=torch.float64):
    torch.manual_seed(0)
    return problem_of(Spare(), drawn(SAMPLES, WIDTH), dtype=dtype)


class Fourier(nn.Module):
    """Complex weights on the frequencies of a sequence."""

    def __init__(self, dtype):
        super().__init__()
        numbers = torch.promote_types(dtype, torch.complex64)
        self.frequencies = nn.Parameter(torch.randn(TOKENS // 2 + 1, WIDTH, dtype=torch.complex128).to(numbers))
        self.head = nn.Linear(WIDTH, CLASSES).to(dtype)

    def forward(self, x):
        mixed = torch.fft.irfft(torch.fft.rfft(x, dim=1) * self.frequencies, n=TOKENS, dim=1)
        return self.head(mixed.tanh().mean(1))


def fourier(dtype=torch.float64, **arguments):
    """Not in a table: its complex weights move, unless the arguments say otherwise, and have losses only."""
    torch.manual_seed(0)
    dataset = TensorDataset(drawn(SAMPLES, TOKENS, WIDTH).to(dtype), labels())
    model = Fourier(dtype).eval()  # `to` would drop the imaginary parts
    return Problem(model, dataset, predict=lambda model, batch: model(batch[0]), **arguments)


@kind_of(SOUND)
def still_complex_layer(dtype=torch.float64):
    return fourier(dtype, parameters="head.*")


class Causal(nn.Module):
    """Attention under a mask of minus infinities, which is a buffer."""

    def __init__(self):
        super().__init__()
        self.queries, self.values = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.register_buffer("mask", torch.full((TOKENS, TOKENS), -torch.inf).triu(1))

    def forward(self, x):
        return (self.queries(x) @ x.mT + self.mask).softmax(-1) @ self.values(x)


@kind_of(SOUND)
def infinite_buffer(dtype=torch.float64):
    torch.manual_seed(0)
    return problem_of(Pooled(Causal()), drawn(SAMPLES, TOKENS, WIDTH), dtype=dtype)


class Checkpointed(nn.Module):
    """A layer that is run again in the reverse pass, to save memory."""

    def __init__(self, use_reentrant):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(WIDTH, 5), nn.Linear(5, 5), nn.Linear(5, CLASSES)
        self.use_reentrant = use_reentrant

    def forward(self, x):
        middle = checkpoint(lambda x: self.inner(x).tanh(), self.first(x), use_reentrant=self.use_reentrant)
        return self.last(middle)


@kind_of(SOUND)
def checkpointed(dtype=torch.float64):
    torch.manual_seed(0)
    return problem_of(Checkpointed(use_reentrant=False), drawn(SAMPLES, WIDTH), dtype=dtype)


class Remembering(nn.Linear):
    """Keeps something that is not a tensor in its ``state_dict``."""

    def get_extra_state(self):
        return {"made by": "hand"}

    def set_extra_state(self, state):
        assert state == {"made by": "hand"}


@kind_of(SOUND)
def extra_state(dtype=torch.float64):
    torch.manual_seed(0)
    return problem_of(nn.Sequential(Remembering(WIDTH, CLASSES)), drawn(SAMPLES, WIDTH), dtype=dtype)


class Experts(nn.Module):
    """Each sample goes to one of four experts, by the router's scores; some experts get none."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(WIDTH, 4)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, CLASSES) for _ in range(4))
        self.router.bias.data = torch.tensor([0.0, -9.0, 0.5, -9.0])

    def forward(self, x):
        weights = self.router(x).softmax(-1)
        chosen = weights.argmax(-1)
        outputs = x.new_zeros(len(x), CLASSES)
        for number in chosen.unique().tolist():
            rows = (chosen == number).nonzero()[:, 0]
            outputs = outputs.index_add(0, rows, weights[rows, number, None] * self.experts[number](x[rows]))
        return outputs


@kind_of(SOUND)
def experts(dtype=torch.float64):
    torch.manual_seed(0)
    return problem_of(Experts(), drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(WRONG_GRADIENT)
def reentrant_checkpoint(dtype=torch.float64):
    """torch.autograd.grad refuses it; torch.func gives zeros for the layer inside, and for all before it."""
    torch.manual_seed(0)
    return problem_of(Checkpointed(use_reentrant=True), drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(WRONG_GRADIENT)
def reentrant_checkpoint_of_a_frozen_input(dtype=torch.float64):
    """torch.autograd.grad gives no gradient for the layer inside, and no error."""
    torch.manual_seed(0)
    model = Checkpointed(use_reentrant=True)
    model.first.requires_grad_(False)
    return problem_of(model, drawn(SAMPLES, WIDTH), dtype=dtype)


class Frozen(nn.Module):
    """A backbone whose forward records nothing, whatever is said to move."""

    def __init__(self):
        super().__init__()
        self.backbone, self.head = nn.Linear(WIDTH, 5), nn.Linear(5, CLASSES)

    def forward(self, x):
        with torch.no_grad():
            features = self.backbone(x).tanh()
        return self.head(features)


@kind_of(WRONG_GRADIENT)
def backbone_without_gradients(dtype=torch.float64):
    torch.manual_seed(0)
    return problem_of(Frozen(), drawn(SAMPLES, WIDTH), dtype=dtype)


@kind_of(WRONG_GRADIENT)
def dora(dtype=torch.float64):
    """PEFT's: the norm of the weights is taken for a constant."""
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, 5), nn.Tanh(), nn.Linear(5, CLASSES))
    model = get_peft_model(model, LoraConfig(r=2, target_modules=["0"], use_dora=True))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_()
    return problem_of(model, drawn(SAMPLES, WIDTH), dtype=dtype)
