import math
from collections import OrderedDict
from types import SimpleNamespace

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import SOUND, drawn, fourier
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from suffice import InputError, Problem
from suffice.problem import norm, wide

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
@pytest.mark.parametrize("positions", [slice(0, 3), slice(5, None), np.array([6, 0, 0])], ids=str)
def test_a_batch_holds_the_samples_at_those_positions_of_the_order(dataset, positions):
    problem = problem_of(dataset=dataset, seed=3)
    x, y = problem.batch(positions)
    rows = problem.index[positions]
    assert torch.equal(x, data_of().tensors[0][rows])
    assert torch.equal(y, data_of().tensors[1][rows])


def test_rows_are_asked_for_as_python_integers():
    dataset = Listed()
    problem_of(dataset=dataset).batch(slice(0, 3))
    assert {type(row) for row in dataset.asked} == {int}


@given(
    batch_size=st.integers(1, SAMPLES + 2),
    chosen=st.none() | st.slices(SAMPLES) | st.lists(st.integers(0, SAMPLES - 1)).map(lambda of: np.array(of, int)),
)
def test_batches_hold_each_chosen_sample_once_and_only_the_last_is_smaller(batch_size, chosen):
    problem = problem_of(seed=3)
    asked = {} if chosen is None else {"positions": chosen}
    batches = list(problem.batches(batch_size, **asked))
    positions = np.concatenate([np.zeros(0, int), *(some for some, _ in batches)])
    assert np.array_equal(positions, np.arange(SAMPLES) if chosen is None else np.arange(SAMPLES)[chosen])
    assert all(len(some) == batch_size for some, _ in batches[:-1])
    assert all(1 <= len(some) <= batch_size for some, _ in batches)
    for some, (x, y) in batches:
        assert torch.equal(x, problem.batch(some)[0])
        assert torch.equal(y, data_of().tensors[1][problem.index[some]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "batch_size = 0: must be at least 1"),
        ((2, np.array([0, SAMPLES])), "positions go from 0 to 8: there are samples 0 to 7"),
        ((2, np.array([-1, 2])), "positions go from -1 to 2"),
    ],
)
def test_batches_that_cannot_be_made_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        list(problem_of().batches(*arguments))


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


@pytest.mark.parametrize(
    ("outputs", "targets"), [((4, 2), (2, 4)), ((8,), (2, 4)), ((2, 2, 2), (4, 2)), ((1, 4, 2), (2, 4))], ids=str
)
def test_mse_refuses_shapes_that_differ_in_more_than_dimensions_of_one(outputs, targets):
    outputs, targets = (SAMPLES, *outputs), (SAMPLES, *targets)
    message = refusal(problem_of(loss="mse", **tensors(torch.zeros(targets), outputs=outputs)))
    assert f"outputs {outputs} with targets {targets}" in message


@pytest.mark.parametrize("targets", [(4, 1, 2), (1, 4, 2, 1), (4, 2)], ids=str)
def test_mse_takes_shapes_that_differ_in_dimensions_of_one(targets):
    problem = problem_of(loss="mse", **tensors(torch.ones(SAMPLES, *targets), outputs=(SAMPLES, 4, 2)))
    assert all_losses(problem).tolist() == [1.0] * SAMPLES


def test_a_loss_that_is_not_one_number_a_sample_is_refused():
    problem = problem_of(loss=lambda outputs, batch: outputs.mean(0))
    with pytest.raises(InputError, match="one loss per sample, not 3 for 8 samples"):
        problem.losses(problem.batch(slice(None)), SAMPLES)
    problem.loss = lambda outputs, batch: outputs
    assert "shape (batch,), not (8, 3)" in refusal(problem)


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


def test_shared_parameters_go_by_any_of_their_names_and_count_once():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    for parameters in ("0.weight", "1.weight", "*.weight"):
        assert list(problem_of(model=model, parameters=parameters).moving) == ["0.weight"]
    assert list(problem_of(model=model, parameters="1.*").moving) == ["0.weight", "1.bias"]


