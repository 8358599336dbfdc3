import os

import numpy as np
import pytest
from PIL import Image

from suffice import InputError
from suffice.data import DIGITS, ImageArray, ImageFolder, load_samples


def save(file, grey=0, mode="L"):
    file.parent.mkdir(parents=True, exist_ok=True)
    kind = "PNG" if file.suffix.lower() == ".png" else "JPEG"
    Image.new(mode, (6, 4), grey if mode == "L" else (grey,) * 3).save(file, kind)


@pytest.fixture
def folder(tmp_path):
    """Two classes: nested folders, PNG and JPEG, small and capital suffixes, and what is not an image."""
    save(tmp_path / "dog" / "b.png", 20)
    save(tmp_path / "dog" / "A.PNG", 10)
    save(tmp_path / "cat" / "deep" / "deeper" / "x.jpg", 30)
    save(tmp_path / "cat" / "y.JPEG", 40, mode="RGB")
    save(tmp_path / ".hidden" / "z.png")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    (tmp_path / "labels.csv").write_text("")
    return tmp_path


def test_classes_are_the_folders_with_images_in_alphabetical_order(folder):
    images = ImageFolder(folder)
    assert images.classes == ["cat", "dog"]
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.labels.dtype == np.int64
    assert len(images) == 4


def test_an_image_keeps_its_size_its_colours_and_its_label(folder):
    images = ImageFolder(folder)
    found = {file.name: (images.classes[images.labels[row]], images[row]) for row, file in enumerate(images.files)}
    assert set(found) == {"x.jpg", "y.JPEG", "A.PNG", "b.png"}
    assert found["A.PNG"][0] == "dog"
    assert found["x.jpg"][0] == "cat"
    assert all(image.size == (6, 4) for _, image in found.values())
    assert [found[name][1].mode for name in ("x.jpg", "y.JPEG", "A.PNG")] == ["L", "RGB", "L"]
    for name, grey in (("A.PNG", 10), ("b.png", 20), ("x.jpg", 30)):
        assert np.array_equal(np.unique(np.asarray(found[name][1])), [grey])


def test_a_row_is_described_by_its_file(folder):
    images = ImageFolder(folder)
    assert [images.describe(row) for row in range(4)] == [str(file) for file in images.files]


def test_the_rows_are_the_same_each_time(folder):
    assert ImageFolder(folder).files == ImageFolder(folder).files
    assert [file.name for file in ImageFolder(folder).files if file.parent.name == "dog"] == ["A.PNG", "b.png"]


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda content: b"text", lambda content: b""],
    ids=["short", "text", "empty"],
)
@pytest.mark.parametrize("name", ["dog/b.png", "cat/y.JPEG"])
def test_a_broken_file_is_named_when_it_is_read(folder, name, damage):
    file = folder / name
    file.write_bytes(damage(file.read_bytes()))
    images = ImageFolder(folder)
    with pytest.raises(InputError, match=file.name) as refusal:
        images[images.files.index(file)]
    assert "\n" not in str(refusal.value)


def test_a_file_that_was_removed_is_named(folder):
    images = ImageFolder(folder)
    images.files[0].unlink()
    with pytest.raises(InputError, match=images.files[0].name):
        images[0]


def test_reading_images_leaves_no_file_open(folder):
    images = ImageFolder(folder)
    kept = [images[row] for row in range(len(images))]
    assert all(getattr(image, "fp", None) is None for image in kept)


