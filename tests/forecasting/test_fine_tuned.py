"""Forecasts of whole problems: against those of heads, against many trainings, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn
from torch.utils.data import TensorDataset

import suffice
from suffice import InputError, Problem
from suffice.curvature import tangent_kernel
from suffice.forecasting import effective_penalty
from suffice.forecasting.head import fit_head, refit
from suffice.forecasting.losses import CrossEntropy

CLASSES = 3


def samples(count, seed, columns=6):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, columns))
    y = (1.5 * x[:, :CLASSES] + random.gumbel(size=(count, CLASSES))).argmax(1)
    return TensorDataset(torch.from_numpy(x), torch.from_numpy(y))


def as_arrays(data):
    return data.tensors[0].numpy(), data.tensors[1].numpy()


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, CLASSES)).double()


def trained(model, data, penalty):
    """The minimum of the mean loss plus penalty / 2 ||w||^2, by L-BFGS."""
    problem = Problem(model, data, order="source")
    parameters = list(problem.moving.values())
    batch = problem.batch(slice(None))

    def objective(flat):
        nn.utils.vector_to_parameters(torch.from_numpy(flat), parameters)
        value = problem.losses(batch).mean() + penalty / 2 * sum(p.square().sum() for p in parameters)
        gradients = torch.autograd.grad(value, parameters)
        return float(value.detach()), nn.utils.parameters_to_vector(gradients).numpy()

    start = nn.utils.parameters_to_vector(parameters).detach().numpy().copy()
    end = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-6})
    nn.utils.vector_to_parameters(torch.from_numpy(end.x), parameters)
    return problem


class Headed(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 10), nn.Tanh()).double()
        self.head = nn.Linear(10, CLASSES, bias=bias).double()

    def forward(self, x):
        return self.head(self.body(x))


@pytest.mark.parametrize("bias", [False, True])
def test_a_head_in_a_model_is_forecast_as_on_its_features(bias):
    torch.manual_seed(0)
    data, model = samples(200, 0), Headed(bias)
    problem = Problem(model, data, parameters="head.*", order="source")
    curve = suffice.forecast(problem, [400, 800], penalty=0.01)
    with torch.no_grad():
        features = model.body(data.tensors[0]).numpy()
    if bias:
        expected = suffice.forecast_head(features, data.tensors[1].numpy(), [400, 800], 0.01)
        assert curve.loss.mean == pytest.approx(expected.loss.mean, rel=1e-9)
    assert curve.penalty == 0.01
    assert curve.estimator == "calibrated"


def test_the_level_of_a_head_is_that_of_the_hold_out():
    data, holdout = samples(200, 0), samples(3000, 1)
    problem = Problem(nn.Linear(6, CLASSES).double(), data, order="source")
    curve = suffice.forecast(problem, [200], penalty=0.02, holdout=holdout)
    x, y = as_arrays(data)
    head = fit_head(np.hstack([x, np.ones((200, 1))]), CrossEntropy(y, CLASSES), CLASSES, 0.02)
    x, y = as_arrays(holdout)
    outputs = head.predict(np.hstack([x, np.ones((3000, 1))]))
    assert curve.level == pytest.approx(CrossEntropy(y, CLASSES).values(outputs).mean(), rel=1e-5)
    # the median of its posterior
    assert curve.accuracy.mean[0] == pytest.approx(np.mean(outputs.argmax(1) == y), abs=1 / 3000)


def test_samples_left_out_by_the_kernel_are_those_of_retrained_heads():
    """For a linear model with a squared loss it is exact; for softmax it is one Newton step."""
    data = samples(60, 3)
    x, y = as_arrays(data)
    targets = torch.eye(CLASSES, dtype=torch.float64)[data.tensors[1]]
    ridge = 0.1
    gram = x.T @ x * 2 / CLASSES / len(x) + ridge * np.eye(6)
    weights = np.linalg.solve(gram, x.T @ targets.numpy() * 2 / CLASSES / len(x))
    model = nn.Linear(6, CLASSES, bias=False).double()
    model.weight.data = torch.from_numpy(weights.T)
    kernel = tangent_kernel(
        Problem(model, TensorDataset(data.tensors[0], targets), "mse", order="source"), ridge, share=0
    )
    residuals = 2 / CLASSES * (x @ weights - targets.numpy())
    changes = kernel.left_out(residuals)
    for place in range(0, 60, 7):
        others = np.arange(60) != place
        # the mean is over all 60, so the sample is left out by the sum, not the mean
        gram = x[others].T @ x[others] * 2 / CLASSES / 60 + ridge * np.eye(6)
        without = np.linalg.solve(gram, x[others].T @ targets.numpy()[others] * 2 / CLASSES / 60)
        assert changes[place] == pytest.approx(x[place] @ (without - weights), abs=1e-9)

    head = fit_head(x, CrossEntropy(y, CLASSES), CLASSES, 0.05)
    model = nn.Linear(6, CLASSES, bias=False).double()
    model.weight.data = torch.from_numpy((head.axes @ head.weights).T.copy())
    kernel = tangent_kernel(Problem(model, data, order="source"), 0.05, share=0)
    changes = kernel.left_out(head.derivatives.residuals)
    for place in range(0, 60, 7):
        without = refit(head, np.flatnonzero(np.arange(60) != place))
        assert changes[place] == pytest.approx((head.features @ (without.weights - head.weights))[place], abs=0.05)


@pytest.mark.deep
def test_the_gain_of_a_network_is_that_of_retrainings():
    """Mean over eight pilots of 120 samples, to 960, by the default and by the tangent kernel under the penalty."""
    penalty, pilot, size = 0.01, 120, 960
    x, y = as_arrays(samples(5000, 10**6))
    loss = CrossEntropy(y, CLASSES)

    def tested(count, seed):
        problem = trained(network(seed), samples(count, seed), penalty)
        with torch.no_grad():
            return loss.values(problem.model(torch.from_numpy(x)).numpy()).mean()

    gain = np.mean([tested(pilot, seed) for seed in range(8)]) - np.mean(
        [tested(size, 100 + seed) for seed in range(4)]
    )
    found = {"auto": [], "information": []}
    for seed in range(8):
        problem = trained(network(seed), samples(pilot, seed), penalty)
        for name, gains in found.items():
            curve = suffice.forecast(problem, [pilot, size], penalty, estimator=name, holdout=samples(2000, 10**5))
            gains.append(curve.loss.mean[0] - curve.loss.mean[1])
    assert np.mean(found["auto"]) == pytest.approx(gain, rel=0.35)
    assert np.mean(found["information"]) == pytest.approx(gain, rel=0.35)


@pytest.mark.deep
def test_folds_are_real_trainings_and_the_model_is_put_back():
    data = samples(90, 5)
    problem = trained(network(), data, 0.02)
    before = problem.center()
    asked = []

    def again(rows):
        asked.append(rows)
        other = TensorDataset(*(tensor[torch.from_numpy(rows)] for tensor in data.tensors))
        return trained(network(), other, 0.02).model.state_dict()

    curve = suffice.forecast(problem, [90, 180, 720], refit=again)
    assert sorted(len(rows) for rows in asked) == [45, 45, 72, 72, 72, 72, 72]
    assert sorted(np.concatenate([np.setdiff1d(np.arange(90), rows) for rows in asked[:5]])) == list(range(90))
    assert all(torch.equal(value, before[name]) for name, value in problem.center().items())
    assert curve.status == "extrapolated"
    assert (np.diff(curve.loss.mean) < 0).all()
    # the level is that of 90 samples, below the loss of the folds
    models = [again(rows) for rows in asked[:5]]
    losses = []
    for rows, state in zip(asked[:5], models, strict=False):
        with problem.at(state):
            losses.append(problem.losses(problem.batch(np.setdiff1d(np.arange(90), rows))).detach().numpy())
    assert curve.level < np.concatenate(losses).mean()


def test_intervals_are_wider_where_nothing_is_known_of_the_training():
    problem, others = trained(network(), samples(240, 6), 0.02), samples(2000, 7)
    known, unknown = (suffice.forecast(problem, [240, 960], penalty, holdout=others) for penalty in (0.02, None))
    assert unknown.level == pytest.approx(known.level)
    assert unknown.slope == pytest.approx(known.slope)
    assert unknown.slope_error > 1.3 * known.slope_error
    assert unknown.loss.high[1] - unknown.loss.low[1] > known.loss.high[1] - known.loss.low[1]


def test_without_other_samples_the_level_is_linearised_and_its_interval_wider():
    data = samples(240, 6)
    problem = trained(network(), data, 0.02)
    alone = suffice.forecast(problem, [240, 960], penalty=0.02)
    held_out = suffice.forecast(problem, [240, 960], penalty=0.02, holdout=samples(2000, 7))
    assert alone.level == pytest.approx(held_out.level, rel=0.3)
    widths = [curve.loss.high[0] - curve.loss.low[0] for curve in (alone, held_out)]
    assert widths[0] > 1.5 * widths[1]


def test_an_untrained_model_and_random_labels_are_not_extrapolated():
    data = samples(150, 8)
    curve = suffice.forecast(Problem(network(), data, order="source"), [300], penalty=0.01, holdout=samples(500, 9))
    assert curve.status == "cannot_tell"
    assert "has not converged" in curve.explanation
    generator = torch.Generator().manual_seed(0)
    random = TensorDataset(data.tensors[0], torch.randint(CLASSES, (150,), generator=generator))
    other = TensorDataset(samples(500, 9).tensors[0], torch.randint(CLASSES, (500,), generator=generator))
    curve = suffice.forecast(trained(network(), random, 0.01), [300], penalty=0.01, holdout=other)
    assert curve.status == "cannot_tell"
    assert "not clearly better than the class frequencies" in curve.explanation


def test_a_model_that_has_hardly_been_trained_is_far_from_stationary():
    data = samples(300, 8)
    problem = trained(network(), data, 0.01)
    for value in problem.moving.values():
        value.data *= 0.3
    curve = suffice.forecast(problem, [600], penalty=0.01, holdout=samples(500, 9))
    assert curve.status == "cannot_tell"
    assert "has not converged" in curve.explanation


@pytest.mark.parametrize("penalty", [0.003, 0.1])
def test_the_effective_penalty_of_a_penalised_minimum_is_its_penalty(penalty):
    problem = trained(network(), samples(200, 5), penalty)
    start = {name: torch.zeros_like(value) for name, value in problem.moving.items()}
    assert effective_penalty(problem, start) == pytest.approx(penalty, rel=1e-3)
    with pytest.raises(InputError, match="have not moved"):
        effective_penalty(problem, problem.center())


def test_bad_input_is_refused_in_one_line():
    data = samples(60, 0)
    problem = Problem(network(), data, order="source")
    overlapping = TensorDataset(*(torch.cat([samples(20, 1).tensors[i], data.tensors[i][:5]]) for i in range(2)))
    overlapping.tensors[1][-1] = (overlapping.tensors[1][-1] + 1) % CLASSES  # a label may differ
    rare = TensorDataset(data.tensors[0], torch.cat([torch.zeros(59, dtype=torch.int64), torch.ones(1).long()]))
    for make, message in (
        (lambda: suffice.forecast(problem, [100]), "give holdout=, refit=, or"),
        (lambda: suffice.forecast(problem, [1], penalty=0.1), "sizes are whole numbers from 2 on"),
        (
            lambda: suffice.forecast(problem, [100], penalty=0.1, holdout=overlapping),
            "SUF012: 5 of the test samples .* row 20 of the hold-out",
        ),
        (lambda: suffice.forecast(problem, [100], penalty=0.1, level="folds"), "needs refit="),
        (lambda: suffice.forecast(problem, [100], penalty=0.1, level="fold"), "level is auto"),
        (lambda: suffice.forecast(problem, [100], penalty=0.1, estimator="noisy"), "must be one of"),
        (lambda: suffice.forecast(Problem(network(), rare), [100], penalty=0.1), "class 1 has 1 samples"),
        (lambda: suffice.forecast(Problem(network(), data, "mse"), [100], penalty=0.1), "takes a classifier"),
        (lambda: suffice.forecast(problem, [100], refit=lambda rows: {}), "refit gave no weights"),
    ):
        with pytest.raises(InputError, match=message) as refusal:
            make()
        assert "\n" not in str(refusal.value)
