"""Pretrains the embedded tiny Vision Transformer on Fashion-MNIST and writes it as a Hugging Face folder.

    python scripts/pretrain_tiny_vit.py ../shared/data/fashion-mnist src/suffice/models/tiny_vit

Seeded; about six minutes on two idle cores. Prints the accuracy on the 10,000 test images, which is stored in the
folder's provenance.json.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch.utils.data import TensorDataset
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from suffice import Problem
from suffice.data import ImageArray, read_idx_images
from suffice.training import FineTuning, fine_tune

CLASSES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
SETTINGS = FineTuning(epochs=12, learning_rate=2e-3, batch_size=128, weight_decay=0.05, seed=0)


def tiny_vit() -> ViTForImageClassification:
    """16 patches of 7 x 7 grey pixels, width 64, 4 layers, 4 heads."""
    return ViTForImageClassification(
        ViTConfig(
            image_size=28,
            patch_size=7,
            num_channels=1,
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=256,
            hidden_dropout_prob=0.1,
            id2label=dict(enumerate(CLASSES)),
            label2id={name: label for label, name in enumerate(CLASSES)},
        )
    )


def as_tensors(images: ImageArray, processor: ViTImageProcessorPil) -> TensorDataset:
    """All images as the model takes them, with their labels."""
    pixels = processor(images=[images[row] for row in range(len(images))], return_tensors="pt")["pixel_values"]
    return TensorDataset(pixels, torch.from_numpy(images.labels))


def accuracy(model: ViTForImageClassification, test: TensorDataset) -> float:
    """Share of the test images that are classified right."""
    pixels, labels = test.tensors
    model.eval()
    with torch.no_grad():
        predicted = torch.cat([model(batch).logits.argmax(-1) for batch in pixels.split(500)])
    return float((predicted == labels).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with Fashion-MNIST's four IDX files")
    parser.add_argument("out", type=Path, help="folder to write")
    arguments = parser.parse_args()
    start = time.perf_counter()

    processor = ViTImageProcessorPil(size={"height": 28, "width": 28}, image_mean=[0.5], image_std=[0.5])
    train = as_tensors(read_idx_images(arguments.data / "train-images-idx3-ubyte.gz"), processor)
    test = as_tensors(read_idx_images(arguments.data / "t10k-images-idx3-ubyte.gz"), processor)

    torch.manual_seed(SETTINGS.seed)
    model = tiny_vit()
    with Progress() as bar:
        task = bar.add_task("pretraining", total=SETTINGS.epochs * len(train))
        history = fine_tune(
            Problem(model, train, predict=lambda model, batch: model(batch[0]).logits),
            SETTINGS,
            progress=lambda samples: bar.advance(task, samples),
        )
    provenance = {
        "data": "Fashion-MNIST, 60,000 training images (Zalando, MIT license)",
        "test_accuracy": accuracy(model, test),
        "train_loss": history[-1],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(time.perf_counter() - start),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    model.save_pretrained(arguments.out)
    processor.save_pretrained(arguments.out)
    (arguments.out / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n")
    print(json.dumps(provenance, indent=2))


if __name__ == "__main__":
    main()
