import gc
import itertools
import math
from importlib import import_module
from types import SimpleNamespace

import jaxtyping
import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracles import Case, Normal, cases, error, fewer, size
from torch import nn

from suffice import InputError
from suffice.closed_form import BlockClassifier, SelfAttention, TransformerBlock, hessian

HESSIAN = import_module("suffice.closed_form.hessian")  # its own name is that of the function
NORMS = import_module("suffice.closed_form.norms")
SMOOTH = [activation for activation in oracles.ACTIVATIONS if activation != "relu"]

# the matrix


@given(case=cases())
def test_the_closed_form_equals_forward_over_reverse_and_is_symmetric(case):
    H = case.hessian()
    assert H.names == tuple(case.places)
    assert H.shape == (len(case.weights),) * 2
    dense = H.dense()
    assert error(dense, oracles.automatic(case)) < 1e-12
    assert error(dense.mT, dense) < 1e-14


@pytest.mark.parametrize("norm", ["post", "pre", "none"])
@pytest.mark.parametrize(("loss", "pool"), [("mse", None), ("cross_entropy", "mean")])
def test_it_does_so_at_trained_weights(norm, loss, pool):
    case = Case(BLOCK | {"norm": norm}, loss, pool, samples=6)
    oracles.train(case)
    assert error(case.hessian().dense(), oracles.automatic(case)) < 1e-12


@given(case=cases(activation_of=SMOOTH, eps=0.1))
def test_the_closed_form_equals_differences_of_the_gradient(case):
    assert error(case.hessian().dense(), oracles.by_differences(case)) < 1e-7


@given(case=cases())
def test_the_outer_part_is_made_of_the_jacobian_of_the_outputs_and_the_rest_is_the_functional_part(case):
    full, outer, functional = (case.hessian(part=part).dense() for part in ("full", "outer", "functional"))
    assert error(outer, oracles.outer_part(case)) < 1e-12
    assert float((outer + functional - full).norm()) < 1e-13 * (size(outer) + size(functional))


@given(case=cases(loss_of=oracles.CONVEX))
def test_the_outer_part_of_a_convex_loss_is_positive_semidefinite(case):
    eigenvalues = torch.linalg.eigvalsh(case.hessian(part="outer").dense())
    assert eigenvalues[0] >= -1e-12 * max(float(eigenvalues[-1]), 0.1)


@given(case=cases(loss=oracles.linear))
def test_a_linear_loss_has_no_outer_part(case):
    assert not case.hessian(part="outer").dense().any()


@given(case=cases(eps=0.1), seed=st.integers(0, 2**32))
def test_order_of_the_samples_does_not_matter(case, seed):
    order = torch.randperm(case.samples, generator=torch.Generator().manual_seed(seed)).tolist()
    assert error(case.only(*order).hessian().dense(), case.hessian().dense()) < 1e-14


@given(case=cases(eps=0.1))
def test_the_hessian_of_each_sample_is_that_of_the_sample_alone_and_their_mean_that_of_all(case):
    each, mean = case.hessian(reduction="none"), case.hessian()
    assert (len(each), each.shape, each.names) == (case.samples, (case.samples, *mean.shape), mean.names)
    stack, name, other = each.dense(), mean.names[0], mean.names[-1]
    assert error(stack.mean(0), mean.dense()) < 1e-14
    blocks, products = each[name, other], each @ case.weights
    for sample, H in enumerate(each):
        alone = case.only(sample).hessian().dense()
        assert error(stack[sample], alone) < 1e-14
        assert error(H @ case.weights, products[sample]) < 1e-14
        assert error(blocks[sample], alone[case.places[name], case.places[other]]) < 1e-13
        assert float((products[sample] - alone @ case.weights).norm()) < 1e-13 * size(alone) * size(case.weights)


