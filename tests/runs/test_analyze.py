"""Real runs: image folders, IDX files, Hugging Face and PEFT folders, interruption and bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, BertForSequenceClassification, ViTConfig, ViTForImageClassification

import suffice
from suffice.configuration import AnalyzeConfig, read_configuration
from suffice.data import load_samples, read_texts
from suffice.errors import InputError, InputWarning
from suffice.models import load_image_classifier
from suffice.runs.analyze import analyze
from tests.conftest import SMALL


def run(folder, **values):
    return analyze(read_configuration(AnalyzeConfig, {"samples": None, "probes": 2, **values}), folder)


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory):
    """60 digits of three classes, as PNG and JPEG files in one sub-folder a class."""
    root = tmp_path_factory.mktemp("images")
    digits = load_samples("builtin:digits")
    for label in range(3):
        (root / f"digit {label}").mkdir()
        for count, row in enumerate(np.flatnonzero(digits.labels == label)[:20]):
            digits[int(row)].resize((30, 30)).convert("RGB").save(
                root / f"digit {label}" / f"{count}.{'png' if count % 2 else 'JPG'}",
                format="PNG" if count % 2 else "JPEG",
            )
    return root


@pytest.fixture(scope="session")
def hugging_face_folder(tmp_path_factory, image_folder):
    """A small ViT for colour images as a Hugging Face folder, without a preprocessor configuration."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    names = [f"digit {label}" for label in (2, 0, 1)]
    config = ViTConfig(
        image_size=16, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        id2label=dict(enumerate(names)), label2id={name: label for label, name in enumerate(names)},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(folder)
    return folder


def test_folder_model_on_image_folder_agrees_with_a_loop_over_the_files(tmp_path, image_folder, hugging_face_folder):
    result = run(tmp_path / "run", model=str(hugging_face_folder), data=str(image_folder), held_out=0)
    model = ViTForImageClassification.from_pretrained(hugging_face_folder).eval()
    losses = []
    for file in image_folder.rglob("*.*"):
        image = Image.open(file).convert("RGB").resize((16, 16), Image.Resampling.BILINEAR)
        pixels = (np.asarray(image, dtype=np.float64) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        with torch.no_grad():
            logits = model(torch.tensor(pixels.transpose(2, 0, 1)[None], dtype=torch.float32)).logits
        losses.append(-logits.log_softmax(-1)[0, model.config.label2id[file.parent.name]].item())
    assert result.problem.samples == len(losses) == 60
    assert result.problem.loss_at_center == pytest.approx(np.mean(losses), rel=1e-4)
    assert any("preprocessor_config.json" in note for note in result.problem.notes)
    written = json.loads((tmp_path / "run" / "result.json").read_text())
    assert written["schema_version"] == 1
    lengths = {len(written["landscape"][curve]) for curve in ("sizes", "difference", "remaining", "null")}
    assert len(lengths) == 1
    assert [answer["criterion"] for answer in written["sufficient_sizes"]] == ["remaining", "difference"]


@pytest.mark.parametrize(("method", "moves"), [("head", "classifier"), ("last_layers(1)", "vit.layers.1")])
def test_fine_tuning_lowers_the_loss_and_probes_move_what_was_trained(
    tmp_path, image_folder, hugging_face_folder, method, moves
):
    source, data = str(hugging_face_folder), str(image_folder)
    before = run(tmp_path / "before", model=source, data=data)
    after = run(tmp_path / "after", model=source, data=data, method=method, epochs=5, learning_rate=0.01)
    assert after.problem.loss_at_center < before.problem.loss_at_center
    assert after.problem.moving_parameters < before.problem.moving_parameters
    stored = torch.load(tmp_path / "after" / "fine_tuning.pt", weights_only=True)
    assert all(name.startswith(("classifier", "vit.layernorm", "vit.layers.1", moves)) for name in stored["moving"])


def test_peft_folder_is_measured_on_its_adapter(tmp_path, image_folder, hugging_face_folder):
    base = ViTForImageClassification.from_pretrained(hugging_face_folder)
    lora = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], modules_to_save=["classifier"])
    wrapped = peft.get_peft_model(base, lora)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data += 0.1
    wrapped.save_pretrained(tmp_path / "adapter")
    result = run(tmp_path / "run", model=str(tmp_path / "adapter"), data=str(image_folder))
    trainable = sum(parameter.numel() for parameter in wrapped.parameters() if parameter.requires_grad)
    assert result.problem.moving_parameters == trainable
    loaded = load_image_classifier(str(tmp_path / "adapter"), load_samples(str(image_folder)).classes).model
    pixels = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(loaded(pixels).logits, wrapped.eval()(pixel_values=pixels).logits)


