"""Writes docs/gallery.md: every committed figure, with the command that makes it and what it shows.

Commands and captions of an experiment's figures are those of its README. Run: python scripts/document_gallery.py
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "gallery.md"

INTRODUCTION = """# Gallery

Every figure of the repository, and the command that makes it. Each run also writes its figures as PDF, and a report in
which they can be explored. This page is written by `python scripts/document_gallery.py`.
"""

OF_THE_PAGES = {
    "forecast.png": (
        "Predicted test accuracy of a new head on a small Vision Transformer, from 300 handwritten digits",
        "suffice forecast builtin:tiny-vit builtin:digits --samples 300 --target-accuracy 0.82",
    ),
    "settling.png": (
        "How far the loss surface of a small Vision Transformer on digits still moves, against the number of samples",
        "suffice demo",
    ),
    "hessian.png": (
        "A block's Hessian, its outer-product part and its functional part after training",
        "suffice hessian --config experiments/vit-block/config.yaml --out runs/vit-block",
    ),
    "forecast_errors.png": (
        "Errors of the predicted gain by task and method",
        "python benchmarks/forecast/figure.py",
    ),
}

BY_QUESTION = {
    "What does training at every size give, and what did k\\* say?": (
        "vit-digits",
        "vit-fashion",
        "vit-fashion-classes",
        "text-movie",
        "check",
    ),
    "How far do more examples take a language model?": ("lm-gsm8k",),
    "Does the surface settle, and why?": ("settling", "mlp"),
    "What is the Hessian of a transformer block, and how good are bounds?": (
        "vit-block",
        "embedding-scale",
        "theory-to-size",
    ),
}
"""The experiments, as a reader asks."""

NOT_SHOWN = {
    "difference.png": "What one more sample changes at fixed weights",
    "figure_1_linear.png": "The change by one more sample, for a linear teacher",
    "gradients.png": "Norm of the gradient of L_k at w\\*_k and at w\\*_m",
    "minima.png": "How far L_k and L_m are apart at each other's minima",
    "moved.png": "How far the minimum moves as samples are added",
    "spectrum.png": "Spectrum of the Hessian along the training, with its outliers",
}
"""Captions of figures that a README leaves out."""


def document() -> str:
    return "\n".join([INTRODUCTION, *_of_the_pages(), *_of_the_experiments()])


def _of_the_pages() -> Iterator[str]:
    yield "## What the commands show\n"
    for name, (caption, command) in OF_THE_PAGES.items():
        yield f"```sh\n{command}\n```\n\n![{caption}]({name})\n\n{caption}.\n"


def _of_the_experiments() -> Iterator[str]:
    for question, names in BY_QUESTION.items():
        yield f"## {question}\n"
        for name in names:
            folder = ROOT / "experiments" / name
            page = (folder / "README.md").read_text()
            title = page.split("\n", 1)[0].removeprefix("# ")
            command = re.search(r"```sh\n(.*?)(?: {2,}#.*)?\n", page)[1]
            yield f"### [{title}](../experiments/{name}/README.md)\n\n```sh\n{command}\n```\n"
            captions = {file: caption for caption, file in re.findall(r"!\[(.*?)\]\((\w+\.png)\)", page)}
            for figure in sorted(folder.glob("*.png")):
                caption = captions.get(figure.name) or NOT_SHOWN[figure.name]
                yield f"![{caption}](../experiments/{name}/{figure.name})\n\n{caption}.\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
