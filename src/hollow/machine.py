"""What made a result, in words: the processor, its cores, and the commit of the code."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]  # the repository, where the package runs from it


def shipped(name: str) -> Path:
    """Return the folder `name` of the data that travels with the package, or with the repository that it runs from."""
    packaged = Path(__file__).parent / name
    return packaged if packaged.is_dir() else SOURCE / "data" / name


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hardware(device: str = "cpu") -> str:
    """Return the processor and its cores, or the GPU."""
    if device.startswith("cuda"):
        import torch  # here alone: a build that runs nothing anew should not wait for it

        return torch.cuda.get_device_name(device)
    words = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        words = found[1] if found else words
    return f"{words}, {cores()} cores"


def commit(folder: Path = SOURCE) -> str | None:
    """Return the git commit of `folder`, "+" behind it if a file in it differs, or None outside a repository."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def provenance(device: str = "cpu") -> dict[str, str | None]:
    """Return what a manifest says of where a result was made: torch, hardware, commit and date."""
    import torch

    return {
        "torch": torch.__version__.split("+")[0],
        "hardware": f"{hardware(device)}, {torch.get_num_threads()} threads",
        "commit": commit(SOURCE / "src"),
        "created": datetime.now(UTC).date().isoformat(),
    }
