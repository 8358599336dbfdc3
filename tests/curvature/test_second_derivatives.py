"""What holds of every operator of second derivatives, on every kind of model: one abstract case, inherited by each."""

import gc
import weakref

import numpy as np
import pytest
import torch
from curvature_oracles import mlp_problem
from small_models import CLASSES, SAMPLES, SOUND, TOKENS, WIDTH, drawn, few_of, labels, moved, problem_of
from torch import nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint
from torch.utils.data import TensorDataset

from suffice import InputError, Problem
from suffice.closed_form import TransformerBlock
from suffice.closed_form import hessian as closed_form
from suffice.curvature import Hessian, flattened, mean_gradient, parameter_count, unflattened

pytestmark = pytest.mark.filterwarnings("ignore:SUF010")  # of parameters without gradient, see tests/checks

STEP = 1e-4


def pytest_generate_tests(metafunc):
    if metafunc.cls is not None:
        on_all = metafunc.cls is TestHessian and metafunc.function.__name__ == "test_it_is_the_second_difference"
        metafunc.parametrize("kind", sorted(metafunc.cls.kinds) if on_all else few_of(metafunc.cls.kinds))


def unchecked(problem):
    """Without the guards, which have tests of their own in tests/checks, with all these kinds of models."""
    problem.checks = False
    return problem


def direction(problem, seed=3):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(parameter_count(problem), generator=draw, dtype=torch.float64)


def along(problem, vector, step):
    """The weights moved along a vector."""
    center, parts = problem.center(), unflattened(problem, vector)
    return problem.at({name: center[name] + step * parts[name] for name in center})


def outputs_along(problem, vector):
    """J v of all samples, by central differences of the outputs."""
    sides = []
    for sign in (1, -1):
        with problem.measuring(), sdpa_kernel(SDPBackend.MATH), along(problem, vector, sign * STEP):
            sides.append(problem.outputs(problem.batch(slice(None))))
    return (sides[0] - sides[1]) / (2 * STEP)


def bent_losses(problem, first, second):
    """The mean of u' S v, by differences of the losses in the outputs."""
    with problem.measuring(), sdpa_kernel(SDPBackend.MATH):
        batch = problem.batch(slice(None))
        outputs = problem.outputs(batch)
        step, total = 1e-3 / float(max(first.norm(), second.norm())), 0.0
        for one in (1, -1):
            for other in (1, -1):
                at = outputs + step * (one * first + other * second)
                total += one * other * float(problem.losses_of(at, batch).mean())
    return total / (4 * step**2)


