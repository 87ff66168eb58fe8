"""What `make faults` did, in the file that the book's status page shows."""

import hashlib
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch

from conftest import ROOT
from hollow.chapters import FAULTS
from hollow.files import atomic, write_record
from hollow.machine import commit, hardware

FILE = ROOT / "book" / "assets" / FAULTS
KILLS = "Training killed (SIGKILL) and resumed, once or several times, to bitwise the same weights"
DAMAGE = "A file cut short or changed at random bytes"
DISKS = "A disk that is full, or that cannot be written"
PICTURES = "Pictures of unusual kinds, broken or hostile"
TWO = "A second process on a folder in use"
MEMORY = "Training steps in one process, its memory measured"
LEAST = {KILLS: 30, DAMAGE: 500, DISKS: 20, PICTURES: 40, TWO: 1, MEMORY: 5000}
MOMENTS = ("before the first checkpoint", "between checkpoints", "while a checkpoint was written")


def digest() -> str:
    """Return the hash of the suite's own code."""
    state = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        state.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return state.hexdigest()


def lacking(counts) -> list[str]:
    """Return what counts lack of the least that a record must have."""
    few = [what for what, least in LEAST.items() if sum(counts.get(what, {}).values()) < least]
    return few + [moment for moment in MOMENTS if not counts.get(KILLS, {}).get(moment)]


def write(counts, seconds: float) -> None:
    whole = {
        "command": "make faults",
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(ROOT / "src"),
        "hardware": hardware(),
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "seconds": round(seconds),
        "suite": digest(),
        "counts": {what: dict(counts[what]) for what in LEAST},
    }
    with atomic(FILE) as part:
        write_record(part, whole)
