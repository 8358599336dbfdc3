"""A tiny language model and samples for it, which trainers of all kinds are tested with."""

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

SAMPLES, HELD = 24, 5


def drawn(count, seed):
    draw = np.random.default_rng(seed)
    samples = []
    for _ in range(count):
        ids = draw.integers(2, 40, int(draw.integers(4, 9))).tolist()
        samples.append({"input_ids": ids, "labels": [-100, -100, *ids[2:]]})
    return samples


def together(items):
    longest = max(len(item["input_ids"]) for item in items)
    pad = {"input_ids": 1, "labels": -100, "attention_mask": 0}
    rows = [{**item, "attention_mask": [1] * len(item["input_ids"])} for item in items]
    return {
        name: torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in rows])
        for name, value in pad.items()
    }


def model(**settings):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=40, **sizes, **settings))


def losses_of(some_model, samples):
    some_model.eval()
    with torch.no_grad():
        return [
            float(some_model(**{name: torch.tensor([value]) for name, value in sample.items()}).loss)
            for sample in samples
        ]
