"""The samples of a study: parts, orders and sizes."""

import numpy as np
import pytest

from suffice.configuration import StudyConfig
from suffice.data import load_samples
from suffice.errors import InputError
from suffice.studies import StudySamples
from suffice.training import ALL

GIVEN = {"model": "builtin:tiny-vit", "data": "builtin:digits", "samples": 200}


def samples_of(**values):
    return StudySamples(StudyConfig(**(GIVEN | values)))


def table(folder, name, counts):
    """Texts, so many of each class."""
    lines = [f"word {row},{label}" for label, count in counts.items() for row in range(count)]
    file = folder / name
    file.write_text("\n".join(["text,label", *lines]) + "\n")
    return str(file)


def as_sets(parts):
    return [set(rows.tolist()) for rows in (parts.pool, parts.validation, parts.test)]


def test_parts_have_no_sample_in_common_and_the_shares_asked_for():
    samples = samples_of(test_share=0.3, validation_share=0.15)
    pool, validation, test = as_sets(samples.tasks[ALL].parts)
    assert [len(part) for part in (pool, validation, test)] == [110, 30, 60]
    assert len(pool | validation | test) == 200
    assert pool | validation | test == set(samples.tasks[ALL].used.tolist())


def test_every_part_has_all_classes_in_their_shares():
    samples = samples_of(samples=None)
    labels = samples.samples.labels
    shares = np.bincount(labels) / len(labels)
    for rows in vars(samples.tasks[ALL].parts).values():
        # two ends of an order, each less than one sample off
        assert np.abs(np.bincount(labels[rows], minlength=10) - shares * len(rows)).max() < 2


def test_parts_are_the_same_for_all_tasks_whatever_the_method_and_seeds():
    first = samples_of(class_subsets=["3,1", "0,1,2"])
    second = samples_of(methods=["full"], seeds=7, sizes=[30])
    assert as_sets(first.tasks[ALL].parts) == as_sets(second.tasks[ALL].parts)
    for name in ("3,1", "0,1,2"):
        task = first.tasks[name]
        chosen = {row for row in range(1797) if str(first.samples.labels[row]) in name.split(",")}
        of_task = [set(task.rows[list(part)].tolist()) for part in as_sets(task.parts)]
        assert of_task == [part & chosen for part in as_sets(first.tasks[ALL].parts)]


def test_another_seed_of_the_study_draws_other_parts():
    first, second = (samples_of(seed=seed) for seed in (0, 1))
    assert as_sets(first.tasks[ALL].parts) != as_sets(second.tasks[ALL].parts)


def test_an_order_holds_the_pool_once_and_depends_on_the_seed():
    samples = samples_of(class_subsets=["0,1,2"])
    for name, task in samples.tasks.items():
        orders = [samples.order(name, seed) for seed in samples.seeds]
        assert all(np.array_equal(np.sort(order), task.parts.pool) for order in orders)
        assert len({tuple(order) for order in orders}) == len(samples.seeds)
    assert np.array_equal(samples.order(ALL, 1), samples_of(methods=["full"]).order(ALL, 1))


def test_test_data_of_their_own_are_the_test_part(tmp_path):
    data = table(tmp_path, "train.csv", {"a": 30, "b": 20})
    test = table(tmp_path, "test.csv", {"a": 5, "b": 4})
    samples = samples_of(data=data, test=test, samples=None)
    parts = samples.tasks[ALL].parts
    assert parts.test.tolist() == list(range(50, 59))
    assert [len(parts.pool), len(parts.validation)] == [45, 5]
    tested = load_samples(test)
    assert [samples.samples[row] for row in parts.test.tolist()] == [tested[row] for row in range(9)]


def test_some_of_the_test_data_are_as_many_as_asked_for_in_their_shares(tmp_path):
    data = table(tmp_path, "train.csv", {"a": 30, "b": 20})
    test = table(tmp_path, "test.csv", {"a": 40, "b": 20})
    samples = samples_of(data=data, test=test, samples=None, test_samples=15)
    rows = samples.tasks[ALL].parts.test
    assert np.bincount(samples.samples.labels[rows]).tolist() == [10, 5]
    assert rows.min() >= 50
    with pytest.raises(InputError, match="test_samples = 70: .* has 60"):
        samples_of(data=data, test=test, samples=None, test_samples=70)
    with pytest.raises(InputError, match="is for --test data"):
        samples_of(data=data, samples=None, test_samples=15)


def test_test_data_of_other_classes_are_refused(tmp_path):
    data, test = table(tmp_path, "train.csv", {"a": 30, "b": 30}), table(tmp_path, "test.csv", {"a": 9, "c": 9})
    with pytest.raises(InputError, match="the test data have the classes a, c"):
        samples_of(data=data, test=test, samples=None)


def test_a_size_larger_than_the_pool_says_how_many_there_are():
    with pytest.raises(InputError, match=r"size 1,000: there are 140 samples to train on"):
        samples_of(sizes=[40, 1000])


def test_the_smallest_workable_size_is_said_and_works():
    with pytest.raises(InputError, match="a class is missing") as refusal:
        samples_of(sizes=[5, 100])
    least = int(str(refusal.value).rpartition(" ")[2])
    samples = samples_of(sizes=[least])
    orders = [samples.samples.labels[samples.order(ALL, seed)] for seed in samples.seeds]
    assert all(set(order[:least]) == set(range(10)) for order in orders)
    assert any(set(order[: least - 1]) < set(range(10)) for order in orders)


def test_less_than_three_samples_are_never_enough(tmp_path):
    data = table(tmp_path, "train.csv", {"a": 50, "b": 50})
    with pytest.raises(InputError, match="the smallest workable size is 3"):
        samples_of(data=data, samples=None, sizes=[2])
    assert samples_of(data=data, samples=None, sizes=[3]).sizes[ALL] == [3]


def test_class_subsets_leave_out_sizes_that_they_cannot_have():
    samples = samples_of(sizes=[140, 20, 60, 20], class_subsets=["0,1", "0,1,2,3,4"])
    assert samples.sizes == {ALL: [20, 60, 140], "0,1": [20], "0,1,2,3,4": [20, 60]}


def test_a_class_subset_without_any_of_the_sizes_is_refused():
    with pytest.raises(InputError, match=r"size 60 with the classes 0,1: there are \d\d samples to train on"):
        samples_of(sizes=[60, 140], class_subsets=["0,1"])


def test_default_sizes_go_up_to_all_of_each_task_with_every_class():
    samples = samples_of(samples=None, class_subsets=["0,1"])
    for name, sizes in samples.sizes.items():
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == len(samples.tasks[name].parts.pool)
        labels = samples.tasks[name].samples.labels
        assert all(
            set(labels[samples.order(name, seed)[: sizes[0]]]) == set(labels[samples.tasks[name].parts.pool])
            for seed in samples.seeds
        )
    assert len(samples.sizes[ALL]) == 6


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"samples": 5000}, "samples = 5000: builtin:digits has 1,797"),
        ({"samples": 20}, "20 samples: the validation part has 2"),
        ({"class_subsets": ["0,x"]}, "no class 'x'"),
        ({"class_subsets": ["0"]}, "name at least two classes"),
        ({"sizes": [40], "class_subsets": ["0,1"], "classes": ["1", "2"]}, "no class '0'"),
    ],
)
def test_bad_samples_are_refused_in_one_line(values, said):
    with pytest.raises(InputError) as refusal:
        samples_of(**values)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
