"""A step that a CUDA graph may replay, shown without a GPU: the same operations in the same memory, nothing read."""

import contextlib
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hollow import experiments
from hollow.experiments import PRESETS
from hollow.graphs import WARM_UP, Replayed
from hollow.trainer import Trainer

RECIPE = replace(PRESETS["lite"], width=4, batch=8, r1_every=3)
STEPS = 3 * (WARM_UP + 2)  # both kinds of step are replayed, more than once


@pytest.fixture(scope="module")
def pixels():
    return torch.randint(0, 256, (40, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Tape(TorchDispatchMode):
    """Every operation below autograd, with the tensors that it read and wrote: what a CUDA graph holds."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, out))
        return out

    @torch.no_grad()
    def replay(self):
        """Do it again in the same memory; numbers of Python's are as they were."""
        for func, args, kwargs, out in self.calls:
            if func.is_view:
                continue  # the memory of its argument, which is written already
            for old, new in zip(tree_leaves(out), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, torch.Tensor) and old is not new:
                    old.copy_(new)


def taped(trainer):
    """Record on the CPU as `graphs.capture` does on a GPU: what is recorded has not run yet."""

    def capture(function):
        held = [*trainer.state_tensors()]
        before = [tensor.detach().clone() for tensor in held]
        with Tape() as tape:
            outputs = function()
        with torch.no_grad():
            for tensor, value in zip(held, before, strict=True):
                tensor.copy_(value)
        return tape.replay, outputs

    return capture


class Graphed(Trainer):
    """A trainer on the CPU whose steps are recorded and replayed by a tape."""

    def _ways(self):
        self.replayed = {
            kind: Replayed(partial(self._update, penalised=kind), capture=taped(self)) for kind in (False, True)
        }
        return self.replayed

    def state_tensors(self):
        for network in self._networks().values():
            yield from (*network.parameters(), *network.buffers())
        for optimiser in self.optimisers.values():
            for moments in optimiser.state.values():
                yield from moments.values()


def run(kind, pixels, row="normal", steps=STEPS):
    trainer = kind(experiments.get(row), RECIPE, pixels)
    return trainer, [{name: float(value) for name, value in trainer.step().items()} for _ in range(steps)]


@pytest.mark.parametrize("row", ["normal", "cauchy", "normal-batchnorm", "normal-fc", "normal-leaky"])
def test_a_replayed_step_is_the_step(pixels, row):
    plain, losses = run(Trainer, pixels, row)
    graphed, replayed = run(Graphed, pixels, row)
    assert replayed == losses
    assert all(torch.equal(value, graphed.state()[name]) for name, value in plain.state().items())
    assert all(way.calls > WARM_UP + 1 for way in graphed.replayed.values())


def test_the_tape_sees_what_a_graph_would_freeze(pixels):
    """The control: with the averaging's share as a number of Python's, replays go wrong in the average alone."""

    class Frozen(Graphed):
        def _average(self, share):
            super()._average(torch.tensor(float(share)))

    plain, frozen = run(Trainer, pixels)[0].state(), run(Frozen, pixels)[0].state()
    wrong = {name.split(".")[0] for name, value in plain.items() if not torch.equal(value, frozen[name])}
    assert wrong == {"averaged"}


def test_a_graphed_run_goes_on_from_a_checkpoint(pixels):
    whole, _ = run(Graphed, pixels)
    part, _ = run(Graphed, pixels, steps=STEPS - 4)
    kept = {name: value.clone() for name, value in part.state().items()}
    for _ in range(3):
        part.step()  # it has recorded both kinds of step, on memory that the checkpoint replaces
    part.load_state(kept, STEPS - 4)
    for _ in range(4):
        part.step()
    assert all(torch.equal(value, part.state()[name]) for name, value in whole.state().items())


def test_losses_of_a_step_are_not_written_over_by_the_next(pixels):
    trainer = Graphed(experiments.get("normal"), RECIPE, pixels)
    kept = [trainer.step() for _ in range(STEPS)]
    assert [{name: float(value) for name, value in losses.items()} for losses in kept] == run(Trainer, pixels)[1]


def test_a_step_reads_nothing_back_and_mixes_no_devices(pixels, monkeypatch):
    """On the device "meta" no tensor has values: a step that waits for one, or that mixes devices, raises.

    Without autocast and with Adam unfused, which have no such device.
    """
    adam = torch.optim.Adam
    monkeypatch.setattr(torch.optim, "Adam", lambda *args, fused, **options: adam(*args, **options, foreach=True))
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())

    class Meta(Trainer):
        def _average(self, share):
            super()._average(share)
            if self.waits:
                float(share)

    for row in ("normal", "cauchy", "normal-batchnorm", "normal-fc", "discrete"):
        trainer = Meta(experiments.get(row), RECIPE, pixels, device="meta", bf16=False)
        trainer.waits = False
        for _ in range(4):
            losses = trainer.step()
        assert {value.device.type for value in losses.values()} == {"meta"}
        trainer.waits = True
        with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
            trainer.step()


def test_graphs_want_a_gpu(pixels):
    with pytest.raises(ValueError, match=r"graphs with 1 process\(es\) on cpu; expected one process on a GPU"):
        Trainer(experiments.get("normal"), RECIPE, pixels, graphs=True)


if torch.cuda.is_available():  # not a skip: where there is no GPU, the test does not exist

    @pytest.mark.parametrize("row", ["normal", "normal-batchnorm"])
    def test_a_graph_on_the_gpu_trains_as_the_loop_does(pixels, row):
        """In float32, to a tolerance: kernels that are chosen anew may sum in another order."""
        device, ends = f"cuda:{torch.cuda.device_count() - 1}", []
        for graphs in (False, True):
            trainer = Trainer(experiments.get(row), RECIPE, pixels, device=device, graphs=graphs, bf16=False)
            losses = [{k: float(v) for k, v in trainer.step().items()} for _ in range(STEPS)]
            ends.append((losses, trainer.state()))
        for plain, graphed in zip(ends[0][0], ends[1][0], strict=True):
            assert graphed == pytest.approx(plain, rel=1e-2)
        for name, value in ends[0][1].items():
            torch.testing.assert_close(ends[1][1][name], value, rtol=2e-2, atol=2e-3, msg=name)

    def test_a_step_does_not_wait_for_the_gpu(pixels):
        for graphs in (False, True):
            trainer = Trainer(experiments.get("normal"), RECIPE, pixels, device="cuda", graphs=graphs)
            for _ in range(3 * WARM_UP + 3):  # until both kinds of step are recorded
                trainer.step()
            torch.cuda.set_sync_debug_mode("error")
            try:
                for _ in range(len(pixels) // RECIPE.batch):  # steps of both kinds, and the start of an epoch
                    trainer.step()
            finally:
                torch.cuda.set_sync_debug_mode("default")