def test_whole_numbers_cannot_move():
    model = model_of()
    model[0].weight = nn.Parameter(torch.ones(4, 5, dtype=torch.int8), requires_grad=False)
    assert "0.weight" not in problem_of(model=model).moving
    with pytest.raises(InputError, match=r"'0\.weight' holds torch\.int8: it cannot move, leave it out"):
        problem_of(model=model, parameters="0.*")


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("parameters", [None, "2.*"])
def test_weights_that_are_not_finite_are_refused_also_where_they_do_not_move(value, parameters):
    model = model_of()
    model[0].weight.data[1, 1] = value
    with pytest.raises(InputError, match=r"'0\.weight'"):
        problem_of(model=model, parameters=parameters)


def test_complex_weights_that_are_not_finite_are_refused():
    model = fourier(torch.float64).model
    model.frequencies.data[0, 0] = complex(0, math.inf)
    with pytest.raises(InputError, match="'frequencies'"):
        problem_of(model=model)


def test_buffers_and_extra_state_may_hold_anything():
    assert SOUND["infinite_buffer"]().model.body.mask.isinf().any()
    assert "0._extra_state" in SOUND["extra_state"]().model.state_dict()


@pytest.mark.parametrize("kind", SOUND)
def test_every_kind_of_model_has_its_losses_and_is_the_same_on_other_samples(kind):
    problem = SOUND[kind]()
    elsewhere = problem.elsewhere(problem.dataset)
    assert list(elsewhere.moving) == list(problem.moving)
    with problem.measuring():
        losses = torch.cat([problem.losses(batch, len(some)) for some, batch in problem.batches(4)])
        others = torch.cat([elsewhere.losses(batch) for _, batch in elsewhere.batches(1)])
    assert losses.isfinite().all()
    assert torch.allclose(losses, others[problem.index], rtol=1e-10)


def test_inputs_are_those_of_real_weights_where_the_first_are_complex():
    dataset = [(drawn(5, 4).float(), 0)] * 3
    problem = Problem(fourier(torch.float64).model, dataset)
    assert all_losses(problem).isfinite().all()


def test_other_samples_keep_what_was_asked_of_the_first():
    problem = problem_of(checks=False, parameters="2.*")
    assert problem_of().checks
    assert not problem.elsewhere(data_of()).checks
    assert problem.elsewhere(data_of()).moving == problem.moving
    odd = problem_of(model=nn.Sequential(OrderedDict({"a[0]": nn.Linear(5, 3)})), parameters="a*")
    assert list(odd.elsewhere(data_of()).moving) == ["a[0].weight", "a[0].bias"]


def test_norms_count_both_parts_of_complex_numbers():
    assert norm({"a": torch.tensor([3 + 4j], dtype=torch.complex64), "b": torch.tensor([12.0])}) == 13.0
    assert wide(torch.tensor([1 + 2j], dtype=torch.complex64)).dtype == torch.complex128


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


# what cannot be used is refused in one line


