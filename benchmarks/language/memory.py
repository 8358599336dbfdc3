"""Peak memory of the losses of a language model with a large vocabulary, here and in a plain loop.

    PYTHONPATH=benchmarks python benchmarks/language/memory.py

Eight samples of 1,024 tokens, all of which count, and 50,000 tokens to choose from; a random Llama of two layers. Each
way runs in a process of its own, because a process does not give its peak back.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch
from environment import save
from transformers import LlamaConfig, LlamaForCausalLM

from suffice.models.language.losses import LanguageProblem, writer_of

VOCABULARY, LENGTH, TOGETHER = 50_000, 1024, 8


def peak() -> float:
    """Largest resident memory of this process so far, in GB."""
    status = Path(f"/proc/{psutil.Process().pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1e6


def measure(way: str) -> None:
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4
        )
    ).eval()
    ids = torch.randint(VOCABULARY, (TOGETHER, LENGTH))
    counts = torch.arange(LENGTH) > 0
    problem = LanguageProblem(
        model, [{"input_ids": row, "counts": counts} for row in ids], writer_of(model, 0, VOCABULARY)
    )
    with torch.no_grad():
        model(input_ids=ids[:1, :8])
    before, start = peak(), time.perf_counter()
    with torch.no_grad():
        if way == "plain":
            loss = float(model(input_ids=ids, labels=ids).loss)
        else:
            loss = float(problem.all_losses(TOGETHER).mean())
    print(json.dumps({"loss": loss, "gigabytes": round(peak() - before, 2), "seconds": time.perf_counter() - start}))


def main() -> None:
    if len(sys.argv) > 1:
        measure(sys.argv[1])
        return
    found = {}
    for way in ("chunks", "plain"):
        ran = subprocess.run([sys.executable, __file__, way], capture_output=True, text=True, check=True)
        found[way] = json.loads(ran.stdout.splitlines()[-1])
    save("language_memory", {"vocabulary": VOCABULARY, "tokens": LENGTH, "batch": TOGETHER, **found})


if __name__ == "__main__":
    main()
