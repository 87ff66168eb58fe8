"""A full disk, and one that cannot be written: one clear line, what was there stays, and with room it goes on.

Small file systems in memory where they may be mounted (as root); always also without: a limit on the size of files
stands for a full disk, another user, or permissions where we are not root, for a folder that cannot be written.
"""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from faults import record
from hollow import book, chapters, experiments, files, images, measure, pictures, training, zoo
from hollow.cli import app
from hollow.quality import factors, making
from hollow.trainer import Trainer

NORMAL = experiments.get("normal")
TINY = replace(experiments.PRESETS["smoke"], width=4, batch=8, steps=4, checkpoint_every=2, log_every=1, grids=())
NOISE = torch.randint(0, 256, (16, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
ROOM = 20_000  # bytes that are left: a file is begun and cannot be ended
NOBODY = 65534


# ---- disks


def mount(folder: Path, *options: str) -> bool:
    return subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[bool]:
    """Mount a small file system of our own on a folder and yield whether that may be done here."""
    may = os.geteuid() == 0 and shutil.which("mount") is not None
    may = may and mount(folder, "-t", "tmpfs", "-o", "size=8m,mode=777", "tmpfs")
    try:
        yield may
    finally:
        if may:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


with tempfile.TemporaryDirectory() as _folder, mounted(Path(_folder)) as MAY_MOUNT:
    pass


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Fill the file system of `folder`, but for a little room."""
    filler = folder.parent / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    os.truncate(filler, filler.stat().st_size - ROOM)
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def no_long_files(folder: Path) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    disk = folder.parent
    assert mount(disk, "-o", "remount,ro")
    try:
        yield
    finally:
        assert mount(disk, "-o", "remount,rw")


@contextlib.contextmanager
def not_ours(folder: Path) -> Iterator[None]:
    places = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for place in places:
        place.chmod(0o555)
    root = os.geteuid() == 0
    if root:  # whom permissions do not stop
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for place in places:
            place.chmod(0o755)


FULL, READ_ONLY = "full", "read-only"
TROUBLES = {"a limit on files": (FULL, no_long_files), "another user": (READ_ONLY, not_ours)}
if MAY_MOUNT:
    TROUBLES |= {"a full disk": (FULL, full), "a read-only disk": (READ_ONLY, read_only)}


@pytest.fixture
def disk():
    """Return a folder on a small file system where one may be mounted, that any user may enter."""
    with tempfile.TemporaryDirectory(prefix="disk-") as place, mounted(Path(place)):
        Path(place).chmod(0o755)
        (Path(place) / "out").mkdir()
        yield Path(place) / "out"


# ---- what is written


@dataclass(frozen=True)
class Writer:
    """Something that writes version 1 or 2 to a folder, and the pattern of what must then stay as it was."""

    write: Callable[[Path, int], object]
    keep: str


def train(folder: Path, version: int):
    return training.train(
        NORMAL, replace(TINY, steps=4 * version), folder / "run", images=NOISE, resume=True, progress=False
    )


def export(folder: Path, version: int):
    trainer = Trainer(NORMAL, TINY, NOISE, seed=version)
    zoo.export(trainer, "normal", folder, images="noise", preset="smoke", command="", seconds=None)
    zoo.load("normal", folder)


def cache(folder: Path, version: int):
    (folder / "cache").mkdir(exist_ok=True)
    images.load(folder.parent / f"images{version}.zip", cache=folder / "cache", limit=8, progress=False)


def table(folder: Path, version: int):
    measured = {"frechet": measure.Measured(9, version, 1, 1, 1)}
    rows = {measure.Point("normal", at=float(at)): measured for at in range(999)}
    measure.write(measure.Table(rows), folder / "quality.csv")


def features(folder: Path, version: int):
    making._write(factors.Portraits(version), 1, folder, {"outputs": factors.OUTPUTS})


def picture(folder: Path, version: int):
    pictures.save(torch.rand(64, 3, 64, 64, generator=torch.Generator().manual_seed(version)), folder / "faces.png")


def chapter(folder: Path, version: int):
    root = folder.parent / f"book{version}"
    prints = {root / "book" / "01_one.ipynb": str(version)}
    if failures := chapters.execute_all(root, folder / "executed", prints, {"preset": "lite"}, 1):
        raise book.BookError("\n".join(failures))


def stage(folder: Path, version: int):
    book._sync(folder.parent / f"book{version}", folder / "stage")


def counts(folder: Path, version: int):
    with files.atomic(folder / "faults.json") as part:
        files.write_record(part, {"said": [version] * ROOM})


WRITERS = {
    "checkpoint": Writer(train, "run/checkpoint.safetensors"),
    "weights and manifest": Writer(export, "normal.*"),
    "image cache": Writer(cache, "cache/*"),
    "table": Writer(table, "quality.csv"),
    "feature network": Writer(features, "portraits.*"),
    "picture": Writer(picture, "faces.png"),
    "stage of the book": Writer(stage, "stage/**/*"),
    "record": Writer(counts, "faults.json"),
    # What a chapter showed is out of date once it is executed anew, and gone if that fails.
    "executed chapter": Writer(chapter, "none"),
}


def sources(place: Path) -> None:
    """Write what writers read, in two versions, the second longer."""
    code = {"cell_type": "code", "id": "a", "execution_count": None, "outputs": []}
    code |= {"metadata": {"tags": ["parameters"]}}
    for version in (1, 2):
        with zipfile.ZipFile(place / f"images{version}.zip", "w") as archive:
            for i, image in enumerate(NOISE[:8]):
                pictures.save(image[None], place / "one.png")
                archive.write(place / "one.png", f"{version}{i}.png")
        inside = place / f"book{version}" / "book"
        inside.mkdir(parents=True)
        for path in (inside.parent / "_toc.yml", inside.parent / "_config.yml", inside / "index.md"):
            path.write_text(f"version {version}\n" * version * ROOM)
        cells = [{**code, "source": "preset = 'lite'"}]
        cells += [{"cell_type": "markdown", "id": "b", "metadata": {}, "source": "long " * version * ROOM}]
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        (inside / "01_one.ipynb").write_text(json.dumps(notebook))


def kept(folder: Path, pattern: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.glob(pattern)) if path.is_file()}


def pytest_generate_tests(metafunc):
    """Give each writer every trouble, in the short form of the suite the checkpoint only and one each to the others."""
    if "trouble" in metafunc.fixturenames:
        pairs = [(what, trouble) for what in WRITERS for trouble in TROUBLES]
        pairs.remove(("executed chapter", "another user"))  # who may not be allowed to start the program that does it
        if not metafunc.config.getoption("--all-faults", default=False):
            order = list(WRITERS)
            few = {(what, list(TROUBLES)[(i + 1) % len(TROUBLES)]) for i, what in enumerate(order)}
            pairs = [pair for pair in pairs if pair[0] == "checkpoint" or pair in few]
        metafunc.parametrize(("what", "trouble"), pairs)


def test_what_cannot_be_written_is_one_clear_line_and_the_old_file_stays(disk, what, trouble, tally):
    writer, (kind, happens) = WRITERS[what], TROUBLES[trouble]
    sources(disk.parent)
    writer.write(disk, 1)
    old = kept(disk, writer.keep)
    assert old or writer.keep == "none"
    with pytest.raises((OSError, ValueError)) as error, happens(disk):
        writer.write(disk, 2)
    said = str(error.value)
    assert "\n" not in said
    reasons = ("No space left on device", "File too large") if happens in (full, no_long_files) else ()
    reasons = reasons or ("Read-only file system", "Permission denied")
    assert any(reason in said for reason in reasons), said
    assert str(disk) in said or "01_one" in said, said
    assert kept(disk, writer.keep) == old
    assert not list(disk.rglob(".part-*"))
    writer.write(disk, 2)  # with room again
    assert kept(disk, writer.keep) != old or not old
    tally[record.DISKS][f"{kind}: {what}"] += 1


def test_training_on_a_disk_that_was_full_ends_as_if_it_never_had_been(disk, tmp_path):
    happens = full if MAY_MOUNT else no_long_files
    train(disk, 1)
    with pytest.raises(OSError, match="cannot write"), happens(disk):
        train(disk, 2)
    there, elsewhere = train(disk, 2).state(), train(tmp_path, 2).state()
    assert all(torch.equal(there[key], elsewhere[key]) for key in elsewhere)


def test_a_log_that_cannot_be_written_names_itself(tmp_path, monkeypatch):
    log = training._Log(tmp_path / training.LOG, 0)
    log.path = Path("/dev/full")
    with pytest.raises(OSError, match=r"cannot write /dev/full: No space left on device; free some space, then"):
        log.write({"step": 1})


def test_the_command_line_says_it_in_one_line(disk):
    happens = full if MAY_MOUNT else no_long_files
    with happens(disk):
        words = ["train", "normal", "--preset", "smoke", "--steps", "1", "--device", "cpu", "--out", str(disk / "run")]
        done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    errors = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "cannot write" in errors[0]
    assert "Traceback" not in done.output


@pytest.mark.skipif(not MAY_MOUNT, reason="the other user stands in for it")
def test_the_troubles_are_real(disk):
    """The control: without the trouble the same file is written, and with it plain Python fails as well."""
    for happens in (full, read_only):
        with pytest.raises(OSError, match=r"No space|Read-only"), happens(disk):
            (disk / "plain").write_bytes(bytes(5 * ROOM))
        (disk / "plain").write_bytes(bytes(5 * ROOM))
