"""Where a model is: what is not there is said at once, with what was probably meant."""

import json
import time

import peft
import pytest
from huggingface_hub import HfApi, constants
from transformers import BertConfig, BertForSequenceClassification

from suffice.data import load_samples
from suffice.errors import InputError
from suffice.models import load_classifier
from suffice.models.source import locate


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current folder with one model in it."""
    (tmp_path / "dinov2-small").mkdir()
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("tiny-vit", r'hub cannot be reached to ask for a model of this name; did you mean "builtin:tiny-vit"\?'),
        ("builtin:tinyvit", r'no such built-in model; did you mean "builtin:tiny-vit"\?'),
        ("builtin:mpl", r'no such built-in model; did you mean "builtin:mlp"\?'),
        (
            "builtin:resnet-50",
            "no such built-in model; there are builtin:tiny-vit, builtin:tiny-lm and, for suffice analyze, builtin:mlp",
        ),
        ("dinov2-smal", r'no such folder, and .* did you mean "dinov2-small"\?'),
        ("./dinov2-smal", r'no such folder; did you mean "dinov2-small"\?'),
        ("./nothing-like-it", "no such folder: give a local folder with config.json and weights, or builtin:tiny-vit"),
        ("~/nothing-like-it", "no such folder: give a local folder"),
        ("nobody/no-such-model", "no such folder, and the hub cannot be reached .*: give a local folder"),
        ("a model/of/mine", "no such folder: give a local folder"),
        ("notes.txt", r"a file, and a model is a folder with config.json and weights: give \."),
        ("", "no such folder: give a local folder"),
    ],
)
def test_what_is_not_there_is_said_in_one_line_with_what_was_meant(source, said, here):
    with pytest.raises(InputError, match=said) as error:
        locate(source)
    assert str(error.value).startswith(f"{source}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("offline", [True, False])
def test_the_hub_is_asked_once(offline, here, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    if not offline:  # a name that no server has; a search for a name without a network ends at once as well
        monkeypatch.setattr("suffice.models.source.HfApi", lambda: HfApi("http://[::1]:9"))
    start = time.perf_counter()
    with pytest.raises(InputError, match="the hub cannot be reached"):
        load_classifier("nobody/no-such-model", load_samples("builtin:digits"))
    assert time.perf_counter() - start < 6


def test_a_model_that_was_downloaded_before_is_taken_where_the_hub_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--somebody--bert"
    snapshot = folder / "snapshots" / ("0" * 40)
    BertForSequenceClassification(
        BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    ).save_pretrained(snapshot)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    assert locate("somebody/bert") == str(snapshot)


@pytest.mark.parametrize("base", ["/no/such/base", "nobody/no-such-model", None])
def test_an_adapter_without_its_model_says_what_is_missing(base, tmp_path):
    model = BertForSequenceClassification(
        BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    )
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["query"]))
    wrapped.save_pretrained(tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model_name_or_path": base}))
    with pytest.raises(InputError, match="base_model_name_or_path") as error:
        load_classifier(str(tmp_path), load_samples("builtin:digits"))
    assert str(base) in str(error.value) or base is None
    assert str(error.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(error.value)
