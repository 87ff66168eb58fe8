"""One model, several processes: what torchrun's ranks do together is what one process does alone.

Started by torchrun, this file is its ranks' script: it trains as told and notes the losses.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from conftest import ROOT
from hollow import checkpoints, distributed, experiments, training, zoo
from hollow.cli import app
from hollow.distributed import Ranks
from hollow.experiments import PRESETS
from hollow.trainer import Trainer

STEPS, HALF = 20, 10
# R1 comes at steps 0, 5, 10 and 15; a checkpoint is handed over after 10; an epoch has 3 steps.
RECIPE = replace(PRESETS["smoke"], width=8, steps=STEPS, batch=64, r1_every=5)
# Adam takes the sign of a tiny gradient for the gradient: at the recipe's own rate rounding alone, as of one process
# that takes its batch in two halves, has changed a loss by 4e-3 after 20 steps. So float32 is compared at this rate,
# and float64 at the recipe's own.
SLOW = replace(RECIPE, lr=2e-5)
EXACT = replace(RECIPE, batch=16)
NORMAL = experiments.get("normal")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def images():
    return torch.randint(0, 256, (200, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def trainer(ranks=distributed.ALONE, recipe=SLOW):
    return Trainer(NORMAL, recipe, images(), bf16=False, ranks=ranks)


class Exact(Trainer):
    """A trainer in float64."""

    def __init__(self, ranks):
        super().__init__(NORMAL, EXACT, images(), bf16=False, ranks=Float64(**vars(ranks)))
        self.averaged.double()

    def batch(self, step):
        return super().batch(step).double()

    def latents(self, n, step, stream=0):
        return super().latents(n, step, stream).double()


class Float64(Ranks):
    """Ranks whose networks are in float64."""

    def wrap(self, network):
        return super().wrap(network.double())


def losses(trainer, steps):
    """Return the mean over ranks of the losses of each step."""
    return [trainer.ranks.mean(trainer.step()) for _ in range(steps)]


class SameHalf(Ranks):
    """Ranks that all take the first part of the batch."""

    def part(self, whole):
        return whole[: self.share(len(whole))]


class NoAverage(Ranks):
    """Ranks that keep their gradients to themselves."""

    def wrap(self, network):
        return network


class WithoutTheZero(Trainer):
    """A trainer whose penalty leaves the last bias without a gradient, which is the trouble of pytorch issue 47562."""

    def _r1(self, real):
        real = real.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self._judge(real).float().sum(), real, create_graph=True)
        return self.recipe.r1_gamma / 2 * gradient.float().square().sum((1, 2, 3)).mean()


def script(folder: Path) -> None:
    """What each rank runs; rank 0 notes what the tests compare."""
    torch.set_num_threads(1)
    with distributed.joined("cpu") as (ranks, device):
        assert (ranks.world, device) == (2, "cpu")
        found = {}
        whole = trainer(ranks)
        found["whole"] = losses(whole, HALF)
        if ranks.first:
            checkpoints.save(whole, folder / "of_two.safetensors")
        found["whole"] += losses(whole, STEPS - HALF)
        found["drift"] = drift(whole)
        resumed = trainer(ranks)
        checkpoints.load(resumed, folder / "of_one.safetensors")
        found["resumed"] = losses(resumed, STEPS - HALF)
        exact = Exact(ranks)
        found["exact"] = losses(exact, STEPS)
        if ranks.first:
            checkpoints.save(exact, folder / "exact.safetensors")
        for kind in (SameHalf, NoAverage):
            found[kind.__name__] = losses(trainer(kind(**vars(ranks)), RECIPE), 4)
        found["any"] = [ranks.any(ranks.rank == 1), ranks.any(False)]
        try:
            ranks.agree(5 + ranks.rank)
        except ValueError as error:
            found["agree"] = str(error)
        bare = WithoutTheZero(NORMAL, RECIPE, images(), bf16=False, ranks=ranks)
        try:
            losses(bare, 2)
            found["bare"] = drift(bare)
        except RuntimeError as error:
            found["bare"] = str(error)
        if ranks.first:
            (folder / "found.json").write_text(json.dumps(found))


def flat(trainer):
    return torch.cat([value.double().flatten() for _, value in sorted(trainer.state().items())])


def drift(trainer) -> float:
    """Return how far the weights of two ranks are apart."""
    here = flat(trainer)
    other = here.clone()
    torch.distributed.broadcast(other, 0)
    furthest = (other - here).abs().max()
    torch.distributed.all_reduce(furthest, torch.distributed.ReduceOp.MAX)
    return float(furthest)


def torchrun(*words, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*TORCHRUN, *map(str, words)]
    return subprocess.Popen(
        command, env=environment, cwd=ROOT / "tests", text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, **options,
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Return the losses of one process, and the folder with its checkpoint after half of the steps."""
    folder = tmp_path_factory.mktemp("ranks")
    one = trainer()
    first = losses(one, HALF)
    checkpoints.save(one, folder / "of_one.safetensors")
    return first + losses(one, STEPS - HALF), folder


