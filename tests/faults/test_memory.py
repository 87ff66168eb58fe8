"""Training does not grow: the memory of a process over thousands of steps; a leak of known size is seen."""

import statistics
from dataclasses import replace

import psutil
import pytest
import torch

from faults import record, running
from hollow import experiments, training
from hollow.faces import portraits
from hollow.trainer import Trainer

LIMIT = 8e6  # bytes, over all the steps
LEAK = 3 * LIMIT  # of the control


def _sizes(connection, folder, steps, recipe, leak):
    """Train and send the process's memory at a hundred moments."""
    torch.set_num_threads(running.THREADS)
    sizes, kept, step, process = [], [], Trainer.step, psutil.Process()

    def watched(self):
        kept.append(b"x" * leak)
        if self.done % max(1, steps // 100) == 0:
            sizes.append(process.memory_info().rss)
        return step(self)

    Trainer.step = watched
    pixels = portraits(recipe.n_images, progress=False)[0]
    training.train(experiments.get("normal"), recipe, folder, images=pixels, progress=False)
    connection.send(sizes)


def growth(folder, steps, recipe, leak=0):
    """Return by how many bytes memory grows over the steps, from the second fifth to the last."""
    here, there = running.CONTEXT.Pipe()
    process = running.CONTEXT.Process(
        target=_sizes, args=(there, folder, steps, replace(recipe, steps=steps), leak // steps)
    )
    process.start()
    there.close()
    sizes = here.recv()
    assert running.end(process) == 0
    assert len(sizes) >= 100
    fifth = len(sizes) // 5
    return (statistics.median(sizes[-fifth:]) - statistics.median(sizes[fifth : 2 * fifth])) * 5 / 3


SMOKE = experiments.recipe("smoke")
SMALL = replace(SMOKE, width=4, batch=8, n_images=64, checkpoint_every=50)


def test_memory_is_flat(tmp_path, thorough, tally):
    steps, recipe = (5000, SMOKE) if thorough else (500, SMALL)
    assert growth(tmp_path, steps, recipe) < LIMIT
    if thorough:
        tally[record.MEMORY][f"growth below {LIMIT / 1e6:.0f} MB"] += steps


def test_a_leak_is_seen(tmp_path):
    assert growth(tmp_path, 500, SMALL, leak=int(LEAK)) == pytest.approx(LEAK, abs=LIMIT)
