"""k* by the bound: its constants against dense Hessians, and what follows from its formula."""

import math

import jaxtyping
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from oracles import cases, fewer, sample_loss
from torch.func import grad, vmap
from torch.nn import functional

from suffice.closed_form import SelfAttention, bounds
from suffice.errors import InputError

KINDS = ("measured", "data", "a_priori")


def constant(case, radius) -> float:
    """S_l + rho S_g + rho^2 S_h / 2 from dense Hessians, and the gradients of automatic differentiation."""
    z = case.module(case.inputs, case.mask)
    losses = torch.stack([sample_loss(case, sample, z[sample]) for sample in range(len(z))])
    rows = [torch.autograd.grad(loss, list(case.module.parameters()), retain_graph=True, allow_unused=True,
                                materialize_grads=True) for loss in losses]  # fmt: skip
    gradients = torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])
    H = case.hessian(reduction="none").dense()
    H, gradients, losses = H - H.mean(0), gradients - gradients.mean(0), (losses - losses.mean()).detach()
    S = [losses.square().sum(), gradients.square().sum(), torch.linalg.eigvalsh((H @ H).sum(0))[-1].clamp(min=0)]
    S_l, S_g, S_h = (math.sqrt(float(part) / (len(z) - 1)) for part in S)
    return S_l + radius * S_g + radius**2 / 2 * S_h


@pytest.mark.deep
@given(case=cases(), radius=st.floats(0, 2), share=st.floats(0.01, 1))
def test_measured_constants_are_those_of_dense_hessians(case, radius, share):
    assume(len(case.inputs) > 1)
    C = constant(case, radius)
    assume(C > 1e-6)
    tolerance = C * share
    answer = bounds.sufficient_size(
        case.module, case.inputs, case.targets, radius, tolerance, case.loss, "measured", case.mask
    )
    assert tolerance * math.sqrt(answer.size * (answer.size + 1)) >= C * (1 - 1e-4)
    assert answer.size == 1 or tolerance * math.sqrt(answer.size * (answer.size - 1)) <= C * (1 + 1e-4)
    assert answer.status == ("reached" if answer.size <= len(case.inputs) else "extrapolated")


@pytest.mark.deep
@fewer
@given(case=cases(loss_of=("mse", "cross_entropy"), activation_of=("gelu", "tanh")), radius=st.floats(0, 2))
def test_measured_sizes_are_at_most_data_dependent_ones(case, radius):
    assume(len(case.inputs) > 1)
    C = constant(case, radius)
    assume(C > 1e-6)
    sizes = [
        bounds.sufficient_size(case.module, case.inputs, case.targets, radius, C / 30, case.loss, kind, case.mask).size
        for kind in KINDS
    ]
    assert sizes[0] <= sizes[1]
    assert sizes[0] <= sizes[2]


@pytest.fixture
def layer():
    torch.manual_seed(0)
    attention = SelfAttention(4, 4).double()
    X, Y = torch.randn(2, 12, 3, 4, dtype=torch.float64)
    return attention, X, Y


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_fall_with_the_tolerance_and_rise_with_the_radius(layer, kind):
    steps = slice(None, None, 2) if kind == "measured" else slice(None)  # its Hessians take the most time
    radii, tolerances = (0.0, 0.3, 3.0)[steps], (0.01, 0.1, 1.0)[steps]
    sizes = [
        [bounds.sufficient_size(*layer, radius, tolerance, kind=kind).size for tolerance in tolerances]
        for radius in radii
    ]
    for by_tolerance in sizes:
        assert by_tolerance == sorted(by_tolerance, reverse=True)
    for by_radius in zip(*sizes, strict=True):
        assert list(by_radius) == sorted(by_radius)


