import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset, TensorDataset

from suffice import InputError, Problem

SAMPLES = 8


def data_of(dtype=torch.float32):
    x = torch.arange(SAMPLES * 5, dtype=dtype).reshape(SAMPLES, 5) / 10
    return TensorDataset(x, torch.arange(SAMPLES) % 3)


def model_of():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).eval()


def problem_of(**arguments):
    return Problem(**({"model": model_of(), "dataset": data_of()} | arguments))


def all_losses(problem):
    return problem.losses(problem.batch(slice(None)))


# samples and their order


@given(seed=st.integers(0, 2**32))
def test_the_shuffle_is_a_permutation_fixed_by_its_seed(seed):
    index = problem_of(seed=seed).index
    assert sorted(index) == list(range(SAMPLES))
    assert np.array_equal(index, problem_of(seed=seed).index)


def test_another_seed_gives_another_shuffle_and_source_gives_none():
    assert not np.array_equal(problem_of(seed=0).index, problem_of(seed=1).index)
    assert np.array_equal(problem_of(order="source", seed=1).index, np.arange(SAMPLES))


def test_making_a_problem_leaves_the_random_numbers_of_others_alone():
    model, torch_before, numpy_before = model_of(), torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    problem_of(model=model)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002


class Listed(Dataset):
    """The tensors' items one by one, as a data set of a user's own has them."""

    def __init__(self, many=False):
        self.asked = []
        if many:
            self.__getitems__ = lambda rows: [self[row] for row in rows]

    def __len__(self):
        return SAMPLES

    def __getitem__(self, row):
        self.asked.append(row)
        x, y = data_of()[row]
        return x, int(y)


@pytest.mark.parametrize("dataset", [data_of(), Listed(), Listed(many=True)], ids=["tensors", "items", "many items"])
@pytest.mark.parametrize("places", [slice(0, 3), slice(5, None), np.array([6, 0, 0])], ids=str)
def test_a_batch_holds_the_samples_at_those_places_of_the_order(dataset, places):
    problem = problem_of(dataset=dataset, seed=3)
    x, y = problem.batch(places)
    rows = problem.index[places]
    assert torch.equal(x, data_of().tensors[0][rows])
    assert torch.equal(y, data_of().tensors[1][rows])


def test_rows_are_asked_for_as_python_integers():
    dataset = Listed()
    problem_of(dataset=dataset).batch(slice(0, 3))
    assert {type(row) for row in dataset.asked} == {int}


def test_text_in_a_batch_is_passed_on():
    x, y = data_of().tensors
    items = [{"x": x[row], "labels": y[row], "name": f"row {row}"} for row in range(SAMPLES)]
    problem = problem_of(dataset=items, predict=lambda model, batch: model(batch["x"]), order="source")
    assert list(problem.batch(slice(0, 2))["name"]) == ["row 0", "row 1"]
    assert len(all_losses(problem)) == SAMPLES


def test_a_sample_is_described_by_its_data_set_or_by_its_row():
    dataset = data_of()
    assert problem_of(dataset=dataset, seed=3).describe(2) == f"data set row {problem_of(seed=3).index[2]}"
    dataset.describe = lambda row: f"the file {row}.png"
    assert problem_of(dataset=dataset, seed=3).describe(2) == f"the file {problem_of(seed=3).index[2]}.png"


# losses


def test_cross_entropy_is_that_of_each_sample():
    problem = problem_of(order="source")
    x, y = data_of().tensors
    expected = [functional.cross_entropy(problem.model(x[[row]]), y[[row]]).item() for row in range(SAMPLES)]
    assert all_losses(problem).tolist() == pytest.approx(expected, rel=1e-6)


def test_tiny_cross_entropies_of_a_float32_model_are_not_rounded_away():
    logits = torch.tensor([[30.0, 0.0]] * 3)
    dataset = TensorDataset(logits, torch.zeros(3).long())
    problem = Problem(nn.Linear(1, 1), dataset, predict=lambda model, batch: batch[0])
    assert all_losses(problem).tolist() == pytest.approx([math.exp(-30)] * 3, rel=1e-6)


@pytest.mark.parametrize("targets", [(SAMPLES,), (SAMPLES, 1)])
@pytest.mark.parametrize("outputs", [(SAMPLES,), (SAMPLES, 1)])
def test_mse_pairs_each_output_with_its_own_target(targets, outputs):
    x, y = torch.randn(SAMPLES, 1), torch.randn(SAMPLES)
    problem = Problem(
        nn.Linear(1, 1),
        TensorDataset(x, y.reshape(targets)),
        loss="mse",
        predict=lambda model, batch: model(batch[0]).reshape(outputs),
        order="source",
    )
    expected = (problem.model(x)[:, 0] - y) ** 2
    assert torch.allclose(all_losses(problem), expected.double(), rtol=1e-5)


