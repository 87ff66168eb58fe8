"""The `hollow` command: train, look at models and paths, test properties, build the book."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from hollow.cli_measure import measure
from hollow.cli_networks import autoencoder, features
from hollow.cli_oddity import oddity
from hollow.cli_train import train
from hollow.cli_transport import transport

if TYPE_CHECKING:
    from torch import Tensor

# Commands import what they need themselves, so that --help and errors come at once.


_NO_MEMORY = ("out of memory", "can't allocate memory", "Storage size calculation overflowed")


class _OneLine(TyperGroup):
    """Commands whose expected errors are one line on standard error, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of our output has gone; typer ends quietly
        except (ValueError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            raise SystemExit(2) from None
        except (MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not any(words in str(error) for words in _NO_MEMORY):
                raise  # of torch's RuntimeErrors these alone are the user's to mend
            typer.echo("error: out of memory; ask for less at once (--n, --dim), or use --device cpu", err=True)
            raise SystemExit(2) from None
        except KeyboardInterrupt as stop:
            typer.echo(str(stop) or "interrupted", err=True)
            raise SystemExit(130) from None


app = typer.Typer(
    cls=_OneLine,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Each command has its own help with examples: hollow train --help",
)

Alpha = Annotated[float | None, typer.Option(help="Member of the stable family, for PATH stable.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="PNG file to write.")]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed; the same seed gives the same result.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ..., or auto: the GPU where there is one.")]
Models = Annotated[Path | None, typer.Option(help="Folder of trained models; by default those that are shipped.")]

Name = Annotated[str, typer.Argument(metavar="NAME", help="A model, as listed by: hollow models")]


@app.callback()
def _hollow() -> None:
    """Priors, paths and generators behind The Hollow Latent Space.

    \b
    hollow models                         what can be loaded and trained
    hollow sample normal                  draw faces from a shipped model
    hollow path normal linear             decode straight lines between latents
    hollow check normal cauchy-linear     test the four properties of a path
    hollow train normal                   train a model yourself, in minutes
    hollow figures 6                      draw a figure of the paper again
    hollow features portraits             train the network that judges pictures
    hollow autoencoder portraits          train an autoencoder, for chapter 14
    hollow measure                        quality all over latent space
    hollow transport                      chapter 14 on MNIST and photographs
    hollow oddity                         chapter 15 on MNIST
    hollow book                           execute and render the book
    """


app.command()(train)


@app.command()
def models(models: Models = None) -> None:
    """List the models that can be loaded or trained.

    \b
    Examples
      hollow models
      hollow models --models runs/normal     models that you have trained
    """
    from dataclasses import asdict

    from hollow import experiments, zoo

    here = zoo.available(models)
    typer.echo(f"{'name':18}{'prior':24}{'D':>4}  {'network':9}{'images':24}{'steps':>7}  weights")
    for name in dict.fromkeys([*experiments.TABLE, *here]):
        row = zoo.manifest(name, models) if name in here else asdict(experiments.get(name))
        weights = f"{row['bytes'] / 1e6:.2f} MB" if name in here else f"none yet: hollow train {name}"
        images = (row["images"].split() or ["unknown"])[0]
        columns = f"{row['prior']:24}{row['dim']:>4}  {row['arch']:9}{images:24}{row.get('steps', ''):>7}"
        typer.echo(f"{name:18}{columns}  {weights}")


@app.command()
def sample(
    name: Name,
    out: Out = Path("samples.png"),
    n: Annotated[int, typer.Option("--n", min=1, help="Number of images.")] = 64,
    seed: Seed = 0,
    models: Models = None,
    device: Device = "auto",
) -> None:
    """Draw images from a trained model.

    Latents from the model's prior are decoded and drawn as a grid.

    \b
    Examples
      hollow sample cauchy --out cauchy.png
      hollow sample normal@500 --n 16              a snapshot after 500 steps
      hollow sample normal --models runs/normal    a model that you have trained
    """
    import torch

    from hollow import devices, zoo

    model = zoo.load(name, models, device=devices.named(device))
    _save(model.decode(model.prior.sample(n, torch.Generator().manual_seed(seed))), out)


@app.command()
def path(
    name: Name,
    path: Annotated[str, typer.Argument(metavar="PATH", help="linear, spherical, cauchy-linear ...")],
    out: Out = Path("path.png"),
    n: Annotated[int, typer.Option("--n", min=1, help="Number of paths, one a row.")] = 6,
    steps: Annotated[int, typer.Option(min=2, help="Positions on each path, from 0 to 1.")] = 9,
    alpha: Alpha = None,
    seed: Seed = 0,
    models: Models = None,
    device: Device = "auto",
) -> None:
    """Decode paths between random latents.

    \b
    Examples
      hollow path normal linear --out linear.png
      hollow path normal cauchy-linear --n 4 --steps 11
      hollow path normal stable --alpha 1.5
    """
    import matplotlib.pyplot as plt
    import torch

    from hollow import devices, figures, interpolations, zoo
    from hollow.files import atomic

    model = zoo.load(name, models, device=devices.named(device))
    route = interpolations.get(path, model.prior, **({} if alpha is None else {"alpha": alpha}))
    z0, z1 = model.prior.sample((2, n), torch.Generator().manual_seed(seed))
    lam = torch.linspace(0, 1, steps)
    figures.use()
    columns = [f"{value:.3g}" for value in lam.tolist()]
    figures.strips(model.decode(route(z0, z1, lam)), columns=columns, column_label="λ", title=f"{name}, {path}")
    with atomic(out) as part:
        plt.savefig(part, format="png", bbox_inches="tight")
    typer.echo(f"wrote {out}")


@app.command()
def check(
    prior: Annotated[str, typer.Argument(metavar="PRIOR", help='normal, cauchy, "student-t(nu=3)" ...')],
    path: Annotated[str, typer.Argument(metavar="PATH", help="linear, spherical, cauchy-linear ...")],
    dim: Annotated[int, typer.Option(help="Latent dimension D.")] = 100,
    n: Annotated[int, typer.Option("--n", min=20, help="Sample size of the test of property 4.")] = 4000,
    alpha: Alpha = None,
    seed: Seed = 0,
) -> None:
    """Test the four properties of a path on a prior.

    1 continuous, 2 shortest, 3 a sub-path lies on the path, 4 each point of the path has the prior's law.

    \b
    Examples
      hollow check normal linear                   fails property 4
      hollow check normal cauchy-linear            keeps it
      hollow check "student-t(nu=3)" spherical-cauchy-linear --dim 50
    """
    import torch

    from hollow import interpolations, priors, properties

    law = priors.get(prior, dim)
    route = interpolations.get(path, law, **({} if alpha is None else {"alpha": alpha}))
    typer.echo(properties.check(law, route, n=n, generator=torch.Generator().manual_seed(seed)))


@app.command()
def faces(
    out: Out = Path("faces.png"),
    n: Annotated[int, typer.Option("--n", min=1, help="Number of portraits.")] = 64,
    seed: Seed = 0,
) -> None:
    """Draw a grid of procedural portraits.

    \b
    Examples
      hollow faces
      hollow faces --n 16 --seed 7 --out seven.png
    """
    from hollow.faces import portraits

    _save(portraits(n, seed)[0], out)


@app.command()
def figures(
    number: Annotated[int | None, typer.Argument(metavar="[NUMBER]", help="1 to 23; none lists all figures.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write: .png, .pdf or .svg.")] = None,
    seed: Seed = 0,
    models: Models = None,
    device: Device = "auto",
) -> None:
    """Draw one figure of the paper again, as a file.

    \b
    Examples
      hollow figures                        what there is, and which models it needs
      hollow figures 1 --out norms.pdf
      hollow figures 13 --seed 3 --models runs/paper
    """
    from hollow import devices, paper
    from hollow import figures as figures_
    from hollow.files import atomic

    if number is None:
        for figure in paper.FIGURES.values():
            typer.echo(f"{figure.number:>2}  {figure.title:50}{', '.join(figure.models)}")
        return
    out = out or Path(f"figure-{number:02d}.png")
    if (kind := out.suffix[1:].lower()) not in ("png", "pdf", "svg"):
        raise ValueError(f"{out} has the suffix {out.suffix!r}; expected .png, .pdf or .svg")
    figures_.use()
    drawn = paper.draw(number, models=models, device=devices.named(device), seed=seed)
    with atomic(out) as part:
        drawn.savefig(part, format=kind, bbox_inches="tight")
    typer.echo(f"wrote {out}")


@app.command()
def book(
    preset: Annotated[str, typer.Option(help="lite, smoke (small samples, to try) or paper (GPU, CelebA).")] = "lite",
    images: Annotated[str | None, typer.Option(help='"procedural", or a folder or zip of images.')] = None,
    digits: Annotated[str | None, typer.Option(help='"embedded", or an .npz file of digits such as MNIST.')] = None,
    models: Annotated[Path | None, typer.Option(help="Folder of trained models instead of the shipped ones.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Seed of every chapter.")] = None,
    chapter: Annotated[list[str] | None, typer.Option(help="Execute this one only, without pages; repeatable.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Execute chapters that have not changed, too.")] = False,
    jobs: Annotated[int | None, typer.Option(help="Chapters side by side; one for each core by default.")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder of the book; by default here or above.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to build; by default ROOT/_build.")] = None,
    student: Annotated[Path | None, typer.Option(help="Write notebooks without solutions there, and stop.")] = None,
) -> None:
    """Execute and render the book.

    A chapter is executed again only if it, the package, the models or the parameters changed. The text was written
    about the default data, models and seed: with others, claims of it that do not hold are listed. --student makes the
    edition for a class instead: the notebooks with an empty cell where a solution was.

    \b
    Examples
      hollow book
      hollow book --chapter 05 --preset smoke
      hollow book --chapter 15 --digits mnist.npz
      hollow book --preset paper --images img_align_celeba.zip --models runs/paper --device cuda
      hollow book --student class                   for teaching
    """
    from hollow import devices
    from hollow.book import build

    here = Path.cwd()
    root = root or next((folder for folder in (here, *here.parents) if (folder / "_toc.yml").exists()), here)
    if student is not None:
        from hollow.student import write

        typer.echo(f"wrote {len(write(root, student))} notebooks to {student}")
        return
    where = device and devices.named(device)
    paths = {"images": images, "digits": digits, "models": str(models) if models else None}
    given = {**paths, "device": where, "seed": seed}
    parameters = {key: value for key, value in given.items() if value is not None}
    options: dict[str, Any] = {"force": force, "jobs": jobs, "chapters": chapter or None, "out": out}
    built = build(root, preset=preset, parameters=parameters, **options)
    typer.echo(f"{len(built.executed)} chapters executed, {len(built.reused)} reused, {built.claims} claims hold")
    if built.broken:
        typer.echo(f"{len(built.broken)} claims of the text do not hold with these parameters:", err=True)
        typer.echo("\n".join(built.broken), err=True)
    if built.page:
        typer.echo(f"open {built.page}")


app.command()(features)
app.command()(autoencoder)
app.command()(measure)
app.command()(transport)
app.command()(oddity)


def _save(images: Tensor, out: Path) -> None:
    """Write images as one PNG, about square."""
    from hollow import pictures

    pictures.save(images, out, columns=round(len(images) ** 0.5 + 0.49))
    typer.echo(f"wrote {out}")


def main() -> None:
    """Run the `hollow` command."""
    app(args=sys.argv[1:], prog_name="hollow")