class Operators:
    """An operator of a problem. A new one defines `of` and `expected`, and inherits the tests."""

    kinds = SOUND.keys()

    @staticmethod
    def of(problem, **arguments):
        """The operator."""
        raise NotImplementedError

    @staticmethod
    def expected(problem, first, second):
        """u' A v without second derivatives by autograd."""
        raise NotImplementedError

    @pytest.fixture
    def problem(self, kind):
        return unchecked(SOUND[kind]())

    def test_it_is_the_second_difference(self, problem):
        first, second = direction(problem), direction(problem, 4)
        operator = self.of(problem)
        for left, right in ((first, second), (second, second)):
            found = float(left @ (operator @ right))
            scale = float(left.norm() * (Hessian(problem) @ right).norm())
            assert found == pytest.approx(self.expected(problem, left, right), rel=2e-5, abs=2e-6 * scale)

    def test_it_is_symmetric(self, problem):
        operator = self.of(problem)
        first, second = direction(problem), direction(problem, 4)
        scale = float((operator @ first).norm() * second.norm())
        assert abs(float(second @ (operator @ first) - first @ (operator @ second))) <= 1e-12 * scale

    def test_nothing_depends_on_batches_or_memory(self, problem):
        vector = direction(problem)
        expected = self.of(problem, batch_size=4) @ vector
        assert torch.equal(self.of(problem, batch_size=4, memory=0) @ vector, expected)
        for batch_size in (1, SAMPLES):
            found = self.of(problem, batch_size=batch_size) @ vector
            assert torch.allclose(found, expected, rtol=1e-10, atol=1e-12 * float(expected.norm() + 1e-3))

    def test_products_repeat_and_columns_are_products(self, problem):
        operator = self.of(problem)
        columns = torch.stack([direction(problem), direction(problem, 4)], 1)
        found = operator @ columns
        assert torch.equal(operator @ columns, found)
        # one product of a matrix or several of vectors: processors differ in whether these have the same bits
        assert torch.allclose(
            torch.stack([operator @ column for column in columns.T], 1), found, rtol=1e-12, atol=1e-12
        )

    def test_it_stays_at_the_weights_of_its_beginning(self, problem):
        vector = direction(problem)
        kept, rebuilt = self.of(problem), self.of(problem, memory=0)
        expected = kept @ vector
        with along(problem, vector, 0.1):
            assert torch.equal(kept @ vector, expected)
            assert torch.equal(rebuilt @ vector, expected)
        with torch.no_grad():
            for parameter in problem.moving.values():
                parameter.mul_(1.5)
        assert torch.equal(kept @ vector, expected)
        assert torch.equal(rebuilt @ vector, expected)

    def test_the_model_is_left_as_it_was(self, problem):
        first = next(iter(problem.moving.values()))
        first.requires_grad_(False)
        before = {
            name: (value.data_ptr(), value.clone(), value.requires_grad)
            for name, value in problem.model.named_parameters()
        }
        self.of(problem) @ direction(problem)
        for name, value in problem.model.named_parameters():
            pointer, expected, required = before[name]
            assert (value.data_ptr(), value.requires_grad) == (pointer, required)
            assert torch.equal(value, expected)
            assert value.grad is None

    def test_a_float32_model_has_the_same_products(self, kind, problem):
        vector = direction(problem)
        expected = self.of(problem) @ vector
        found = (self.of(unchecked(SOUND[kind](torch.float32))) @ vector.float()).double()
        assert torch.allclose(found, expected, rtol=2e-3, atol=2e-4 * float(expected.abs().max() + 1e-3))


class TestHessian(Operators):
    """Central differences of mean gradients."""

    of = staticmethod(Hessian)

    @staticmethod
    def expected(problem, first, second):
        sides = []
        for sign in (1, -1):
            with sdpa_kernel(SDPBackend.MATH), along(problem, second, sign * STEP / 10):
                sides.append(mean_gradient(problem))
        return float(first @ (sides[0] - sides[1])) / (STEP / 5)


class TestOuter(Operators):
    """J v by central differences of outputs, and S by those of losses."""

    kinds = SOUND.keys() - {"own_loss"}

    @staticmethod
    def of(problem, **arguments):
        return Hessian(problem, "outer", **arguments)

    @staticmethod
    def expected(problem, first, second):
        return bent_losses(problem, outputs_along(problem, first), outputs_along(problem, second))


class TestFunctional(Operators):
    """What is left of the Hessian."""

    kinds = TestOuter.kinds

    @staticmethod
    def of(problem, **arguments):
        return Hessian(problem, "functional", **arguments)

    @staticmethod
    def expected(problem, first, second):
        return TestHessian.expected(problem, first, second) - TestOuter.expected(problem, first, second)


