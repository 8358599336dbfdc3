"""``suffice hessian`` on real digits: what it stores is what the closed form says."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from suffice.configuration import HessianConfig, read_configuration
from suffice.data import load_samples
from suffice.errors import InputError
from suffice.results import heat_map_file
from suffice.runs import hessian as run
from suffice.runs.hessian import measure_hessian, moments_of

SMALL = {"samples": 12, "patch_size": 2, "key_width": 4, "hidden_width": 6, "epochs": 3, "moments": 3}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hessian") / "run"
    return folder, measure_hessian(read_configuration(HessianConfig, SMALL), folder)


def test_a_moment_holds_the_traces_norms_and_eigenvalues_of_the_parts(small):
    _, result = small
    for moment in result.moments:
        full, outer, functional = (moment.parts[part] for part in ("full", "outer", "functional"))
        assert full.trace == pytest.approx(outer.trace + functional.trace, rel=1e-10)
        assert full.spectral <= outer.spectral + functional.spectral
        assert max(map(abs, moment.eigenvalues)) == pytest.approx(full.spectral, rel=1e-8)
        assert outer.spectral <= np.linalg.norm(outer.block_norms, 2) * (1 + 1e-12)
        assert np.array_equal(full.block_norms, np.transpose(full.block_norms))
        assert moment.ranks[0] == 1
        assert moment.ranks[-1] == sum(result.parameters.values())


def test_bounds_are_above_what_they_bound(small):
    _, result = small
    for moment in result.moments:
        full = moment.parts["full"]
        for bound in moment.bounds.values():
            assert bound.spectral >= full.spectral
            assert np.all(np.array(bound.block_norms) >= np.array(full.block_norms))
        assert moment.bounds["data"].spectral < moment.bounds["a_priori"].spectral


def test_the_training_lowers_the_loss_and_starts_at_the_initialisation(small):
    _, result = small
    assert [moment.epoch for moment in result.moments] == [0, 1, 3]
    assert result.moments[-1].loss < result.moments[0].loss


def test_heat_maps_keep_the_frobenius_norm(small):
    folder, result = small
    size = sum(result.parameters.values())
    for moment in result.moments:
        maps = np.load(heat_map_file(folder, moment.epoch))
        for cells, part in zip(maps, moment.parts.values(), strict=True):
            edges = np.linspace(0, size, len(cells) + 1).round()
            areas = np.outer(np.diff(edges), np.diff(edges))
            assert (cells**2 * areas).sum() ** 0.5 == pytest.approx(part.frobenius, rel=1e-5)


def test_an_interrupted_run_goes_on_to_the_same_result(small, tmp_path, monkeypatch):
    _, result = small
    measured = []

    def interrupted(model, X, y, epoch):
        if len(measured) == 1:
            raise KeyboardInterrupt
        measured.append(epoch)
        return original(model, X, y, epoch)

    original = run._moment
    config = read_configuration(HessianConfig, SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(run, "_moment", interrupted)
        with pytest.raises(KeyboardInterrupt):
            measure_hessian(config, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(run, "_moment", lambda model, X, y, epoch: measured.append(epoch) or original(model, X, y, epoch))
        assert measure_hessian(config, tmp_path / "run") == result
    assert measured == [0, 1, 3]


@given(st.integers(0, 200), st.integers(1, 8))
def test_moments_begin_at_the_initialisation_and_end_with_the_training(epochs, count):
    moments = moments_of(epochs, count)
    assert moments[0] == 0
    assert moments == sorted(set(moments))
    assert len(moments) <= count
    assert moments[-1] == (epochs if count > 1 else 0)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"patch_size": 3}, "image_size = 8 is not a multiple of patch_size = 3"),
        ({"samples": 5000}, "samples = 5000: builtin:digits has 1797"),
        ({"heads": 3}, "cannot be split evenly over 3 heads"),
        ({"activation": "gelo"}, 'did you mean "gelu"?'),
        ({"norm": "after"}, "norm = 'after'"),
        ({"hidden_width": 100_000}, "free"),
        ({"data": "no/such/folder"}, "no such file or folder"),
    ],
)
def test_bad_input_is_one_line(values, said, tmp_path):
    with pytest.raises(InputError) as error:
        measure_hessian(read_configuration(HessianConfig, values), tmp_path / "run")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run" / "result.json").exists()


def test_table_of_texts_is_refused_in_one_line(tmp_path, reviews):
    with pytest.raises(InputError, match="a table of texts, and images are needed here"):
        measure_hessian(read_configuration(HessianConfig, {"data": str(reviews)}), tmp_path / "run")


def test_tokens_are_the_patches_in_reading_order():
    images = load_samples("builtin:digits")
    config = HessianConfig(patch_size=4)
    tokens = run._tokens(images, np.arange(5), config) - torch.from_numpy(run._positions(4, 16))
    pixels = torch.from_numpy(images.pixels[:5].astype(np.float64))
    top_right = (pixels[:, :4, 4:].reshape(5, 16) - pixels.mean()) / pixels.std(correction=0)
    assert torch.allclose(tokens[:, 1], top_right, atol=1e-12)
