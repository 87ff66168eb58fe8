"""Digits: the embedded ones, a file of the reader's, subsets, and files that are none."""

import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from hollow import digits


@pytest.fixture
def file(tmp_path):
    """Write a file as Keras writes MNIST, with what a test changes, and return its path."""

    def write(**changed):
        random = np.random.default_rng(0)
        arrays = {"x_train": random.integers(0, 256, (120, 28, 28), dtype=np.uint8), "y_train": np.arange(120) % 10}
        path = tmp_path / "digits.npz"
        np.savez(path, **{name: value for name, value in (arrays | changed).items() if value is not None})
        return path

    return write


def test_the_embedded_digits_are_those_of_scikit_learn():
    data = digits.load()
    assert data.images.shape == (1797, 64)
    assert data.side == 8
    assert (float(data.images.min()), float(data.images.max())) == (0, 1)
    np.testing.assert_array_equal(data.images[5].numpy() * 16, load_digits().data[5])
    np.testing.assert_array_equal(data.labels, load_digits().target)


def test_a_file_is_read_and_named_by_its_hash(file):
    data, again = digits.load(file()), digits.load(file(x_train=np.zeros((120, 28, 28), np.uint8)))
    assert (data.images.shape, data.side, data.source) == ((120, 784), 28, "digits.npz")
    assert data.images.dtype == torch.float32
    assert float(data.images.max()) == 1
    assert data.sha256 != again.sha256


def test_a_subset_is_balanced_and_repeats_nothing():
    data = digits.load()
    chosen = data.only((3, 4, 7), 100, torch.Generator().manual_seed(0))
    assert chosen.labels.unique(return_counts=True)[1].tolist() == [34, 33, 33]
    assert len(chosen.images.unique(dim=0)) == 100
    assert set(data.only((3,)).labels.tolist()) == {3}
    assert len(data.only((3,)).labels) == int((data.labels == 3).sum())
    assert chosen.sha256 == data.sha256


@pytest.mark.parametrize(("classes", "n", "said"), [((0, 11), None, "0 digits 11"), ((0,), 500, "500 digits 0 ")])
def test_too_few_digits_of_a_class(classes, n, said):
    with pytest.raises(ValueError, match=f"{said}.*are asked for; embedded has"):
        digits.load().only(classes, n)


BAD_FILES = [
    ({"x_train": None}, "cannot be read"),
    ({"x_train": np.zeros((120, 28, 27), np.uint8)}, "are uint8 of shape (120, 28, 27); expected uint8 (n, side"),
    ({"x_train": np.zeros((120, 28, 28))}, "are float64 of shape (120, 28, 28); expected uint8"),
    ({"y_train": np.arange(120)}, "have shape (120,); expected (120,) with values 0 to 9"),
    ({"y_train": np.zeros(7)}, "have shape (7,); expected (120,)"),
    ({"x_train": np.zeros((9, 8, 8), np.uint8), "y_train": np.zeros(9)}, "holds 9 digits; expected at least 100"),
    ({"y_train": np.array([{}] * 120)}, "cannot be read (Object arrays cannot be loaded"),  # never unpickled
]


@pytest.mark.parametrize(("changed", "said"), BAD_FILES)
def test_a_bad_file_is_one_clear_line(file, changed, said):
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        digits.load(file(**changed))
    assert "\n" not in str(caught.value)


def test_a_missing_or_foreign_file(tmp_path):
    with pytest.raises(ValueError, match=r"there is no file .*mnist.npz; expected .embedded. or an .npz"):
        digits.load(tmp_path / "mnist.npz")
    (tmp_path / "mnist.npz").write_text("<html>Quota exceeded</html>")
    with pytest.raises(ValueError, match="cannot be read"):
        digits.load(tmp_path / "mnist.npz")