def test_mse_is_the_mean_over_the_dimensions_of_the_output():
    x, y = torch.randn(SAMPLES, 5), torch.randn(SAMPLES, 3, 2)
    model = nn.Sequential(nn.Linear(5, 6), nn.Unflatten(1, (3, 2)))
    problem = Problem(model, TensorDataset(x, y), loss="mse", order="source")
    assert torch.allclose(all_losses(problem), ((model(x) - y) ** 2).mean((1, 2)).double(), rtol=1e-5)


def test_losses_can_be_differentiated():
    problem = problem_of()
    gradients = torch.autograd.grad(all_losses(problem).mean(), list(problem.moving.values()))
    assert all(float(gradient.abs().sum()) > 0 for gradient in gradients)


def test_inputs_are_converted_to_the_precision_of_the_model_and_the_model_is_kept():
    for dtype in (torch.float64, torch.bfloat16):
        problem = problem_of(dataset=data_of(dtype))
        assert all_losses(problem).shape == (SAMPLES,)
        assert {parameter.dtype for parameter in problem.model.parameters()} == {torch.float32}


class HuggingFace(nn.Module):
    """Takes and gives what models of the transformers library do."""

    def __init__(self):
        super().__init__()
        self.inner = model_of()

    def forward(self, input_values, attention_mask=None):
        return SimpleNamespace(logits=self.inner(input_values * attention_mask[:, None]))


def test_dictionaries_are_the_arguments_of_the_model_without_the_labels():
    x, y = data_of().tensors
    items = [{"input_values": x[row], "attention_mask": 1, "labels": int(y[row])} for row in range(SAMPLES)]
    problem = Problem(HuggingFace(), items)
    assert torch.allclose(all_losses(problem), all_losses(problem_of()))


# losses that cannot be evaluated


def refusal(problem):
    with pytest.raises(InputError) as error:
        all_losses(problem)
    assert "\n" not in str(error.value)
    return str(error.value)


def tensors(*targets, outputs=(SAMPLES, 3)):
    """Arguments of a problem with given targets, and outputs of a given shape."""
    dataset = TensorDataset(torch.zeros(SAMPLES, 5), *targets)
    return {"dataset": dataset, "predict": lambda model, batch: torch.zeros(outputs)}


@pytest.mark.parametrize("outputs", [(SAMPLES, 4, 3), (SAMPLES,), (SAMPLES - 1, 3), ()])
def test_logits_that_are_not_one_row_a_sample_are_refused(outputs):
    assert "logits" in refusal(problem_of(**tensors(torch.zeros(SAMPLES), outputs=outputs)))


def test_labels_that_are_not_one_number_a_sample_are_refused():
    assert "labels" in refusal(problem_of(**tensors(torch.zeros(SAMPLES, 3))))


@pytest.mark.parametrize(("label", "named"), [(-100, "-100 to 0"), (3, "0 to 3")])
def test_labels_outside_the_classes_are_refused(label, named):
    labels = torch.zeros(SAMPLES, dtype=torch.long)
    labels[4] = label
    message = refusal(problem_of(**tensors(labels)))
    assert named in message
    assert "0 to 2" in message


@pytest.mark.parametrize("outputs", [(SAMPLES, 3), (SAMPLES - 1,), (2 * SAMPLES, 1), (1, SAMPLES), ()])
def test_mse_refuses_shapes_that_would_broadcast(outputs):
    assert "mse" in refusal(problem_of(loss="mse", **tensors(torch.zeros(SAMPLES), outputs=outputs)))


def test_samples_without_labels_are_refused():
    x = data_of().tensors[0]
    problem = Problem(HuggingFace(), [{"input_values": row, "attention_mask": 1, "target": 0} for row in x])
    problem_with_predict = problem_of(
        dataset=problem.dataset, predict=lambda model, batch: model(batch["input_values"])
    )
    assert '"labels"' in refusal(problem_with_predict)


@pytest.mark.parametrize(
    "dataset", [list(data_of().tensors[0]), TensorDataset(*data_of().tensors, torch.zeros(SAMPLES))]
)
def test_samples_that_are_neither_pairs_nor_dictionaries_are_refused(dataset):
    assert "predict=" in refusal(problem_of(dataset=dataset))


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_outputs_that_are_not_a_tensor_are_refused(loss):
    problem = problem_of(loss=loss, predict=lambda model, batch: SimpleNamespace(logits=model(batch[0])))
    assert "outputs" in refusal(problem)