@pytest.fixture(scope="module")
def together(alone):
    """Return what two processes found."""
    _, folder = alone
    run = torchrun(__file__, folder)
    said = run.communicate(timeout=300)
    assert run.returncode == 0, said
    return json.loads((folder / "found.json").read_text())


def furthest(a, b):
    assert len(a) == len(b)
    assert all(x.keys() == y.keys() for x, y in zip(a, b, strict=True))
    return max(abs(x[key] - y[key]) for x, y in zip(a, b, strict=True) for key in x)


def test_two_processes_of_32_do_what_one_of_64_does(alone, together):
    assert sum("r1" in step for step in alone[0]) == 4
    assert furthest(alone[0], together["whole"]) < 1e-5
    assert together["drift"] == 0


def test_in_float64_they_do_it_at_the_full_rate_down_to_the_weights(together, alone):
    one, two = Exact(distributed.ALONE), Exact(distributed.ALONE)
    assert furthest(losses(one, STEPS), together["exact"]) < 1e-6  # the losses themselves are noted in float32
    checkpoints.load(two, alone[1] / "exact.safetensors")
    assert two.done == STEPS
    assert (flat(one) - flat(two)).abs().max() < 1e-10


@pytest.mark.parametrize("kind", ["SameHalf", "NoAverage"])
def test_ranks_that_share_wrongly_are_seen(together, kind):
    assert furthest(losses(trainer(recipe=RECIPE), 4), together[kind]) > 5e-3


def test_without_the_zero_in_the_penalty_the_wrapper_fails(together):
    assert together["bare"] != 0  # an error, or ranks that have drifted apart


def test_checkpoints_of_one_and_of_two_processes_are_interchangeable(alone, together):
    reference, folder = alone
    assert furthest(reference[HALF:], together["resumed"]) < 1e-5
    one = trainer()
    checkpoints.load(one, folder / "of_two.safetensors")
    assert one.done == HALF
    assert furthest(reference[HALF:], losses(one, STEPS - HALF)) < 1e-5


def test_ranks_agree(together):
    assert together["any"] == [True, False]
    assert "checkpoints after steps 5 and 6" in together["agree"]


def test_parts_are_the_batch_in_order():
    whole = torch.arange(12)
    assert torch.equal(torch.cat([Ranks(rank, 3).part(whole) for rank in range(3)]), whole)
    assert Ranks().part(whole) is whole


def test_what_cannot_be_shared_is_refused():
    with pytest.raises(ValueError, match="a batch of 64 cannot be shared evenly by 3 processes"):
        trainer(Ranks(0, 3))
    with pytest.raises(ValueError, match="batch normalisation over several processes needs GPUs"):
        Trainer(experiments.get("normal-batchnorm"), RECIPE, images(), ranks=Ranks(0, 2))


def test_the_command_in_the_manifest_says_how_many():
    assert Ranks().command("hollow train normal") == "hollow train normal"
    assert Ranks(3, 4, 3, 4).command("hollow train normal") == "torchrun --nproc-per-node 4 -m hollow train normal"
    assert Ranks(3, 8, 3, 4).command("hollow train") == "torchrun --nnodes 2 --nproc-per-node 4 -m hollow train"


def test_ctrl_c_on_all_ranks_leaves_a_checkpoint_that_one_process_ends(tmp_path):
    """A terminal sends ctrl-C to torchrun and to its processes, and torchrun sends it to them once more."""
    words = ["train", "normal", "--preset", "smoke", "--steps", "20", "--device", "cpu", "--out", str(tmp_path)]
    run = torchrun("-m", "hollow", *words)
    limit, log = time.time() + 120, tmp_path / training.LOG
    while not log.exists() or not log.stat().st_size:
        assert time.time() < limit
        assert run.poll() is None, run.communicate()
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGINT)
    stdout, said = run.communicate(timeout=120)
    (stopped,) = re.findall(r"stopped after step (\d+) of 20; continue with --resume", said)  # said once
    assert stdout.count("256 images, procedural") == 1
    assert not (tmp_path / "normal.json").exists()
    with safe_open(tmp_path / training.CHECKPOINT, "pt") as file:
        assert file.metadata()["done"] == stopped
    assert CliRunner().invoke(app, [*words, "--resume"], catch_exceptions=False).exit_code == 0
    assert zoo.load("normal", tmp_path).manifest["steps"] == 20
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert steps[-1] == 20


if __name__ == "__main__":
    script(Path(sys.argv[1]))
