"""Training that is killed, again and again, ends with bitwise the weights of an undisturbed run."""

import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from faults import record, running
from hollow import experiments, training, zoo

STEPS = 18  # with a checkpoint after every sixth
BEFORE, BETWEEN, WRITING = record.MOMENTS
WEIGHTS = "while the weights were written"


def words(folder, *more):
    return ["train", "normal", "--preset", "smoke", "--steps", STEPS, "--device", "cpu", "--out", folder, *more]


@dataclass(frozen=True)
class Moment:
    """When to kill: after a share of an undisturbed run's time, or once a share of the n-th checkpoint is written."""

    share: float
    write: int | None = None


def moments(n: int) -> list[Moment]:
    """Return `n` random moments, always the same ones, every other one in the middle of writing a checkpoint."""
    dice = random.Random(0)
    return [Moment(dice.uniform(0.02, 0.95), dice.randrange(3) if i % 2 else None) for i in range(n)]


def parts(folder: Path, suffix: str) -> dict[str, int]:
    """Return the bytes of each file that is not yet whole."""
    found = {}
    for entry in os.scandir(folder) if folder.exists() else ():
        if entry.name.startswith(".part-") and entry.name.endswith(suffix):
            try:
                found[entry.name] = entry.stat().st_size
            except FileNotFoundError:
                continue
    return found


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, and how long it took."""

    folder: Path
    seconds: float

    def kill(self, process, folder: Path, moment: Moment) -> str | None:
        """Kill a process at a moment and return what it was doing, None if it ended by itself before."""
        old, seen = parts(folder, ".safetensors"), []
        if moment.write is None:
            process.join(moment.share * self.seconds)
        else:
            enough = moment.share * (self.folder / training.CHECKPOINT).stat().st_size

            def writing() -> bool:
                now = {name: size for name, size in parts(folder, ".safetensors").items() if name not in old}
                seen.extend(name for name in now if name not in seen)
                return any(seen.index(name) >= moment.write and size >= enough for name, size in now.items())

            running.until(writing, process)
        process.kill()
        if running.end(process) == 0:
            return None
        assert process.exitcode == -signal.SIGKILL
        if set(parts(folder, ".json")):
            return WEIGHTS
        if set(parts(folder, ".safetensors")) - set(old):
            return WRITING
        return BETWEEN if (folder / training.CHECKPOINT).exists() else BEFORE


def undisturbed(folder: Path, *more) -> Run:
    begun = time.monotonic()
    said = folder.with_suffix(".txt")
    assert running.end(running.start(words(folder, *more), said)) == 0, said.read_text()
    return Run(folder, time.monotonic() - begun)


def checkpoint(folder: Path):
    with safe_open(folder / training.CHECKPOINT, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118


def differences(a: Path, b: Path) -> list[str]:
    """Return what of two finished runs is not bitwise the same; times and hashes of files with times aside."""
    found = [name for name in ("normal.safetensors", f"samples/step{12:06d}.png")
             if (a / name).read_bytes() != (b / name).read_bytes()]  # fmt: skip
    (left, about), (right, other) = checkpoint(a), checkpoint(b)
    if about != other or left.keys() != right.keys():
        found.append("what the checkpoint says of itself")
    found += [key for key in left if key in right and not torch.equal(left[key], right[key])]
    logs = [[json.loads(line) for line in (run / training.LOG).read_text().splitlines()] for run in (a, b)]
    losses = [[{key: row[key] for key in row if key != "images_per_second"} for row in log] for log in logs]
    return found + (["losses"] if losses[0] != losses[1] else [])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    running.end(running.start(["models"], folder / "models.txt"))  # what all are forked from is there now
    return undisturbed(folder / "run")


def test_killed_training_ends_with_bitwise_the_same_weights(whole, tmp_path, thorough, tally):
    todo, dice, counts, partial = moments(30 if thorough else 4), random.Random(1), Counter(), 0
    full = (whole.folder / training.CHECKPOINT).stat().st_size
    for number in range(60):
        folder, said = tmp_path / f"run{number}", tmp_path / f"run{number}.txt"
        for _ in range(dice.randint(1, 6) if thorough else len(todo)):
            found = todo and whole.kill(running.start(words(folder, "--resume"), said), folder, todo[0])
            if not found:  # all done; or it ended before its moment, which then comes in the next run, and earlier
                todo[:1] = [replace(moment, share=0.8 * moment.share) for moment in todo[:1]]
                break
            partial += any(0 < size < full for size in parts(folder, ".safetensors").values()) and found == WRITING
            counts[found] += 1
            todo.pop(0)
        assert running.end(running.start(words(folder, "--resume"), said)) == 0, said.read_text()
        assert differences(whole.folder, folder) == []
        assert zoo.load("normal", folder).manifest["steps"] == STEPS
        assert not list(folder.rglob(".part-*"))  # what the killed ones left behind is gone
        if not todo and not partial and number < 50:  # a busy machine: no kill came in the middle of a write
            todo.append(Moment(dice.uniform(0.2, 0.8), write=1))
        if not todo:
            break
    assert counts[WRITING] >= (5 if thorough else 1), counts
    assert partial >= 1  # some of a checkpoint was written, and not all of it
    if thorough:
        assert all(counts[moment] for moment in record.MOMENTS), counts
        assert sum(counts.values()) >= 30
        tally[record.KILLS].update(counts)


def test_runs_that_differ_are_told_apart(whole, tmp_path):
    assert len(differences(whole.folder, undisturbed(tmp_path / "other", "--seed", 1).folder)) > 20


def test_the_short_form_and_the_long_one_begin_alike():
    assert moments(30)[:4] == moments(4)
    assert experiments.recipe("smoke").checkpoint_every * 3 == STEPS


def test_a_second_process_on_the_folder_is_refused_and_the_first_ends_as_if_alone(whole, tmp_path, tally):
    folder, said = tmp_path / "run", tmp_path / "second.txt"
    first = running.start(words(folder), tmp_path / "first.txt")
    assert running.until(lambda: (folder / training.LOG).exists(), first)
    second = running.start(words(folder, "--resume"), said)
    assert running.end(second) == 2
    assert first.is_alive()  # else nothing was refused
    error = [line for line in said.read_text().splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert "is in use by" in error[0]
    assert "Traceback" not in said.read_text()
    assert running.end(first) == 0
    assert differences(whole.folder, folder) == []
    tally[record.TWO]["refused, and the first run ended as if alone"] += 1
