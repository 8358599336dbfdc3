"""Hashes of contents: equal for equal contents, whatever holds them, and in every process."""

import copy
import datetime
import functools
import subprocess
import sys
from collections import OrderedDict, UserDict
from enum import Enum

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.utils.data import Subset, TensorDataset

from suffice import InputError
from suffice.digest import digest, digest_of_samples, is_digest

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5), st.binary(max_size=5)
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4)),
    max_leaves=8,
)

DTYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.complex64,
    torch.complex128,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.uint16,
    torch.bool,
]

LESS_THAN_A_BYTE = [torch.uint4, torch.int4, torch.uint2, torch.uint1, torch.float4_e2m1fn_x2]


@given(value=NESTED)
def test_a_copy_has_the_same_hash(value):
    assert digest(copy.deepcopy(value)) == digest(value)
    assert is_digest(digest(value))


@given(one=NESTED, other=NESTED)
def test_different_values_have_different_hashes(one, other):
    same = repr(one) == repr(other)  # 1 == 1.0 == True, which are different contents
    assert (digest([one]) == digest([other])) == (same or digest(one) == digest(other))
    if one != other:
        assert digest(one) != digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["ab", "c"], ["a", "bc"]),
        ([["a"], "b"], ["a", ["b"]]),
        ([[], [1]], [[1], []]),
        ({"a": "bc"}, {"ab": "c"}),
        ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
        (["a", None], ["a"]),
        (1, "1"),
        (1, 1.0),
        (0.0, -0.0),
        ("a", b"a"),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(2, "int32"), np.zeros(1, "int64")),
        (np.array([1, 2], ">u2"), np.array([256, 512], "<u2")),
        (Image.new("L", (2, 4)), Image.new("L", (4, 2))),
        (Image.new("L", (2, 2)), Image.new("P", (2, 2))),
        (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 2], mask=[1, 0])),
        (np.array(["a", 1], dtype=object), np.array(["a", 2], dtype=object)),
        (range(3), range(4)),
        (datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)),
        (functools.partial(print, 1), functools.partial(print, 2)),
        ({1, 2}, {1, 3}),
        (np.float32(1), np.float64(1)),
        (list(range(1000)), [*range(999), 0]),
    ],
)
def test_contents_that_look_alike_are_told_apart(one, other):
    assert digest(one) != digest(other)
    assert digest([one]) != digest([other])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [2]}, {"b": (2,), "a": 1}),
        ({"a": 1}, OrderedDict(a=1)),
        ({"a": 1}, UserDict(a=1)),
        (np.arange(3.0), torch.arange(3.0).double()),
        (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        (np.arange(3, dtype=">i4"), np.arange(3, dtype="<i4")),
        (torch.arange(6).reshape(2, 3).T, torch.arange(6).reshape(2, 3).T.contiguous()),
        (torch.ones(2, dtype=torch.complex64).conj(), torch.ones(2, dtype=torch.complex64).conj().resolve_conj()),
        (nn.Parameter(torch.ones(2)), torch.ones(2)),
        ({3, 1, 2}, frozenset([1, 2, 3])),
    ],
)
def test_contents_are_the_same_whatever_holds_them(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_changed_element_of_a_tensor_changes_its_hash(dtype):
    values = torch.arange(1, 7).reshape(2, 3).to(dtype)
    for row in range(2):
        changed = values.clone()
        changed[row, 1] = 0
        assert digest(changed) != digest(values)
        assert digest(changed.T) != digest(changed.T.reshape(2, 3))
    assert digest(values[:, 1:]) == digest(values[:, 1:].clone())
    assert digest(values[0, 0]) == digest(values[0, 0].clone())
    assert digest(values[:0]) == digest(values[:0].clone())


@pytest.mark.parametrize("dtype", LESS_THAN_A_BYTE, ids=str)
def test_tensors_of_less_than_a_byte_an_element_are_hashed(dtype):
    stored = torch.arange(6, dtype=torch.uint8).reshape(2, 3)
    values, others = stored.view(dtype), (stored + 1).view(dtype)
    assert digest(values) == digest(stored.clone().view(dtype))
    assert digest(values) != digest(others)
    assert digest(values.T) != digest(others.T)
    assert digest(values) != digest(stored)


def quantized(values):
    return torch.quantize_per_tensor(values, 0.1, 0, torch.qint8)


def by_channel(values):
    return torch.quantize_per_channel(values, torch.tensor([0.1, 0.2]), torch.zeros(2), 0, torch.qint8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind",
    [
        torch.Tensor.to_sparse,
        torch.Tensor.to_sparse_csr,
        quantized,
        by_channel,
        lambda values: torch.nested.nested_tensor(list(values)),
        lambda values: torch.nested.nested_tensor(list(values), layout=torch.jagged),
    ],
)
def test_tensors_of_other_kinds_are_hashed_by_their_values(kind):
    values = torch.tensor([[0.0, 1.0], [0.5, 0.0]])
    assert digest(kind(values)) == digest(kind(values.clone()))
    assert digest(kind(values)) != digest(kind(values + torch.tensor([0.0, 0.5])))


class Extra(nn.Linear):
    """A layer with a state that is no tensor."""

    state = None

    def get_extra_state(self):
        return self.state

    def set_extra_state(self, state):
        self.state = state


class Precision(Enum):
    LOW = 1
    HIGH = 2


@pytest.mark.parametrize(
    "states", [(1, 2), ("a", "b"), ({"scale": [1.0]}, {"scale": [2.0]}), (*Precision,), (b"a", b"b")]
)
def test_the_extra_state_of_a_module_counts(states):
    model = nn.Sequential(nn.Linear(2, 2), Extra(2, 2))
    hashes = []
    for state in states:
        model[1].set_extra_state(state)
        hashes.append(digest(model.state_dict()))
    assert len(set(hashes)) == len(states)
    model[1].set_extra_state(states[0])
    assert digest(model.state_dict()) == hashes[0]


@given(bit=st.integers(0, 31), place=st.integers(0, 5))
def test_every_bit_of_every_weight_counts(bit, place):
    model = nn.Linear(2, 3)
    before = digest(model.state_dict())
    bits = model.weight.data.view(torch.int32).reshape(-1)
    bits[place] ^= torch.tensor(1 << bit if bit < 31 else -(1 << 31), dtype=torch.int32)
    assert digest(model.state_dict()) != before


def test_a_value_that_holds_itself_is_hashed():
    value = []
    value.append(value)
    assert digest(value) != digest([[]])


class Sample:
    def __init__(self, value):
        self.value = value


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


@pytest.mark.parametrize("kind", [Sample, Slotted])
def test_objects_are_hashed_by_their_state(kind):
    assert digest(kind([1, 2])) == digest(kind([1, 2]))
    assert digest(kind([1, 2])) != digest(kind([1, 3]))
    assert digest(kind(1)) != digest(1)


@pytest.mark.parametrize("value", [(x for x in "a"), sys.stdout, torch.zeros(2, device="meta")])
def test_what_has_no_content_is_refused(value):
    with pytest.raises(InputError) as refusal:
        digest({"x": [value]})
    assert "\n" not in str(refusal.value)


VALUES = """
import functools, torch, numpy as np
from PIL import Image
from torch import nn
from suffice.digest import digest
torch.manual_seed(0)
found = digest(
    nn.Linear(2, 2), {"a", "b", "c"}, {"b": 1, "a": torch.arange(3)}, np.arange(3.0), Image.new("RGB", (2, 2)),
    functools.partial(print, end="x"), frozenset({("a", 1), ("b", 2)}), nn.Linear, len,
)
"""


def test_hashes_are_the_same_in_every_process():
    here = {}
    with torch.random.fork_rng():
        exec(VALUES, here)
    there = subprocess.run([sys.executable, "-c", f"{VALUES}print(found)"], capture_output=True, check=True, text=True)
    assert here["found"] == there.stdout.strip()
    assert is_digest(here["found"])


# samples


class Fetched:
    """A data set that is read several samples at a time."""

    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        return self.items[row]

    def __getitems__(self, rows):
        return [self.items[row] for row in rows]


def test_every_sample_and_label_counts():
    x, y = torch.randn(300, 4), torch.arange(300) % 3
    items = list(zip(x, y.tolist(), strict=True))
    before = digest_of_samples(items)
    assert digest_of_samples(Fetched(items)) == before
    assert digest_of_samples(TensorDataset(x, y)) == digest_of_samples(TensorDataset(x.clone(), y.clone()))
    for row in (0, 255, 256, 299):
        moved, relabelled = x.clone(), y.clone()
        moved[row, 3] = torch.nextafter(moved[row, 3], torch.tensor(9.0))
        relabelled[row] = (relabelled[row] + 1) % 3
        for tensors in ((moved, y), (x, relabelled)):
            assert digest_of_samples(TensorDataset(*tensors)) != digest_of_samples(TensorDataset(x, y))
            others = [(value, int(label)) for value, label in zip(*tensors, strict=True)]
            assert digest_of_samples(others) != before
    assert digest_of_samples(Subset(items, [1, 0])) != digest_of_samples(Subset(items, [0, 1]))
    assert digest_of_samples(items[:-1]) != before


def test_a_data_set_may_say_its_fingerprint_itself():
    class Known(Fetched):
        text = "one"

        def fingerprint(self):
            return self.text

        def __getitems__(self, rows):
            raise AssertionError("needs not to be read")

    samples = Known([1, 2, 3])
    before = digest_of_samples(samples)
    assert digest_of_samples(Known([4])) == before
    samples.text = "another"
    assert digest_of_samples(samples) != before
