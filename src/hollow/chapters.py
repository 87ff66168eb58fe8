"""Chapters as files: their parameters, their fingerprints, and their execution side by side with papermill."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hollow import machine
from hollow.files import atomic

PRESETS = ("smoke", "lite", "paper")  # those of hollow.experiments, whose import takes seconds
LOST = "Kernel died before replying to kernel_info"  # two kernels that start at once may pick the same free port
STARTS = 3  # of a kernel that is lost in this way
FAULTS = "faults.json"  # of book/assets: what `make faults` recorded, for the status page and for no chapter
PATHS = {"images": "procedural", "digits": "embedded", "models": ""}  # what parameters that name a file are without one
SHIPPED = ("autoencoders", "features", "neighbours")  # folders of data/ besides the models
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "matplotlib", "papermill", "jupyter-book")


def number(path: Path) -> str:
    """Return what a chapter is called for short: its number, or its name where it has none."""
    return path.stem.partition("_")[0]


def find(root: Path, wanted: Sequence[str] | None = None) -> list[Path]:
    """Return the chapters in `root/book`, or those of them that `wanted` names ("01" or "01_soap_bubble")."""
    found = sorted((root / "book").glob("*.ipynb"))
    if wanted is None:
        return found
    for name in wanted:
        if not any(name in (path.stem, number(path)) for path in found):
            raise ValueError(f"unknown chapter {name!r}; expected one of {', '.join(path.stem for path in found)}")
    return [path for path in found if {path.stem, number(path)} & set(wanted)]


def read(path: Path) -> dict[str, Any]:
    """Return a notebook as plain data."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not a notebook: {error}") from None


def plain(text: str) -> str:
    """Return what a program printed, without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def defaults(path: Path) -> dict[str, Any]:
    """Return the parameters of a chapter, that is, what its cell tagged `parameters` assigns."""
    cells = [cell for cell in read(path)["cells"] if "parameters" in cell["metadata"].get("tags", ())]
    lines = ast.parse("\n".join("".join(cell["source"]) for cell in cells)).body
    return {
        target.id: ast.literal_eval(line.value)
        for line in lines if isinstance(line, ast.Assign)
        for target in line.targets if isinstance(target, ast.Name)
    }


def complete(preset: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the parameters of a build with paths made absolute; a ValueError names what is wrong with one."""
    values = {**(given or {}), "preset": preset}
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}; expected one of {', '.join(PRESETS)}")
    for name, builtin in PATHS.items():
        if values.get(name, builtin) != builtin:
            path = Path(values[name]).expanduser().resolve()
            if not path.exists():
                raise ValueError(f"{name} {path} does not exist; expected a path or {builtin!r}")
            values[name] = str(path)
    return values


def theirs(values: Mapping[str, Any]) -> bool:
    """Whether the data, models or seed are the reader's own, not those that the text was written about."""
    return any(values.get(name, builtin) != builtin for name, builtin in {**PATHS, "seed": 0}.items())


def check_known(paths: Sequence[Path], values: Mapping[str, Any]) -> None:
    """Raise a ValueError if `values` has a parameter that none of the chapters knows."""
    known = dict.fromkeys(name for path in paths for name in defaults(path))
    for name in values:
        if name not in known:
            which, expected = ", ".join(map(number, paths)), ", ".join(known) or "none"
            raise ValueError(f"no chapter of {which} has a parameter {name!r}; expected {expected}")