@pytest.mark.parametrize("kind", ["norm_mlp", "transformer_layer", "vit", "bert", "lora_at_start"])
def test_it_is_the_dense_hessian_of_forward_over_reverse(kind):
    problem = unchecked(SOUND[kind]())
    weights = {name: parameter.detach() for name, parameter in problem.moving.items()}
    batch = problem.batch(slice(None))

    class Loss(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = problem.model

        def forward(self):
            return problem.losses(batch).mean()

    def loss(weights):
        return functional_call(Loss(), {f"model.{name}": value for name, value in weights.items()}, ())

    columns = torch.stack([direction(problem, seed) for seed in range(3)], 1)
    with problem.measuring(), sdpa_kernel(SDPBackend.MATH):
        products = vmap(lambda vector: jvp(grad(loss), (weights,), (vector,))[1])(
            {name: torch.stack([unflattened(problem, column)[name] for column in columns.T]) for name in problem.moving}
        )
    expected = torch.stack(
        [flattened(problem, {name: value[one] for name, value in products.items()}) for one in range(3)], 1
    )
    assert torch.allclose(Hessian(problem) @ columns, expected, rtol=1e-9, atol=1e-11 * float(expected.abs().max()))


@pytest.mark.parametrize("norm", ["post", "pre", "none"])
@pytest.mark.parametrize("part", ["full", "outer", "functional"])
def test_it_is_the_closed_form(norm, part):
    torch.manual_seed(0)
    block = TransformerBlock(width=WIDTH, key_width=WIDTH, hidden_width=6, norm=norm).double()
    x, y = drawn(SAMPLES, TOKENS, WIDTH), drawn(SAMPLES, TOKENS, WIDTH, seed=2)
    exact = closed_form(block, x, y, part=part)
    found = Hessian(Problem(block, TensorDataset(x, y), "mse"), part)
    vectors = torch.stack([drawn(found.shape[0], seed=seed) for seed in (5, 6)], 1)
    expected = torch.stack([exact @ vector for vector in vectors.T], 1)
    assert torch.allclose(found @ vectors, expected, rtol=1e-10, atol=1e-11 * float(expected.abs().max()))
    name = next(name for name in found.names if name.endswith("W_V"))
    assert torch.allclose(dense(found.block(name)), exact[name, name], rtol=1e-10, atol=1e-11)


def dense(operator):
    return operator @ torch.eye(operator.shape[0], dtype=operator.dtype)


@pytest.mark.parametrize(
    "kind", ["norm_mlp", "regression", "transformer_layer", pytest.param("lora_at_start", marks=pytest.mark.deep)]
)
@pytest.mark.parametrize("part", ["full", "outer", "functional"])
def test_a_block_is_that_of_the_matrix(kind, part):
    problem = unchecked(SOUND[kind]())
    operator = Hessian(problem, part)
    matrix, chosen = dense(operator), list(problem.moving)[1::2]
    sizes = [problem.moving[name].numel() for name in problem.moving]
    inside = torch.cat([torch.full((size,), name in chosen) for name, size in zip(problem.moving, sizes, strict=True)])
    block = operator.block(chosen)
    assert block.names == tuple(chosen)
    assert torch.allclose(dense(block), matrix[inside][:, inside], rtol=1e-10, atol=1e-12 * float(matrix.abs().max()))


def test_some_samples_are_the_mean_over_them():
    problem = unchecked(SOUND["vit"]())
    vector = direction(problem)
    each = torch.stack([Hessian(problem, positions=np.array([one])) @ vector for one in range(SAMPLES)])
    some = np.array([4, 1, 5])
    assert torch.allclose(Hessian(problem, positions=some) @ vector, each[some].mean(0), rtol=1e-10)
    assert torch.allclose(Hessian(problem, positions=slice(2, 6)) @ vector, each[2:].mean(0), rtol=1e-10)


def test_tied_parameters_count_once():
    problem = SOUND["tied_weights"]()
    assert Hessian(problem).shape == (parameter_count(problem),) * 2
    assert parameter_count(problem) < sum(value.numel() for value in problem.model.state_dict().values())


class Checkpointed(nn.Module):
    """Runs layers whose derivatives are kept, and may run them again in the reverse pass."""

    def __init__(self, is_checkpointed):
        super().__init__()
        self.is_checkpointed = is_checkpointed
        self.first, self.last = nn.Linear(WIDTH, 6), nn.Linear(6, CLASSES)
        self.inner = nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.GELU())

    def forward(self, x):
        y = self.first(x)
        return self.last(checkpoint(self.inner, y, use_reentrant=False) if self.is_checkpointed else self.inner(y))