def test_at_w_star_itself_the_spread_of_the_losses_decides(layer):
    attention, X, Y = layer
    losses = vmap(lambda x, y: (attention(x[None])[0] - y).square().mean())(X, Y).detach()
    for kind in ("measured", "data"):
        answer = bounds.sufficient_size(attention, X, Y, 0.0, 0.01, kind=kind)
        k = answer.size
        assert losses.std() <= 0.01 * math.sqrt(k * (k + 1))
        assert losses.std() > 0.01 * math.sqrt(k * (k - 1))
        assert answer.low <= k <= answer.high


@fewer
@given(seed=st.integers(0, 100), radius=st.floats(0.001, 0.02))
def test_the_bound_holds_near_w_star(seed, radius):
    """To second order: near w* the third is far below what the triangle inequality leaves."""
    torch.manual_seed(seed)
    attention = SelfAttention(4, 4).double()
    X, Y = torch.randn(2, 6, 3, 4, dtype=torch.float64)
    weights = {name: parameter.detach() for name, parameter in attention.named_parameters()}
    step = {name: torch.randn_like(weight) for name, weight in weights.items()}
    length = math.sqrt(sum(float(part.square().sum()) for part in step.values()))
    there = {name: weights[name] + radius / length * step[name] for name in weights}

    def losses(weights):
        outputs = torch.func.functional_call(attention, weights, (X,))
        return (outputs - Y).square().mean((1, 2))

    # by (3) the root mean square over orders is S(w) / sqrt(k (k + 1))
    spread = float(losses(there).std())
    tolerance = spread / 20
    k = bounds.sufficient_size(attention, X, Y, radius, tolerance, kind="measured").size
    assert spread / math.sqrt(k * (k + 1)) <= tolerance * (1 + 1e-3)
    assert all(part.isfinite().all() for part in grad(lambda weights: losses(weights).sum())(weights).values())


@pytest.fixture
def as_users_have_it():
    """Without the checks of types, which are switched on in tests alone and would speak first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"radius": -1.0}, "radius = -1.0"),
        ({"radius": math.nan}, "radius = nan"),
        ({"tolerance": 0.0}, "tolerance = 0.0"),
        ({"kind": "measure"}, 'did you mean "measured"?'),
        ({"loss": lambda z, y: z.sum(), "kind": "a_priori"}, 'use kind="data"'),
    ],
)
def test_bad_input_is_one_line(layer, as_users_have_it, arguments, said):
    with pytest.raises(InputError) as error:
        bounds.sufficient_size(*layer, **({"radius": 0.1, "tolerance": 0.1} | arguments))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_one_sample_has_no_spread(layer):
    attention, X, Y = layer
    with pytest.raises(InputError, match="at least 2"):
        bounds.sufficient_size(attention, X[:1], Y[:1], 0.1, 0.1)


@pytest.mark.parametrize("exponent", [20, 24, 24.5, 25, 25.5, 26, 40, 80])
def test_a_bound_beyond_all_numbers_cannot_tell(layer, exponent):
    """Whether the bound itself is too large for a number, or only its square."""
    attention, X, Y = layer
    answer = bounds.sufficient_size(attention, 10.0**exponent * X, Y, 1.0, 1e-3, kind="a_priori")
    if exponent < 25:
        assert answer.low <= answer.size <= answer.high
    else:
        assert answer.status == "cannot_tell"
        assert answer.size is None
        assert "infinite" in answer.explanation


@pytest.mark.parametrize(
    ("loss", "same_as"),
    [
        (functional.mse_loss, "mse"),
        (lambda z, target: torch.square(z - target).mean() if z.sum() > -1e9 else z.sum(), "mse"),
        (lambda z, target: functional.huber_loss(z, target, delta=1e3) * 2, "mse"),
    ],
    ids=["no jvp of its gradient", "branches on its values", "no forward derivative"],
)
def test_measured_constants_need_no_loss_that_runs_under_vmap_and_jvp(layer, loss, same_as):
    sizes = [bounds.sufficient_size(*layer, 0.1, 1e-4, one, "measured").size for one in (loss, same_as)]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-6)
