"""The command `hollow oddity`, outside `hollow.oddity` so that --help need not wait for torch."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Any

import typer

RECORD = Path("book/assets/oddity.json")
SEEDS = 10  # trainings of each kind
REFINED = 2  # of which so many are clustered with geodesics too, which takes minutes


def oddity(
    digits: Annotated[Path, typer.Option(help="MNIST, as Keras's mnist.npz.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Record to write, or to go on with.")] = RECORD,
    seeds: Annotated[int, typer.Option(min=2, help="Trainings of each kind, with seeds from 10 on.")] = SEEDS,
) -> None:
    """Measure chapter 15 on MNIST: k-means and likelihood under the expected metric, over fresh seeds.

    The record keeps each finished part; the same command goes on after ctrl-C. At the end a small decoder of seed 0
    with its precision and 1,000 codes is written to data/neighbours.

    \b
    Examples
      hollow oddity --digits mnist.npz      forty trainings, in half an hour on one core
    """
    from hollow import oddity as experiment
    from hollow.digits import load
    from hollow.files import atomic, read_record, write_record
    from hollow.machine import provenance

    data, sizes = load(digits), experiment.Sizes()
    more = ["--seeds", str(seeds)] if seeds != SEEDS else []
    command = shlex.join(["hollow", "oddity", "--digits", digits.name, *more])
    settings = {"widths": list(experiment.WIDTHS), "ordinary": list(experiment.STEPS)}
    chosen = vars(sizes) | {"hidden": list(sizes.hidden)}
    about = {"command": command, "digits": data.source, "sha256": data.sha256, "sizes": chosen, **settings}
    parts: dict[str, Any] = {}
    if out.exists():
        before = read_record(out)
        if all(before.get(key) == value for key, value in about.items() if key != "command"):
            parts = before["parts"]

    def save(**more: Any) -> None:
        with atomic(out) as part:
            write_record(part, {**about, **provenance(), "parts": parts, **more})

    drawn = list(range(experiment.FRESH, experiment.FRESH + seeds))
    jobs = [(classes, seed) for seed in drawn for classes in (*experiment.TRIPLES, (0, 1))]
    todo = [job for job in jobs if _name(*job) not in parts]
    started = time.perf_counter()
    for done, (classes, seed) in enumerate(todo):
        trained = experiment.train(data, classes, sizes, seed=seed)
        if len(classes) == 2:
            measured = experiment.likelihoods(trained)
        else:
            measured = experiment.compare(trained)
            if seed < experiment.FRESH + REFINED and classes == experiment.TRIPLES[0]:
                measured["refined"] = experiment.refined(trained, float(measured["chosen"]))
        parts[_name(classes, seed)] = measured
        save()
        left = (time.perf_counter() - started) / (done + 1) * (len(todo) - done - 1)
        typer.echo(f"{_name(classes, seed)}: done; {len(todo) - done - 1} to go, about {left / 60:.0f} min")
    first = experiment.train(data, experiment.TRIPLES[0], sizes, seed=0)
    experiment.write_shipped(first, experiment.NARROW, {**about, **provenance(), "licence": "CC BY-SA 3.0, as MNIST"})
    save(shipped=experiment.shipped_numbers(), seeds=drawn)
    typer.echo(f"the record is {out}")


def _name(classes: tuple[int, ...], seed: int) -> str:
    return f"{''.join(map(str, classes))}-seed{seed}"
