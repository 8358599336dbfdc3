import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import Case, Normal, cases
from torch import nn
from torch.nn import functional

from suffice import InputError
from suffice.closed_form import BlockClassifier, FeedForward, LayerNorm, SelfAttention, TransformerBlock
from suffice.closed_form.activations import find_activation

BLOCK = {"width": 6, "key_width": 6, "hidden_width": 5, "heads": 3, "output_projection": True, "attention_bias": True}


@pytest.fixture
def slow_path():
    """PyTorch's layers as they are defined, not their fused form."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(before)


def pytorch_block(case):
    """PyTorch's block with the weights of ours."""
    block, drawn = case.module, case.drawn
    theirs = nn.TransformerEncoderLayer(
        drawn["width"],
        drawn["heads"],
        drawn["hidden_width"],
        dropout=0,
        activation=drawn["activation"],
        layer_norm_eps=block.eps,
        batch_first=True,
        norm_first=drawn["norm"] == "pre",
    ).double()
    attention = theirs.self_attn
    pairs = {
        attention.in_proj_weight: torch.cat([block.W_Q, block.W_K, block.W_V], 1).mT,
        attention.in_proj_bias: torch.cat([block.b_Q, block.b_K, block.b_V]),
        attention.out_proj.weight: block.W_O.mT,
        attention.out_proj.bias: block.b_O,
        theirs.linear1.weight: block.W_1.mT,
        theirs.linear1.bias: block.b_1,
        theirs.linear2.weight: block.W_2.mT,
        theirs.linear2.bias: block.b_2,
        theirs.norm1.weight: block.gamma_1,
        theirs.norm1.bias: block.beta_1,
        theirs.norm2.weight: block.gamma_2,
        theirs.norm2.bias: block.beta_2,
    }
    with torch.no_grad():
        for parameter, value in pairs.items():
            parameter.copy_(value)
    assert {id(parameter) for parameter in pairs} == {id(parameter) for parameter in theirs.parameters()}
    return theirs.eval()


@pytest.mark.usefixtures("slow_path")
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_the_block_is_that_of_pytorch(norm, activation, causal, padded):
    drawn = BLOCK | {"norm": norm, "activation": activation, "causal": causal}
    case = Case(drawn, "mse", samples=4, tokens=5, padded=padded)
    if padded:
        case.mask[:, 0] = True  # a token that sees nothing is nan in PyTorch
    future = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None
    padding = ~case.mask if padded else None
    expected = pytorch_block(case)(case.inputs, src_mask=future, src_key_padding_mask=padding)
    torch.testing.assert_close(case.module(case.inputs, case.mask), expected, rtol=1e-12, atol=1e-12)


@given(case=cases(norm="none"))
def test_attention_is_what_its_documentation_says(case):
    block, mask = case.module.block if case.pool else case.module, case.mask
    heads, causal, merged = block.config.heads, block.config.causal, block.config.merged
    d, d_h, X = case.drawn["width"], case.drawn["key_width"] // heads, case.inputs
    each = d // heads
    bias = {name: 0 if getattr(block, name) is None else getattr(block, name) for name in ("b_Q", "b_K", "b_V", "b_O")}
    allowed = torch.ones(case.samples, case.tokens, case.tokens, dtype=torch.bool)
    if causal:
        allowed &= torch.arange(case.tokens) <= torch.arange(case.tokens)[:, None]
    if mask is not None:
        allowed &= mask[:, None]
    outputs = []
    for h in range(heads):
        keys, values = slice(h * d_h, (h + 1) * d_h), slice(h * each, (h + 1) * each)
        if merged:
            Q, K = (X @ block.W_QK + bias["b_Q"])[..., h * d : (h + 1) * d], X
        else:
            Q, K = (X @ block.W_Q + bias["b_Q"])[..., keys], (X @ block.W_K + bias["b_K"])[..., keys]
        T = torch.einsum("stk,suk->stu", Q, K) / d_h**0.5
        if case.drawn["attention"] == "softmax":
            T = (T.exp() * allowed) / (T.exp() * allowed).sum(-1, keepdim=True).clamp(min=1e-300)
        outputs.append((T * allowed) @ (X @ block.W_V + bias["b_V"])[..., values])
    F = torch.cat(outputs, -1)
    F = F if block.W_O is None else F @ block.W_O + bias["b_O"]
    torch.testing.assert_close(block.attention(X, mask), F, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("heads", [1, 2])
def test_merged_weights_are_the_products_of_queries_and_keys_of_each_head(heads):
    drawn = {"width": 4, "key_width": 6, "heads": heads, "attention_bias": True}
    split, merged = (Case(drawn | {"query_key": kind}, "mse").module for kind in ("split", "merged"))
    W_Q, b_Q, W_K = (weight.unflatten(-1, (heads, -1)) for weight in (split.W_Q, split.b_Q, split.W_K))
    with torch.no_grad():
        merged.W_QK.copy_(torch.cat([W_Q[:, h] @ W_K[:, h].mT for h in range(heads)], 1))
        merged.b_Q.copy_(torch.cat([b_Q[h] @ W_K[:, h].mT for h in range(heads)]))  # softmax forgets b_K
        merged.W_V.copy_(split.W_V)
        merged.b_V.copy_(split.b_V)
    X = Normal(0)(5, 3, 4)
    torch.testing.assert_close(merged(X), split(X), rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 2**32), width=st.integers(1, 6), eps=st.sampled_from([1e-5, 0.1]))
