"""Files cut short or changed at random bytes are refused in one line or made again, and never read as if whole."""

import json
import random
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import ROOT
from faults import record
from hollow import book, chapters, checkpoints, experiments, files, images, measure, pictures, quality, training, zoo
from hollow.measure import table
from hollow.quality import network
from hollow.trainer import Trainer

AGAIN = "made again"  # what a reader returns that would do so
REFUSED, SAME = "refused", "no difference"
ENDS = (REFUSED, AGAIN, SAME)
NORMAL = experiments.get("normal")
TINY = replace(experiments.PRESETS["smoke"], width=4, batch=8, steps=2)


@dataclass(frozen=True)
class Target:
    """A file to damage: how it is read, how often it is damaged, and how to blind the reader to it, as a control.

    There is no blinding a reader that only compares: whatever is not the mark of the pages, has them made again.
    """

    path: Path
    read: Callable[[], Any]
    cases: int
    blind: Callable[[pytest.MonkeyPatch], None] | None


# ---- the files


def a_checkpoint(folder: Path) -> dict[str, Target]:
    trainer = Trainer(NORMAL, TINY, torch.zeros(8, 3, 64, 64, dtype=torch.uint8))
    trainer.step()
    path = folder / training.CHECKPOINT
    checkpoints.save(trainer, path)

    def read():
        checkpoints.load(trainer, path)
        return trainer.state(), trainer.done

    def blind(patch):
        patch.setattr(checkpoints, "_digest", lambda tensors, header: header.get("sha256"))

    return {"checkpoint of a training": Target(path, read, 140, blind)}


def a_model(folder: Path) -> dict[str, Target]:
    for end in zoo.FILES:
        shutil.copy(zoo.folder() / f"student-t{end}", folder)

    def read():
        model = zoo.load("student-t", folder)
        z = model.prior.sample(8, torch.Generator().manual_seed(0))
        return model.generator.state_dict(), z, model.manifest

    weights, manifest = (folder / f"student-t{end}" for end in zoo.FILES)

    def blind(patch):
        patch.setattr(files, "seal", lambda said: said.get("seal"))
        patch.setattr(zoo, "sha256", lambda path: json.loads(manifest.read_text())["sha256"])

    return {
        "weights of a model": Target(weights, read, 100, blind),
        "manifest of a model": Target(manifest, read, 100, blind),
    }


def a_feature_network(folder: Path) -> dict[str, Target]:
    for end in zoo.FILES:
        shutil.copy(network.where() / f"photographs{end}", folder)

    def read():
        loaded = quality.load("photographs", folder)
        return loaded.network.state_dict(), vars(loaded.reference), loaded.manifest

    weights, manifest = (folder / f"photographs{end}" for end in zoo.FILES)

    def blind(patch):
        patch.setattr(files, "seal", lambda said: said.get("seal"))
        patch.setattr(network, "sha256", lambda path: json.loads(manifest.read_text())["sha256"])

    return {
        "weights of a feature network": Target(weights, read, 50, blind),
        "manifest of a feature network": Target(manifest, read, 50, blind),
    }


