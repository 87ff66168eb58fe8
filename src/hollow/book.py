"""From chapters to pages: execute with papermill, check the claims, render with Jupyter Book::

    book/*.ipynb --papermill--> OUT/stage/book/*.ipynb --claims--> jupyter-book -W --keep-going --> OUT/html

A chapter is executed again only if its fingerprint changed, and the pages are rendered again only if the stage did.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hollow import chapters as chapters_
from hollow import claims as claims_
from hollow.files import atomic, read_record, sha256
from hollow.slim import slim

MARK = ".stage"  # of the pages


class BookError(ValueError):
    """What is wrong with the book: one line for each chapter, claim or page."""


@dataclass(frozen=True)
class Built:
    """What a build did.

    Attributes
    ----------
    executed, reused : tuple of str
        Chapters by name.
    claims : int
        How many claims hold.
    broken : tuple of str
        One line for each claim that does not hold on the reader's own data, models or seed.
    page : Path or None
        The first page, None if the pages were not rendered.
    """

    executed: tuple[str, ...]
    reused: tuple[str, ...]
    claims: int
    broken: tuple[str, ...]
    page: Path | None


def build(
    root: str | Path = ".",
    *,
    preset: str = "lite",
    parameters: Mapping[str, Any] | None = None,
    force: bool = False,
    jobs: int | None = None,
    chapters: Sequence[str] | None = None,
    render: bool = True,
    out: str | Path | None = None,
) -> Built:
    """Build the book in the folder `root` and return what was done.

    Parameters
    ----------
    root : path
        Folder with `_config.yml`, `_toc.yml` and `book/`.
    preset : {"lite", "smoke", "paper"}
        Size of the samples and of the live training.
    parameters : mapping, optional
        The other parameters: `images`, `digits` and `models` (paths), `device`, `seed`; a chapter gets those it has.
    force : bool
        Execute every chapter, whatever its fingerprint says.
    jobs : int, optional
        Chapters that run side by side, by default one for each core. The cores are shared among them.
    chapters : sequence of str, optional
        Chapters to execute, by name or number ("01"), by default all. With a choice the pages are left alone.
    render : bool
        Whether to render the pages.
    out : path, optional
        Folder for the stage and the pages, by default `root/_build`.

    Raises
    ------
    BookError
        If a chapter fails, a claim does not hold or a page has a warning. A failed chapter is not staged; the others
        are, and the pages of the last good build stay as they are. The text is about the book's own data, models and
        seed: with others, a claim that does not hold is returned, and listed on the status page.
    ValueError
        If a preset, parameter or chapter is unknown.
    """
    root = Path(root).resolve()
    if not (root / "_toc.yml").exists():
        raise ValueError(f"{root} holds no book (no _toc.yml); run in the repository or name it")
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs={jobs}; expected at least 1")
    out = Path(out or root / "_build").resolve()
    stage = out / "stage"
    values = chapters_.complete(preset, parameters)
    sources = chapters_.find(root, chapters)
    chapters_.check_known(sources, values)
    claims = claims_.load(root / "book" / "claims.toml")

    prints = {source: chapters_.fingerprint(root, source, chapters_.own(source, values)) for source in sources}
    staged = {source: stage / "book" / source.name for source in sources}
    todo = [s for s in sources if force or chapters_.staged_fingerprint(staged[s]) != prints[s]]
    failures = chapters_.execute_all(root, stage / "book", {s: prints[s] for s in todo}, values, jobs)

    strangers = {claim.chapter for claim in claims} - {source.stem for source in chapters_.find(root)}
    failures += [f"claims.toml names the chapter {name}, which book/ does not hold" for name in sorted(strangers)]
    held: dict[str, int] = {}
    broken: list[str] = []
    for source in sources:
        if staged[source].exists():
            found = claims_.check(claims, source.stem, chapters_.read(staged[source]), preset)
            held[source.stem], lines, faults = found
            failures += faults
            (broken if chapters_.theirs(chapters_.own(source, values)) else failures).extend(lines)
    if failures:
        raise BookError("\n".join(failures))

    page = None
    if render and chapters is None:
        _sync(root, stage)
        with atomic(stage / "book" / "status.md") as part:
            part.write_text(_status(root, list(staged.values()), held, broken), encoding="utf-8")
        page = _render(stage, out / "html")
    executed = tuple(source.stem for source in todo)
    reused = tuple(source.stem for source in sources if source not in todo)
    return Built(executed, reused, sum(held.values()), tuple(broken), page)


def _sync(root: Path, stage: Path) -> None:
    """Make the stage hold exactly the book: its executed chapters, and copies of everything else."""
    kept = {Path("book") / path.name for path in chapters_.find(root)}
    for path in (root / "_config.yml", root / "_toc.yml", *_files(root / "book")):
        name = path.relative_to(root)
        if path.suffix != ".ipynb" and ".ipynb_checkpoints" not in name.parts:
            with atomic(stage / name) as part:
                shutil.copyfile(path, part)
            kept.add(name)
    for path in _files(stage):
        if path.relative_to(stage) not in kept:
            path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _status(root: Path, staged: Sequence[Path], held: Mapping[str, int], broken: Sequence[str]) -> str:
    """Return the status page: what was executed, when, where, with what, how long it took; faults that were tried."""
    facts = {path.stem: chapters_.read(path)["metadata"]["hollow"] for path in staged}
    last: dict[str, Any] = max(facts.values(), key=lambda fact: fact["date"], default={})
    rows = [
        f"| [](./{name}.ipynb) | {fact['seconds']:.1f} | {fact['date']} | {held.get(name, 0)} |"
        for name, fact in facts.items()
    ]
    parameters = ", ".join(f"`{name} = {value!r}`" for name, value in last.get("parameters", {}).items())
    packages = ", ".join(f"{name} {number}" for name, number in last.get("versions", {}).items())
    return "\n".join([
        "# Status",
        "",
        "This page is written by the build from what the chapters recorded while they ran.",
        "",
        "| chapter | seconds | executed | claims that hold |",
        "|:--|--:|:--|--:|",
        *rows,
        "",
        f"In all {sum(fact['seconds'] for fact in facts.values()):.0f} seconds, though chapters run side by side, "
        f"and {sum(held.values())} claims. A claim is a bound on a number that the prose relies on. "
        "On the book's own data, models and seed the build fails where one does not hold.",
        "",
        *_broken(broken),
        "Parameters",
        f": {parameters}",
        "",
        "Versions",
        f": {packages}",
        "",
        "Machine",
        f": {last.get('machine')}",
        "",
        "Source",
        f": commit {last.get('commit')}",
        "",
        *_faults(root / "book" / "assets" / chapters_.FAULTS),
    ])


def _broken(lines: Sequence[str]) -> list[str]:
    """Return the section on claims that do not hold on the reader's own data: no lines where all do."""
    if not lines:
        return []
    return [
        "## Sentences that do not hold here",
        "",
        "The text was written about other data, models or another seed. With these, what is in brackets may be false:",
        "",
        *(f"- `{line}`" for line in lines),
        "",
    ]


