"""Data sets on which nothing of the forecast was made: tables of others, and embeddings of texts and images of others.

They are split by data set into three parts, what comes from one source in the same part: `TUNING` to fit coefficients,
`DEVELOPMENT` to choose between forms, `HELD_OUT` to be looked at once, at the end. Classes with fewer than `FEWEST`
samples are left out: single ones of anneal, ecoli, nursery and soybean. The digits of scikit-learn are not here, as
they are a part of optdigits; that one is tuned on, as the project's own digits are.
"""

import inspect
import json
import pkgutil
import re
import unicodedata
import warnings
import zoneinfo
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64, Int64
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont
from sklearn import datasets
from transformers import AutoModel, AutoTokenizer

Part = Literal["tuning", "development", "held out"]
TUNING, DEVELOPMENT, HELD_OUT = PARTS = ("tuning", "development", "held out")

SEED = 17
"""Of the split."""

FEWEST = 10
"""Samples of a class that is kept."""

MOST = 2500
"""Texts or images that are embedded for a data set."""

SIDE, BATCH = 42, 64
"""Pixels of a side of an embedded image, three of DINOv2's patches, and how many are embedded at a time."""


@dataclass(frozen=True)
class OutsideTask:
    """Samples to draw pilots, trainings and test parts from.

    Attributes:
        name: of the data set.
        source: data sets of one source are in the same part.
        features: with an intercept column.
        labels: 0 to K - 1.
    """

    name: str
    source: str
    features: Float64[np.ndarray, "samples columns"]
    labels: Int64[np.ndarray, " samples"]

    @property
    def classes(self) -> int:
        """K."""
        return int(self.labels.max()) + 1


Made = tuple[Any, Any]
"""Features and labels as they come."""

SAME_SOURCE = {
    "breast_w": "Wisconsin breast cancer",
    "sklearn breast cancer": "Wisconsin breast cancer",
    "car": "hierarchies of DEX",
    "nursery": "hierarchies of DEX",
    "credit_a": "Quinlan",
    "sick": "Quinlan",
}
"""The others are each a source of their own."""


def makers(shared: Path) -> dict[str, Callable[[], Made]]:
    """How to make each data set."""
    tables: dict[str, Callable[[], Made]] = {
        file.stem: partial(_table, file) for file in sorted((shared / "data" / "tabular").glob("*.npz"))
    }
    models = shared / "models"

    def texts(made: Callable[[], Iterator[tuple[str, Any]]]) -> Made:
        found, labels = zip(*_some(list(made())), strict=True)
        return embedded_texts(models / "minilm-l6-v2", found), labels

    def images(made: Callable[[], Iterator[tuple[Image.Image, Any]]]) -> Made:
        found, labels = zip(*_some(list(made())), strict=True)
        return embedded_images(models / "dinov2-small", found), labels

    return tables | {
        "sklearn iris": partial(_of_scikit_learn, datasets.load_iris),
        "sklearn wine": partial(_of_scikit_learn, datasets.load_wine),
        "sklearn breast cancer": partial(_of_scikit_learn, datasets.load_breast_cancer),
        "sklearn diabetes": partial(_of_scikit_learn, datasets.load_diabetes, above_median=True),
        "speakers, MiniLM": partial(texts, partial(_speeches, shared / "data" / "tiny-shakespeare" / "input.txt")),
        "steps, MiniLM": partial(texts, partial(_questions, shared / "data" / "gsm8k" / "train.jsonl")),
        "docstrings, MiniLM": partial(texts, _docstrings),
        "time zones, MiniLM": partial(texts, _cities),
        "glyphs, DINOv2-S": partial(images, _glyphs),
        "patches, DINOv2-S": partial(images, _patches),
    }


def outside_task(shared: Path, folder: Path, name: str) -> OutsideTask:
    """One data set, standardised where it is a table; embeddings are kept in a folder."""
    file = folder / "features" / f"{name}.npz"
    if not file.exists():
        features, given = makers(shared)[name]()
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, features=np.asarray(features, dtype=np.float32), labels=np.unique(given, return_inverse=True)[1])
    with np.load(file) as kept:
        features, labels = kept["features"].astype(np.float64), kept["labels"].astype(np.int64)
    enough = np.bincount(labels)[labels] >= FEWEST
    features, labels = features[enough], np.unique(labels[enough], return_inverse=True)[1]
    if "DINO" not in name and "MiniLM" not in name:
        spread = features.std(0)
        features = (features - features.mean(0))[:, spread > 0] / spread[spread > 0]
    return OutsideTask(name, source_of(name), np.hstack([features, np.ones((len(features), 1))]), labels)


def source_of(name: str) -> str:
    return SAME_SOURCE.get(name, name)


def part_of(names: Sequence[str]) -> dict[str, Part]:
    """The part of each data set: the sources in random order, dealt out in turn within tables and embeddings."""
    random, parts = np.random.default_rng(SEED), dict[str, Part]()
    embedded = {source_of(name) for name in names if "MiniLM" in name or "DINO" in name}
    tables = {source_of(name) for name in names} - embedded - {"optdigits"}
    for sources in (tables, embedded):
        order = random.permutation(sorted(sources))
        parts |= {str(source): PARTS[number % len(PARTS)] for number, source in enumerate(order)}
    parts["optdigits"] = "tuning"
    return {name: parts[source_of(name)] for name in names}


def _table(file: Path) -> Made:
    with np.load(file) as kept:
        return kept["x"], kept["y"]


