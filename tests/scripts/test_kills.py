"""Runs that are killed and repeated: a seeded few of what `benchmarks/kills.py` does."""

import random
import subprocess
import time

import pytest
from scripts_of_project import script


@pytest.fixture(scope="module")
def kills():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend("benchmarks")  # for the module `environment`
        with script("benchmarks/kills.py") as module:
            yield module


def test_commands_are_those_of_suffice(kills):
    assert {words[0] for words in kills.COMMANDS.values()} == {"analyze", "study", "forecast", "curvature"}
    assert kills.without_times({"seconds": 1, "cells": [{"seconds": 2, "loss": 3}]}) == {"cells": [{"loss": 3}]}


def test_pieces_and_leftovers_are_found(kills, tmp_path):
    for name in ("ledger/losses.zarr/c/0/0", "cells/0-head-30-0.json", "cells/.0-head-60-0.json-ab.suffice-partial"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "config.yaml").touch()
    assert {path.name for path in kills.pieces(tmp_path)} == {"0", "0-head-30-0.json"}
    assert kills.leftovers(tmp_path) == [".0-head-60-0.json-ab.suffice-partial"]
    assert len(kills.digest_of(tmp_path)) == 1


@pytest.mark.deep
@pytest.mark.parametrize("kind", ["ledger", "study"])
def test_a_killed_run_ends_as_one_that_is_not(kills, kind, tmp_path):
    expected = tmp_path / "through"
    began = time.perf_counter()
    subprocess.run(kills.command(kind, expected), check=True, capture_output=True)
    whole = time.perf_counter() - began
    draw = random.Random(7)  # noqa: S311 -- moments, not secrets
    for number in range(2):
        kill = kills.kill_once(kind, tmp_path / str(number), whole, expected, draw)
        assert kill.same_result, kill
        assert (kill.written_again, kill.outlived, kill.leftovers, kill.statuses[1]) == (0, 0, 0, 0), kill
