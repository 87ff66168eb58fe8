"""The command `hollow measure`, outside `hollow.measure` so that --help need not wait for torch."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

TABLE = Path("book/assets/quality.csv")


def measure(
    out: Annotated[Path, typer.Option("--out", "-o", help="CSV file to write, or to go on with.")] = TABLE,
    n: Annotated[int, typer.Option("--n", min=1, help="Images at each point.")] = 10_000,
    jobs: Annotated[int | None, typer.Option(min=1, help="Points side by side; one for each core by default.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="This model only; repeatable.")] = None,
    models: Annotated[Path | None, typer.Option(help="Folder of weights; by default those that are shipped.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto, for decoding.")] = "auto",
) -> None:
    """Measure the quality of decoded latents, all over latent space.

    For every trained model: its prior, its paths, lengths from a quarter to four times the shell. The table keeps what
    it holds already, unless the weights have changed since; so the same command goes on after ctrl-C. The quality of
    each model's own samples is added to its manifest.

    \b
    Examples
      hollow measure                                    every model, in an hour on two cores
      hollow measure --model normal --out normal.csv    one model
      hollow measure --models runs/paper --model celeba-normal --out paper.csv    weights of your own
    """
    from hollow import devices
    from hollow import measure as measuring

    points = measuring.grid(model)
    if not points:
        raise ValueError(f"no point is measured of {', '.join(model or ())}; see the models with: hollow models")
    usual = {"--n": 10_000, "--out": TABLE, "--models": None, "--device": "auto"}
    given = {"--n": n, "--out": out, "--models": models, "--device": device}
    told = [str(word) for option in given.items() if option not in usual.items() for word in option]
    command = shlex.join(["hollow", "measure", *told, *(word for name in model or () for word in ("--model", name))])
    table = measuring.record(
        out, n=n, jobs=jobs, command=command, points=points, models=models, device=devices.named(device)
    )
    measuring.note(table, models)
    typer.echo(f"{len(table.points)} points are in {out}")