def test_table_of_texts_agrees_with_a_loop_over_its_lines(tmp_path, tiny_bert, reviews):
    torch.manual_seed(1)
    model = BertForSequenceClassification.from_pretrained(tiny_bert, num_labels=2).eval()
    model.save_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    tokenizer.save_pretrained(tmp_path / "model")
    result = run(tmp_path / "run", model=str(tmp_path / "model"), data=str(reviews), held_out=0, batch_size=7)
    texts, losses = read_texts(reviews), []
    for row, label in enumerate(texts.labels):
        tokens = tokenizer(texts[row], truncation=True, max_length=10, return_tensors="pt")
        with torch.no_grad():
            logits = model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]).logits
        losses.append(-logits.log_softmax(-1)[0, label].item())
    assert result.problem.samples == 60
    assert result.problem.loss_at_center == pytest.approx(np.mean(losses), rel=1e-5)
    assert result.problem.notes == [
        "20 of 60 texts are longer than the model's 10 tokens: cut there.",
        "The checkpoint does not name the classes of the data: they were matched in order.",
    ]


def test_head_is_trained_on_texts_and_some_of_the_classes_are_kept(tmp_path, tiny_bert, reviews):
    three = tmp_path / "three.tsv"
    rows = [line.replace(",", "\t") for line in reviews.read_text().split("\n")[1:-1]]
    three.write_text("\n".join([*rows, *["long film\tunsure"] * 5]))
    values = {"model": str(tiny_bert), "text_column": "1", "label_column": 2, "method": "head", "epochs": 2}
    first = run(tmp_path / "run", data=str(three), classes=["bad", "good"], **values)
    assert (first.problem.samples, first.problem.held_out_samples, first.problem.classes) == (48, 12, 2)
    assert first.problem.moving_parameters == 2 * (16 + 1)
    assert first.configuration["classes"] == ["bad", "good"]
    with pytest.raises(InputError, match=r"other settings \(classes: \[bad, good\], now \[unsure, good\]; "):
        run(tmp_path / "run", data=str(three), classes=["unsure", "good"], **values)


@pytest.mark.deep
def test_the_bound_from_the_curvature_is_not_below_what_the_probes_measured(tmp_path, monkeypatch):
    values = {"model": "builtin:tiny-vit", "data": "builtin:digits", "samples": 50, "method": "head", "radius": 0.02}
    without = run(tmp_path / "run", **values)
    assert without.curvature is None
    result = run(tmp_path / "run", **values, curvature=True)  # may be added to a finished run
    found = result.curvature
    assert result.landscape == without.landscape
    assert found.spectrum.loss == pytest.approx(result.problem.loss_at_center, rel=1e-5)
    assert found.gaps.sizes[-1] == result.problem.samples - 1
    radius = 0.02 * found.center_norm
    rows = zip(found.gaps.sizes, found.gaps.loss, found.gaps.gradient, found.gaps.hessian, strict=True)
    bounds = [
        (loss + radius * gradient + radius**2 / 2 * hessian) / (size + 1) for size, loss, gradient, hessian in rows
    ]
    assert all(bound >= measured > 0 for bound, measured in zip(bounds, found.measured, strict=True))
    assert result.landscape.probes[1].distance == pytest.approx(radius, rel=1e-6)
    # kept
    monkeypatch.setattr("suffice.runs.curvature.gaps", None)
    assert run(tmp_path / "run", **values, curvature=True) == result


def test_same_configuration_is_resumed_and_another_is_refused(small_run):
    folder, result = small_run
    stamp = (folder / "fine_tuning.pt").stat().st_mtime_ns
    assert analyze(read_configuration(AnalyzeConfig, SMALL), folder) == result
    assert (folder / "fine_tuning.pt").stat().st_mtime_ns == stamp
    with pytest.raises(
        InputError, match=r"other settings \(radius: 0.1, now 0.2\): give another --out, or --overwrite"
    ):
        analyze(read_configuration(AnalyzeConfig, SMALL | {"radius": 0.2}), folder)


def test_configuration_written_by_a_run_replays_it(small_run, tmp_path):
    folder, result = small_run
    assert analyze(read_configuration(AnalyzeConfig, {}, folder / "config.yaml"), tmp_path) == result


