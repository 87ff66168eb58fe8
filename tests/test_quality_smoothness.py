"""How factors move along paths: against paths of known factors, and on painted ones."""

import types

import numpy as np
import pytest
import torch

from hollow import faces, quality
from hollow.quality.smoothness import SMOOTH, detour, motion


def moved(**tracks):
    """Return the motion of one path whose factors stand still, but for those given as fractions of their ranges."""
    steps = len(next(iter(tracks.values())))
    read = {f.name: torch.full((steps,), (f.lo + f.hi) / 2) for f in SMOOTH}
    for f in SMOOTH:
        if f.name in tracks:
            read[f.name] = f.lo + (f.hi - f.lo) * torch.tensor(tracks[f.name])
    return motion(torch.zeros(steps, 1, 3, 64, 64), types.SimpleNamespace(factors=lambda images: read))


def test_hues_and_classes_do_not_count():
    names = {f.name for f in SMOOTH}
    assert {"smile", "gaze"} <= names
    assert not names & {"background_hue", "glasses", "beard"}


def test_a_straight_move_has_no_detour():
    found = moved(smile=[0.0, 0.25, 0.5, 1.0])
    np.testing.assert_allclose(found[:, 0], [1, 1, 0.5, 0], atol=1e-5)
    assert float(detour(found)) == pytest.approx(1, abs=1e-5)


def test_a_way_there_and_back_is_a_detour_and_an_invention():
    found = moved(smile=[0.2, 0.5, 0.2, 0.4], skin=[0.0, 0.1, 0.1, 0.2])
    np.testing.assert_allclose(found[:, 0], [0.8 + 0.2, 0.2 + 0.2, 0.3 + 0.1, 0], atol=1e-5)
    beyond = moved(smile=[0.2, 0.55, 0.2, 0.4])
    assert beyond[3, 0] == pytest.approx(1 / len(SMOOTH), rel=1e-5)


def test_painted_paths_are_smoother_than_shuffled_ones():
    network, steps = quality.load("portraits"), 7
    a, b = (faces.sample_factors(6, torch.Generator().manual_seed(k)) for k in (1, 2))

    def painted(w):
        return {k: a[k].lerp(b[k], w) if a[k].is_floating_point() else a[k] for k in a}

    paths = torch.stack([quality.unit(faces.render(painted(w))) for w in torch.linspace(0, 1, steps).tolist()])
    straight = float(detour(motion(paths, network)))
    shuffled = float(detour(motion(paths[[0, 4, 2, 5, 1, 3, 6]], network)))
    assert 1 <= straight < 1.6
    assert shuffled > 1.5 * straight


def test_paths_have_five_axes():
    with pytest.raises(ValueError, match=r"paths have shape \(4, 3, 64, 64\); expected \(T, n, 3, 64, 64\) with T at"):
        motion(torch.zeros(4, 3, 64, 64), quality.load("portraits"))
