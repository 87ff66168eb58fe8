"""The loop: it learns, resumes bitwise, survives ctrl-C, stops on NaN, and refuses what is not its own."""

import json
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hollow import checkpoints, experiments, training, zoo
from hollow.experiments import PRESETS
from hollow.trainer import Trainer

NORMAL = experiments.get("normal")
TINY = replace(PRESETS["smoke"], width=4, steps=8, batch=8, log_every=2, checkpoint_every=3, grids=(8,))


@pytest.fixture(scope="module")
def pixels():
    return torch.randint(0, 256, (40, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def run(out, pixels, recipe=TINY, **options):
    return training.train(NORMAL, recipe, out, images=pixels, source="noise", progress=False, **options)


def same(a: Trainer, b: Trainer) -> bool:
    left, right = a.state(), b.state()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_resume_gives_bitwise_the_weights_of_an_undisturbed_run(tmp_path, pixels):
    whole = run(tmp_path / "whole", pixels)
    run(tmp_path / "part", pixels, replace(TINY, steps=5))
    resumed = run(tmp_path / "part", pixels, resume=True)
    assert same(whole, resumed)
    assert not same(whole, run(tmp_path / "other", pixels, seed=1))  # the comparison can fail
    steps = [json.loads(line)["step"] for line in (tmp_path / "part" / training.LOG).read_text().splitlines()]
    assert steps == [2, 4, 5, 6, 8]


def test_log_drops_what_lies_past_the_checkpoint(tmp_path, pixels):
    run(tmp_path, pixels, replace(TINY, steps=4))
    with (tmp_path / training.LOG).open("a") as log:
        log.write('{"step": 7, "d_loss": 0}\nnull\n{"d_loss": 0}\n{"step": 8, "d_l')
    run(tmp_path, pixels, resume=True)
    steps = [json.loads(line)["step"] for line in (tmp_path / training.LOG).read_text().splitlines()]
    assert steps == [2, 4, 6, 8]


def test_ctrl_c_leaves_a_checkpoint_that_resumes(tmp_path, pixels, monkeypatch):
    step = Trainer.step

    def interrupted(self):
        losses = step(self)
        if self.done == 4:
            signal.raise_signal(signal.SIGINT)
        return losses

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt, match="step 4 of 8; continue with --resume"):
        run(tmp_path / "part", pixels)
    monkeypatch.undo()
    assert same(run(tmp_path / "part", pixels, resume=True), run(tmp_path / "whole", pixels))


def test_not_finite_stops_and_keeps_the_last_good_checkpoint(tmp_path, pixels, monkeypatch):
    step = Trainer.step

    def poisoned(self):
        losses = step(self)
        if self.done == 5:
            next(self.generator.parameters()).data.fill_(torch.nan)
        return losses

    monkeypatch.setattr(Trainer, "step", poisoned)
    with pytest.raises(training.TrainingDiverged, match=r"not finite at step 6.*last good checkpoint"):
        run(tmp_path, pixels)
    trainer = Trainer(NORMAL, TINY, pixels)
    checkpoints.load(trainer, tmp_path / training.CHECKPOINT, "noise")
    assert trainer.done == 3
    assert trainer.finite()


def test_a_run_is_not_overwritten(tmp_path, pixels):
    run(tmp_path, pixels, replace(TINY, steps=1))
    with pytest.raises(FileExistsError, match="holds a run already; continue it with --resume"):
        run(tmp_path, pixels)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(recipe=replace(TINY, lr=1e-3)), "has recipe"),
        (dict(seed=3), "has seed 0, this run 3"),
        (dict(experiment=experiments.get("cauchy")), "has experiment normal, this run cauchy"),
        (dict(source="other"), "has images noise, this run other"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(tmp_path, pixels, change, words):
    path = tmp_path / "c.safetensors"
    checkpoints.save(Trainer(NORMAL, TINY, pixels), path, "noise")
    trainer = Trainer(change.get("experiment", NORMAL), change.get("recipe", TINY), pixels, seed=change.get("seed", 0))
    with pytest.raises(ValueError, match=words):
        checkpoints.load(trainer, path, change.get("source", "noise"))


def test_a_damaged_checkpoint_is_refused_wherever_it_is_hit(tmp_path, pixels):
    path = tmp_path / "c.safetensors"
    trainer = Trainer(NORMAL, TINY, pixels)
    checkpoints.save(trainer, path, "noise")
    whole = path.read_bytes()
    places = torch.randint(0, len(whole), (40,), generator=torch.Generator().manual_seed(0)).tolist()
    for place in [0, 7, 20, *places]:
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :]):
            path.write_bytes(damaged)
            with pytest.raises(ValueError, match=r"checkpoint .*"):
                checkpoints.load(trainer, path, "noise")
    path.write_bytes(whole.replace(b'"done":"0"', b'"done":"1"'))  # the hash covers the header, too
    with pytest.raises(ValueError, match="is damaged"):
        checkpoints.load(trainer, path, "noise")
    path.write_bytes(whole)
    checkpoints.load(trainer, path, "noise")