# the parameters that move


def test_all_parameters_that_require_a_gradient_move_by_default():
    model = model_of()
    model[0].weight.requires_grad_(False)
    assert list(problem_of(model=model).moving) == ["0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize(
    ("globs", "names"),
    [
        ("2.*", ["2.weight", "2.bias"]),
        ("*", ["0.weight", "0.bias", "2.weight", "2.bias"]),
        (["*.bias", "2.*"], ["0.bias", "2.weight", "2.bias"]),
    ],
)
def test_globs_choose_parameters_in_the_order_of_the_model(globs, names):
    assert list(problem_of(parameters=globs).moving) == names


def test_a_glob_chooses_frozen_parameters_too():
    model = model_of().requires_grad_(False)
    assert list(problem_of(model=model, parameters="2.bias").moving) == ["2.bias"]
    assert not model[2].bias.requires_grad


def test_a_glob_that_matches_nothing_offers_the_nearest_name():
    with pytest.raises(InputError, match="no parameter matches '2.wieght'; did you mean \"2.weight\"?"):
        problem_of(parameters=["0.*", "2.wieght"])


def test_a_model_without_parameters_to_move_is_refused():
    with pytest.raises(InputError, match="no parameter requires a gradient"):
        problem_of(model=model_of().requires_grad_(False))
    with pytest.raises(InputError, match="no parameter"):
        problem_of(parameters=[])


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("parameters", [None, "2.*"])
def test_weights_that_are_not_finite_are_refused_also_where_they_do_not_move(value, parameters):
    model = model_of()
    model[0].weight.data[1, 1] = value
    with pytest.raises(InputError, match=r"'0\.weight'"):
        problem_of(model=model, parameters=parameters)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "hinge"}, "loss is"),
        ({"order": "random"}, "order is"),
        ({"dataset": TensorDataset(torch.zeros(2, 5), torch.zeros(2))}, "at least 3"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(arguments, message):
    with pytest.raises(InputError, match=message) as error:
        problem_of(**arguments)
    assert "\n" not in str(error.value)


def test_the_center_is_a_copy():
    problem = problem_of(parameters="2.*")
    center = problem.center()
    with torch.no_grad():
        problem.model[2].bias.add_(1)
    assert set(center) == {"2.weight", "2.bias"}
    assert torch.equal(center["2.bias"] + 1, problem.model[2].bias)


# other values for a while


@pytest.mark.parametrize("lacking", [None, "2.bias"])
def test_the_model_is_elsewhere_within_at_and_back_after_it_also_when_something_raises(lacking):
    problem = problem_of(parameters="2.*")
    pointers = [parameter.data_ptr() for parameter in problem.model.parameters()]
    moved = {name: value + 1 for name, value in problem.center().items() if name != lacking}
    x = data_of().tensors[0]
    before = problem.model(x)

    def go_there():
        with problem.at(moved):
            assert torch.equal(problem.model[2].bias, moved["2.bias"])
            assert not torch.equal(problem.model(x), before)
            raise KeyError

    with pytest.raises(KeyError):
        go_there()
    assert torch.equal(problem.model(x), before)
    assert [parameter.data_ptr() for parameter in problem.model.parameters()] == pointers


def test_measuring_switches_off_what_makes_losses_inexact_and_puts_it_back():
    problem = problem_of(model=nn.Sequential(model_of(), nn.Dropout(0.0)).train())
    problem.model[0].eval()

    def state():
        return (
            [module.training for module in problem.model.modules()],
            torch.is_grad_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.backends.mha.get_fastpath_enabled(),
            torch.get_float32_matmul_precision(),
            torch.backends.cudnn.allow_tf32,
        )

    def measure():
        with problem.measuring():
            assert state() == ([False] * len(before[0]), False, False, False, "highest", False)
            raise RuntimeError("inside")

    with torch.autocast("cpu"):
        before = state()
        with pytest.raises(RuntimeError, match="inside"):
            measure()
        assert state() == before


@pytest.mark.parametrize(
    "layer", [nn.Dropout(0.1), nn.Dropout2d(0.1), nn.BatchNorm1d(3)], ids=lambda layer: type(layer).__name__
)
def test_measuring_warns_of_training_mode_where_it_matters(layer):
    problem = problem_of(model=nn.Sequential(model_of(), layer).train())
    with pytest.warns(UserWarning, match="evaluation mode") as warned, problem.measuring():
        pass
    assert len(warned) == 1
    assert problem.model.training
