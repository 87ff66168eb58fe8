"""The student edition: the chapters as notebooks, with an empty cell where a solution was."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hollow import chapters

_START = re.compile(r"^```\{solution-start\}.*?^```\n?", re.MULTILINE | re.DOTALL)
_END = re.compile(r"^```\{solution-end\}\n```\n?", re.MULTILINE)


def without_solutions(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook with one empty code cell in place of each solution; text around it in its cells stays."""
    kept, inside = [], False
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            kept += [] if inside else [cell]
            continue
        text = "".join(cell["source"])
        while text:
            fence = (_END if inside else _START).search(text)
            if not inside and (prose := text[: fence.start() if fence else None].strip()):
                name = cell["id"] if not kept or not kept[-1]["id"].startswith(cell["id"]) else f"{cell['id']}-more"
                kept.append({**cell, "id": name, "source": prose.splitlines(keepends=True)})
            if fence and not inside:
                answer = {"id": f"{cell['id']}-answer", "metadata": {}, "source": ["# Your answer"]}
                kept.append({"cell_type": "code", "execution_count": None, **answer, "outputs": []})
            inside = inside != bool(fence)
            text = text[fence.end() :] if fence else ""
    return {**notebook, "cells": kept}


def write(root: Path, out: Path) -> list[Path]:
    """Write the student edition of the book in `root` to the new folder `out`, with the assets that chapters read.

    Returns
    -------
    list of path
        The notebooks. After an error there is no folder.

    Raises
    ------
    FileExistsError
        If `out` exists: answers that are in it would be lost.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists already; choose another folder, so that no answer in it is lost")
    if not (sources := chapters.find(root)):
        raise ValueError(f"{root} holds no chapters; run in the repository or name it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".student-", dir=out.parent) as part:
        folder = Path(part) / out.name
        shutil.copytree(root / "book" / "assets", folder / "assets")
        for source in sources:
            text = json.dumps(without_solutions(chapters.read(source)), indent=1, ensure_ascii=False)
            (folder / source.name).write_text(text + "\n", encoding="utf-8")
        folder.rename(out)
    return [out / source.name for source in sources]