@fewer
@given(case=cases(eps=0.1))
def test_how_much_is_expanded_and_kept_at_a_time_does_not_matter(case):
    vectors = torch.stack([case.weights, case.weights.flip(0)], 1)

    def everything():
        mean, each = case.hessian(), case.hessian(reduction="none")
        return (
            mean.dense(),
            each.dense(),
            mean @ vectors,
            torch.tensor(mean.trace()),
            mean[mean.names[0], mean.names[1]],
        )

    at_once = everything()
    tolerance = 1e-13 * size(at_once[0]) * size(vectors)
    for much in ({"_bytes_per_sample"}, {"_bytes_per_sample", "KEPT_BYTES"}, {"KEPT_BYTES"}):
        with pytest.MonkeyPatch.context() as patch:
            if "_bytes_per_sample" in much:  # one sample at a time
                patch.setattr(HESSIAN, "_bytes_per_sample", lambda *_, **__: 1 << 60)
            if "KEPT_BYTES" in much:
                patch.setattr(HESSIAN, "KEPT_BYTES", 1)
            for one, other in zip(everything(), at_once, strict=True):
                assert float((one - other).norm()) < tolerance


@given(
    case=cases(loss_of=["mse", "cross_entropy"], padded=False, eps=0.1),
    padding=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_padding_with_any_values_anywhere_changes_nothing(case, padding, seed):
    random, tokens = torch.Generator().manual_seed(seed), case.tokens + padding
    real = 1 + torch.randperm(tokens - 1, generator=random)[: case.tokens - 1] if case.pool == "first" else None
    real = (
        torch.randperm(tokens, generator=random)[: case.tokens]
        if real is None
        else torch.cat([torch.zeros(1).long(), real])
    )
    real = real.sort().values
    mask = torch.zeros(case.samples, tokens, dtype=torch.bool)
    mask[:, real] = True

    def padded(tensor):
        if tensor.ndim < 3:
            return tensor
        values = 1e3 * Normal(seed)(len(tensor), tokens, tensor.shape[2])
        values[:, real] = tensor
        return values

    H = hessian(case.module, padded(case.inputs), padded(case.targets), case.loss, mask=mask)
    assert error(H.dense(), case.hessian().dense()) < 1e-13


@given(case=cases(eps=0.1))
def test_a_mask_without_padding_is_no_mask(case):
    mask = torch.ones(case.inputs.shape[:2], dtype=torch.bool)
    masked, plain = (hessian(case.module, case.inputs, case.targets, case.loss, mask=some) for some in (mask, None))
    assert torch.equal(masked.dense(), plain.dense())


@given(case=cases(eps=0.1, loss_of=["mse", "cross_entropy"]))
def test_single_precision_is_kept_and_differs_by_rounding(case):
    exact, vector = case.hessian().dense(), case.weights.float()
    targets = case.targets if case.loss == "cross_entropy" else case.targets.float()
    H = hessian(case.module.float(), case.inputs.float(), targets, case.loss, mask=case.mask)
    assert H.dense().dtype == (H @ vector).dtype == torch.float32
    assert error(H.dense().double(), exact) < 1e-4


# what is asked of it


@fewer
@given(case=cases(eps=0.1))
def test_every_block_is_a_part_of_the_dense_matrix(case):
    H = case.hessian()
    dense = H.dense()
    for (left, rows), (right, columns) in itertools.product(case.places.items(), repeat=2):
        block = H[left, right]
        assert block.shape == dense[rows, columns].shape
        assert float((block - dense[rows, columns]).norm()) < 1e-14 * size(dense)


@given(case=cases(eps=0.1), columns=st.integers(0, 4), seed=st.integers(0, 2**32))
def test_products_equal_those_with_the_dense_matrix(case, columns, seed):
    H = case.hessian()
    dense = H.dense()
    vectors = Normal(seed)(len(dense), *[columns] * (columns > 0))
    product = H @ vectors
    assert product.shape == vectors.shape
    assert float((product - dense @ vectors).norm()) < 1e-13 * size(dense) * size(vectors)


def test_a_product_with_no_vectors_is_empty():
    H = Case(BLOCK, "mse").hessian()
    assert (H @ torch.empty(H.shape[0], 0).double()).shape == (H.shape[0], 0)


@given(case=cases(eps=0.1), part=st.sampled_from(["full", "outer", "functional"]))
def test_trace_and_norms_are_those_of_the_dense_matrix(case, part):
    H = case.hessian(part=part)
    dense = H.dense()
    tolerance = 1e-12 * size(dense)
    assert H.trace() == pytest.approx(float(dense.trace()), abs=tolerance)
    assert (
        H.norm() == H.norm("spectral") == pytest.approx(float(torch.linalg.eigvalsh(dense).abs().max()), abs=tolerance)
    )
    assert H.norm("frobenius") == pytest.approx(float(dense.norm()), abs=tolerance)


@fewer
@given(case=cases(eps=0.1), kind=st.sampled_from(["spectral", "frobenius"]))
def test_block_norms_are_those_of_the_dense_blocks(case, kind):
    H = case.hessian()
    norms, dense = H.block_norms(kind), H.dense()
    assert list(norms) == list(itertools.product(H.names, repeat=2))
    for (left, right), norm in norms.items():
        block = dense[case.places[left], case.places[right]]
        expected = float(torch.linalg.matrix_norm(block, 2 if kind == "spectral" else "fro"))
        assert norm == pytest.approx(expected, abs=1e-12 * size(dense))


BLOCK = {"width": 4, "key_width": 2, "hidden_width": 3, "norm": "post"}


@pytest.mark.parametrize("dense_side", [512, 2])
@pytest.mark.parametrize("pool", [None, "mean"])
def test_norms_of_what_is_too_large_to_be_dense_are_the_same(monkeypatch, pool, dense_side):
    H = Case(BLOCK, "mse", pool, classes=1).hessian()
    norm, norms, frobenius = H.norm(), H.block_norms(), H.norm("frobenius")
    tolerance = 1e-12 * size(H.dense())
    monkeypatch.setattr(HESSIAN, "SMALL_BYTES", 0)  # products only
    monkeypatch.setattr(NORMS, "DENSE_SIDE", dense_side)  # small blocks are made dense, or none is
    assert H.norm() == pytest.approx(norm, abs=tolerance)
    assert H.block_norms() == pytest.approx(norms, abs=tolerance)
    assert H.norm("frobenius") == pytest.approx(frobenius, abs=tolerance)


def test_how_many_columns_are_measured_at_a_time_does_not_matter(monkeypatch):
    H = Case(BLOCK, "mse").hessian()
    norm = H.norm("frobenius")
    monkeypatch.setattr(HESSIAN, "SMALL_BYTES", 0)
    monkeypatch.setattr(NORMS, "COLUMNS", 7)
    assert H.norm("frobenius") == pytest.approx(norm, rel=1e-14)


# what is around it


@pytest.mark.parametrize("pool", [None, "mean"])
def test_the_hessian_keeps_the_weights_that_it_was_made_with(pool):
    case, untouched = Case(BLOCK, "mse", pool), Case(BLOCK, "mse", pool)
    H = case.hessian()
    with torch.no_grad():
        for parameter in case.module.parameters():
            parameter.add_(1)
    assert torch.equal(H.dense(), untouched.hessian().dense())


def test_everything_given_stays_as_it_is():
    case, untouched = Case(BLOCK, "mse", padded=True), Case(BLOCK, "mse", padded=True)
    case.module.W_Q.requires_grad_(False)
    case.module.train()
    assert torch.equal(case.weights, untouched.weights)
    before = torch.get_rng_state()
    H = case.hessian()
    assert len(H.names) == len(case.places)  # also what is not trained
    assert H.norm() > 0
    assert torch.equal(torch.cat([value.flatten() for value in case.module.parameters()]), untouched.weights)
    assert all(torch.equal(getattr(case, name), getattr(untouched, name)) for name in ("inputs", "targets", "mask"))
    assert all(parameter.grad is None for parameter in case.module.parameters())
    assert not case.module.W_Q.requires_grad
    assert case.module.W_K.requires_grad
    assert case.module.training
    assert not H.dense().requires_grad
    assert torch.equal(torch.get_rng_state(), before)


@fewer
@given(case=cases(eps=0.1))
def test_results_are_the_same_to_the_bit_when_asked_for_again(case):
    H, again = case.hessian(), case.hessian()
    assert torch.equal(H.dense(), again.dense())
    assert torch.equal(H.dense(), H.dense())
    assert (H.norm(), H.trace()) == (again.norm(), again.trace())


# numbers that are hard


def saturated(case):
    """Scores of hundreds."""
    case.module.W_Q.mul_(300)


def equal_tokens(case):
    case.inputs[:, 1] = case.inputs[:, 0] + 1e-7 * case.inputs[:, 1]


def constant_tokens(case):
    """The normalisation divides by next to nothing; values are the same in all columns but for little."""
    case.inputs.mul_(1e-7).add_(1)
    case.module.W_V.copy_(case.module.W_V[:, :1] + 1e-7 * case.module.W_V)


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize(
    ("make_hard", "eps"),
    [(saturated, 1e-5), (equal_tokens, 1e-12), (constant_tokens, 1e-5), (constant_tokens, 1e-12)],
)
def test_hard_numbers_cost_no_more_digits_than_with_automatic_differentiation(norm, make_hard, eps):
    drawn = {"width": 3, "key_width": 1, "hidden_width": 2, "norm": norm, "activation": "tanh", "eps": eps}
    case = Case(drawn, "mse", samples=1, tokens=2)
    with torch.no_grad():
        make_hard(case)
    exact = oracles.precise(case)
    assert error(case.hessian().dense(), exact) < 3 * error(oracles.automatic(case), exact) + 1e-15


@pytest.mark.parametrize("attention", ["softmax", "linear"])
def test_causal_attention_to_padding_alone_stays_finite(attention):
    """The first token sees only itself, and is padding."""
    case = Case(BLOCK | {"attention": attention, "causal": True}, "mse", padded=True)
    case.mask[:] = torch.tensor([False, True, True])
    assert error(case.hessian().dense(), oracles.automatic(case)) < 1e-13


# bad input


@pytest.fixture
def as_users_have_it():
    """Without the checks of types and shapes, which are switched on in tests alone and would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def refused(*parts, **changes):
    """What is said about a Hessian with these arguments changed."""
    case = Case(BLOCK, "mse", changes.pop("pool", None))
    arguments = {"module": case.module, "inputs": case.inputs, "targets": case.targets} | changes
    with pytest.raises(InputError) as refusal:
        hessian(**arguments)
    message = str(refusal.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


X = torch.zeros(2, 3, 4, dtype=torch.float64)
"""Fits the block."""


def shape(value):
    return str(tuple(value.shape)) if isinstance(value, torch.Tensor) else str(value)


@pytest.mark.parametrize("inputs", [X[..., :3], X[0], X[None], X[:0], X[:, :0], X[..., None, :0]], ids=shape)
@pytest.mark.usefixtures("as_users_have_it")
def test_inputs_of_another_shape_are_refused(inputs):
    refused("inputs must be (samples, tokens, 4)", str(tuple(inputs.shape)), inputs=inputs, targets=inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.long])
@pytest.mark.usefixtures("as_users_have_it")
def test_inputs_of_another_dtype_are_refused(dtype):
    refused("inputs", str(dtype), "torch.float64", inputs=X.to(dtype))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("pool", [None, "mean"])
def test_numbers_that_are_not_finite_are_refused_by_name(value, pool):
    bad = X.clone()
    bad[1, 2, 3] = value
    refused("inputs", "not finite", inputs=bad, pool=pool)
    case = Case(BLOCK, "mse", pool)
    name = "block.W_V" if pool else "W_V"
    with torch.no_grad():
        case.module.get_parameter(name)[1, 1] = value
    refused(name, "not finite", module=case.module, pool=pool)
    targets = case.targets.clone()
    targets[1, 0] = value
    refused("targets", "finite", targets=targets, pool=pool)


@pytest.mark.parametrize("targets", [None, [1, 2], X[..., :3], X[:1], X[0], X[0, 0, 0]], ids=shape)
@pytest.mark.usefixtures("as_users_have_it")
def test_targets_that_are_missing_or_do_not_fit_are_refused(targets):
    refused("targets must be", targets=targets)


def test_whole_numbers_are_refused_as_targets_of_the_mean_squared_error():
    refused("targets", "floating", targets=X.long())


@pytest.mark.parametrize("classes", [[0, 3], [-1, 0], [0.0, 1.0], [[0], [1]], [[0, 1, 2], [0, 1, 2]]], ids=str)
def test_classes_that_do_not_fit_are_refused(classes):
    refused("targets must be", "class numbers", targets=torch.tensor(classes), loss="cross_entropy", pool="mean")


def test_cross_entropy_of_a_bare_block_is_refused():
    refused("BlockClassifier(block, classes)", targets=torch.tensor([0, 1]), loss="cross_entropy")


def test_bad_targets_are_refused_at_once_wherever_they_are(monkeypatch):
    monkeypatch.setattr(HESSIAN, "_bytes_per_sample", lambda *_, **__: 1 << 60)
    refused("class numbers from 0 to 2", targets=torch.tensor([0, 3]), loss="cross_entropy", pool="mean")


@pytest.mark.parametrize(
    "mask", [torch.ones(2, 3), torch.ones(2, 3).long(), torch.ones(2, 4).bool(), torch.ones(3).bool()], ids=repr
)
@pytest.mark.usefixtures("as_users_have_it")
def test_masks_that_do_not_fit_are_refused(mask):
    refused("mask must be (2, 3) of bool", str(tuple(mask.shape)), str(mask.dtype).split(".")[1], mask=mask)


def test_a_sample_without_a_real_token_is_refused():
    refused("without any real token", mask=torch.tensor([[True, True, True], [False, False, False]]))


@pytest.mark.parametrize("module", [nn.Linear(4, 4), nn.TransformerEncoderLayer(4, 2), None], ids=type)
@pytest.mark.usefixtures("as_users_have_it")
def test_other_modules_are_refused(module):
    refused(type(module).__name__, "TransformerBlock", module=module)


@pytest.mark.usefixtures("as_users_have_it")
def test_a_classifier_of_another_module_is_refused():
    with pytest.raises(InputError, match="TransformerBlock"):
        BlockClassifier(nn.Linear(4, 4), 3)


@pytest.mark.parametrize(("argument", "known"), [("part", "functional"), ("reduction", "mean"), ("loss", "mse")])
def test_unknown_words_are_refused_with_the_nearest_known(argument, known):
    word = known[:-1]
    refused(f"'{word}'", f'did you mean "{known}"', **{argument: word})


@pytest.mark.parametrize(
    "ask", [lambda H: H.norm("nuclear"), lambda H: H.block_norms("nuclear")], ids=["norm", "block_norms"]
)
def test_unknown_norms_are_refused(ask):
    with pytest.raises(InputError, match="'nuclear'.*spectral.*frobenius"):
        ask(Case(BLOCK, "mse").hessian())


@pytest.mark.parametrize("names", [("W_q", "W_K"), ("W_K", "W_q")])
def test_unknown_parameters_are_refused_with_the_nearest_known(names):
    with pytest.raises(InputError, match="'W_q'.*did you mean \"W_.\".*gamma_1"):
        Case(BLOCK, "mse").hessian()[names]


@pytest.mark.parametrize("shape", [(3,), (3, 2), (), (61, 2, 2)], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.usefixtures("as_users_have_it")
def test_vectors_of_another_length_are_refused(shape, reduction):
    H = Case(BLOCK, "mse").hessian(reduction=reduction)
    with pytest.raises(InputError, match=f"{H.shape[-1]} entries"):
        H @ torch.zeros(shape).double()


def bytes_free(monkeypatch, free):
    gc.collect()
    monkeypatch.setattr(HESSIAN.psutil, "virtual_memory", lambda: SimpleNamespace(available=free))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_dense_hessian_that_does_not_fit_is_refused_with_what_to_ask_for_instead(monkeypatch, reduction):
    H = Case(BLOCK, "mse").hessian(reduction=reduction)
    bytes_free(monkeypatch, 8 * math.prod(H.shape) - 1)
    with pytest.raises(InputError, match=r"GB.*GB.*H @ vector.*norm\(\).*\[\"W_Q\", \"W_K\"\]") as refusal:
        H.dense()
    assert "\n" not in str(refusal.value)
    bytes_free(monkeypatch, 10 * 8 * math.prod(H.shape))
    assert H.dense().shape == H.shape


def test_what_is_offered_instead_of_a_dense_hessian_needs_none(monkeypatch):
    H = Case(BLOCK, "mse").hessian()
    bytes_free(monkeypatch, 8 * 8 * 8)
    assert H["W_Q", "W_K"].shape == (8, 8)
    assert (H @ torch.zeros(H.shape[0]).double()).shape == H.shape[:1]
    assert H.trace() < math.inf
    assert max(H.block_norms().values()) <= H.norm() * (1 + 1e-12)
    with pytest.raises(InputError, match="GB"):
        H["W_V", "W_V"]


@pytest.mark.parametrize(
    "module", [SelfAttention(4, 2), TransformerBlock(4, 2, 3), BlockClassifier(SelfAttention(4, 2), 3)]
)
def test_a_fresh_module_in_single_precision_has_a_hessian(module):
    X = torch.zeros(2, 3, 4)
    assert hessian(module, X, module(X).detach()).norm() >= 0
