"""Shapes and types are enforced in tests, and hypothesis draws the same examples on every run.

The environment variable ``SUFFICE_TESTS`` is "quick", which `make test` runs, or "deep": with more examples, and the
tests that are marked so.
"""

import json
import os
import pathlib
import shutil
import sys
from typing import Literal, NamedTuple

import typer
from beartype import BeartypeConf, FrozenDict, beartype
from beartype.roar import BeartypeDecorHintException
from jaxtyping import install_import_hook

WORDS = (
    Literal["shuffled", "source"],
    Literal["remaining", "difference"],
    Literal["cross_entropy", "mse"],
    Literal["softmax", "linear"],
    Literal["split", "merged"],
    Literal["post", "pre", "none"],
    Literal["mean", "first"],
    Literal["full", "outer", "functional"],
    Literal["mean", "none"],
    Literal["spectral", "frobenius"],
    Literal["a_priori", "data"],
    Literal["a_priori", "data", "measured"],
    Literal["adamw", "adam", "sgd"],
    Literal["random", "eigenvectors"],
    Literal["teacher", "linear"],
    Literal["auto", "holdout", "folds", "leave_one_out"],
    Literal["error", "accuracy", "loss", "score"],
    Literal["mean", "next"],
)
"""Suffice itself refuses other words, and the tests look at how; so beartype has to let them pass."""

OTHER_HINTS = dict.fromkeys(WORDS, str) | {typer.Context: object}
"""Typer's own name for a context is not the class of those that it makes."""

TYPES = BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict(OTHER_HINTS))
"""As for mypy, an int is a float."""


def type_checked(function):
    """A function that checks its types and shapes, unless they are of a kind that beartype cannot check.

    One inside a function is made anew in each call, and its checks would take longer than the call.
    """
    if "<locals>" in function.__qualname__:
        return function
    try:
        return beartype(function, conf=TYPES)
    except BeartypeDecorHintException:
        return function


os.environ["HF_HUB_OFFLINE"] = "1"  # tests never ask the hub
os.environ["RAY_DEDUP_LOGS_SKIP_REGEX"] = "."  # as the engine has it; Ray reads it when it is imported
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the cores are shared by the workers
install_import_hook("suffice", f"{__name__}.type_checked")

import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import TensorDataset  # noqa: E402

import suffice  # noqa: E402

for profile, examples in {"quick": 8, "deep": 40}.items():
    hypothesis.settings.register_profile(
        profile,
        deadline=None,
        derandomize=True,
        max_examples=examples,
        phases=set(hypothesis.Phase) - {hypothesis.Phase.explain},  # slow, and only when a test fails
    )
hypothesis.settings.load_profile(os.environ.get("SUFFICE_TESTS", "quick"))


@pytest.fixture(scope="session")
def ledger_of():
    """Records a ledger whose losses are given: rows in the data set's order, one column a probe.

    The per-sample loss is the product of the sample's row with the parameters, and probe j is the j-th unit vector.
    """

    def make(losses, **problem_arguments) -> suffice.Ledger:
        losses = torch.as_tensor(np.asarray(losses, dtype=np.float64))
        units = torch.eye(losses.shape[1], dtype=torch.float64)
        model = nn.Linear(losses.shape[1], 1, bias=False).double()
        model.weight.data = units[:1].clone()
        problem = suffice.Problem(
            model,
            TensorDataset(losses, losses),
            loss=lambda outputs, batch: outputs[:, 0],
            # losses are what the test says, also all alike at two probes
            **({"order": "source", "checks": False} | problem_arguments),
        )
        probes = suffice.Probes.points(problem, [{"weight": unit[None]} for unit in units[1:]])
        return suffice.record(problem, probes)

    return make


