"""Derivatives of single samples in a subspace: what holds of every way to take them, on every kind of model."""

import functools
import json

import numpy as np
import pytest
import tiny_checkpoints
import torch
from small_models import CLASSES, SAMPLES, SOUND, TOKENS, WIDTH, WRONG_GRADIENT, drawn, few_of, problem_of
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from suffice import InputError, Problem
from suffice.curvature import parameter_count, per_sample, per_sample_shard, projected, unflattened
from suffice.curvature.projected import SHARD_SAMPLES
from suffice.curvature.second_order_ways import SampleProjections
from suffice.engine import Workers

pytestmark = pytest.mark.filterwarnings("ignore:SUF010")  # of parameters without gradient, see tests/checks

DIRECTIONS = 3

NOT_BY_GRAPH = {"lstm", "gru", "experts"}
NOT_BY_VMAP = {"bert", "lstm", "gru", "sparse_embedding", "checkpointed", "experts"}
"""What these ways cannot run; nothing else here may be slower than need be."""


def basis_of(problem, directions=DIRECTIONS, seed=3):
    """Random orthonormal columns."""
    return torch.linalg.qr(drawn(parameter_count(problem), directions, seed=seed)).Q


def gradients_at(problem, change):
    """g_i of all samples at other weights, (m, P), each by a reverse pass of its own."""
    center, found = problem.center(), []
    moved = {name: center[name] + part.to(center[name]) for name, part in unflattened(problem, change).items()}
    with problem.measuring(), problem.at(moved), torch.enable_grad():
        for row in range(len(problem)):
            parameters = list(problem.moving.values())
            loss = problem.losses(problem.batch(slice(row, row + 1))).sum()
            parts = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
            found.append(torch.cat([part.to_dense().flatten() for part in parts]))
    return torch.stack(found)


def expected_of(problem, basis, step=1e-5):
    """Losses, gradients by reverse passes, and Hessians by central differences of gradients."""
    with problem.measuring():
        losses = torch.cat([problem.losses(problem.batch(slice(row, row + 1))) for row in range(len(problem))])
    gradients = gradients_at(problem, torch.zeros(len(basis), dtype=torch.float64)) @ basis
    columns = [
        (gradients_at(problem, step * column) - gradients_at(problem, -step * column)) @ basis / (2 * step)
        for column in basis.T
    ]
    return losses, gradients, torch.stack(columns, 2)


@functools.cache
def expected_of_kind(kind):
    problem = SOUND[kind]()
    return expected_of(problem, basis_of(problem))


def only(way, problem, basis):
    """The projections by one way and no other."""

    class Only(SampleProjections):
        @property
        def _ways(self):
            return {name: found for name, found in super()._ways.items() if name == way}

        def _one_by_one(self, positions):
            assert way == "plain", f"{way} does not run, or is not right"
            return super()._one_by_one(positions)

    return Only(problem, basis)


def pytest_generate_tests(metafunc):
    if metafunc.cls is not None:
        on_all = metafunc.cls.way == "graph" and metafunc.function.__name__ == "test_they_are_central_differences"
        metafunc.parametrize("kind", sorted(metafunc.cls.kinds) if on_all else few_of(metafunc.cls.kinds))


class Ways:
    """A way to take second derivatives. A new one gives its name and its kinds, and inherits the tests."""

    kinds = frozenset()
    way = ""

    def rows(self, problem, batch_size=4):
        """Losses, gradients and Hessians of all samples."""
        parts = [np.arange(SAMPLES)[start : start + batch_size] for start in range(0, SAMPLES, batch_size)]
        with problem.measuring(), sdpa_kernel(SDPBackend.MATH):
            projections = only(self.way, problem, basis_of(problem))
            found = [projections(part) for part in parts]
        return [torch.cat(rows) for rows in zip(*found, strict=True)]

    def test_they_are_central_differences(self, kind):
        for found, expected in zip(self.rows(SOUND[kind]()), expected_of_kind(kind), strict=True):
            assert torch.allclose(found, expected, rtol=1e-6, atol=1e-8)

    def test_hessians_are_symmetric(self, kind):
        hessians = self.rows(SOUND[kind]())[2]
        assert torch.allclose(hessians, hessians.mT, rtol=1e-10, atol=1e-12)

    def test_a_float32_model_has_the_same_ones(self, kind):
        for single, double in zip(self.rows(SOUND[kind](torch.float32)), self.rows(SOUND[kind]()), strict=True):
            assert single.dtype == torch.float64
            assert torch.allclose(single, double, rtol=1e-3, atol=1e-4 * float(double.abs().max()))

    def test_nothing_depends_on_the_batches(self, kind):
        rows = self.rows(SOUND[kind]())
        for batch_size in (1, SAMPLES):
            for found, expected in zip(self.rows(SOUND[kind](), batch_size), rows, strict=True):
                assert torch.allclose(found, expected, rtol=1e-10, atol=1e-13)