@pytest.mark.parametrize("part", ["full", "outer", "functional"])
def test_a_checkpoint_changes_nothing(part):
    products = []
    for is_checkpointed in (True, False):
        torch.manual_seed(0)
        problem = problem_of(Checkpointed(is_checkpointed), drawn(SAMPLES, WIDTH))
        products.append(Hessian(problem, part) @ direction(problem))
    assert torch.allclose(*products, rtol=1e-12, atol=1e-14)


class Counting(nn.Module):
    """Counts the samples that pass."""

    def __init__(self):
        super().__init__()
        self.layer, self.passed = nn.Linear(WIDTH, 6), 0

    def forward(self, x):
        self.passed += len(x)
        return torch.tanh(self.layer(x))


@pytest.mark.parametrize("order", ["source", "shuffled"])
def test_a_frozen_prefix_of_a_sequential_runs_once(order):
    torch.manual_seed(0)
    first = Counting()
    model = nn.Sequential(nn.Unflatten(1, (2, 2)), nn.Flatten(), first, nn.Linear(6, CLASSES))
    problem = problem_of(model, drawn(SAMPLES, WIDTH), parameters="3.*", order=order)
    whole = problem_of(nn.Sequential(nn.Sequential(*model)), drawn(SAMPLES, WIDTH), parameters="0.3.*", order=order)
    vector, some = direction(problem), np.array([3, 0])
    for part in ("full", "outer", "functional"):
        assert torch.allclose(Hessian(problem, part) @ vector, Hessian(whole, part) @ vector, rtol=1e-10, atol=1e-14)
    found, expected = (Hessian(each, positions=some) @ vector for each in (problem, whole))
    assert torch.allclose(found, expected, rtol=1e-10)
    operator = Hessian(problem, memory=4096)
    first.passed = 0
    operator @ vector
    assert first.passed == 0


@pytest.mark.parametrize("kind", ["before", "after"])
def test_hooks_of_a_sequential_run_though_its_prefix_is_frozen(kind):
    torch.manual_seed(0)
    layers = nn.Linear(WIDTH, 6), nn.Tanh(), nn.Linear(6, CLASSES)
    hooked, written = nn.Sequential(*layers), nn.Sequential(nn.Sequential(*layers))
    if kind == "before":
        hooked.register_forward_pre_hook(lambda model, inputs: (3 * inputs[0],))
        x = 3 * drawn(SAMPLES, WIDTH)
    else:
        hooked.register_forward_hook(lambda model, inputs, outputs: 3 * outputs)
        written.append(Tripled())
        x = drawn(SAMPLES, WIDTH)
    one = problem_of(hooked, drawn(SAMPLES, WIDTH), parameters="2.*")
    other = problem_of(written, x, parameters="0.2.*")
    vector = direction(one)
    assert torch.allclose(Hessian(one) @ vector, Hessian(other) @ vector, rtol=1e-12)


@pytest.mark.parametrize("change", ["in place", "data in place", "other data"])
def test_frozen_weights_that_change_are_found(change):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(WIDTH, 6), nn.Tanh(), nn.Linear(6, CLASSES))
    operators = []
    for whole in (model, nn.Sequential(model)):
        problem = problem_of(whole, drawn(SAMPLES, WIDTH), parameters="*2.*")
        operators += [Hessian(problem), Hessian(problem, memory=0)]
    vector = direction(problem)
    weight = model[0].weight
    if change == "in place":
        with torch.no_grad():
            weight += 1
    elif change == "data in place":
        weight.data.mul_(3)
    else:
        weight.data = weight.detach().clone() * 3
    for operator in operators:
        with pytest.raises(InputError, match="parameters that do not move have changed"):
            operator @ vector


