"""Files that are either whole or absent, and their hashes; records that know when they have been changed."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` that replaces it once the block has ended without an error.

    A reader sees the old file or the new one, never a part; after an error nothing is left behind.
    The sibling keeps the suffix, since many writers choose their format by it.

    Raises
    ------
    OSError
        If the folder cannot be written or the disk is full; the message names `path`.
    """
    path, part = Path(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".part-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        part = Path(name)
        yield part
        os.chmod(part, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(part, path)
    except OSError as error:
        raise OSError(
            f"cannot write {path}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of all that a record says, but for its entry `seal`."""
    said = {key: value for key, value in record.items() if key != "seal"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def write_record(path: str | Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON with its seal; where another may read it, inside `atomic`."""
    Path(path).write_text(json.dumps({**record, "seal": seal(record)}, indent=1) + "\n", encoding="utf-8")


def read_record(path: str | Path) -> dict[str, Any]:
    """Return the record that `write_record` wrote; a ValueError says if it is not what was written."""
    record = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(record, dict) or record.get("seal") != seal(record):
        raise ValueError("its seal is not the hash of what it says")
    return record