def _faults(path: Path) -> list[str]:
    """Return the section on what `make faults` recorded in `path`: no lines where there is no such file."""
    if not path.exists():
        return []
    try:
        record = read_record(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); make it again with: make faults") from error
    rows = [
        f"| {what if not number else ''} | {kind} | {count:,} |"
        for what, kinds in record["counts"].items()
        for number, (kind, count) in enumerate(kinds.items())
    ]
    return [
        "## Faults",
        "",
        "A suite of tests does to the package what goes wrong in practice. "
        "Every case ended as it should: with the right result, or with one clear line and everything old as it was.",
        "",
        "| what was done | kind | cases |",
        "|:--|:--|--:|",
        *rows,
        "",
        f"Recorded by `{record['command']}` on {record['date']} in {record['seconds'] / 60:.0f} minutes: "
        f"{record['hardware']}, Python {record['python']}, PyTorch {record['torch']}, commit {record['commit']}.",
        "",
    ]


def _render(stage: Path, html: Path) -> Path:
    """Render the stage into the folder `html`, untouched if a page has a warning; return the first page."""
    page = html / "index.html"
    if _rendered(stage, html):
        return page
    # Every page is rendered anew: an incremental build would forget the warnings of the pages that it skips.
    with tempfile.TemporaryDirectory(prefix="render-", dir=html.parent) as folder:
        command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
        command += ["build", str(stage), "--path-output", folder, "-W", "--keep-going", "-q"]
        run = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        log = html.parent / "render.log"
        with atomic(log) as part:
            part.write_text(run.stdout, encoding="utf-8")
        fresh = Path(folder) / "_build" / "html"
        if run.returncode or not (fresh / "index.html").exists():
            plain = chapters_.plain(run.stdout).replace(f"{stage}{os.sep}", "")
            lines = re.findall(r"^.*(?:WARNING|ERROR|Error|Exception).*$", plain, re.MULTILINE)
            lines = lines or plain.splitlines()[-3:]
            raise BookError("\n".join([*dict.fromkeys(lines), f"the pages were not rendered; see {log}"]))
        slim(fresh)
        _mark(stage, fresh)
        with suppress(FileNotFoundError):
            html.rename(Path(folder) / "old")
        fresh.rename(html)
    return page


def _mark(stage: Path, html: Path) -> None:
    """Note in the pages what they were made from and what they are."""
    with atomic(html / MARK) as part:
        part.write_text(f"{_tree(stage)} {_tree(html)}")


def _rendered(stage: Path, html: Path) -> bool:
    """Whether the pages are those of the stage, and as they were written."""
    try:
        return (html / MARK).read_bytes() == f"{_tree(stage)} {_tree(html)}".encode()
    except OSError:
        return False


def _tree(folder: Path) -> str:
    """Return the hash of the names and contents of all files in a folder, but for the mark."""
    state = hashlib.sha256()
    for path in _files(folder):
        if path != folder / MARK and not path.name.startswith(".part-"):
            state.update(f"{path.relative_to(folder)} {sha256(path)}\n".encode())
    return state.hexdigest()
