"""Feature networks are made by a command, which resumes to the same weights; Inception comes from the reader's file."""

import os
import signal
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hollow import quality
from hollow.cli import app
from hollow.faces import portraits
from hollow.quality import factors, inception, making, vicreg


@pytest.fixture
def quick(monkeypatch):
    """Make training a matter of seconds: small batches, few portraits for the scores."""
    monkeypatch.setattr(factors, "BATCH", 8)
    monkeypatch.setattr(vicreg, "BATCH", 8)
    monkeypatch.setattr(making, "HELD_OUT", 130)
    monkeypatch.setattr(making, "CALIBRATED", 130)


def test_training_learns(monkeypatch):
    monkeypatch.setattr(factors, "BATCH", 16)
    task = factors.Portraits()
    batch = task.batch(0)
    before = float(task.train()(batch).detach())
    optimizer = torch.optim.AdamW(task.parameters(), lr=3e-3)
    for _ in range(15):
        loss = task(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.7 * before


def test_a_stopped_run_ends_with_the_same_weights(tmp_path, quick, monkeypatch):
    straight = making.portraits(tmp_path / "straight", steps=4, command="hollow features portraits", progress=False)
    batch = factors.Portraits.batch

    def stopping(self, step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return batch(self, step)

    monkeypatch.setattr(factors.Portraits, "batch", stopping)
    with pytest.raises(KeyboardInterrupt, match=r"stopped after step [123] of 4; continue with --resume"):
        making.portraits(tmp_path / "stopped", steps=4, progress=False)
    monkeypatch.setattr(factors.Portraits, "batch", batch)
    assert not (tmp_path / "stopped" / "portraits.json").exists()
    with pytest.raises(FileExistsError, match="continue it with --resume or choose another --out"):
        making.portraits(tmp_path / "stopped", steps=4, progress=False)
    with pytest.raises(ValueError, match="has steps 4, this run 5; choose another --out, or delete it"):
        making.portraits(tmp_path / "stopped", steps=5, resume=True, progress=False)
    resumed = making.portraits(tmp_path / "stopped", steps=4, resume=True, progress=False)
    assert resumed.manifest["sha256"] == straight.manifest["sha256"]
    assert straight.manifest["seconds"] > 0
    assert resumed.manifest["seconds"] is None  # a part of it is not known
    checkpoint = tmp_path / "stopped" / "portraits.checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ValueError, match="cannot be read"):
        making.portraits(tmp_path / "stopped", steps=4, resume=True, progress=False)


def test_photographs_are_made_from_images_and_leave_statistics(tmp_path, quick):
    images = portraits(700, seed=3)[0]
    made = making.photographs(images, tmp_path, source="some.zip", steps=2, progress=False)
    assert made.manifest["images"] == "some.zip"
    assert (made.manifest["n_images"], made.manifest["n_held_out"]) == (560, 140)
    features = made.features(quality.unit(images[:560]))
    torch.testing.assert_close(made.reference.mean, features.mean(0), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(made.reference.cov, features.T.cov(), atol=1e-2, rtol=1e-2)
    torch.testing.assert_close(made.reference.cov, torch.eye(64), atol=0.05, rtol=0)  # whitened
    held_out = made.features(quality.unit(images[560:]))
    torch.testing.assert_close(made.reference.rows, held_out, atol=5e-2, rtol=1e-2)
    with pytest.raises(ValueError, match="100 photographs are too few to learn features from; expected at least 700"):
        making.photographs(images[:100], tmp_path / "few", steps=2, progress=False)


def test_vicreg_by_hand():
    x = torch.tensor([[1.0, 0], [-1, 0], [0, 2], [0, -2]])  # variances 2/3 and 8/3, no covariance
    alone = 25 * (1 - (2 / 3 + 1e-4) ** 0.5) / 2  # the mean over two columns, the second of which varies enough
    assert float(vicreg.vicreg(x, x)) == pytest.approx(2 * alone / 2, rel=1e-4)
    shifted = float(vicreg.vicreg(x, x + torch.tensor([1.0, 0])))
    assert shifted == pytest.approx(2 * alone / 2 + 25 / 2, rel=1e-4)
    doubled = x[:, 1:].repeat(1, 2)  # the same column twice: covariance 8/3 both ways
    assert float(vicreg.vicreg(doubled, doubled)) == pytest.approx(2 * 2 * (8 / 3) ** 2 / 2, rel=1e-4)


def test_views_keep_the_picture_and_change_it():
    images = quality.unit(portraits(20, seed=1)[0])
    seen = vicreg.views(images, torch.Generator().manual_seed(0))
    assert seen.shape == images.shape
    assert seen.abs().max() <= 1
    own = (seen - images).square().mean((1, 2, 3))
    other = (seen - images.roll(1, 0)).square().mean((1, 2, 3))
    assert (own > 1e-3).all()
    assert own.mean() < other.mean()


def test_the_command_trains_and_says_what_is_missing(tmp_path, quick):
    def run(*words):
        result = CliRunner().invoke(app, ["features", *map(str, words)], catch_exceptions=False)
        return result.exit_code, result.output

    code, said = run("portraits", "--steps", 1, "--out", tmp_path)
    assert code == 0, said
    assert f'use it with: quality.load("portraits", "{tmp_path}")' in said
    record = quality.load("portraits", tmp_path).manifest
    assert record["command"] == "hollow features portraits --steps 1"
    for words, expected in [
        (("faces",), "unknown feature network 'faces'; expected portraits or photographs"),
        (("photographs",), "give them with --images (a folder or zip)"),
        (("photographs", "--images", ""), "give them with --images (a folder or zip)"),
        (("photographs", "--images", tmp_path / "none.zip"), "no folder or zip at"),
        (("portraits", "--images", "a.zip"), "leave --images out"),
        (("portraits", "--steps", 1, "--out", tmp_path), "continue it with --resume or choose another --out"),
    ]:
        code, said = run(*words)
        assert code == 2
        assert expected in said
        assert len(said.strip().splitlines()) == 1


# Inception


def test_inception_from_a_file(tmp_path):
    from torchvision.models import inception_v3

    path = tmp_path / inception.FILE
    torch.save(inception_v3(weights=None, init_weights=False, aux_logits=True).state_dict(), path)
    with pytest.raises(ValueError, match=r"has SHA-256 .*, not 0cc3c7bd\.\.\.; give torchvision's"):
        inception.load(path)  # its name is right, its weights are not
    loaded = inception.load(path, any_weights=True)
    images = quality.unit(portraits(3, seed=0)[0])
    features = loaded.features(images, batch=2)
    assert features.shape == (3, inception.DIM)
    torch.testing.assert_close(loaded.features(images[2:]), features[2:], atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="images range from 3 to 3"):
        loaded.features(torch.full((1, 3, 64, 64), 3.0))
    with pytest.raises(ValueError, match="a covariance of 2048 features needs more than 2048, so at least 2049"):
        quality.frechet_distance(features, features)
    with pytest.raises(ValueError, match="no weights of Inception at"):
        inception.load(tmp_path / "none.pth")
    for blob in (b"not weights", b""):
        path.write_bytes(blob)
        with pytest.raises(ValueError, match="does not hold weights of Inception v3"):
            inception.load(path, any_weights=True)
    torch.save({"fc.weight": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="does not hold weights of Inception v3"):
        inception.load(path, any_weights=True)


def test_weights_of_inception_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"fc.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="does not hold weights of Inception v3"):
        inception.load(tmp_path / "evil.pth", any_weights=True)
    assert not (tmp_path / "ran").exists()
