"""The fully connected network: its shapes, its seed, its scale."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from suffice.models import mlp


@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 5), st.integers(0, 1000))
def test_it_has_its_width_its_depth_and_one_output(inputs, width, depth, seed):
    model = mlp(inputs, width, depth, seed)
    weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    assert [tuple(weight.shape) for weight in weights] == (
        [(width, inputs)] + [(width, width)] * (depth - 1) + [(1, width)]
    )
    assert sum(isinstance(layer, torch.nn.Tanh) for layer in model) == depth
    assert model(torch.zeros(7, inputs, dtype=torch.float64)).tolist() == [[0.0]] * 7  # no bias yet


@given(st.integers(0, 1000))
def test_the_seed_decides_the_weights_and_global_numbers_do_not(seed):
    torch.manual_seed(seed)
    model = mlp(3, 5, 2, seed)
    same, other = mlp(3, 5, 2, seed), mlp(3, 5, 2, seed + 1)
    for name, value in model.state_dict().items():
        assert torch.equal(value, same.state_dict()[name])
        assert name.endswith("bias") or not torch.isclose(value, other.state_dict()[name]).any()


def test_deep_networks_neither_fade_nor_explode():
    x = torch.randn(500, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for depth in (1, 3, 5):
        assert 0.3 < float(mlp(64, 64, depth, depth)[:-1](x).detach().std()) < 1