SMALL = {"model": "builtin:tiny-vit", "data": "builtin:digits", "method": "full", "epochs": 2, "samples": 300}
"""A run of seconds, on the real model and real digits."""


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The folder and the result of the small run."""
    from suffice.configuration import AnalyzeConfig, read_configuration  # noqa: PLC0415
    from suffice.runs.analyze import analyze  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("small") / "run"
    return folder, analyze(read_configuration(AnalyzeConfig, SMALL), folder)


@pytest.fixture(scope="session")
def small_run_curves(small_run):
    """The curves of the small run, from its stored ledgers."""
    folder, _ = small_run
    ledgers = (suffice.Ledger.open(folder / name) for name in ("ledger", "held_out_ledger"))
    return suffice.Convergence(*ledgers)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Chromium without a network, which draws WebGL without a graphics card."""
    driver = shutil.which("chromedriver")
    if driver is None and "SUFFICE_REQUIRE_BROWSER" not in os.environ:
        pytest.skip("no chromedriver: install Debian's chromium and chromium-driver")
    from selenium import webdriver  # noqa: PLC0415

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    software = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
    for flag in ("--headless=new", "--no-sandbox", "--disable-background-networking", *software):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as chrome:
        chrome.execute_cdp_cmd("Network.enable", {})
        chrome.execute_cdp_cmd(
            "Network.emulateNetworkConditions",
            {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
        )
        yield chrome


@pytest.fixture(scope="session")
def small_report(small_run, tmp_path_factory):
    """The folder with the report of the small run, and nothing else."""
    from suffice.report import write_report  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("report")
    write_report(small_run[1], folder)
    return folder


@pytest.fixture
def without_figure_files(monkeypatch):
    """Reports are written without the figures' files, which take longer than all else."""
    monkeypatch.setattr("suffice.report.writing.write_figures", lambda *_: None)


class Done(NamedTuple):
    """What a command ended with."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(name="suffice")
def call_of_commands(monkeypatch, capsys):
    """Calls the application in this process."""
    from suffice.cli import main  # noqa: PLC0415

    def call(*arguments) -> Done:
        monkeypatch.setattr(sys, "argv", ["suffice", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main.app()
        return Done(stop.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture
def scores(tmp_path) -> pathlib.Path:
    """Accuracies at four sizes, as a table."""
    file = tmp_path / "scores.csv"
    file.write_text("size,score\n100,0.70\n200,0.76\n400,0.80\n800,0.83\n")
    return file


WORDS_OF_REVIEWS = ("a", "bad", "but", "dull", "film", "good", "great", "long", "poor", "very")
"""All that the small text models know."""


@pytest.fixture(scope="session")
def reviews(tmp_path_factory) -> pathlib.Path:
    """60 short reviews of 1 to 12 words, half of them good, as a table."""
    draw = np.random.default_rng(0)
    lines = ["text,label"]
    for row in range(60):
        words = [str(word) for word in draw.choice(WORDS_OF_REVIEWS, size=1 + row % 12)]
        lines.append(f"{' '.join(words)},{'good' if row % 2 else 'bad'}")
    file = tmp_path_factory.mktemp("reviews") / "reviews.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.fixture(scope="session")
def save_tokenizer():
    """Writes a tokenizer of whole words into a folder, as BERT's: [CLS] text [SEP]."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    def save(folder, words=WORDS_OF_REVIEWS, **tokens) -> None:
        tokens = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"} | tokens
        vocabulary = [*dict.fromkeys(token for token in tokens.values() if token), *words]
        tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(vocabulary)}, "[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        ends = [(token, vocabulary.index(token)) for token in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **tokens).save_pretrained(folder)

    return save


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory, save_tokenizer) -> pathlib.Path:
    """An encoder of texts without a head, of random weights, that takes 10 tokens."""
    from transformers import BertConfig, BertModel  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("tiny-bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=10, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder with real models and data; tests that need it skip where it is absent."""
    folder = pathlib.Path(os.environ.get("SUFFICE_SHARED", pathlib.Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: set SUFFICE_SHARED to the folder with models/ and data/")
    return folder


@pytest.fixture(scope="session")
def language_desk(tmp_path_factory):
    """A folder with a small random language model and 460 different sums for it."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM  # noqa: PLC0415

    from suffice.models.source import locate  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("language")
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(vocab_size=1024, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
                    max_position_embeddings=64, bos_token_id=0, eos_token_id=0, pad_token_id=1)
    ).save_pretrained(folder / "model")  # fmt: skip
    AutoTokenizer.from_pretrained(locate("builtin:tiny-lm")).save_pretrained(folder / "model")
    pairs = [divmod(number, 97) for number in np.random.default_rng(0).permutation(97 * 97)[:460].tolist()]
    rows = [{"prompt": f"{a + 2} + {b + 2}?", "completion": str(a + b + 4)} for a, b in pairs]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder
