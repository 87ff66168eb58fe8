"""The command `hollow oddity`, outside `hollow.oddity` so that --help need not wait for torch."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import typer

RECORD = Path("book/assets/oddity.json")


def oddity(
    digits: Annotated[Path, typer.Option(help="MNIST, as Keras's mnist.npz.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Record to write, or to go on with.")] = RECORD,
    seeds: Annotated[int, typer.Option(min=2, help="Trainings of each kind.")] = 5,
) -> None:
    """Measure chapter 15 on MNIST: k-means and likelihood under the expected metric, over seeds.

    The record keeps each finished part; the same command goes on after ctrl-C. At the end a small decoder with its
    precision and 1,000 codes is written to data/neighbours.

    \b
    Examples
      hollow oddity --digits mnist.npz      twenty trainings, in half an hour on one core
    """
    from hollow import oddity as experiment
    from hollow.digits import load
    from hollow.files import atomic, read_record, write_record
    from hollow.intervals import student
    from hollow.machine import provenance

    data, sizes = load(digits), experiment.Sizes()
    more = ["--seeds", str(seeds)] if seeds != 5 else []
    command = shlex.join(["hollow", "oddity", "--digits", digits.name, *more])
    chosen = vars(sizes) | {"hidden": list(sizes.hidden)}
    about = {"command": command, "digits": data.source, "sha256": data.sha256, "sizes": chosen}
    parts: dict[str, Any] = {}
    if out.exists():
        before = read_record(out)
        if all(before.get(key) == value for key, value in about.items() if key != "command"):
            parts = before["parts"]

    def save(**more: Any) -> None:
        with atomic(out) as part:
            write_record(part, {**about, **provenance(), "parts": parts, **more})

    jobs = [(classes, seed) for seed in range(seeds) for classes in (*experiment.TRIPLES, (0, 1))]
    todo = [job for job in jobs if _name(*job) not in parts]
    started = time.perf_counter()
    for done, (classes, seed) in enumerate(todo):
        trained = experiment.train(data, classes, sizes, seed=seed)
        measured = experiment.likelihoods(trained) if len(classes) == 2 else experiment.compare(trained)
        parts[_name(classes, seed)] = measured
        save()
        left = (time.perf_counter() - started) / (done + 1) * (len(todo) - done - 1)
        typer.echo(f"{_name(classes, seed)}: done; {len(todo) - done - 1} to go, about {left / 60:.0f} min")
    summary: dict[str, Any] = {}
    for classes in experiment.TRIPLES:
        rows = [parts[_name(classes, seed)] for seed in range(seeds)]
        summary["".join(map(str, classes))] = {
            "euclidean": student([row["euclidean"] for row in rows]),
            "no precision": student([row["no precision"] for row in rows]),
            "riemannian": {a: student([row["riemannian"][a] for row in rows]) for a in rows[0]["riemannian"]},
            "gain": student([row["riemannian"][f"{experiment.NARROW:g}"] - row["euclidean"] for row in rows]),
        }
    rows = [parts[_name((0, 1), seed)] for seed in range(seeds)]
    summary["01"] = {
        name: {key: student([row[name][key] for row in rows]) for key in rows[0][name]} for name in rows[0]
    }
    first = experiment.train(data, experiment.TRIPLES[0], sizes, seed=0)
    experiment.write_shipped(first, experiment.NARROW, {**about, **provenance(), "licence": "CC BY-SA 3.0, as MNIST"})
    save(summary=summary, shipped=experiment.shipped_numbers(), seeds=seeds)
    typer.echo(f"the record is {out}")


def _name(classes: tuple[int, ...], seed: int) -> str:
    return f"{''.join(map(str, classes))}-seed{seed}"