def test_folder_of_something_else_is_refused_even_to_overwrite(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not empty"):
        analyze(read_configuration(AnalyzeConfig, SMALL), tmp_path, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_folder_of_another_program_is_refused_even_to_overwrite(tmp_path):
    (tmp_path / "config.yaml").write_text("hydra: 1\n")
    (tmp_path / "figures").mkdir()
    with pytest.raises(InputError, match="another program"):
        analyze(read_configuration(AnalyzeConfig, SMALL), tmp_path, overwrite=True)
    assert (tmp_path / "figures").is_dir()


def test_data_that_changed_under_a_run_are_noticed(tmp_path, image_folder):
    shutil.copytree(image_folder, tmp_path / "images")
    values = {"model": "builtin:tiny-vit", "data": str(tmp_path / "images"), "method": "head", "epochs": 1}
    run(tmp_path / "run", **values)
    image = next((tmp_path / "images").rglob("*.png"))
    content = image.read_bytes()
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # the same size
    with pytest.raises(InputError, match="contents of the data: changed"):
        run(tmp_path / "run", **values)
    image.write_bytes(content)
    run(tmp_path / "run", **values)
    image.unlink()
    with pytest.raises(InputError, match="contents of the data: changed"):
        run(tmp_path / "run", **values)


def test_a_model_that_changed_under_a_run_is_noticed(tmp_path, image_folder, hugging_face_folder):
    shutil.copytree(hugging_face_folder, tmp_path / "model")
    values = {"model": str(tmp_path / "model"), "data": str(image_folder)}
    run(tmp_path / "run", **values)
    weights = load_file(tmp_path / "model" / "model.safetensors")
    weights["vit.embeddings.cls_token"].view(torch.int32)[0, 0, 3] ^= 1
    save_file(weights, tmp_path / "model" / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"weights: changed"):
        run(tmp_path / "run", **values)


def test_a_damaged_loss_is_measured_again(small_run, tmp_path):
    folder, result = small_run
    shutil.copytree(folder, tmp_path / "run")
    stored = tmp_path / "run" / "ledger" / "losses.zarr" / "c" / "0" / "0"
    whole = stored.read_bytes()
    stored.write_bytes(whole[:100] + bytes([whole[100] ^ 64]) + whole[101:])
    with pytest.warns(InputWarning, match=r"losses\.zarr/c/0/0 is damaged .* computed again"):
        assert analyze(read_configuration(AnalyzeConfig, SMALL), tmp_path / "run") == result
    assert stored.read_bytes() == whole


def test_the_training_of_another_run_is_not_taken(small_run, tmp_path):
    values = SMALL | {"samples": SMALL["samples"] - 10}  # equal settings of the training
    result = run(tmp_path / "run", **values)
    shutil.copy(small_run[0] / "fine_tuning.pt", tmp_path / "run")
    with pytest.warns(InputWarning, match=r"fine_tuning\.pt belongs to a training of another run, or of other samples"):
        assert run(tmp_path / "run", **values) == result


def test_another_tolerance_is_answered_from_what_was_measured(small_run, tmp_path):
    folder, result = small_run
    shutil.copytree(folder, tmp_path / "run")
    stamp = (tmp_path / "run" / "ledger" / "losses.zarr" / "zarr.json").stat().st_mtime_ns
    wider = analyze(read_configuration(AnalyzeConfig, SMALL | {"tolerance": 0.5}), tmp_path / "run")
    assert wider.sufficient_sizes[0].size < result.sufficient_sizes[0].size
    assert (tmp_path / "run" / "ledger" / "losses.zarr" / "zarr.json").stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("fine_tuning.pt", marks=pytest.mark.deep),
        "ledger/losses.zarr/c/0/0",
        pytest.param("held_out_ledger/losses.zarr/c/0/0", marks=pytest.mark.deep),
    ],
)
def test_killed_run_resumes_to_the_identical_result(small_run, tmp_path, moment):
    folder, _ = small_run
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items() if key not in ("model", "data")]
    command = [
        sys.executable,
        "-m",
        "suffice",
        "analyze",
        SMALL["model"],
        SMALL["data"],
        *flags,
        f"--out={tmp_path / 'run'}",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / moment).exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "run" / "result.json").exists()
    analyze(read_configuration(AnalyzeConfig, SMALL), tmp_path / "run")
    assert (tmp_path / "run" / "result.json").read_bytes() == (folder / "result.json").read_bytes()