class TestGraph(Ways):
    way = "graph"
    kinds = SOUND.keys() - NOT_BY_GRAPH


class TestVmap(Ways):
    way = "vmap"
    kinds = SOUND.keys() - NOT_BY_VMAP


class TestPlain(Ways):
    way = "plain"
    kinds = SOUND.keys()


@pytest.mark.parametrize(
    ("name", "step", "tolerance"),
    [("bert", 1e-5, 1e-6)]
    + [pytest.param(name, 1e-5, 1e-6, marks=pytest.mark.deep) for name in ("gpt2", "vit", "dinov2", "convnext")]
    + [pytest.param("llama", 3e-3, 1e-3, marks=pytest.mark.deep)],  # its norms are in float32, whatever the model
)
def test_models_of_transformers_with_fused_attention(name, step, tolerance, tmp_path):
    problem = tiny_checkpoints.problem_of(name, tmp_path, 4)
    assert problem.model.config._attn_implementation == "sdpa" or name == "convnext"
    problem.model.double()
    predict = problem.predict

    def in_float64(model, batch):
        return predict(model, {key: part.double() if part.is_floating_point() else part for key, part in batch.items()})

    problem.predict = in_float64
    basis = basis_of(problem)
    found, expected = per_sample(problem, basis), expected_of(problem, basis, step)
    for value, truth in zip((found.losses, found.gradients, found.hessians), expected, strict=True):
        assert np.allclose(value, truth, rtol=tolerance, atol=tolerance * float(truth.abs().max()))


@pytest.mark.parametrize("parameters", ["*bias", "*norm*", "*in_proj*", "head.*"])
def test_some_parameters_alone(parameters, plain_runs):
    whole = SOUND["transformer_layer"]()
    problem = Problem(whole.model, whole.dataset, parameters=parameters)
    basis = basis_of(problem)
    found, expected = per_sample(problem, basis), expected_of(problem, basis)
    assert plain_runs == []
    for value, truth in zip((found.losses, found.gradients, found.hessians), expected, strict=True):
        assert np.allclose(value, truth, rtol=1e-6, atol=1e-8)


class Mixed(nn.Module):
    """Operations of all kinds, among them of scalars and of parameters alone."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(1, 4, 3), nn.GroupNorm(2, 4), nn.Conv1d(4, 2, 2), nn.Flatten())
        self.scale, self.head = nn.Parameter(torch.tensor(0.3)), nn.Linear(2, CLASSES)

    def forward(self, x):
        y = self.body(x[:, None])
        y = y / (1 + y.square().sum(1, keepdim=True)).sqrt() * self.scale.exp() + torch.logsumexp(y, 1, keepdim=True)
        weights = self.head.weight / self.head.weight.norm(dim=1, keepdim=True)
        outer = torch.baddbmm(y[:, None], y[:, :, None], y[:, None])
        return (y @ weights.T).cumsum(1) * self.scale - outer.amax((1, 2))[:, None]


def test_operations_of_all_kinds_are_run_together(plain_runs):
    torch.manual_seed(0)
    problem = problem_of(Mixed(), drawn(SAMPLES, WIDTH))
    basis = basis_of(problem)
    found, expected = per_sample(problem, basis), expected_of(problem, basis)
    assert plain_runs == []
    for value, truth in zip((found.losses, found.gradients, found.hessians), expected, strict=True):
        assert np.allclose(value, truth, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", few_of(SOUND))
def test_results_are_those_of_the_fastest_way(kind):
    found = per_sample(SOUND[kind](), basis_of(SOUND[kind]()))
    for value, expected in zip((found.losses, found.gradients, found.hessians), expected_of_kind(kind), strict=True):
        assert value.dtype == np.float64
        assert np.allclose(value, expected, rtol=1e-6, atol=1e-8)
    assert np.array_equal(found.hessians, found.hessians.transpose(0, 2, 1))


class Branching(nn.Module):
    """Takes another branch for some samples."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        if bool((x[:, 0] > 0).all()):
            return self.second(self.first(x).tanh())
        pairs = zip(x, self.first(x), strict=True)
        return torch.stack([self.second(after.tanh() if one[0] > 0 else after.sigmoid()) for one, after in pairs])