def _of_scikit_learn(load: Callable[[], Any], above_median: bool = False) -> Made:
    found = load()
    return found.data, found.target > np.median(found.target) if above_median else found.target


def _some(samples: list[Any]) -> list[Any]:
    chosen = np.random.default_rng(0).permutation(len(samples))[:MOST]
    return [samples[number] for number in chosen]


def _speeches(file: Path, speakers: int = 6, letters: int = 40) -> Iterator[tuple[str, str]]:
    """Speeches of the speakers that have most, without those of a few words."""
    parts = [speech.split(":\n", 1) for speech in file.read_text().split("\n\n") if ":\n" in speech]
    said = [(words, speaker) for speaker, words in parts if len(words) >= letters]
    most = {speaker for speaker, _ in Counter(speaker for _, speaker in said).most_common(speakers)}
    yield from ((words, speaker) for words, speaker in said if speaker in most)


def _questions(file: Path, most: int = 5) -> Iterator[tuple[str, int]]:
    """Questions by the number of computations in their answers, 2 to 5 or more."""
    for line in file.read_text().splitlines():
        both = json.loads(line)
        yield both["question"], int(np.clip(both["answer"].count("<<"), 2, most))


def _docstrings(packages: Sequence[str] = ("networkx", "numpy", "scipy", "sklearn", "sympy", "torch")) -> Iterator[Any]:
    """First paragraphs of the docstrings of functions and classes, by package."""
    for package in packages:
        found = set[str]()
        parent = import_module(package)
        for module in [package, *(f"{package}.{sub.name}" for sub in pkgutil.iter_modules(parent.__path__))]:
            if module.rsplit(".", 1)[-1].startswith(("_", "test", "conftest", "this")):
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    members = inspect.getmembers(import_module(module))
                except Exception:  # noqa: S112 - an optional part that is not installed
                    continue
            for _, member in members:
                of = str(getattr(member, "__module__", "") or "")
                if callable(member) and of.startswith(package) and inspect.getdoc(member):
                    found.add(re.sub(r"\s+", " ", (inspect.getdoc(member) or "").split("\n\n")[0])[:200])
        chosen = sorted(text for text in found if len(text) > 25)
        order = np.random.default_rng(0).permutation(len(chosen))[: MOST // len(packages)]
        yield from ((chosen[number], package) for number in order)


def _cities() -> Iterator[tuple[str, str]]:
    """Names of places that time zones are called after, by part of the world."""
    for zone in sorted(zoneinfo.available_timezones()):
        region, _, place = zone.partition("/")
        if region in ("Africa", "America", "Asia", "Europe", "Pacific"):
            yield place.rsplit("/", 1)[-1].replace("_", " "), region


def _glyphs() -> Iterator[tuple[Image.Image, str]]:
    """Characters of five scripts as the font that comes with matplotlib draws them, upright and slanted."""
    fonts = [
        ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / f"{name}.ttf", 28)
        for name in ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono-BoldOblique")
    ]
    for code in range(0x21, 0x600):
        script = unicodedata.name(chr(code), "").split(" ")[0]
        if script not in ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "HEBREW"):
            continue
        for font in fonts:
            image = Image.new("RGB", (SIDE, SIDE), "white")
            ImageDraw.Draw(image).text((SIDE / 2, SIDE / 2), chr(code), fill="black", font=font, anchor="mm")
            yield image, script


def _patches() -> Iterator[tuple[Image.Image, str]]:
    """Patches of three photographs, by photograph."""
    photographs = {
        str(number): Image.fromarray(image) for number, image in enumerate(datasets.load_sample_images().images)
    }
    photographs["portrait"] = Image.open(Path(get_data_path()) / "sample_data" / "grace_hopper.jpg").convert("RGB")
    for name, photograph in photographs.items():
        for left in range(0, photograph.width - 20, 20):
            for top in range(0, photograph.height - 20, 20):
                yield photograph.crop((left, top, left + 20, top + 20)).resize((SIDE, SIDE)), name


@torch.no_grad()
def embedded_texts(model: Path, texts: Sequence[str]) -> Float64[np.ndarray, "samples columns"]:
    """Means over tokens of the last layer."""
    encoder, tokenizer = AutoModel.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    order, found = np.argsort([len(text) for text in texts]), list[Any]()
    for start in range(0, len(texts), BATCH):
        rows = order[start : start + BATCH]
        tokens = tokenizer(
            [texts[row] for row in rows], padding=True, truncation=True, max_length=128, return_tensors="pt"
        )
        kept = tokens["attention_mask"][..., None]
        found.append(((encoder(**tokens).last_hidden_state * kept).sum(1) / kept.sum(1)).numpy())
    return np.concatenate(found)[np.argsort(order)].astype(np.float64)


@torch.no_grad()
def embedded_images(model: Path, images: Sequence[Image.Image]) -> Float64[np.ndarray, "samples columns"]:
    """The class token."""
    encoder = AutoModel.from_pretrained(model).eval()
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    found = []
    for start in range(0, len(images), BATCH):
        pixels = np.stack([np.asarray(image) / 255 for image in images[start : start + BATCH]])
        batch = torch.from_numpy(((pixels - mean) / spread).transpose(0, 3, 1, 2)).float()
        found.append(encoder(pixel_values=batch).last_hidden_state[:, 0].numpy())
    return np.concatenate(found).astype(np.float64)
