"""Kinds of faults that a trial found: each is seen in what is measured, whatever was passed before."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import TensorDataset
from wrong_derivatives import Merging

from suffice import InputError, Probes, Problem, forecast, record
from suffice.curvature import loss_gradients, mean_gradient, output_gradients, prefix_gradients, tangent_kernel
from suffice.training import FineTuning, fine_tune


def samples(count=60, dtype=torch.float32):
    draw = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(count, 5, generator=draw).to(dtype), torch.randint(3, (count,), generator=draw))


class Net(nn.Module):
    """Two layers, used as a function says."""

    def __init__(self, function=lambda net, x: net.b(torch.tanh(net.a(x)))):
        super().__init__()
        self.a, self.b, self.function = nn.Linear(5, 8), nn.Linear(8, 3), function

    def forward(self, x):
        return self.function(self, x)


class Texts:
    """Tokens of given lengths."""

    def __init__(self, lengths):
        draw = torch.Generator().manual_seed(0)
        self.items = [(torch.randint(1, 20, (length,), generator=draw), length % 3) for length in lengths]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        return self.items[row]


def padded(items):
    return pad_sequence([x for x, _ in items], batch_first=True), torch.tensor([y for _, y in items])


class Mean(nn.Module):
    """A mean over the tokens, with or without padding."""

    def __init__(self, is_masked):
        super().__init__()
        self.embedding, self.head, self.is_masked = nn.Embedding(20, 8), nn.Linear(8, 3), is_masked

    def forward(self, tokens):
        mask = (tokens != 0)[..., None] if self.is_masked else torch.ones_like(tokens)[..., None]
        return self.head((self.embedding(tokens) * mask).sum(1) / mask.sum(1))


class Augmented:
    """Other samples at each reading."""

    def __len__(self):
        return 60

    def __getitem__(self, row):
        x, y = samples()[row]
        return x + torch.randn(5), y


def measure(problem, **settings):
    return record(problem, Probes.sphere(problem, count=2), **settings)


def centred(net, x):
    hidden = torch.tanh(net.a(x))
    return hidden - hidden.mean(0)


def copy_is_not_a_number(net, x):
    return net.b(centred(net, x)) + 0 * torch.tensor(torch.finfo(x.dtype).max).float()


def copy_is_sound(net, x):
    return net.b(centred(net, x) if x.dtype == torch.float32 else torch.tanh(net.a(x)))


@pytest.mark.parametrize("function", [copy_is_not_a_number, copy_is_sound])
def test_a_copy_with_other_losses_does_not_acquit_the_model(function):
    torch.manual_seed(0)
    with pytest.raises(InputError, match="^SUF002"):
        measure(Problem(Net(function), samples()))


def test_other_samples_are_looked_at_again():
    model = nn.Linear(5, 3)
    measure(Problem(model, samples()))
    with pytest.raises(InputError, match="^SUF004"):
        measure(Problem(model, Augmented()))
    model = Mean(is_masked=False)
    measure(Problem(model, Texts([6] * 40), collate=padded))
    with pytest.raises(InputError, match="^SUF003"):
        measure(Problem(model, Texts(list(range(1, 13)) * 4), collate=padded))


def set_flag(model):
    model.is_random = True


def add_hook(model):
    model.register_forward_hook(lambda module, inputs, outputs: nn.functional.dropout(outputs, 0.5, True))


@pytest.mark.parametrize("change", [set_flag, add_hook])
def test_a_model_that_was_changed_is_looked_at_again(change):
    model = Net(lambda net, x: nn.functional.dropout(net.b(net.a(x)), 0.5, net.is_random))
    model.is_random = False
    measure(Problem(model, samples()))
    change(model)
    with pytest.raises(InputError, match=r"^SUF001.* draws random numbers"):
        measure(Problem(model, samples()))


def test_a_model_without_its_statistics_is_looked_at_again():
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)).eval()
    measure(Problem(model, samples()))
    model[1].running_mean = model[1].running_var = None
    with pytest.raises(InputError, match="^SUF002"):
        measure(Problem(model, samples()))


def test_the_batches_that_are_recorded_are_compared():
    large = Net(lambda net, x: net.b(torch.tanh(net.a(x)) if len(x) <= 16 else centred(net, x)))
    with pytest.raises(InputError, match="^SUF002"):
        measure(Problem(large, samples()), batch_size=32)
    measure(Problem(large, samples()), batch_size=16)
    lengths = [6] * 32 + [12] * 8 + [3] * 20
    with pytest.raises(InputError, match="^SUF003"):
        measure(Problem(Mean(is_masked=False), Texts(lengths), collate=padded, order="source"))
    measure(Problem(Mean(is_masked=True), Texts(lengths), collate=padded, order="source"))


def test_what_changes_after_many_runs_is_found():
    runs = 0

    def counting(net, x):
        nonlocal runs
        runs += 1
        return net.b(net.a(x)) * (1 + 1e-3 * (runs > 200))

    with pytest.raises(InputError, match="^SUF001"):
        measure(Problem(Net(counting), samples(400)), batch_size=4)


def test_hooks_on_parameters_are_seen():
    problem = Problem(nn.Linear(5, 3), samples(24))
    mean_gradient(problem)
    problem.model.weight.register_hook(lambda gradient: gradient * 0.5)
    with pytest.raises(InputError, match=r"^SUF007.* along weight"):
        mean_gradient(problem)


def test_tensors_of_the_model_itself_in_a_prediction_are_seen():
    model = Net().double()

    def predict(copied, batch):
        outputs = model.b(torch.tanh(copied.a(batch[0])))
        return 0.5 * outputs.detach() + 0.5 * outputs

    with pytest.raises(InputError, match="^SUF007"):
        mean_gradient(Problem(model, samples(24, torch.float64), predict=predict))


def test_weights_that_forward_changes_are_named_and_put_back():
    class Limited(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.embedding, self.head = nn.Embedding(20, 4, max_norm=0.5), nn.Linear(4, 3)
            self.embedding.weight.data = nn.functional.normalize(self.embedding.weight.data) * size

        def forward(self, tokens):
            return self.head(self.embedding(tokens).mean(1))

    tokens = TensorDataset(torch.randint(20, (24, 5)), torch.randint(3, (24,)))
    for size in (1.0, 0.45):  # at the small one only probes leave the bounds
        problem = Problem(Limited(size), tokens)
        before = problem.center()
        with pytest.raises(InputError, match=r"^SUF014.* embedding\.weight"):
            measure(problem)
        assert all(torch.equal(before[name], value) for name, value in problem.moving.items())


@pytest.mark.parametrize("scale", [30, 100, 1000])
def test_losses_at_rounding_level_are_no_fault(scale):
    torch.manual_seed(0)
    model, x = Net(lambda net, x: scale * net.b(torch.tanh(net.a(x)))), torch.randn(60, 5)
    problem = Problem(model, TensorDataset(x, model(x).argmax(1)))
    assert bool(mean_gradient(problem).isfinite().all())
    assert bool(output_gradients(problem, np.arange(2), torch.ones(2, 3)).isfinite().all())


def test_augmentation_stops_derivatives_and_not_training():
    assert fine_tune(Problem(nn.Linear(5, 3), Augmented()), FineTuning(steps=3))
    with pytest.raises(InputError, match="^SUF004"):
        mean_gradient(Problem(nn.Linear(5, 3), Augmented()))


def in_place(net, x):
    return net.b(net.a(x.mul_(0.5)))


def of_python(net, x):
    return net.b(net.a(x) * torch.tensor([random.gauss(0, 1) for _ in range(8)]))


def with_memory(net, x):
    hidden = net.a(x)
    found = net.b(hidden + getattr(net, "last", 0.0))
    net.last = hidden.mean(0).detach()
    return found


CAUSES = {
    in_place: "SUF013: .* in place",
    of_python: "SUF001: .* draws random",
    with_memory: "SUF001: .* keeps something",
}


@pytest.mark.parametrize("function", CAUSES)
def test_causes_are_named(function):
    with pytest.raises(InputError, match=f"^{CAUSES[function]}"):
        measure(Problem(Net(function), samples()))


def test_copies_in_the_holdout_pass_without_checks():
    settings = {"sizes": [100], "holdout": samples()}
    with pytest.raises(InputError, match="^SUF012"):
        forecast(Problem(Net(), samples()), **settings)
    assert forecast(Problem(Net(), samples(), checks=False), **settings)


def test_a_branch_that_zeros_leave_out_is_seen():
    def skipping(net, x):
        hidden = torch.tanh(net.a(x))
        return net.b(hidden) + hidden @ net.adapter if bool(net.adapter.any()) else net.b(hidden)

    model = Net(skipping)
    model.adapter = nn.Parameter(torch.zeros(8, 3))
    with pytest.raises(InputError, match=r"^SUF007.* along adapter"):
        mean_gradient(Problem(model.double(), samples(24, torch.float64)))


@pytest.mark.parametrize("is_around", [False, True])
def test_weights_that_autocast_in_forward_converts_are_those_of_each_point(is_around):
    torch.manual_seed(0)
    hidden = torch.autocast("cpu", dtype=torch.bfloat16)(lambda net, x: torch.tanh(net.a(x)))
    problem = Problem(Net(lambda net, x: net.b(hidden(net, x).float())), samples())
    probes = Probes.sphere(problem, radius=0.5, count=2)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_around):
        losses = record(problem, probes).losses
        gradient = mean_gradient(problem)
        assert torch.is_autocast_enabled("cpu") == is_around
        assert torch.is_autocast_cache_enabled()
    x, y = (tensor[problem.index] for tensor in samples().tensors)
    mean = nn.functional.cross_entropy(problem.model(x).double(), y)
    expected = torch.cat([part.flatten() for part in torch.autograd.grad(mean, list(problem.moving.values()))])
    assert torch.linalg.norm(gradient - expected) < 0.01 * torch.linalg.norm(expected)
    for number in range(len(probes)):
        other = Net(problem.model.function)
        other.load_state_dict(probes[number])
        expected = nn.functional.cross_entropy(other(x).double(), y, reduction="none")
        assert np.allclose(losses[:, number], expected.detach().numpy(), rtol=1e-6)


def by_position(limit):
    return lambda net, x: net.b(torch.tanh(net.a(x)) * (torch.arange(len(x)) < limit)[:, None])


@pytest.mark.parametrize("limit", [4, 8, 9, 16, 31])
@pytest.mark.parametrize(("count", "batch_size"), [(60, "auto"), (300, 32), (300, "auto")])
def test_what_depends_on_the_position_in_a_batch_is_found(limit, count, batch_size):
    torch.manual_seed(0)
    with pytest.raises(InputError, match="^SUF002"):
        measure(Problem(Net(by_position(limit)), samples(count)), batch_size=batch_size)


def test_what_a_limited_capacity_leaves_out_is_found():
    def routed(net, x):
        hidden, chosen = net.a(x), x[:, 0] > 0
        out = torch.zeros_like(hidden)
        for side in (True, False):
            rows = (chosen == side).nonzero()[:12, 0]
            out[rows] = hidden[rows].tanh() * (1 if side else 2)
        return net.b(out)

    for count in (100, 2000):
        with pytest.raises(InputError, match="^SUF002"):
            measure(Problem(Net(routed), samples(count)))


IN_BATCHES = {
    "mean_gradient": mean_gradient,
    "prefix_gradients": lambda problem: list(prefix_gradients(problem, [2, 50])),
    "loss_gradients": lambda problem: loss_gradients(problem, np.arange(40)),
    "tangent_kernel": lambda problem: tangent_kernel(problem, 1.0),
}


@pytest.mark.parametrize("engine", IN_BATCHES)
def test_batches_that_derivatives_use_are_compared(engine):
    torch.manual_seed(0)
    large = Net(lambda net, x: net.b(torch.tanh(net.a(x)) if len(x) <= 16 else centred(net, x)))
    for function in (large, Net(by_position(31))):
        with pytest.raises(InputError, match="^SUF002"):
            IN_BATCHES[engine](Problem(function, samples()))
    mean_gradient(Problem(large, samples()), batch_size=16)


def counted_tokens():
    model = nn.Sequential(nn.Embedding(6, 4, scale_grad_by_freq=True), nn.Linear(4, 3))
    return Problem(model, TensorDataset(torch.arange(60) % 6, torch.arange(60) % 3)), "0.weight"


def counted_tokens_of_bags():
    model = nn.Sequential(nn.EmbeddingBag(20, 4, scale_grad_by_freq=True, mode="sum"), nn.Linear(4, 3))
    tokens = (torch.arange(3) + 3 * torch.arange(60)[:, None]) % 20
    return Problem(model, TensorDataset(tokens, torch.arange(60) % 3)), "0.weight"


def hook_over_the_batch():
    def hooked(net, x):
        hidden = net.a(x)
        if hidden.requires_grad:
            hidden.register_hook(lambda gradient: gradient / len(gradient))
        return net.b(hidden.tanh())

    return Problem(Net(hooked), samples()), "a.weight"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("build", [counted_tokens, counted_tokens_of_bags, hook_over_the_batch])
def test_gradients_that_depend_on_the_batch_are_named(build, dtype):
    torch.manual_seed(0)
    problem, name = build()
    problem.model.to(dtype)
    for engine in ("mean_gradient", "prefix_gradients"):
        with pytest.raises(InputError, match=f"^SUF007: the gradient of a batch in {name} is not the sum"):
            IN_BATCHES[engine](problem)
    assert bool(mean_gradient(problem, batch_size=1).isfinite().all())


class Ragged:
    """Sequences of different lengths, which make no batch."""

    def __len__(self):
        return 20

    def __getitem__(self, row):
        return drawn_tokens(3 + row % 5), row % 3


def drawn_tokens(length):
    return torch.randint(1, 20, (length,), generator=torch.Generator().manual_seed(length))


def test_models_that_take_one_sample_at_a_time_are_measured():
    def one(model, batch):
        assert len(batch[0]) == 1
        return model(batch[0])

    torch.manual_seed(0)
    problem = Problem(Mean(is_masked=False).double(), Ragged(), predict=one)
    losses = measure(problem, batch_size=1).losses[:, 0]
    for probe in problem.positions():
        x, y = problem.batch(slice(probe, probe + 1))
        assert np.isclose(losses[probe], nn.functional.cross_entropy(problem.model(x), y).item(), rtol=1e-12)
    gradient = mean_gradient(problem, batch_size=1)
    rows = loss_gradients_one_by_one(problem)
    assert torch.allclose(gradient, rows.mean(0), rtol=1e-10)


def loss_gradients_one_by_one(problem):
    rows = []
    for position in problem.positions():
        x, y = problem.batch(slice(position, position + 1))
        loss = nn.functional.cross_entropy(problem.model(x), y)
        rows.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(problem.moving.values()))]))
    return torch.stack(rows)


def test_weights_that_are_merged_at_eval_are_named_and_put_back():
    torch.manual_seed(0)
    model = nn.Sequential(Merging(5, 3)).train()
    before = model[0].weight.detach().clone()
    for engine in (measure, mean_gradient):
        with pytest.raises(InputError, match=r"^SUF014: eval\(\) changes the parameter 0.weight"):
            engine(Problem(model, samples()))
    assert model[0].training
    assert not model[0].merged
    assert torch.allclose(model[0].weight, before)
    measure(Problem(model.eval(), samples(), parameters="0.bias"))


def other_rate(model):
    model.rate = 0.5


def other_module(model):
    class Detached(nn.Module):
        def forward(self, x):
            return x.detach()

    model.a = nn.Sequential(model.a, Detached())


def other_forward(model):
    model.forward = lambda x: model.b(torch.tanh(model.a(x)).detach())


@pytest.mark.parametrize("change", [other_rate, other_module, other_forward])
def test_derivatives_of_a_model_that_was_changed_are_looked_at_again(change):
    model = Net(lambda net, x: net.b(nn.functional.dropout(torch.tanh(net.a(x)), net.rate, training=True)))
    model.rate = 0.0
    problem = Problem(model, samples(), parameters="b.*" if change is other_rate else ["a.*", "b.*"])
    mean_gradient(problem)
    change(model)
    with pytest.raises(InputError, match="^SUF00[17]"):
        mean_gradient(Problem(model, samples()))


def test_derivatives_in_inference_mode_are_refused():
    problem = Problem(nn.Linear(5, 3), samples())
    for engine in (mean_gradient, lambda problem: output_gradients(problem, np.arange(1), torch.ones(1, 3))):
        with torch.inference_mode(), pytest.raises(InputError, match="leave it first"):
            engine(problem)