def test_broken_image_is_named(tmp_path, image_folder, hugging_face_folder):
    broken = tmp_path / "images" / "digit 0" / "broken.png"
    (tmp_path / "images" / "digit 1").mkdir(parents=True)
    broken.parent.mkdir()
    broken.write_bytes(next(image_folder.rglob("*.png")).read_bytes()[:200])
    for count, file in enumerate(image_folder.rglob("*.png")):
        (tmp_path / "images" / "digit 1" / f"{count}.png").write_bytes(file.read_bytes())
    with pytest.raises(InputError, match="broken.png"):
        run(tmp_path / "run", model="builtin:tiny-vit", data=str(tmp_path / "images"), method="head", epochs=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": "builtin:tiny-vit", "data": "no/such/folder"}, "no such file or folder"),
        ({"model": "./no-such-model", "data": "builtin:digits"}, "no such folder"),
        ({"samples": 5}, "at least 3"),
        ({"samples": 5000}, "has 1797"),
        ({"parameters": ["vit.layer.*.nothing"]}, "no parameter matches"),
        ({"method": "heads"}, "not a way to fine-tune"),
        ({"method": "last_layers(9)"}, "has 4 layers"),
        ({"device": "toaster"}, "auto, cpu or cuda"),
        ({"fine_tune": "all", "samples": 40, "learning_rate": 1e30}, "diverged"),
    ],
)
def test_bad_input_gets_one_clear_line(tmp_path, values, message):
    with pytest.raises(InputError, match=message) as error:
        run(tmp_path / "run", **{"model": "builtin:tiny-vit", "data": "builtin:digits", **values})
    assert "\n" not in str(error.value)


def test_checkpoint_without_a_head_asks_for_fine_tuning(tmp_path, image_folder):
    with pytest.raises(InputError, match="--method head"):
        run(tmp_path, model="builtin:tiny-vit", data=str(image_folder))


def test_checkpoint_with_weights_that_are_not_finite_is_refused(tmp_path, image_folder, hugging_face_folder):
    model = ViTForImageClassification.from_pretrained(hugging_face_folder)
    model.classifier.bias.data[0] = torch.nan
    model.save_pretrained(tmp_path / "model")
    with pytest.raises(InputError, match="classifier.bias"):
        run(tmp_path / "run", model=str(tmp_path / "model"), data=str(image_folder))


def test_hub_that_cannot_be_reached_is_said_in_one_line(tmp_path):
    with pytest.raises(InputError, match="hub") as error:
        run(tmp_path, model="nobody/no-such-model", data="builtin:digits")
    assert "\n" not in str(error.value)


def test_real_pretrained_transformer_settles_on_real_images(tmp_path, shared):
    result = run(
        tmp_path,
        model=str(shared / "models" / "dinov2-small"),
        data=str(shared / "data" / "fashion-mnist"),
        image_size=28,
        samples=60,
        method="head",
        epochs=3,
    )
    assert result.problem.classes == 10
    assert result.problem.moving_parameters == 10 * (2 * 384 + 1)
    assert result.problem.loss_at_center < np.log(10)


def test_held_out_samples_are_not_trained_on(small_run):
    folder, result = small_run
    at_hand, held_out = (suffice.Ledger.open(folder / name) for name in ("ledger", "held_out_ledger"))
    assert len(at_hand.index) + len(held_out.index) == SMALL["samples"]
    assert result.problem.held_out_samples == len(held_out.index) == 60
    assert result.problem.gap == pytest.approx(held_out.losses[:, 0].mean() - at_hand.losses[:, 0].mean())


@pytest.mark.deep
def test_results_do_not_depend_on_the_number_of_workers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = Path("exp:1")  # no URL
    asked = read_configuration(AnalyzeConfig, SMALL | {"samples": 640, "held_out": 0.45, "epochs": 1, "batch_size": 64})
    alone = analyze(asked, tmp_path / "alone")
    stores = ("ledger", "held_out_ledger")
    shards = [path for store in stores for path in (tmp_path / "alone" / store / "losses.zarr" / "c").rglob("*/*")]
    assert len(shards) == 4  # the first of each store is measured by the command itself
    found = analyze(asked, out, workers=2)
    assert found == alone
    for shard in shards:
        other = out / shard.relative_to(tmp_path / "alone")
        assert other.read_bytes() == shard.read_bytes()
        written = other.stat().st_mtime_ns
        if shard == shards[-1]:
            other.unlink()
            assert analyze(asked, out, workers=2) == alone
            assert other.read_bytes() == shard.read_bytes()
            assert other.stat().st_mtime_ns > written


def test_workers_are_a_positive_number(tmp_path):
    with pytest.raises(InputError, match="workers = 0: must be at least 1"):
        analyze(read_configuration(AnalyzeConfig, SMALL), tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()
