"""Ranks that share one sum: its bits, and what all of them say when one fails."""

import json
import os
import sys
import time

import numpy as np
import pytest
import torch
from launched import launched

from suffice import InputError
from suffice.engine import Ranks

CHUNKS = (0, 1, 2, 3, 7)
SIZE = 5


def chunk_of(number):
    """Of very different sizes, so that the order of a sum shows in its bits."""
    draw = torch.Generator().manual_seed(number)
    return torch.randn(SIZE, 2, generator=draw, dtype=torch.float64) * 10.0 ** (3 * (number % 4))


def add(part, number):
    part += chunk_of(number)


def total_of(ranks, chunks, function=add):
    total = torch.full((SIZE, 2), 0.1, dtype=torch.float64)
    ranks.add_in_order(total, chunks, function)
    return total.tolist()


def said(call):
    """The error that a call raises."""
    with pytest.raises(InputError) as refusal:
        call()
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def rows_at_fault(rank, error):
    def function(part, number):
        if rank == 1 and number == 7:
            raise error
        add(part, number)

    return function


def sums_and_faults():
    """In a rank: sums, then errors after which the ranks go on together."""
    with Ranks() as ranks:
        rank, is_last = ranks.rank, ranks.rank == ranks.count - 1
        found = {
            "rank": rank,
            "count": ranks.count,
            "device": str(ranks.device),
            "totals": [total_of(ranks, chunks) for chunks in CHUNKS],
            "small": one_number(ranks),
            "bad input": said(lambda: total_of(ranks, 9, rows_at_fault(rank, InputError("row 7 is bad")))),
            "other error": said(lambda: total_of(ranks, 9, rows_at_fault(rank, KeyError("labels")))),
            "long error": said(lambda: total_of(ranks, 9, rows_at_fault(rank, InputError("é" * 9999)))),
            "weights": said(lambda: ranks.agree(lambda: {"weights": f"hash:{is_last}"})),
            "threads": said(lambda: ranks.agree(lambda: {"samples": "hash:1", "number of threads": str(1 + rank)})),
            "step": said(lambda: ranks.together(print_nothing) if is_last else total_of(ranks, 3)),
        }
        ranks.agree(lambda: {"weights": "hash:1"})
        found["afterwards"] = total_of(ranks, 3)
    print(json.dumps(found))


def print_nothing():
    print(end="")


def one_number(ranks):
    """A sum with fewer numbers than there are ranks."""
    total = torch.zeros(1, dtype=torch.float64)
    ranks.add_in_order(total, 4, lambda part, number: part.add_(0.1 * number))
    return total.tolist()


def ends(how):
    """In a rank: the second ends, or does not answer, while it should compute."""
    with Ranks(seconds=60 if how == "dies" else 3) as ranks:

        def function(part, number):
            if ranks.rank == 1 and number == 4:
                if how == "dies":
                    os._exit(9)
                time.sleep(8)

        began = time.monotonic()
        message = said(lambda: total_of(ranks, 9, function))
        print(json.dumps({"message": message, "seconds": time.monotonic() - began}))


@pytest.fixture(scope="module", params=[2, 3])
def together(request):
    ends = launched(request.param, __file__, "sums_and_faults")
    assert [status for status, *_ in ends] == [0] * request.param, ends
    return [json.loads(output) for _, output, _ in ends]


def test_ranks_know_who_they_are(together):
    assert [found["rank"] for found in together] == list(range(len(together)))
    assert {found["count"] for found in together} == {len(together)}
    assert {found["device"] for found in together} == {"cpu"}


def test_a_sum_has_the_bits_of_one_process_on_all_ranks(together):
    with Ranks() as alone:
        expected = [total_of(alone, chunks) for chunks in CHUNKS]
        small = one_number(alone)
    for found in together:
        assert found["totals"] == expected
        assert found["small"] == small
        assert found["afterwards"] == expected[3]


def test_the_order_shows_in_the_bits():
    backwards = torch.full((SIZE, 2), 0.1, dtype=torch.float64)
    for number in reversed(range(7)):
        add(backwards, number)
    with Ranks() as alone:
        forwards = total_of(alone, 7)
    assert backwards.tolist() != forwards
    assert np.allclose(backwards, forwards, rtol=1e-12, atol=1e-12)


def test_all_ranks_raise_what_one_of_them_raises(together):
    count = len(together)
    assert {found["bad input"] for found in together} == {f"rank 1 of {count}: row 7 is bad"}
    assert {found["other error"] for found in together} == {f"rank 1 of {count}: KeyError: 'labels'"}
    (long,) = {found["long error"] for found in together}
    assert long.startswith(f"rank 1 of {count}: éééé")
    assert len(long) > 1000


def test_ranks_that_hold_something_else_are_named(together):
    last = len(together) - 1
    (weights,) = {found["weights"] for found in together}
    assert weights.startswith(f"rank {last} has other weights than rank 0: give all ranks the same")
    (step,) = {found["step"] for found in together}
    assert step.startswith(f"rank {last} is at another step than rank 0")
    (threads,) = {found["threads"] for found in together}
    assert threads.startswith("rank 1 has other number of threads than rank 0 (2, there 1)")


@pytest.mark.deep
@pytest.mark.parametrize("how", ["dies", "sleeps"])
def test_a_rank_that_is_lost_is_named_and_nobody_waits_for_it_without_end(how):
    first, second, third = launched(3, __file__, "ends", how)
    assert (second[0] == 9) == (how == "dies")
    messages = [json.loads(output) for _, output, _ in (first, third)]
    assert any("rank 1 of 3 has ended, or did not answer within" in told["message"] for told in messages)
    assert all("has ended, or did not answer within" in told["message"] for told in messages)
    assert all(told["seconds"] < 30 for told in messages)


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_time_limit_is_positive(seconds):
    with pytest.raises(InputError, match="give how long a rank may take"):
        Ranks(seconds)


def test_ranks_that_do_not_find_each_other_are_said(monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(InputError, match=r"do not find each other .*torchrun --nproc-per-node"):
        Ranks(1)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