def own(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that are parameters of the chapter."""
    known = defaults(path)
    return {name: value for name, value in values.items() if name in known}


# ---- fingerprints


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that a chapter's numbers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            raise ValueError(f"{name} is not installed; run pip install 'hollow-latents[book]'") from None
    return found


def fingerprint(root: Path, path: Path, values: Mapping[str, Any]) -> str:
    """Return the hash of all that a chapter's outputs depend on: text, code, models, assets, versions, parameters."""
    state = hashlib.sha256(json.dumps([dict(values), versions()], sort_keys=True).encode())
    models = Path(values.get("models") or root / "data" / "models")
    shipped = [file for name in SHIPPED for file in _files(root / "data" / name)]
    assets = [file for file in _files(root / "book" / "assets") if file.suffix != ".css" and file.name != FAULTS]
    sources = sorted((root / "src").rglob("*.py"))
    for file in (path, root / "constraints.txt", *sources, *assets, *shipped, *_files(models)):
        if file.exists():
            state.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    for name in ("images", "digits"):
        given = values.get(name, PATHS[name])
        for file in _files(Path(given)) if given != PATHS[name] else ():  # size and time stand for the content
            state.update(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    return state.hexdigest()


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def staged_fingerprint(path: Path) -> str | None:
    """Return the fingerprint that an executed chapter was made under, or None if there is none or it is damaged."""
    try:
        notebook = read(path)
        facts = notebook["metadata"]["hollow"]
        return facts["fingerprint"] if facts["sha256"] == _digest(notebook) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _digest(notebook: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an executed chapter, but for where it is written down."""
    facts = {key: value for key, value in notebook["metadata"]["hollow"].items() if key != "sha256"}
    whole = {**notebook, "metadata": {**notebook["metadata"], "hollow": facts}}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


# ---- execution


def execute_all(
    root: Path, stage: Path, prints: Mapping[Path, str], values: Mapping[str, Any], jobs: int | None = None
) -> list[str]:
    """Execute chapters side by side into the folder `stage` and return one line for each that failed.

    Parameters
    ----------
    root : path
        The repository; chapters run in `root/book`.
    stage : path
        Where whole executed chapters go; one that failed leaves nothing there.
    prints : mapping of path to str
        The chapters to execute, and their fingerprints.
    values : mapping
        Their parameters.
    jobs : int, optional
        Chapters at a time, by default one for each core. The cores are shared among them.
    """
    if not prints:
        return []
    cores = machine.cores()
    jobs = min(jobs or cores, len(prints))
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": machine.commit(root) or "unknown",
        "machine": f"{platform.system()}, {machine.hardware(str(values.get('device', 'cpu')))}",
        "versions": versions(),
    }
    env = {
        **os.environ,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores // jobs))),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # one set by the user would draw nothing
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, not one of the user's
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    failures: list[str] = []
    running: dict[str, subprocess.Popen[str]] = {}
    with ThreadPoolExecutor(jobs) as pool, tqdm(total=len(prints), desc="chapters", disable=None) as bar:
        futures = {}
        # Long chapters first, so that none is left to run alone at the end; the size of the file stands for the time.
        for path, mark in sorted(prints.items(), key=lambda item: -item[0].stat().st_size):
            job = pool.submit(_execute, path, stage / path.name, values, {**facts, "fingerprint": mark}, env, running)
            futures[job] = path.stem
        try:
            pending = set(futures)
            while pending:
                bar.set_postfix_str(", ".join(running))
                done, pending = wait(pending, timeout=1, return_when=FIRST_COMPLETED)
                for future in done:
                    error = future.exception()
                    if error is None:
                        tqdm.write(f"  {futures[future]} executed in {future.result():.1f} s")
                    else:
                        tqdm.write(f"  {futures[future]} FAILED")
                        failures.append(f"{futures[future]}: {error}")
                    bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running.values()):
                process.terminate()
            raise
    return sorted(failures)


def _execute(
    source: Path, target: Path, values: Mapping[str, Any], facts: Mapping[str, Any], env: Mapping[str, str],
    running: dict[str, subprocess.Popen[str]],
) -> float:  # fmt: skip
    """Execute one chapter in its own process and return its seconds; a ValueError says in one line where it failed."""
    start = time.perf_counter()
    known, values = defaults(source), own(source, values)
    changed = json.dumps({name: value for name, value in values.items() if value != known[name]})  # JSON is YAML
    target.unlink(missing_ok=True)  # whatever happens now, what was there is out of date
    with atomic(target) as part:
        command = [sys.executable, "-m", "papermill", str(source), str(part), "-y", changed, "--no-progress-bar"]
        command += ["--cwd", str(source.parent), "--start-timeout", "300"]  # kernels start slowly on a busy machine
        for _ in range(STARTS):
            process = subprocess.Popen(command, env=env, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            running[source.stem] = process
            _, said = process.communicate()
            del running[source.stem]
            if LOST not in said:
                break
        if process.returncode:
            raise ValueError(_failure(source, part, said))
        seconds = time.perf_counter() - start
        _finish(part, {**facts, "parameters": {**known, **values}, "seconds": seconds})
    return seconds


def _failure(source: Path, part: Path, said: str) -> str:
    """Return the cell and the error in one line, from the notebook that papermill leaves behind."""
    places = {cell["id"]: f"cell {number} ({cell['id']})" for number, cell in enumerate(read(source)["cells"], 1)}
    where, error = "before its first cell", (said.strip().splitlines() or ["no message"])[-1]
    with suppress(ValueError):  # not a notebook: papermill did not get as far as writing it
        for cell in read(part)["cells"]:
            if cell["metadata"].get("papermill", {}).get("start_time"):  # the last one begun is the one that failed
                where = places.get(cell["id"], "in its parameters")
            errors = [output for output in cell.get("outputs", ()) if output["output_type"] == "error"]
            error = f"{errors[0]['ename']}: {errors[0]['evalue']}" if errors else error
    return f"{where}: {plain(error).strip().splitlines()[0]}"


def _finish(part: Path, facts: Mapping[str, Any]) -> None:
    """Keep what the status page reports, and drop what would differ from run to run or name this machine's folders."""
    notebook = read(part)
    for cell in notebook["cells"]:
        if "injected-parameters" in cell["metadata"].get("tags", ()):
            cell["id"] = "injected-parameters"
        cell["metadata"].pop("papermill", None)
        cell["metadata"].pop("execution", None)
    notebook["metadata"].pop("papermill", None)
    notebook["metadata"]["hollow"] = dict(facts)
    notebook["metadata"]["hollow"]["sha256"] = _digest(notebook)
    part.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