def test_layer_norm_is_that_of_pytorch(seed, width, eps):
    normal = Normal(seed)
    layer, x = LayerNorm(normal(width), normal(width), eps), normal(2, 3, width)
    expected = functional.layer_norm(x, (width,), layer.gamma, layer.beta, eps)
    torch.testing.assert_close(layer(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("activation", ["gelu", "relu", "tanh"])
def test_the_feed_forward_network_is_two_linear_layers(activation):
    normal = Normal(0)
    layer = FeedForward(normal(4, 3), normal(3), normal(3, 4), normal(4), find_activation(activation))
    Y = normal(2, 5, 4)
    hidden = getattr(torch, activation, getattr(functional, activation, None))(
        functional.linear(Y, layer.W_1.mT, layer.b_1)
    )
    torch.testing.assert_close(layer(Y), functional.linear(hidden, layer.W_2.mT, layer.b_2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("padded", [False, True])
def test_the_classifier_pools_real_tokens_or_takes_the_first(padded):
    for pool in ("mean", "first"):
        case = Case(BLOCK, "cross_entropy", pool, padded=padded)
        Z = case.module.block(case.inputs, case.mask)
        real = case.mask if padded else torch.ones(case.inputs.shape[:2], dtype=torch.bool)
        pooled = [z[0] if pool == "first" else z[some].mean(0) for z, some in zip(Z, real, strict=True)]
        expected = torch.stack(pooled) @ case.module.W_C + case.module.b_C
        torch.testing.assert_close(case.module(case.inputs, case.mask), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", ["post", "pre", "none"])
def test_a_block_is_made_of_its_layers_and_of_the_weights_that_it_has_when_it_is_called(norm):
    case = Case(BLOCK | {"norm": norm}, "mse")
    block, X = case.module, case.inputs
    other = {name: torch.randn_like(parameter) for name, parameter in block.named_parameters()}
    moved = torch.func.functional_call(block, other, (X,))
    with torch.no_grad():
        for name, parameter in block.named_parameters():
            parameter.copy_(other[name])
    torch.testing.assert_close(block(X), moved, rtol=0, atol=0)
    alone = SelfAttention(6, 6, 3, output_projection=True, attention_bias=True).double()
    alone.load_state_dict({name: other[name] for name in alone.state_dict()})
    assert torch.equal(alone(X), block.attention(X))
    assert block.feed_forward.W_1 is block.W_1
    assert list(block.children()) == []  # so that its parameters keep the names of the paper


@pytest.mark.parametrize(
    "make", [lambda **drawn: TransformerBlock(6, 4, 8, **drawn), lambda **drawn: SelfAttention(6, 4, **drawn)]
)
@pytest.mark.parametrize(("bias", "projection", "merged"), list(itertools.product([False, True], repeat=3)))
def test_parameters_have_the_names_and_the_order_of_the_paper(make, bias, projection, merged):
    module = make(attention_bias=bias, output_projection=projection, query_key="merged" if merged else "split")
    names = ["W_QK"] if merged else ["W_Q", "W_K"]
    names += ["W_V", *["W_O"] * projection]
    if bias:
        names += ["b_Q", *["b_K"] * (not merged), "b_V", *["b_O"] * projection]
    if isinstance(module, TransformerBlock):
        names += ["gamma_1", "beta_1", "W_1", "b_1", "W_2", "b_2", "gamma_2", "beta_2"]
    assert [name for name, _ in module.named_parameters()] == names
    inner = [f"block.{name}" for name in names]
    outer = [name for name, _ in BlockClassifier(module, 3).named_parameters()]
    assert sorted(outer) == sorted([*inner, "W_C", "b_C"])
    assert [name for name in outer if name in inner] == inner


def test_shapes_of_the_weights_are_those_of_the_documentation():
    merged = TransformerBlock(6, 4, 8, heads=2, query_key="merged", output_projection=True, attention_bias=True)
    split = TransformerBlock(6, 4, 8, heads=2, attention_bias=True)
    assert [merged.W_QK.shape, merged.b_Q.shape, merged.W_O.shape] == [(6, 12), (12,), (6, 6)]
    assert [split.W_Q.shape, split.W_K.shape, split.W_V.shape, split.b_K.shape] == [(6, 4), (6, 4), (6, 6), (4,)]
    assert [split.W_1.shape, split.b_1.shape, split.W_2.shape, split.b_2.shape] == [(6, 8), (8,), (8, 6), (6,)]


@pytest.mark.parametrize("norm", ["post", "pre", "none"])
def test_a_fixed_or_absent_normalisation_has_no_parameters(norm):
    block = TransformerBlock(6, 4, 8, norm=norm, learnable_norm=False)
    assert not [name for name, _ in block.named_parameters() if "gamma" in name or "beta" in name]


@pytest.mark.parametrize(("arguments", "name"), [((6, 4, 8, 4), "width = 6"), ((6, 4, 8, 3), "key_width = 4")])
def test_heads_that_do_not_divide_a_width_are_refused(arguments, name):
    with pytest.raises(ValueError, match=f"{name}.*{arguments[3]} heads") as refusal:
        TransformerBlock(*arguments)
    assert isinstance(refusal.value, InputError)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("size", [0, -1])
def test_sizes_that_are_not_positive_are_refused(place, size):
    sizes = [6, 4, 8, 1]
    sizes[place] = size
    with pytest.raises(InputError, match=f"= {size}: must be at least 1"):
        TransformerBlock(*sizes)
    with pytest.raises(InputError, match="classes = 0"):
        BlockClassifier(TransformerBlock(6, 4, 8), 0)


@pytest.mark.parametrize(
    ("argument", "word", "meant"),
    [
        ("norm", "Post", "post"),
        ("attention", "soft-max", "softmax"),
        ("query_key", "merge", "merged"),
        ("activation", "relu6", "relu"),
    ],
)
def test_unknown_words_are_refused_with_the_nearest_known(argument, word, meant):
    with pytest.raises(InputError, match=f"{argument}.*'{word}'.*did you mean \"{meant}\""):
        TransformerBlock(6, 4, 8, **{argument: word})


def test_an_unknown_pool_is_refused_with_the_nearest_known():
    with pytest.raises(InputError, match="pool.*'fist'.*did you mean \"first\""):
        BlockClassifier(TransformerBlock(6, 4, 8), 3, pool="fist")


@given(case=cases(padded=True), seed=st.integers(0, 2**32))
def test_real_tokens_do_not_see_padding(case, seed):
    block = case.module.block if case.pool else case.module
    other = torch.where(case.mask[..., None], case.inputs, 1e3 * Normal(seed)(*case.inputs.shape))
    Z, Z_other = block(case.inputs, case.mask), block(other, case.mask)
    torch.testing.assert_close(Z_other[case.mask], Z[case.mask], rtol=1e-12, atol=1e-12)
