"""Handwritten digits: those that come with scikit-learn, or MNIST from a file of the reader's."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hollow.prior import check

EMBEDDED = "embedded"
FEWEST = 100  # digits in a file
ARRAYS = ("x_train", "y_train")  # of an .npz file, as Keras wrote MNIST's


@dataclass(frozen=True)
class Digits:
    """Grey pictures of digits.

    Attributes
    ----------
    images : Tensor
        (n, side * side), float32 in [0, 1]; 1 is ink.
    labels : Tensor
        (n,), int64, 0 to 9.
    source : str
        "embedded", or the name of the file.
    sha256 : str
        Of pixels and labels, so that a record can say which digits it is about.
    """

    images: Tensor
    labels: Tensor
    source: str
    sha256: str

    @property
    def side(self) -> int:
        """Pixels along a side."""
        return round(self.images.shape[1] ** 0.5)

    def only(self, classes: tuple[int, ...], n: int | None = None, generator: torch.Generator | None = None) -> Digits:
        """Return the digits of some classes: all, or n of them without repetition, as many of each class (up to one).

        Raises
        ------
        ValueError
            If a class has too few digits, or none.
        """
        chosen = []
        for number, label in enumerate(classes):
            rows = (self.labels == label).nonzero()[:, 0]
            want = len(rows) if n is None else n // len(classes) + (number < n % len(classes))
            check(0 < want <= len(rows), f"{want} digits {label} are asked for; {self.source} has {len(rows)}")
            chosen.append(rows[torch.randperm(len(rows), generator=generator)[:want]])
        rows = torch.cat(chosen).sort().values
        return Digits(self.images[rows], self.labels[rows], self.source, self.sha256)


def load(source: str | Path = EMBEDDED) -> Digits:
    """Return digits: scikit-learn's 1,797 of 8 x 8 pixels, or those for training in an .npz file such as MNIST's.

    Parameters
    ----------
    source : str or path
        "embedded", or a file with the arrays `x_train`, (n, side, side) in uint8, and `y_train`, (n,). No pickled array
        is read.

    Raises
    ------
    ValueError
        If the file is missing or is none of this kind.
    """
    if str(source) == EMBEDDED:
        from sklearn.datasets import load_digits  # its import takes a second

        bundled = load_digits()
        return _made(bundled.images / 16, bundled.target, EMBEDDED)
    path = Path(source)
    what = f"expected {EMBEDDED!r} or an .npz file with {' and '.join(ARRAYS)}, as Keras's mnist.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            images, labels = (file[name] for name in ARRAYS)
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; {what}") from None
    except (OSError, ValueError, LookupError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"digits {path} cannot be read ({' '.join(str(error).split())}); {what}") from None
    square = images.ndim == 3 and images.shape[1] == images.shape[2] and images.dtype == np.uint8
    check(square, f"digits {path} are {images.dtype} of shape {images.shape}; expected uint8 (n, side, side)")
    fits = labels.shape == images.shape[:1] and bool(np.isin(labels, range(10)).all())
    check(fits, f"labels of {path} have shape {labels.shape}; expected ({len(images)},) with values 0 to 9")
    check(len(images) >= FEWEST, f"{path} holds {len(images)} digits; expected at least {FEWEST}")
    return _made(images / 255, labels, path.name)


def _made(images: np.ndarray, labels: np.ndarray, source: str) -> Digits:
    pixels, classes = images.astype(np.float32).reshape(len(images), -1), labels.astype(np.int64)
    digest = hashlib.sha256(pixels.tobytes() + classes.tobytes()).hexdigest()
    return Digits(torch.from_numpy(pixels), torch.from_numpy(classes), source, digest)