def test_a_branch_that_a_sample_takes_is_its_own():
    torch.manual_seed(0)
    problem = problem_of(Branching(), drawn(SAMPLES, WIDTH))
    basis = basis_of(problem)
    expected = expected_of(problem, basis)[2]
    for batch_size in (1, 2, SAMPLES):
        assert np.allclose(per_sample(problem, basis, batch_size=batch_size).hessians, expected, rtol=1e-6, atol=1e-8)


class Experts(nn.Module):
    """Equal experts, of which a sample has one: whichever it is, the loss is the same."""

    def __init__(self, apart=0.0):
        super().__init__()
        self.experts = nn.ModuleList([nn.Linear(WIDTH, CLASSES), nn.Linear(WIDTH, CLASSES)])
        self.experts[1].load_state_dict(self.experts[0].state_dict())
        with torch.no_grad():
            self.experts[1].bias += apart

    def forward(self, x):
        return torch.stack([self.experts[int(one[0] > 0)](one) for one in x])


class Transformed(nn.Module):
    """Has complex numbers inside."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        hidden = self.first(x)
        return self.second(hidden + torch.fft.fft(torch.sin(hidden)).real)


def classes_of(x):
    return torch.arange(len(x)) % CLASSES


def _square(outputs, batch):
    return outputs.square().sum(1)


def _first_two_alike(model, loss="cross_entropy", scale=1.0):
    """The branch of the second sample is that of the first."""
    x = drawn(20, WIDTH)
    x[:2, 0] = x[:2, 0].abs()
    x[7] *= scale
    return problem_of(model, x, classes_of(x), loss=loss, order="source")


def _weighted(outputs, batch):
    """The first two samples count nothing."""
    return _square(outputs, batch) * (batch[0] != batch[0][:, :1]).any(1)


def _transformed():
    x = drawn(20, WIDTH)
    x[:2] = 1.0
    return problem_of(Transformed(), x, classes_of(x), loss=_weighted, order="source")


@pytest.mark.parametrize(
    "make",
    [
        lambda: _first_two_alike(Experts()),
        lambda: _first_two_alike(Experts(1e-4), _square, 1e3),
        _transformed,
    ],
    ids=["equal experts", "a large loss beside them", "complex numbers inside"],
)
def test_what_the_first_samples_do_not_show_is_found_in_the_others(make):
    torch.manual_seed(0)
    problem = make()
    basis = torch.eye(parameter_count(problem), dtype=torch.float64)[:, :12]
    gradients, hessians = expected_of(problem, basis)[1:]
    found = per_sample(problem, basis)
    assert np.allclose(found.gradients, gradients, rtol=1e-6, atol=1e-9)
    assert np.allclose(found.hessians, hessians, rtol=1e-6, atol=1e-9)


def test_a_label_that_is_none_is_refused_wherever_it_stands():
    x = drawn(90, WIDTH)
    problem = problem_of(nn.Linear(WIDTH, CLASSES), x, classes_of(x), order="source")
    problem.dataset.tensors[1][80] = -100
    with pytest.raises(InputError, match="labels go from -100"):
        per_sample(problem, basis_of(problem))


@pytest.fixture
def plain_runs(monkeypatch):
    """Samples that were run by themselves."""
    runs, plain = [], SampleProjections._one_by_one
    monkeypatch.setattr(SampleProjections, "_one_by_one", lambda self, some: runs.extend(some) or plain(self, some))
    return runs


@pytest.mark.deep
def test_a_graph_that_does_not_fit_a_sample_is_traced_again_for_it(plain_runs):
    """A text without padding lacks a mask."""
    problem = SOUND["bert"]()
    per_sample(problem, basis_of(problem))
    assert plain_runs == []
    torch.manual_seed(0)
    problem = problem_of(Branching(), drawn(SAMPLES, WIDTH), order="source")
    assert 0 < int((problem.dataset.tensors[0][:, 0] > 0).sum()) < SAMPLES
    problem.checks = False
    per_sample(problem, basis_of(problem), batch_size=1)
    assert plain_runs == []


def test_losses_that_are_not_finite_name_their_sample():
    problem = SOUND["own_loss"]()
    problem.loss = lambda outputs, batch: outputs["mean"][:, 0] / batch[0][:, 0].to(torch.float64)
    problem.checks = False
    problem.dataset.tensors[0][int(problem.index[4]), 0] = 0
    with pytest.raises(InputError, match=f"the loss of data set row {int(problem.index[4])} is not finite"):
        per_sample(problem, basis_of(problem))


def test_prefix_means_are_those_of_all_sizes_and_orders():
    problem = SOUND["norm_mlp"]()
    rows = per_sample(problem, basis_of(problem))
    means = rows.prefix_means()
    assert np.allclose(means.losses[3], rows.losses[:4].mean())
    order = np.array([4, 0, 5])
    chosen = rows.prefix_means(order)
    assert np.allclose(chosen.gradients[1], rows.gradients[[4, 0]].mean(0))
    assert np.allclose(chosen.hessians[2], rows.hessians[order].mean(0))
    with pytest.raises(InputError, match="order goes from 0 to 6: there are rows 0 to 5"):
        rows.prefix_means(np.array([0, 6]))


@pytest.fixture
def _small_shards(monkeypatch):
    monkeypatch.setattr(projected, "SHARD_SAMPLES", 2)


class Killed(BaseException):
    """Stands for the end of a process."""


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_a_loss_that_changed_for_a_few_samples_is_found_in_a_store(tmp_path, scale):
    x = drawn(90, WIDTH)
    rare = torch.zeros(90, dtype=torch.float64)
    rare[80:] = 1
    weight = {"of the rare": 1.0}

    def loss(outputs, batch):
        return scale * outputs.square().sum(1) * torch.where(batch[1] > 0, weight["of the rare"], 1.0)

    problem = problem_of(nn.Linear(WIDTH, CLASSES), x, rare, loss=loss, order="source")
    basis = basis_of(problem)
    before = per_sample(problem, basis, tmp_path / "store")
    assert np.array_equal(per_sample(problem, basis, tmp_path / "store").losses, before.losses)
    weight["of the rare"] = 50.0
    with pytest.raises(InputError, match="the store holds other losses of these samples"):
        per_sample(problem, basis, tmp_path / "store")


@pytest.mark.usefixtures("_small_shards")
def test_a_killed_run_goes_on_with_the_shard_that_it_lost(tmp_path):
    problem = SOUND["norm_mlp"]()
    basis, done = basis_of(problem), []
    whole = per_sample(problem, basis)

    def kill(samples):
        done.append(samples)
        if sum(done) > 3:
            raise Killed

    with pytest.raises(Killed):
        per_sample(problem, basis, tmp_path / "store", batch_size=1, progress=kill)
    done.clear()
    again = per_sample(problem, basis, tmp_path / "store", progress=done.append)
    assert done[0] == 2  # one shard was whole
    assert sum(done) == SAMPLES
    assert np.allclose(again.hessians, whole.hessians, rtol=1e-10, atol=1e-13)
    assert np.allclose(again.gradients, whole.gradients, rtol=1e-10, atol=1e-13)


@pytest.mark.usefixtures("_small_shards")
def test_a_damaged_shard_is_computed_again(tmp_path):
    problem = SOUND["norm_mlp"]()
    basis, done = basis_of(problem), []
    whole = per_sample(problem, basis, tmp_path)
    shard = tmp_path / projected.DERIVATIVES / "c" / "1" / "0"
    content = bytearray(shard.read_bytes())
    content[11] ^= 4
    shard.write_bytes(bytes(content))
    again = per_sample(problem, basis, tmp_path, progress=done.append)
    assert (done[0], sum(done)) == (4, 6)
    assert np.allclose(again.hessians, whole.hessians, rtol=1e-10, atol=1e-13)
    metadata = json.loads((tmp_path / projected.DERIVATIVES / "zarr.json").read_text())
    assert all(
        value.startswith("blake2b:") for key, value in metadata["attributes"].items() if key not in ("loss", "software")
    )


def changed_weight(problem):
    problem.model[0].weight.data[0, 0] += 1e-3


def changed_sample(problem):
    problem.dataset.tensors[0][2, 0] += 1e-3


def changed_loss(problem):
    problem.loss = "mse"


@pytest.mark.parametrize(
    ("change", "what"),
    [(changed_weight, "weights"), (changed_sample, "samples"), (None, "basis")],
    ids=["weights", "samples", "basis"],
)
def test_a_store_of_something_else_is_refused(tmp_path, change, what):
    problem = SOUND["norm_mlp"]()
    basis = basis_of(problem)
    per_sample(problem, basis, tmp_path)
    if change is None:
        basis = basis_of(problem, seed=8)
    else:
        change(problem)
    with pytest.raises(InputError, match=rf"was computed with other settings \({what}: changed\)"):
        per_sample(problem, basis, tmp_path)


def test_a_store_of_another_callable_loss_is_refused(tmp_path):
    problem = SOUND["own_loss"]()
    basis, loss = basis_of(problem), problem.loss
    per_sample(problem, basis, tmp_path)
    problem.loss = lambda outputs, batch: 2 * loss(outputs, batch)
    with pytest.raises(InputError, match="the store holds other losses"):
        per_sample(problem, basis, tmp_path)


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (lambda basis: basis[:-1], r"the basis has the shape \(14, 3\) and torch.float64: it must be \(15, D\)"),
        (lambda basis: basis[:, 0], r"the shape \(15,\) and"),
        (lambda basis: basis[:, :0], r"the shape \(15, 0\)"),
        (
            lambda basis: 1.1 * basis,
            r"not orthonormal: .* off by up to 0\.21; use basis, _ = torch\.linalg\.qr\(basis.double",
        ),
        (lambda basis: basis[:, [0, 0]], r"off by up to 1; use"),
        (lambda basis: basis * torch.nan, "off by up to nan"),
    ],
)
def test_a_basis_that_is_none_is_refused(bend, message):
    problem = SOUND["linear"]()
    with pytest.raises(InputError, match=message) as refusal:
        per_sample(problem, bend(basis_of(problem)))
    assert "\n" not in str(refusal.value)


def test_a_batch_size_below_one_is_refused():
    problem = SOUND["linear"]()
    with pytest.raises(InputError, match="batch_size = 0: must be at least 1"):
        per_sample(problem, basis_of(problem), batch_size=0)


def test_curvature_that_is_not_finite_names_its_sample():
    problem = SOUND["own_loss"]()
    problem.loss = lambda outputs, batch: outputs["mean"][:, 0].abs() ** 1.5
    problem.dataset.tensors[0][:, 0] = 1
    problem.model.weight.data[0], problem.model.bias.data[0] = 0, 1
    problem.model.weight.data[0, 1] = 1
    row = int(problem.index[4])
    problem.dataset.tensors[0][row, 1] = -1  # an output of zero, where the curvature is infinite
    with pytest.raises(InputError, match=f"the curvature of data set row {row} is not finite: look at that sample"):
        per_sample(problem, basis_of(problem))


class Once(torch.autograd.Function):
    """Its gradient cannot be differentiated again."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.square()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, outer):
        return 2 * ctx.saved_tensors[0] * outer


