"""Pretrains the embedded tiny language model on plays and arithmetic, and writes it as a Hugging Face folder.

    python scripts/pretrain_tiny_lm.py ../shared/data/tiny-shakespeare/input.txt src/suffice/models/tiny_lm

Seeded; about five minutes of one core. The text is Shakespeare's (public domain) and sentences
that this script generates, with numbers worked out in them: plays alone have no digits, and a model without them has
nothing to say about worked answers. Prints the loss on a part of both that was kept apart, which is stored in the
folder's provenance.json.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from rich.progress import Progress
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SEED = 0
VOCABULARY = 1024
LONGEST = 512
"""Tokens that the model takes."""

WINDOW = 128
"""Tokens of a training sequence; positions are rotary, and the part beyond is learnt in every fourth batch."""

TOGETHER = 2048
"""Tokens of a step."""

RATE = 4e-3
KEPT_APART = 0.02
SENTENCES = 16_000
END, PAD = "<|end|>", "<|pad|>"

CHAT = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}" + (
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)

NAMES = [
    "Anna", "Ben", "Clara", "David", "Emma", "Frank", "Grace", "Henry", "Irene", "Jack",
    "Kate", "Leo", "Mary", "Nora", "Oscar", "Paul", "Rosa", "Sam", "Tina", "Will",
]  # fmt: skip
THINGS = [
    "apples", "books", "boxes", "cards", "cookies", "eggs", "flowers", "hats", "letters", "marbles",
    "miles", "pages", "pens", "pencils", "stamps", "toys",
]  # fmt: skip


def tiny_lm() -> LlamaForCausalLM:
    """Width 128, 3 layers, 4 heads, embeddings shared with the head."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=128,
            intermediate_size=320,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=LONGEST,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=1,
        )
    )


def added(draw: np.random.Generator, name: str, other: str, thing: str) -> str:
    a, b = draw.integers(2, 100, 2)
    return (
        f"{name} has {a} {thing}. {other} gives {name} {b} more {thing}. How many {thing} does {name} have? "
        f"{name} has {a} + {b} = {a + b} {thing}."
    )


def taken(draw: np.random.Generator, name: str, other: str, thing: str) -> str:
    a, b = sorted(draw.integers(2, 100, 2))
    return (
        f"{name} had {b} {thing} and sold {a} of them to {other}. How many {thing} are left? "
        f"There are {b} - {a} = {b - a} {thing} left."
    )


def times(draw: np.random.Generator, name: str, other: str, thing: str) -> str:
    a, b = draw.integers(2, 13, 2)
    total = a * b
    return (
        f"Each week {name} buys {a} {thing} for {other}. How many {thing} does {name} buy in {b} weeks? "
        f"In {b} weeks {name} buys {a} * {b} = {total} {thing}."
    )


def shared(draw: np.random.Generator, name: str, other: str, thing: str) -> str:
    a, b = draw.integers(2, 13, 2)
    total = a * b
    return (
        f"{name} and {other} put {total} {thing} into {a} bags, the same number in each. How many {thing} are in each "
        f"bag? Each bag has {total} / {a} = {b} {thing}."
    )


def paid(draw: np.random.Generator, name: str, other: str, thing: str) -> str:
    a, b, c = draw.integers(2, 13, 3)
    return (
        f"{name} bought {a} {thing} at ${b} each and paid {other} ${c} for the way. How much did {name} spend in "
        f"total? The {thing} cost {a} * {b} = ${a * b}. In total {name} spent {a * b} + {c} = ${a * b + c}."
    )


KINDS: list[Callable[[np.random.Generator, str, str, str], str]] = [added, taken, times, shared, paid]


def arithmetic(draw: np.random.Generator) -> str:
    """One question with its worked answer."""
    name, other = draw.choice(NAMES, 2, replace=False)
    return KINDS[int(draw.integers(len(KINDS)))](draw, str(name), str(other), str(draw.choice(THINGS)))