def an_image_cache(folder: Path) -> dict[str, Target]:
    source = folder / "images.zip"
    noise = torch.randint(0, 256, (66, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with zipfile.ZipFile(source, "w") as archive:
        for i, each in enumerate(noise):
            pictures.save(each[None], folder / "one.png")
            archive.write(folder / "one.png", f"{i}.png")
        archive.writestr("broken.png", b"")
    key, built = images.load(source, cache=folder / "cache").key, images._build

    def read():
        again = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(images, "_build", lambda *words: again.append(built(*words)))
            loaded = images.load(source, cache=folder / "cache")
        found = np.array(loaded.pixels), loaded.skipped, loaded.key
        return Again(found) if again else found

    def blind(patch):
        patch.setattr(images, "_seal", lambda facts, crc: 0)
        stored = folder / "cache" / f"{key}.json"
        stored.write_text(json.dumps(json.loads(stored.read_text()) | {"crc32": 0}))

    return {
        f"image cache, {what}": Target(folder / "cache" / f"{key}.{end}", read, 50, blind)
        for end, what in (("u8", "pixels"), ("json", "facts"))
    }


def the_table(folder: Path) -> dict[str, Target]:
    path = folder / "quality.csv"
    points = [measure.Point("normal"), measure.Point("cauchy", "path", "linear", 0.5)]
    rows = {point: {"frechet": measure.Measured(100, 1.5, 0.25, 2.5, 0.125)} for point in points}
    measure.write(measure.Table(rows, {"normal": "0123456789ab"}, "hollow measure", "abc"), path)

    def blind(patch):
        patch.setattr(table, "_seal", lambda rest: path.read_bytes().partition(b"\n")[0])

    return {"recorded table of quality": Target(path, lambda: vars(measure.read(path)), 60, blind)}


def a_chapter(folder: Path) -> dict[str, Target]:
    path = folder / "01_one.ipynb"
    output = {"output_type": "stream", "name": "stdout", "text": "0.5 of the norm, and 0.25 of the square\n"}
    cell = {"cell_type": "code", "id": "a", "execution_count": 1, "metadata": {}, "source": "x", "outputs": [output]}
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    chapters._finish(path, {"fingerprint": "0123", "date": "2026-01-01 00:00 UTC", "seconds": 1.0})

    def read():  # as a build does
        return chapters.read(path) if chapters.staged_fingerprint(path) == "0123" else AGAIN

    def blind(patch):
        patch.setattr(chapters, "_digest", lambda notebook: notebook["metadata"]["hollow"]["sha256"])

    return {"executed chapter": Target(path, read, 60, blind)}


def the_pages(folder: Path) -> dict[str, Target]:
    stage, html = folder / "stage", folder / "html"
    for place, name in ((stage, "01.ipynb"), (html, "index.html"), (html, "a.css")):
        place.mkdir(exist_ok=True)
        (place / name).write_text(f"the content of {name}\n" * 20)
    book._mark(stage, html)

    def read():
        return (html / "index.html").read_bytes() if book._rendered(stage, html) else AGAIN

    def blind(patch):
        patch.setattr(book, "_tree", lambda place: "0")
        (html / book.MARK).write_text("0 0")

    return {
        "rendered page": Target(html / "index.html", read, 30, blind),
        "mark of the rendered pages": Target(html / book.MARK, read, 30, None),
    }


def the_counts(folder: Path) -> dict[str, Target]:
    path = folder / "faults.json"
    said = {"command": "make faults", "date": "d", "hardware": "h", "python": "3", "torch": "2", "seconds": 600}
    files.write_record(path, said | {"commit": "c", "counts": {"one": {"a": 30, "b": 500}, "two": {"c": 5000}}})

    def blind(patch):
        patch.setattr(files, "seal", lambda record: record.get("seal"))

    return {"recorded counts of this suite": Target(path, lambda: book._faults(path), 40, blind)}


MAKERS = (
    a_checkpoint, a_model, a_feature_network, an_image_cache, the_table, a_chapter, the_pages, the_counts,
)  # fmt: skip


# ---- the damage, and what comes of it


class Again:
    """What was read after it had been made again."""

    def __init__(self, value):
        self.value = value


def damages(raw: bytes, cases: int) -> Iterator[bytes]:
    """Yield damaged copies of a file, always the same ones; half of the places are near its start."""
    dice = random.Random(len(raw))

    def place() -> int:
        return dice.randrange(min(len(raw), 2000) if dice.random() < 0.5 else len(raw))

    for case in range(cases):
        changed, at, kind = bytearray(raw), place(), case % 8
        if kind <= 2:  # one to three bits
            for _ in range(kind + 1):
                changed[place()] ^= 1 << dice.randrange(8)
        elif kind == 3:  # another byte
            changed[at] = (changed[at] + dice.randrange(1, 256)) % 256
        elif kind == 4:  # another digit or letter, if there is one near: JSON that stays JSON
            at = next((i for i in range(at, len(raw)) if chr(raw[i]).isalnum()), at)
            changed[at] = ord("7") if raw[at] != ord("7") else ord("3")
        elif kind == 5:
            del changed[at:]
        elif kind == 6:
            changed[at : at + 16] = bytes(len(changed[at : at + 16]))
        else:
            changed[at:at] = raw[at : at + dice.randrange(1, 9)]
        yield bytes(changed)


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same to the last bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def outcome(target: Target, raw: bytes, good: Any, broken: bytes) -> str:
    """Read a damaged file and return what came of it: one of ENDS, or what should never be."""
    target.path.write_bytes(broken)
    try:
        found = target.read()
    except (ValueError, OSError) as error:
        said = str(error)
        return REFUSED if "\n" not in said and target.path.stem in said else f"unclear: {said}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        target.path.write_bytes(raw)
    if found is AGAIN:
        return AGAIN
    if isinstance(found, Again):
        return AGAIN if same(found.value, good) else "made again wrongly"
    return SAME if same(found, good) else "read as if whole, and wrongly"


def outcomes(target: Target, cases: int) -> Counter[str]:
    raw, good = target.path.read_bytes(), target.read()
    assert not isinstance(good, Again)
    assert good is not AGAIN
    return Counter(outcome(target, raw, good, broken) for broken in damages(raw, cases) if broken != raw)


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def targets(request, tmp_path):
    return request.param(tmp_path)


def test_damage_is_refused_or_mended_and_never_read_as_whole(targets, tally):
    for name, target in targets.items():
        found = outcomes(target, target.cases)
        assert set(found) <= set(ENDS), (name, found)
        assert found[REFUSED] + found[AGAIN] >= 0.8 * sum(found.values()), (name, found)  # white space may change
        tally[record.DAMAGE].update({f"{name}: {end}": found[end] for end in ENDS if found[end]})


def test_readers_that_check_no_hash_are_found_out(targets, monkeypatch):
    """The control: without its hashes each kind of file is read wrongly or breaks its reader, and that is seen."""
    for name, target in targets.items():
        if target.blind:
            with monkeypatch.context() as patch:
                target.blind(patch)
                found = outcomes(target, max(target.cases, 60))
            assert set(found) - set(ENDS), (name, found)


def test_there_are_enough_cases(tmp_path):
    assert sum(target.cases for make in MAKERS for target in make(tmp_path).values()) >= record.LEAST[record.DAMAGE]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"F32"', b'"I32"'),
        (b'"F32"', b'"U32"'),
        (b'"shape":[8,4,', b'"shape":[4,8,'),
        (b'"done":"1"', b'"done":"2"'),
    ],
)
def test_a_checkpoint_with_other_words_in_its_header_is_refused(tmp_path, old, new):
    (target,) = a_checkpoint(tmp_path).values()
    raw, good = target.path.read_bytes(), target.read()
    assert old in raw
    assert outcome(target, raw, good, raw.replace(old, new, 1)) == REFUSED


def test_a_damaged_log_stops_no_training(tmp_path):
    """Losses in the log are for people to read; no result depends on them."""
    path = tmp_path / training.LOG
    raw = "".join(json.dumps({"step": step, "d_loss": 1.5, "g_loss": 0.5}) + "\n" for step in range(1, 40)).encode()
    for broken in damages(raw, 80):
        path.write_bytes(broken)
        training._Log(path, 39)
        for line in path.read_text().splitlines():
            assert json.loads(line)["step"] <= 39


def test_the_book_of_this_repository_has_a_table_with_its_hash():
    assert measure.read(ROOT / "book" / "assets" / "quality.csv").points
