"""The commands that train networks other than GANs, outside their modules so that --help need not wait for torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Name = Annotated[str, typer.Argument(metavar="NAME", help="What is trained.")]
Images = Annotated[str | None, typer.Option(help="Photographs: a folder or zip.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Updates, instead of the usual number.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint in --out.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")]
Seed = Annotated[int, typer.Option(min=0, max=1000, help="Seed; the same seed gives the same result.")]


def features(
    name: Name,
    images: Images = None,
    steps: Steps = None,
    resume: Resume = False,
    out: Out = Path("runs/features"),
    seed: Seed = 0,
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
    command = _command("features", name, images, steps, seed)

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


def autoencoder(
    name: Name,
    images: Images = None,
    steps: Steps = None,
    resume: Resume = False,
    out: Out = Path("runs/autoencoders"),
    seed: Seed = 0,
) -> None:
    """Train an autoencoder, plain or variational, whose codes chapter 14 transports.

    NAME is portraits, portraits-vae, photographs or photographs-vae. The folder gets the weights, a manifest with the
    error on held-out images, and a checkpoint: ctrl-C stops, --resume continues.

    \b
    Examples
      hollow autoencoder portraits                            in five minutes
      hollow autoencoder photographs --images img_align_celeba.zip
      hollow autoencoder portraits-vae --steps 50 --out runs/try
    """
    from hollow import autoencoders
    from hollow.images import dataset

    if name not in autoencoders.NAMES:
        raise ValueError(f"unknown autoencoder {name!r}; expected {', '.join(autoencoders.NAMES)}")
    command = _command("autoencoder", name, images, steps, seed)
    data = dataset(images or "procedural", autoencoders.IMAGES)
    path = autoencoders.make(
        name, data, out, source=Path(images).name if images else "procedural", steps=steps or autoencoders.STEPS,
        seed=seed, resume=resume, command=command,
    )  # fmt: skip
    typer.echo(f'{path} is trained; use it with: autoencoders.load("{name}", "{out}")')


def _command(verb: str, name: str, images: str | None, steps: int | None, seed: int) -> str:
    """Return the command in words for the manifest; a ValueError says which images the network wants."""
    if name.startswith("portraits") and images is not None:
        raise ValueError("portraits are painted as they are needed; leave --images out")
    if name.startswith("photographs") and not images:
        raise ValueError("a network of photographs learns from yours; give them with --images (a folder or zip)")
    options = [("images", images and Path(images).name), ("steps", steps), ("seed", seed or None)]
    return " ".join(["hollow", verb, name, *(f"--{key} {value}" for key, value in options if value is not None)])
