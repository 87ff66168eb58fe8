"""The command `hollow features`, outside `hollow.quality` so that --help need not wait for torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def features(
    name: Annotated[str, typer.Argument(metavar="NAME", help="portraits or photographs.")],
    images: Annotated[str | None, typer.Option(help="Photographs: a folder or zip.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates, instead of the usual number.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint in --out.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")] = Path("runs/features"),
    seed: Annotated[int, typer.Option(min=0, max=1000, help="Seed; the same seed gives the same result.")] = 0,
) -> None:
    """Train a feature network, whose features say how good images are.

    That of portraits learns their ground-truth factors, that of photographs learns without labels. The folder gets the
    weights, a manifest with the held-out scores, and a checkpoint: ctrl-C stops, --resume continues.

    \b
    Examples
      hollow features portraits                            in 20 minutes
      hollow features photographs --images img_align_celeba.zip
      hollow features portraits --steps 50 --out runs/try  to see that it works
      hollow features portraits --resume                   go on after ctrl-C
    """
    from hollow.quality.network import NAMES

    if name not in NAMES:
        raise ValueError(f"unknown feature network {name!r}; expected {' or '.join(NAMES)}")
    if name == "portraits" and images is not None:
        raise ValueError("portraits are painted as they are needed; leave --images out")
    if name == "photographs" and not images:
        raise ValueError("features of photographs are learned from yours; give them with --images (a folder or zip)")
    options = [("images", images and Path(images).name), ("steps", steps), ("seed", seed or None)]
    command = " ".join(["hollow features", name, *(f"--{key} {value}" for key, value in options if value is not None)])

    from hollow.quality import making

    if images is None:
        made = making.portraits(out, steps=steps, seed=seed, resume=resume, command=command)
        low = sorted((known["score"], factor) for factor, known in made.manifest["scores"].items())[:3]
        typer.echo("least well read: " + ", ".join(f"{factor} {score:.2f}" for score, factor in low))
    else:
        import torch

        from hollow.images import load

        data = load(images, limit=making.PHOTOGRAPHS)
        typer.echo(f"{len(data.pixels)} images, {images}; {data.skipped} skipped")
        making.photographs(
            torch.from_numpy(data.pixels), out, source=Path(images).name, steps=steps, seed=seed, resume=resume,
            command=command,
        )  # fmt: skip
    typer.echo(f'{out / name}.safetensors is trained; use it with: quality.load("{name}", "{out}")')
