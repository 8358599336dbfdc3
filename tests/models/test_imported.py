"""Modules that a function of the user's own makes: its contract, its head, and each command on it."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from suffice.configuration import AnalyzeConfig, ForecastConfig, StudyConfig
from suffice.data import load_samples, read_texts
from suffice.errors import InputError
from suffice.models import adapted, load_classifier, moving_parameters, split
from suffice.runs.analyze import analyze
from suffice.runs.forecast import forecast
from suffice.runs.study import study

CODE = """
import torch
from torch import nn

class Named(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.head = nn.Linear(192, 8)  # a head by its name alone
        self.body = nn.ModuleDict({"last": nn.Linear(8, classes, bias=False)})

    def forward(self, pixels, scale):
        return self.body["last"](torch.relu(self.head(pixels.flatten(1))) * scale[:, None])

def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.Tanh(), nn.Linear(16, 10))

def for_classes(classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.Tanh(), nn.Linear(16, classes), nn.LogSoftmax(1))

def fixed():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 7), nn.LogSoftmax(1))

def seven():
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.Tanh(), nn.Linear(16, 7))

def named(classes):
    def transform(image):
        pixels = torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8).float() / 255
        return {"pixels": pixels, "scale": torch.tensor(2.0)}
    return Named(classes), transform

class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.EmbeddingBag(64, 8, mode="mean")
        self.last = nn.Linear(8, 2)

    def forward(self, words):
        return self.last(self.words(words))

def texts():
    return Bag(), lambda text: torch.tensor([sum(map(ord, word)) % 64 for word in (text.split() * 12)[:12]])

def ragged():
    return Bag(), lambda text: torch.tensor([len(word) for word in text.split()])

def fails():
    raise RuntimeError("no weights\\nhere")

def nothing():
    return None

def image():
    return nn.Conv2d(3, 4, 3)

def strange():
    return plain(), lambda image: image

value = 3
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """The code in the current folder."""
    (tmp_path / "own_models.py").write_text(CODE)
    (tmp_path / "broken_models.py").write_text("import no_such_library\n")
    monkeypatch.chdir(tmp_path)
    for name in ("own_models", "broken_models"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def digits():
    return load_samples("builtin:digits")


def logits_of(classifier, samples, rows):
    inputs = classifier.inputs(samples, rows)
    batch = classifier.collate([inputs[row] for row in range(len(rows))])
    with torch.no_grad():
        return batch, classifier.predict(classifier.model, batch)


@pytest.mark.usefixtures("code")
def test_a_module_alone_takes_images_as_numbers_from_0_to_1(digits):
    classifier = load_classifier("own_models:plain", digits)
    batch, logits = logits_of(classifier, digits, np.arange(5))
    expected = np.stack([np.asarray(digits[row].convert("RGB")) for row in range(5)]) / 255
    np.testing.assert_allclose(batch["inputs"].permute(0, 2, 3, 1), expected, rtol=1e-6)
    torch.testing.assert_close(logits, classifier.model(batch["inputs"]))
    assert batch["labels"].tolist() == digits.labels[:5].tolist()
    assert (classifier.has_new_head, classifier.matched_by_name) == (False, True)
    assert classifier.notes == ("The module is that of own_models:plain: the head is 3.",)
    assert moving_parameters(classifier.model, "head") == ["3.weight", "3.bias"]
    drawn = [load_classifier("own_models:plain", digits, seed=seed).model[1].weight for seed in (0, 0, 1)]
    first, second, other = drawn
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.usefixtures("code")
def test_a_transform_names_the_inputs_and_the_head_is_what_runs_last(digits):
    classifier = load_classifier("own_models:named", digits)
    assert moving_parameters(classifier.model, "head") == ["body.last.weight"]
    model = adapted(classifier.model, "head")
    batch, logits = logits_of(classifier, digits, np.arange(4))
    parts = split(model, classifier.predict, batch)
    with torch.no_grad():
        torch.testing.assert_close(parts.rest(parts.features(batch)), logits)
    assert parts.features(batch).shape == (4, 8)
    fingerprints = [classifier.inputs(digits, np.array(rows)).fingerprint() for rows in ([0, 1], [0, 1], [1, 0])]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


@pytest.mark.usefixtures("code")
def test_a_head_for_other_classes_is_replaced_and_one_that_is_not_last_is_not(digits):
    classifier = load_classifier("own_models:seven", digits)
    assert (classifier.has_new_head, classifier.model[3].out_features) == (True, 10)
    assert classifier.notes[1] == "It had 7 outputs: the head is a new one with 10."
    whole = load_classifier("own_models:for_classes", digits)
    assert not whole.has_new_head
    with pytest.raises(InputError, match="no head was found"):
        adapted(whole.model, "head")
    assert len(moving_parameters(whole.model, "full")) == 4


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("own_models:plian", r"own_models has no function 'plian'; did you mean \"plain\"\?"),
        ("own_models:value", "own_models has no function 'value'"),
        (
            "no_such_module:make",
            "no_such_module cannot be found: give package.module:function as Python imports it from",
        ),
        ("broken_models:make", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("own_models:fails", r"calling it fails \(RuntimeError: no weights here\)"),
        ("own_models:nothing", "returns NoneType: it has to return a torch.nn.Module, or a pair"),
        ("own_models:fixed", "has 7 outputs, the data have 10 classes, and no linear layer is last"),
        ("own_models:image", r"the module gives shape \(2, 4, 6, 6\): it has to give logits"),
        ("own_models:strange", "the transform makes 'inputs' a Image: it has to return a tensor"),
        ("own_models:texts", "image 0 of builtin:digits: the transform fails"),
    ],
)
def test_what_breaks_the_contract_is_said_in_one_line(source, said, digits):
    with pytest.raises(InputError, match=said) as error:
        load_classifier(source, digits)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("code")