@pytest.fixture
def _any_types():
    """Types are left to suffice, as for its users."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def refused(make, message):
    with pytest.raises(InputError, match=message) as found:
        make()
    assert "\n" not in str(found.value)


@pytest.mark.usefixtures("_any_types")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": lambda x: x}, "the model is a function, not a torch.nn.Module"),
        ({"dataset": DataLoader(data_of())}, r"a DataLoader, not samples one by one: give its \.dataset"),
        ({"dataset": {"x": [1, 2, 3], "y": [0, 1, 0], "z": 0}}, "a dict, not samples one by one"),
    ],
)
def test_what_is_no_model_and_no_samples_is_refused(arguments, message):
    refused(lambda: problem_of(**arguments), message)


@pytest.mark.usefixtures("_any_types")
@pytest.mark.parametrize("positions", [np.array([0.0, 1.0]), np.arange(SAMPLES) > 2, [[0, 1]]])
def test_positions_that_are_no_whole_numbers_are_refused(positions):
    refused(lambda: problem_of().positions(positions), "positions are whole numbers")


@pytest.mark.usefixtures("_any_types")
def test_a_list_of_positions_is_taken():
    assert problem_of().positions([2, 0]).tolist() == [2, 0]


def test_targets_of_samples_of_three_parts_are_not_guessed():
    x, y = data_of().tensors
    problem = problem_of(dataset=TensorDataset(x, y, y), predict=lambda model, batch: model(batch[0]))
    refused(lambda: all_losses(problem), "samples of 3 parts do not say which one is the target")
    problem.loss = lambda outputs, batch: functional.cross_entropy(outputs, batch[2], reduction="none")
    expected = functional.cross_entropy(problem.model(x), y, reduction="none")[problem.index]
    assert torch.allclose(all_losses(problem), expected, rtol=1e-6)  # batches of other sizes round otherwise


def test_a_loss_that_fails_is_told_how_it_is_called():
    problem = problem_of(loss=nn.CrossEntropyLoss(reduction="none"))
    refused(lambda: all_losses(problem), r"the loss fails \(TypeError: .*\): it is called as loss\(outputs, batch\)")


def test_a_model_without_evaluation_mode_is_refused():
    class Exported(nn.Linear):
        def eval(self):
            raise NotImplementedError("Calling eval() is not supported yet.")

    def measure():
        with problem_of(model=Exported(5, 3)).measuring():
            pass

    refused(measure, "has no evaluation mode")


@pytest.mark.parametrize(
    ("loss", "width", "targets"), [("mse", 1, ()), ("mse", 2, (2,)), ("mse", 1, (1,)), ("cross_entropy", 3, None)]
)
def test_one_sample_may_lose_the_dimension_of_the_batch(loss, width, targets):
    class Squeezed(nn.Linear):
        def forward(self, x):
            return super().forward(x).squeeze()

    x, y = data_of().tensors
    torch.manual_seed(0)
    values = y if targets is None else drawn(SAMPLES, *targets).float()
    problem = problem_of(model=Squeezed(5, width), dataset=TensorDataset(x, values), loss=loss)
    alone = [problem.losses(problem.batch(slice(row, row + 1)), 1) for row in range(SAMPLES)]
    assert torch.allclose(torch.cat(alone), all_losses(problem))


# memory that is shared


def test_a_buffer_over_the_memory_of_a_parameter_that_moves_is_refused():
    model = model_of()
    model.register_buffer("copy", model[0].weight.data)
    refused(lambda: problem_of(model=model), "'0.weight' and 'copy' share memory|'copy' and '0.weight' share memory")
    assert problem_of(model=model, parameters="2.*")


def test_views_of_one_memory_without_common_values_are_two_parameters():
    class Columns(nn.Module):
        def __init__(self, second):
            super().__init__()
            whole = drawn(5, 6).float()
            self.first, self.second = nn.Parameter(whole[:, :3]), nn.Parameter(whole[:, second])

        def forward(self, x):
            return x @ self.first + x @ self.second

    assert all_losses(problem_of(model=Columns(slice(3, 6)))).isfinite().all()
    refused(lambda: problem_of(model=Columns(slice(2, 5))), "share memory")


def test_modes_are_put_back_by_what_modules_do_at_train():
    class Merging(nn.Linear):
        merged = False

        def train(self, mode=True):
            self.merged = not mode
            return super().train(mode)

    model = nn.Sequential(Merging(5, 4), Merging(4, 3)).train()
    model[1].eval()
    with problem_of(model=model).measuring():
        assert [layer.merged for layer in model] == [True, True]
    assert [layer.merged for layer in model] == [False, True]
    assert [module.training for module in model.modules()] == [True, True, False]
