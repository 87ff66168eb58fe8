"""A folder is written by one process at a time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import platform
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

LOCK = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


@contextlib.contextmanager
def held(folder: str | Path, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock of a folder, which is made if there is none.

    The lock belongs to an open file, so the system releases it however its process ends; the file stays, with the
    name of who held it last.

    Parameters
    ----------
    folder : path
    patience : float
        Seconds to wait for the one who holds it.

    Raises
    ------
    BlockingIOError
        If another process, or this one, still holds it.
    OSError
        If the folder cannot be written.
    """
    path = Path(folder) / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
    with file:
        limit = time.monotonic() + patience
        while not _taken(file):
            if time.monotonic() >= limit:
                file.seek(0)
                who = file.read().strip() or "another process"
                raise BlockingIOError(f"{folder} is in use by {who}; wait until that ends, or choose another --out")
            time.sleep(0.2)
        with contextlib.suppress(OSError):  # a full disk: the name is a help, the lock is what counts
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}")
            file.flush()
        yield


def _taken(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(f"{file.name}: no locks on this file system; let one process alone train there", stacklevel=3)
    return True