def test_other_misuse_is_said_in_one_line(digits, reviews):
    texts = read_texts(reviews)
    for source, samples, given, said in (
        ("own_models:plain", texts, {}, "the data are texts, and it returns a module alone"),
        ("own_models:plain", digits, {"image_size": 6}, "the module does not take these samples"),
        ("own_models:named", digits, {"image_size": 8}, "the transform of own_models:named decides the size"),
        ("own_models:plain", digits, {"label_map": ["0=1"]}, "leave --label-map out"),
        ("own_models:ragged", texts, {}, "samples of different shapes"),
    ):
        with pytest.raises(InputError, match=said):
            load_classifier(source, samples, **given)


def test_the_documented_module_has_a_head(tmp_path, monkeypatch, digits):
    document = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    (tmp_path / "my_models.py").write_text(document.partition("```python\n")[2].partition("```")[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_models", raising=False)
    classifier = load_classifier("my_models:small", digits)
    assert moving_parameters(classifier.model, "head") == ["3.weight", "3.bias"]
    assert logits_of(classifier, digits, np.arange(3))[1].shape == (3, 10)


def test_a_checkpoint_cannot_name_code_to_be_run(tmp_path, code, digits):
    del code
    (tmp_path / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "base_model_name_or_path": "own_models:plain"}'
    )
    with pytest.raises(InputError, match="the model that this adapter is for is missing"):
        load_classifier(str(tmp_path), digits)
    assert "own_models" not in sys.modules


@pytest.mark.deep
@pytest.mark.usefixtures("code")
def test_commands_take_an_import_path(tmp_path, reviews):
    small = {"data": "builtin:digits", "samples": 100}
    result = analyze(
        AnalyzeConfig(model="own_models:plain", method="full", epochs=1, probes=1, **small), tmp_path / "a"
    )
    assert (result.problem.model, result.problem.moving_parameters) == ("own_models:plain", 192 * 16 + 16 + 170)
    made = forecast(ForecastConfig(model="own_models:named", l2=0.01, **small), tmp_path / "b")
    assert made.features == 8
    words = forecast(ForecastConfig(model="own_models:texts", data=str(reviews), l2=0.01), tmp_path / "c")
    assert (words.features, words.classes) == (8, ["bad", "good"])
    asked = StudyConfig(
        model="own_models:plain", methods=["head", "full"], sizes=[20], seeds=1, steps=2, probes=1, **small
    )
    curves = study(asked, tmp_path / "d", 1).study.curves
    assert set(curves) == {"head", "full"}
