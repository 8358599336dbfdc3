"""Shapes and types are enforced in tests, and hypothesis draws the same examples on every run."""

import os
import pathlib
from typing import Literal

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
)
"""Suffice itself refuses other words, and the tests look at how; so beartype has to let them pass."""

TYPES = BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict(dict.fromkeys(WORDS, str)))
"""As for mypy, an int is a float."""


def type_checked(function):
    """A function that checks its types and shapes, unless they are of a kind that beartype cannot check."""
    try:
        return beartype(function, conf=TYPES)
    except BeartypeDecorHintException:
        return function


os.environ["HF_HUB_OFFLINE"] = "1"  # tests never ask the hub
install_import_hook("suffice", f"{__name__}.type_checked")

import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import TensorDataset  # noqa: E402

import suffice  # noqa: E402

hypothesis.settings.register_profile(
    "suffice",
    deadline=None,
    derandomize=True,
    max_examples=30,
    phases=set(hypothesis.Phase) - {hypothesis.Phase.explain},  # slow, and only when a test fails
)
hypothesis.settings.load_profile("suffice")


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
            **({"order": "source"} | problem_arguments),
        )
        probes = suffice.Probes.points(problem, [{"weight": unit[None]} for unit in units[1:]])
        return suffice.record(problem, probes)

    return make


SMALL = {"model": "builtin:tiny-vit", "data": "builtin:digits", "fine_tune": "all", "epochs": 2, "samples": 300}
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
def shared() -> pathlib.Path:
    """The folder with real models and data; tests that need it skip where it is absent."""
    folder = pathlib.Path(os.environ.get("SUFFICE_SHARED", pathlib.Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: set SUFFICE_SHARED to the folder with models/ and data/")
    return folder