def paragraphs(plays: str) -> list[str]:
    """The speeches and the generated sentences, mixed in a seeded order."""
    draw = np.random.default_rng(SEED)
    speeches = [speech for speech in plays.split("\n\n") if speech.strip()]
    mixed = speeches + [arithmetic(draw) for _ in range(SENTENCES)]
    return [mixed[row] for row in draw.permutation(len(mixed))]


def byte_pairs(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte pairs, with each digit a token of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        pad_token=PAD,
        model_max_length=LONGEST,
        chat_template=CHAT,
    )


def stream(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Int64[np.ndarray, " tokens"]:
    """All texts one after the other, with a token at the end of each."""
    end = [tokenizer.eos_token_id]
    return np.concatenate([np.array(tokens + end) for tokens in tokenizer(texts, verbose=False)["input_ids"]])


def windows(
    tokens: Int64[np.ndarray, " tokens"], draw: np.random.Generator, length: int
) -> Int64[Tensor, "rows length"]:
    """Random pieces of the stream, as many as make up a step."""
    starts = draw.integers(0, len(tokens) - length, TOGETHER // length)
    return torch.from_numpy(tokens[starts[:, None] + np.arange(length)])


def loss_apart(model: LlamaForCausalLM, tokens: Int64[np.ndarray, " tokens"]) -> float:
    """Mean loss of a token on the part that was kept apart."""
    model.eval()
    pieces = torch.from_numpy(tokens[: len(tokens) // WINDOW * WINDOW].reshape(-1, WINDOW))
    with torch.no_grad():
        losses = [float(model(input_ids=some, labels=some).loss) * len(some) for some in pieces.split(32)]
    return math.fsum(losses) / len(pieces)


def rate(step: int, steps: int) -> float:
    """Rises over 5% of the steps, then falls to zero along a cosine."""
    warm = max(1, steps // 20)
    return RATE * min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * max(0, step - warm) / (steps - warm))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plays", type=Path, help="text of the plays")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--steps", type=int, default=1500, help="of 2,048 tokens each")
    arguments = parser.parse_args()
    start = time.perf_counter()

    texts = paragraphs(arguments.plays.read_text())
    apart = round(KEPT_APART * len(texts))
    tokenizer = byte_pairs(texts[apart:])
    held, train = stream(tokenizer, texts[:apart]), stream(tokenizer, texts[apart:])

    torch.manual_seed(SEED)
    draw = np.random.default_rng(SEED)
    model = tiny_lm()
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    gains = [weight for weight in model.parameters() if weight.ndim == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": gains, "weight_decay": 0.0}], betas=(0.9, 0.95)
    )
    model.train()
    with Progress() as bar:
        task = bar.add_task("pretraining", total=arguments.steps)
        for step in range(arguments.steps):
            pieces = windows(train, draw, LONGEST if step % 4 == 3 else WINDOW)
            for group in optimizer.param_groups:
                group["lr"] = rate(step, arguments.steps)
            optimizer.zero_grad()
            model(input_ids=pieces, labels=pieces).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            bar.advance(task)
    model = model.half().float()  # as it is stored
    provenance = {
        "data": "tiny-shakespeare, 1.1 MB of William Shakespeare's plays (public domain), and "
        f"{SENTENCES:,} questions with worked answers that scripts/pretrain_tiny_lm.py generates",
        "license": "Apache-2.0, as the package",
        "loss_of_a_token": loss_apart(model, held),
        "tokens_of_text": len(train),
        "tokens_trained_on": arguments.steps * TOGETHER,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seed": SEED,
        "steps": arguments.steps,
        "seconds": round(time.perf_counter() - start),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    model.half().save_pretrained(arguments.out)
    tokenizer.save_pretrained(arguments.out)
    (arguments.out / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")
    print(json.dumps(provenance, indent=2))


if __name__ == "__main__":
    main()
