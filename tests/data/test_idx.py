import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from suffice import InputError
from suffice.data import load_samples, read_idx, read_idx_images

PIXELS = np.arange(60, dtype=np.uint8).reshape(5, 3, 4)
LABELS = np.array([0, 2, 1, 0, 2], dtype=np.uint8)


def idx(array, kind=0x08):
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(path, content):
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_pair(folder, prefix="train-", suffix="", pixels=PIXELS, labels=LABELS):
    write(folder / f"{prefix}labels-idx1-ubyte{suffix}", idx(labels))
    return write(folder / f"{prefix}images-idx3-ubyte{suffix}", idx(pixels))


@pytest.fixture(params=["", ".gz"], ids=["plain", "gzip"])
def suffix(request):
    return request.param


@given(array=arrays(np.uint8, array_shapes(max_dims=4, max_side=6)), suffix=st.sampled_from(["", ".gz"]))
def test_what_is_written_is_read(tmp_path_factory, array, suffix):
    file = write(tmp_path_factory.getbasetemp() / f"array{suffix}", idx(array))
    assert np.array_equal(read_idx(file), array)


def test_images_come_with_the_labels_beside_them(tmp_path, suffix):
    file = write_pair(tmp_path, suffix=suffix)
    for images in (
        read_idx_images(file),
        read_idx_images(tmp_path),
        load_samples(str(file)),
        load_samples(str(tmp_path)),
    ):
        assert images.labels.tolist() == LABELS.tolist()
        assert images.labels.dtype == np.int64
        assert len(images) == 5
        assert np.array_equal(np.asarray(images[3]), PIXELS[3])


def test_of_a_training_and_a_test_set_the_folder_means_the_training_set(tmp_path, suffix):
    write_pair(tmp_path, "train-", suffix)
    test = write_pair(tmp_path, "t10k-", suffix, PIXELS[:3], LABELS[:3])
    assert len(read_idx_images(tmp_path)) == 5
    assert len(read_idx_images(test)) == 3


def test_a_folder_with_several_sets_and_no_training_set_is_refused(tmp_path):
    write_pair(tmp_path, "a-")
    write_pair(tmp_path, "b-")
    with pytest.raises(InputError, match="a-images-idx3-ubyte, b-images-idx3-ubyte"):
        read_idx_images(tmp_path)


@pytest.mark.parametrize("cut", [1, 10, 61, 63, 74])
def test_a_truncated_file_is_named(tmp_path, suffix, cut):
    file = write(tmp_path / f"short{suffix}", idx(PIXELS)[:-cut])
    with pytest.raises(InputError, match="short") as refusal:
        read_idx(file)
    assert "\n" not in str(refusal.value)


def test_bytes_after_the_array_are_refused(tmp_path, suffix):
    with pytest.raises(InputError, match=r"long.*promises 60 bytes for an array of shape \(5, 3, 4\), and more follow"):
        read_idx(write(tmp_path / f"long{suffix}", idx(PIXELS) + b"\0"))


PROMISES = bytes([0, 0, 0x08, 3]) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (idx(PIXELS) + bytes(2**26), "promises 60 bytes .*, and more follow"),
        (PROMISES + bytes(9), "and only 9 follow|would unpack to"),
    ],
    ids=["more than the header says", "less"],
)
def test_memory_is_that_of_what_is_there_and_of_what_the_header_says(tmp_path, suffix, content, said):
    file = write(tmp_path / f"array{suffix}", content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=said):
            read_idx(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.parametrize(
    "content", [b"", b"text, not an array", idx(PIXELS, kind=0x0D), b"\x89PNG"], ids=["empty", "text", "floats", "png"]
)
def test_another_format_is_refused(tmp_path, suffix, content):
    with pytest.raises(InputError, match="not an IDX file of unsigned bytes"):
        read_idx(write(tmp_path / f"other{suffix}", content))


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-9], lambda content: b"text", lambda content: content[:30] + b"??" + content[32:]],
    ids=["short", "text", "changed"],
)
def test_a_broken_gzip_file_is_named(tmp_path, damage):
    file = tmp_path / "broken.gz"
    file.write_bytes(damage(gzip.compress(idx(PIXELS))))
    with pytest.raises(InputError, match="broken") as refusal:
        read_idx(file)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="none"):
        read_idx(tmp_path / "none")


def test_missing_labels_are_named(tmp_path, suffix):
    file = write_pair(tmp_path, suffix=suffix)
    (tmp_path / f"train-labels-idx1-ubyte{suffix}").unlink()
    with pytest.raises(InputError, match=f"train-labels-idx1-ubyte{suffix}"):
        read_idx_images(file)


def test_numbers_of_images_and_labels_that_differ_are_refused(tmp_path, suffix):
    with pytest.raises(InputError, match="5 images, but 4 labels"):
        read_idx_images(write_pair(tmp_path, suffix=suffix, labels=LABELS[:4]))


def test_one_class_is_refused(tmp_path):
    with pytest.raises(InputError, match="only one class"):
        read_idx_images(write_pair(tmp_path, labels=np.ones(5, dtype=np.uint8)))


@pytest.mark.parametrize("pixels", [PIXELS[0], PIXELS[..., None]], ids=["2 dimensions", "4 dimensions"])
def test_images_that_are_not_grey_pictures_are_refused(tmp_path, pixels):
    with pytest.raises(InputError, match="3 dimensions"):
        read_idx_images(write_pair(tmp_path, pixels=pixels))


def test_labels_that_are_not_one_number_an_image_are_refused(tmp_path):
    with pytest.raises(InputError, match="labels"):
        read_idx_images(write_pair(tmp_path, labels=np.stack([LABELS, LABELS], axis=1)))