def test_samples_get_the_dtype_of_the_model_before_layers_without_parameters():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(WIDTH, CLASSES))
    problem = Problem(model, TensorDataset(drawn(SAMPLES, 2, WIDTH // 2), labels()))
    vector = direction(problem).float()
    expected = Hessian(problem_of(model, drawn(SAMPLES, 2, WIDTH // 2))) @ vector.double()
    model.float()
    assert torch.allclose((Hessian(problem) @ vector).double(), expected, rtol=1e-4, atol=1e-6)


class Force(nn.Module):
    """Its output is a gradient. Of LayerNorm, torch's own third derivative is wrong."""

    def __init__(self):
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(WIDTH, 6), nn.GELU(), nn.Linear(6, 1))

    def forward(self, x):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(self.energy(x).sum(), x, create_graph=True)[0]


class Mapped(nn.Module):
    """Maps itself over the samples."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(WIDTH, 6), nn.LayerNorm(6), nn.GELU(), nn.Linear(6, WIDTH))

    def forward(self, x):
        return vmap(self.layers)(x)


@pytest.mark.parametrize("kind", [Force, Mapped])
def test_a_model_that_takes_gradients_or_maps_itself_is_not_written_out(kind):
    torch.manual_seed(0)
    problem = problem_of(moved(kind()), drawn(SAMPLES, WIDTH), drawn(SAMPLES, WIDTH, seed=2), loss="mse")
    first, second = direction(problem), direction(problem, 4)
    expected = TestHessian.expected(problem, first, second)
    assert float(first @ (Hessian(problem) @ second)) == pytest.approx(expected, rel=1e-6)


def test_a_loss_of_the_weights_themselves_has_no_parts():
    problem = SOUND["linear"]()
    weight = problem.model.weight
    problem.loss = lambda outputs, batch: outputs.square().sum(1) + weight.square().sum()
    assert (Hessian(problem) @ direction(problem)).isfinite().all()
    for part in ("outer", "functional"):
        with pytest.raises(InputError, match="the loss depends on weight other than through the outputs"):
            Hessian(problem, part) @ direction(problem)


class Tripled(nn.Module):
    """Three times its input."""

    def forward(self, x):
        return 3 * x


def test_memory_is_known_before_and_graphs_are_kept_within_it():
    problem = mlp_problem([8, 32, 3], 100)
    everything = Hessian(problem, batch_size=10)
    batch = Hessian(problem, positions=slice(0, 10), batch_size=10).memory
    assert everything.memory == 10 * batch
    assert Hessian(problem, batch_size=10, memory=int(2.5 * batch)).memory == int(2.5 * batch) + batch
    assert Hessian(problem, batch_size=10, memory=0).memory == batch
    assert 10 * 43 * 8 < batch < 100 * 43 * 8  # some float64 numbers for each input, hidden unit and output


def test_released_graphs_are_gone_and_built_anew():
    operator = Hessian(mlp_problem([8, 32, 3], 30), batch_size=10)
    vector = torch.ones(operator.shape[0], dtype=operator.dtype)
    product = operator @ vector
    alive = [weakref.ref(graph) for graph in operator._graphs._kept.values()]
    assert len(alive) == 3
    operator.release()
    gc.collect()
    assert [graph() for graph in alive] == [None] * 3
    assert torch.equal(operator @ vector, product)


def test_a_problem_too_large_to_be_dense():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(100, 2000), nn.Tanh(), nn.Linear(2000, 400), nn.Tanh(), nn.Linear(400, CLASSES))
    problem = problem_of(model, drawn(SAMPLES, 100), dtype=torch.float32)
    operator = Hessian(problem)
    assert operator.shape[0] ** 2 * 4 > 1 << 40
    vector, sides = direction(problem), []
    for sign in (1, -1):
        moved = {name: value.float() for name, value in unflattened(problem, vector * sign * 1e-3).items()}
        with problem.at({name: value + moved[name] for name, value in problem.center().items()}):
            sides.append(mean_gradient(problem))
    expected = (sides[0] - sides[1]) / 2e-3
    assert float((operator @ vector.float() - expected).norm()) < 1e-2 * float(expected.norm())


class Hidden(torch.autograd.Function):
    """A square whose backward pass autograd cannot see through: its second derivative would be zero."""

    @staticmethod
    def forward(context, x):
        context.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(context, upstream):
        (x,) = context.saved_tensors
        return 2 * x.detach() * upstream


class Once(Hidden):
    """The same, and it says so; torch leaves out its second derivative nevertheless."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, upstream):
        (x,) = context.saved_tensors
        return 2 * x * upstream


def squared(function):
    class Squared(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(WIDTH, 6), nn.Linear(6, CLASSES)

        def forward(self, x):
            return self.last(function.apply(self.first(x)))

    torch.manual_seed(0)
    return problem_of(Squared(), drawn(SAMPLES, WIDTH))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (Hidden, r"automatic differentiation gives .* along first\.(weight|bias)"),
        (Once, "Once has no second derivative: write it with torch's own operations"),
    ],
)
def test_a_second_derivative_that_autograd_does_not_see_is_refused(function, message):
    problem = squared(function)
    assert mean_gradient(problem).isfinite().all()
    with pytest.raises(InputError, match=f"SUF007: {message}"):
        Hessian(problem)


class Distances(nn.Module):
    """To prototypes; torch differentiates distances once."""

    def __init__(self):
        super().__init__()
        self.prototypes = nn.Parameter(drawn(CLASSES, WIDTH, seed=3))

    def forward(self, x):
        return torch.cdist(x, self.prototypes)


def test_a_model_without_second_derivatives_is_refused_and_the_operation_named():
    problem = problem_of(Distances(), drawn(SAMPLES, WIDTH))
    assert mean_gradient(problem).isfinite().all()
    with pytest.raises(InputError, match="SUF007: Cdist has no second derivative: write it with"):
        Hessian(problem)


def test_batch_normalisation_in_training_mode_is_refused():
    model = nn.Sequential(nn.Linear(WIDTH, 6), nn.BatchNorm1d(6), nn.Linear(6, CLASSES)).double()
    problem = Problem(model.train(), TensorDataset(drawn(SAMPLES, WIDTH), labels()))
    with pytest.raises(InputError, match=r"batch normalisation 1 is in training mode.*call model.eval\(\)"):
        Hessian(problem)
    model.eval()
    assert (Hessian(problem) @ direction(problem)).isfinite().all()


def test_a_curvature_that_is_not_finite_names_the_sample():
    x = drawn(SAMPLES, WIDTH)
    x[4] = 1e200
    model = nn.Linear(WIDTH, 1).double()
    problem = Problem(model, TensorDataset(x, drawn(SAMPLES, 1)), "mse", order="source", checks=False)
    with pytest.raises(InputError, match="the curvature at data set row 4 is not finite: look at that sample"):
        Hessian(problem) @ direction(problem)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"part": "inner"}, "part is 'inner': it must be one of full, outer, functional"),
        ({"positions": slice(0, 0)}, "needs at least one sample"),
        ({"positions": np.array([9])}, "positions go from 9 to 9"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Hessian(SOUND["linear"](), **arguments)


def test_a_block_of_no_parameter_is_refused():
    with pytest.raises(InputError, match="no moving parameter matches 'wieght'.*weight"):
        Hessian(SOUND["linear"]()).block("wieght")


def test_the_outer_part_needs_outputs_that_are_a_tensor():
    with pytest.raises(InputError, match="the outputs are a dict, not a tensor"):
        Hessian(SOUND["own_loss"](), "outer") @ direction(SOUND["own_loss"]())
