"""Problems as studies make them, small, and the Jacobians of their outputs by plain reverse passes."""

import itertools

import torch
from torch import nn
from torch.utils.data import Dataset, TensorDataset
from transformers import (
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    BertConfig,
    Dinov2Config,
    ViTConfig,
)

from suffice import Problem
from suffice.models import adapted, split

SMALL = {"hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "num_labels": 3}
IMAGES = {"image_size": 16, "patch_size": 8}
CONFIGURATIONS = {
    "vit": ViTConfig(**SMALL, **IMAGES, intermediate_size=16),
    "dinov2": Dinov2Config(**SMALL, **IMAGES),
    "bert": BertConfig(**SMALL, intermediate_size=16, vocab_size=20, max_position_embeddings=16),
}
SAMPLES = 6


class Rows(Dataset):
    """The samples of a batch, one by one."""

    def __init__(self, batch):
        self.batch = batch

    def __len__(self):
        return len(self.batch["labels"])

    def __getitem__(self, row):
        return {name: value[row] for name, value in self.batch.items()}


def batch_of(kind):
    draw = torch.Generator().manual_seed(1)
    labels = torch.arange(SAMPLES) % 3
    if kind != "bert":
        return {"pixel_values": torch.randn(SAMPLES, 3, 16, 16, generator=draw).double(), "labels": labels}
    mask = (torch.arange(7) < 3 + torch.arange(SAMPLES)[:, None] % 5).long()  # one of them is full
    tokens = torch.randint(1, 20, (SAMPLES, 7), generator=draw) * mask
    return {"input_ids": tokens, "attention_mask": mask, "labels": labels}


def predict(model, batch):
    return model(**{name: value for name, value in batch.items() if name != "labels"}).logits


def transformer(kind, method):
    """A problem as a study makes it: of the whole model, or of the layers that move from features on."""
    library = AutoModelForSequenceClassification if kind == "bert" else AutoModelForImageClassification
    torch.manual_seed(0)
    model = adapted(library.from_config(CONFIGURATIONS[kind]).double().eval(), method)
    for parameter in model.parameters():  # no zeros, as B of LoRA has at first: their gradients would vanish
        parameter.data += 0.1 * torch.randn_like(parameter)
    batch = batch_of(kind)
    if method.startswith("lora"):
        return Problem(model, Rows(batch), predict=predict)
    parts = split(model, predict, batch)
    with torch.no_grad():
        features = parts.features(batch)
    return Problem(parts.rest, TensorDataset(features, batch["labels"]))


def mlp_problem(widths, samples, seed=0, loss="cross_entropy"):
    torch.manual_seed(seed)
    layers = [nn.Linear(*pair, dtype=torch.float64) for pair in itertools.pairwise(widths)]
    model = nn.Sequential(*[module for layer in layers for module in (layer, nn.Tanh())][:-1])
    x = torch.randn(samples, widths[0]).double()
    y = torch.randint(widths[-1], (samples,)) if loss == "cross_entropy" else torch.randn(samples, widths[-1]).double()
    return Problem(model, TensorDataset(x, y), loss)


def dense_jacobians(problem):
    """J_i of all samples, (k, K, P): all samples in one batch, and a reverse pass for each number that comes out."""
    outputs = problem.outputs(problem.batch(slice(None))).flatten(1)
    moving = list(problem.moving.values())
    rows = [
        torch.autograd.grad(output, moving, retain_graph=True, allow_unused=True, materialize_grads=True)
        for output in outputs.flatten()
    ]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows]).unflatten(0, outputs.shape)


def directions_of(problem):
    """A random direction within each moving parameter, by its name, and one of them all, named "all"."""
    draw = torch.Generator().manual_seed(5)
    change = {name: torch.randn(value.shape, generator=draw).to(value) for name, value in problem.moving.items()}
    still = {name: torch.zeros_like(value) for name, value in change.items()}
    return {"all": change} | {name: still | {name: value} for name, value in change.items()}


def central_differences(problem, direction, step=1e-5):
    """The derivative of each sample's loss along a direction: (l(w + h u) - l(w - h u)) / 2h."""
    center, sides = problem.center(), []
    for sign in (1, -1):
        moved = {name: center[name] + sign * step * direction[name] for name in center}
        with problem.measuring(), problem.at(moved):
            sides.append(problem.losses(problem.batch(slice(None))))
    return (sides[0] - sides[1]) / (2 * step)