def test_every_image_is_seen_once_an_epoch_and_latents_follow_the_step(pixels):
    numbered = torch.arange(40, dtype=torch.uint8).view(-1, 1, 1, 1).expand(40, 3, 64, 64).contiguous()
    trainer = Trainer(NORMAL, TINY, numbered)
    epochs = [torch.cat([trainer.batch(5 * e + i)[:, 0, 0, 0] for i in range(5)]) for e in range(2)]
    numbers = [((e + 1) * 127.5).round().int().tolist() for e in epochs]
    assert sorted(numbers[0]) == sorted(numbers[1]) == list(range(40))
    assert numbers[0] != numbers[1]
    assert torch.equal(trainer.latents(4, 7), Trainer(NORMAL, TINY, pixels).latents(4, 7))
    assert not torch.equal(trainer.latents(4, 7), trainer.latents(4, 8))


def test_fast_step_follows_the_plain_float32_step(pixels):
    recipe = replace(TINY, width=8, batch=32)
    fast, plain = (Trainer(NORMAL, recipe, pixels, bf16=bf16) for bf16 in (True, False))
    for _ in range(3):
        a, b = fast.step(), plain.step()
        for key in a:
            assert float(a[key]) == pytest.approx(float(b[key]), rel=0.05, abs=0.02), key


@pytest.mark.parametrize(
    ("has", "expected"), [({"avx2": True, "avx512_bf16": False}, False), ({"amx_bf16": True}, True)]
)
def test_bfloat16_is_for_processors_that_have_it(pixels, monkeypatch, has, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert Trainer(NORMAL, TINY, pixels).bf16 is expected
    assert Trainer(NORMAL, TINY, pixels, bf16=not expected).bf16 is not expected


def test_r1_is_the_gradient_penalty(pixels):
    trainer = Trainer(NORMAL, replace(TINY, r1_gamma=2.0), pixels, bf16=False)
    x = trainer.batch(0).double()
    d = trainer.discriminator.double()
    x.requires_grad_(True)
    (grad,) = torch.autograd.grad(d(x).sum(), x)
    expected = grad.flatten(1).norm(dim=1).square().mean().item()  # gamma / 2 = 1
    assert trainer._r1(x).item() == pytest.approx(expected, rel=1e-6)


def test_training_moves_the_generator_to_the_data():
    """On a data set of a single grey level the generator's pictures approach that grey."""
    grey = torch.full((64, 3, 64, 64), 200, dtype=torch.uint8)
    recipe = replace(TINY, width=8, batch=16, ema=0.95, lr=2e-3, r1_gamma=10.0, r1_every=2)
    trainer = Trainer(NORMAL, recipe, grey)

    def distance() -> float:
        return (trainer.samples(16) - (200 / 127.5 - 1)).abs().mean().item()

    before = distance()
    for _ in range(100):
        trainer.step()
    assert distance() < 0.6 * before


def test_ctrl_c_outside_the_main_thread_does_not_break_training(tmp_path, pixels):
    done = []
    thread = threading.Thread(target=lambda: done.append(run(tmp_path, pixels, replace(TINY, steps=2)).done))
    thread.start()
    thread.join()
    assert done == [2]


def test_bad_images():
    with pytest.raises(ValueError, match="fewer than a batch of 8"):
        Trainer(NORMAL, TINY, torch.zeros(7, 3, 64, 64, dtype=torch.uint8))
    with pytest.raises(ValueError, match="expected uint8"):
        Trainer(NORMAL, TINY, torch.zeros(9, 3, 64, 64))


def test_no_room_for_a_file_is_one_clear_line_and_leaves_no_part(tmp_path, pixels):
    """A limit on the size of files, set in a process of its own, stands for a full disk."""
    script = f"""
import resource, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_training import TINY, NORMAL, training
import torch
pixels = torch.zeros(40, 3, 64, 64, dtype=torch.uint8)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    training.train(NORMAL, TINY, {str(tmp_path)!r}, images=pixels, progress=False)
except OSError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"cannot write .*checkpoint.safetensors: File too large; .*\n", done.stdout), done.stdout
    assert not list(tmp_path.glob(".part-*"))


def test_a_finished_run_resumes_to_itself_and_not_to_less(tmp_path, pixels):
    whole = run(tmp_path, pixels)
    assert same(whole, run(tmp_path, pixels, resume=True))
    with pytest.raises(ValueError, match="is at step 8 already; give --steps of at least that"):
        run(tmp_path, pixels, replace(TINY, steps=4), resume=True)
    before = zoo.load("normal", tmp_path).manifest["sha256"]
    (tmp_path / "normal.safetensors").unlink()
    run(tmp_path, pixels, resume=True)
    assert zoo.load("normal", tmp_path).manifest["sha256"] == before
    for name in ("normal.safetensors", "normal.json"):  # damaged weights are made again as missing ones are
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-9])
        run(tmp_path, pixels, resume=True)
        assert zoo.load("normal", tmp_path).manifest["sha256"] == before


def test_without_biases_from_training_to_loading(tmp_path, pixels):
    experiment = replace(NORMAL, bias=False)
    training.train(experiment, TINY, tmp_path, images=pixels, progress=False)
    generator = zoo.load("normal", tmp_path).generator
    assert all(weight.ndim > 1 for weight in generator.parameters())
    assert generator.pre_tanh(torch.zeros(1, 100)).abs().max() == 0


def test_a_finished_run_can_be_loaded_as_a_model(tmp_path, pixels):
    trainer = run(tmp_path, pixels, command="hollow train normal")
    model = zoo.load("normal", tmp_path)
    assert model.manifest["steps"] == 8
    assert model.manifest["command"] == "hollow train normal"
    z = model.prior.sample(4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.decode(z), trainer.averaged(z), atol=5e-3, rtol=0)