def test_one_class_is_refused(tmp_path):
    save(tmp_path / "cat" / "1.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(InputError, match="only the class 'cat'"):
        ImageFolder(tmp_path)


@pytest.mark.parametrize("files", [[], ["1.png"], ["cat/1.txt"]], ids=str)
def test_a_folder_without_images_in_sub_folders_is_refused(tmp_path, files):
    for name in files:
        save(tmp_path / name)
    with pytest.raises(InputError, match="no images in sub-folders"):
        ImageFolder(tmp_path)


def test_a_folder_of_tables_says_to_name_one(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/train.jsonl", "a.jsonl"):
        (tmp_path / name).write_text("{}\n")
    with pytest.raises(
        InputError, match=rf"{tmp_path}: holds tables and no images .* such as {tmp_path}/b/train\.jsonl, and"
    ):
        ImageFolder(tmp_path)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        ImageFolder(tmp_path / "none")
    with pytest.raises(InputError, match="no such file or folder"):
        load_samples(str(tmp_path / "none"))


def test_a_folder_is_loaded_by_its_name(folder):
    images = load_samples(str(folder))
    assert isinstance(images, ImageFolder)
    assert len(images) == 4


def test_the_built_in_digits_are_those_of_scikit_learn():
    digits = load_samples(DIGITS)
    assert len(digits) == 1797
    assert digits.classes == [str(digit) for digit in range(10)]
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    pixels = np.stack([np.asarray(digits[row]) for row in range(100)])
    assert pixels.shape == (100, 8, 8)
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_an_array_of_images_is_read_row_by_row():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    images = ImageArray(pixels, np.array([2, 0]), "here")
    assert images.classes == ["0", "1", "2"]
    assert images[1].size == (4, 3)
    assert images[1].mode == "L"
    assert np.array_equal(np.asarray(images[1]), pixels[1])
    assert images.describe(1) == "image 1 of here"


@pytest.mark.parametrize(
    ("labels", "message"), [([0, 1], "3 images, but 2 labels"), ([1, 1, 1], "only one class")], ids=["count", "class"]
)
def test_labels_that_do_not_fit_the_images_are_refused(labels, message):
    with pytest.raises(InputError, match=f"here: {message}"):
        ImageArray(np.zeros((3, 2, 2), dtype=np.uint8), np.array(labels), "here")


def test_sixteen_bit_grey_is_scaled_and_not_clipped(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16)).save(tmp_path / name / "1.png")
    assert np.asarray(ImageFolder(tmp_path)[0]).tolist() == [[0, 1, 128, 255]]


@pytest.fixture
def pets(tmp_path):
    for name, value in (("cat", 10), ("dog", 20)):
        (tmp_path / name).mkdir()
        Image.new("L", (4, 4), value).save(tmp_path / name / "1.png")
    return tmp_path


def test_fingerprint_follows_names_and_contents(pets):
    before = ImageFolder(pets).fingerprint()
    for file in pets.rglob("*.png"):
        os.utime(file, (0, 0))
    assert ImageFolder(pets).fingerprint() == before
    (pets / "cat" / "1.png").rename(pets / "cat" / "2.png")
    assert ImageFolder(pets).fingerprint() != before
    (pets / "cat" / "2.png").rename(pets / "cat" / "1.png")
    (pets / "cat").rename(pets / "fox")
    assert ImageFolder(pets).fingerprint() != before


def test_fingerprint_notices_another_image_of_the_same_size(pets):
    file = pets / "cat" / "1.png"
    times, size, before = os.stat(file), file.stat().st_size, ImageFolder(pets).fingerprint()
    Image.new("L", (4, 4), 11).save(file)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert file.stat().st_size == size
    assert ImageFolder(pets).fingerprint() != before


def test_fingerprint_notices_two_images_that_change_places(pets):
    before = ImageFolder(pets).fingerprint()
    first, second = (pets / name / "1.png" for name in ("cat", "dog"))
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    assert ImageFolder(pets).fingerprint() != before


def test_files_are_read_once_for_the_fingerprint_and_a_missing_one_is_named(pets):
    images = ImageFolder(pets)
    before = images.fingerprint()
    (pets / "dog" / "1.png").unlink()
    assert images.fingerprint() == before
    Image.new("L", (4, 4)).save(pets / "dog" / "1.png")
    images = ImageFolder(pets)
    (pets / "dog" / "1.png").unlink()
    with pytest.raises(InputError, match=r"dog/1\.png: cannot be read"):
        images.fingerprint()


def test_fingerprint_of_an_array_follows_pixels_and_labels():
    pixels, labels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.array([0, 1, 1])
    prints = {
        ImageArray(pixels, labels, "a").fingerprint(),
        ImageArray(pixels ^ 1, labels, "a").fingerprint(),
        ImageArray(pixels, labels[::-1], "a").fingerprint(),
        ImageArray(pixels.reshape(3, 4, 1), labels, "a").fingerprint(),
    }
    assert len(prints) == 4
    assert ImageArray(pixels.copy(), labels.copy(), "another").fingerprint() in prints


def test_classes_that_are_numbers_are_in_their_order(tmp_path):
    for number in range(12):
        (tmp_path / str(number)).mkdir()
        Image.new("L", (2, 2), number).save(tmp_path / str(number) / "1.png")
    images = ImageFolder(tmp_path)
    assert images.classes == [str(number) for number in range(12)]
    assert [images[row].getpixel((0, 0)) for row in range(12)] == images.labels.tolist() == list(range(12))