class ConstantSlope(Once):
    """Its gradient is right, and a constant for autograd."""

    @staticmethod
    def backward(ctx, outer):
        return 2 * ctx.saved_tensors[0].detach() * outer


class Squaring(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)
        self.function = function

    def forward(self, x):
        return self.second(self.function.apply(self.first(x)))


def test_an_operation_without_a_second_derivative_is_named():
    torch.manual_seed(0)
    problem = problem_of(Squaring(Once), drawn(SAMPLES, WIDTH))
    with pytest.raises(
        InputError, match=r"^SUF007: Once has no second derivative: write it with torch's own operations"
    ) as found:
        per_sample(problem, basis_of(problem))
    assert "\n" not in str(found.value)


def test_a_second_derivative_that_is_cut_off_is_found():
    torch.manual_seed(0)
    problem = problem_of(Squaring(ConstantSlope), drawn(SAMPLES, WIDTH))
    with pytest.raises(InputError, match="^SUF007: automatic differentiation gives .* along first.weight"):
        per_sample(problem, basis_of(problem))


@pytest.mark.parametrize("kind", sorted(WRONG_GRADIENT))
def test_a_wrong_gradient_is_refused(kind):
    problem = WRONG_GRADIENT[kind]()
    with pytest.raises(InputError, match="^SUF007: "):
        per_sample(problem, basis_of(problem))


