"""The command `hollow transport`, outside `hollow.transport` so that --help need not wait for torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RECORD = Path("book/assets/transport.json")
PIECES = Path("data/neighbours")


def transport(
    digits: Annotated[Path | None, typer.Option(help="MNIST, as Keras's mnist.npz.")] = None,
    images: Annotated[str | None, typer.Option(help="Photographs: a folder or zip.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    out: Annotated[Path, typer.Option("--out", "-o", help="Record to write, or to go on with.")] = RECORD,
    pieces: Annotated[Path, typer.Option(help="Folder for the small trained networks.")] = PIECES,
) -> None:
    """Record the comparison of chapter 14 on MNIST and on photographs.

    What the record holds already is kept, so the same command goes on after ctrl-C, and more seeds can be added.

    \b
    Examples
      hollow transport --digits mnist.npz --images img_align_celeba.zip
      hollow transport --digits mnist.npz --seeds 5
    """
    if digits is None and images is None:
        raise ValueError("nothing to compare; give --digits mnist.npz, --images FOLDER_OR_ZIP, or both")
    from hollow.transport import recording

    recording.record(out, pieces, digits=digits, images=images, seeds=seeds, progress=typer.echo)