def test_the_model_is_left_as_it_was():
    problem = SOUND["transformer_layer"]()
    problem.model.train()
    required = [parameter.requires_grad for parameter in problem.model.parameters()]
    before = problem.center()
    with pytest.warns(UserWarning, match="training mode"):
        per_sample(problem, basis_of(problem))
    assert problem.model.training
    assert [parameter.requires_grad for parameter in problem.model.parameters()] == required
    assert all(torch.equal(before[name], value) for name, value in problem.moving.items())
    assert torch.backends.cuda.flash_sdp_enabled()


def test_one_pass_over_the_data_reads_each_sample_few_times():
    class Counted(torch.utils.data.Dataset):
        reads = 0

        def __len__(self):
            return 200

        def __getitem__(self, row):
            Counted.reads += 1
            return torch.full((WIDTH,), row / 200), row % CLASSES

    torch.manual_seed(0)
    problem = Problem(nn.Sequential(nn.Linear(WIDTH, TOKENS), nn.Tanh(), nn.Linear(TOKENS, CLASSES)), Counted())
    problem.checks = False
    done = []
    per_sample(problem, basis_of(problem), progress=done.append)
    assert sum(done) == 200
    assert Counted.reads <= 200 + 10


def small(seed=0):
    """A model and three shards of samples, made alike by every process."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    count = 2 * SHARD_SAMPLES + 30
    data = torch.utils.data.TensorDataset(torch.randn(count, 4, dtype=torch.float64), torch.arange(count) % 3)
    return Problem(model, data)


def measure_shard(folder, rows):
    problem = small()
    per_sample_shard(problem, basis_of(problem), folder, slice(*rows), batch_size=64)


@pytest.mark.deep
def test_shards_are_measured_by_other_processes_with_the_same_bits(tmp_path):
    problem = small()
    basis, asked = basis_of(problem), []
    expected = per_sample(problem, basis, tmp_path / "here", batch_size=64)

    def elsewhere(shards):
        asked.extend(shards)
        with Workers(2, torch.get_num_threads()) as workers:
            call = functools.partial(measure_shard, str(tmp_path / "there"))
            workers.run(call, [(rows.start, rows.stop) for rows in shards])

    for shards in (2, 0):  # there are none left the second time
        found = per_sample(small(), basis, tmp_path / "there", batch_size=64, elsewhere=elsewhere)
        assert len(asked) == shards
        asked.clear()
        for name in ("losses", "gradients", "hessians"):
            assert np.array_equal(getattr(found, name), getattr(expected, name))


def test_what_no_process_measured_is_measured_here(tmp_path):
    problem, asked = small(), []
    found = per_sample(problem, basis_of(problem), tmp_path, elsewhere=asked.extend)
    assert [rows.start for rows in asked] == [SHARD_SAMPLES, 2 * SHARD_SAMPLES]
    assert np.allclose(found.losses, problem.all_losses().numpy())


def test_a_process_with_another_model_or_basis_is_refused(tmp_path):
    problem = small()
    basis = basis_of(problem)
    per_sample(problem, basis, tmp_path)
    for other, with_basis in ((small(1), basis), (problem, basis_of(problem, seed=4))):
        with pytest.raises(InputError, match="begun with other weights, samples or basis than a worker has"):
            per_sample_shard(other, with_basis, tmp_path, slice(0, SHARD_SAMPLES))
    with pytest.raises(InputError, match="other processes write to a store; give one"):
        per_sample(problem, basis, elsewhere=print)
