"""The command `hollow train`, outside `hollow.training` so that --help need not wait for torch."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hollow.executors import Executor
    from hollow.sweep import Plan


def train(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A row of the table: hollow models")] = None,
    all_rows: Annotated[bool, typer.Option("--all", help="Every row; what is finished is kept.")] = False,
    preset: Annotated[str, typer.Option(help="Recipe: lite (minutes), smoke (seconds), paper (for a GPU).")] = "lite",
    images: Annotated[str | None, typer.Option(help='"procedural", or a folder or zip of images.')] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates, instead of the recipe's number.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 ..., or auto: the GPU where there is one.")] = "auto",
    graphs: Annotated[bool, typer.Option("--graphs", help="Replay each step as one CUDA graph, on a GPU.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint in --out.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write; runs/NAME by default.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Seed, instead of the row's.")] = None,
    executor: Annotated[str | None, typer.Option(help="Rows of --all side by side: processes, dask, slurm.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Rows at once; one for each core or GPU.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each model.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler, as tcp://host:8786.")] = None,
) -> None:
    """Train a model, or all of them.

    Ctrl-C stops with a checkpoint and --resume continues. The folder gets the weights with their manifest, a
    checkpoint, log.jsonl (losses) and samples/ (grids). With --all, runs/PRESET gets a folder for each model, and the
    weights of all of them; the same command continues. With --executor, models are trained side by side.

    One model on several GPUs: torchrun --nproc-per-node 4 -m hollow train NAME

    \b
    Examples
      hollow train normal                                 4,000 steps on procedural portraits
      hollow train normal --preset smoke --out runs/try   a few steps, to see that it works
      hollow train celeba-normal --images img_align_celeba.zip
      hollow train cauchy --steps 8000 --device cuda
      hollow train normal --resume                        go on after ctrl-C
      hollow train --all --images img_align_celeba.zip    photographs for the rows that need them
      hollow train --all --executor processes             as many at once as there are cores
      hollow train --all --executor dask --scheduler tcp://10.0.0.1:8786
    """
    if (name is None) != all_rows:
        raise ValueError("give the NAME of one model, or --all: hollow train normal")
    if images == "":
        raise ValueError('--images is empty; expected "procedural", or a folder or zip of images')
    if executor is None and (workers or scheduler):
        raise ValueError("--workers and --scheduler are for an --executor: processes, dask or slurm")
    if executor is not None and name is not None:
        raise ValueError(
            f"--executor is for --all; one model on many GPUs: torchrun --nproc-per-node 4 -m hollow train {name}"
        )

    from hollow import sweep

    photographs = None if images == "procedural" else images
    plan = sweep.Plan(preset, photographs, steps, device, seed, threads, graphs)
    if name is None:
        _all(out or Path("runs") / preset, plan, executor, workers, scheduler)
    else:
        _one(name, out or Path("runs") / name, plan, resume)


def _one(name: str, out: Path, plan: Plan, resume: bool) -> None:
    import torch

    from hollow import distributed, experiments, sweep, training

    experiment = experiments.get(name)
    source, recipe = plan.source(experiment), plan.recipe(experiment)
    if source is None:
        raise ValueError(f"{name} is trained on photographs; give them with --images (a folder or zip)")
    source = plan.photographs or source
    if plan.threads:
        torch.set_num_threads(plan.threads)
    with distributed.joined(plan.device) as (ranks, device):
        with ranks.turn():  # images are read, and cached, once
            ranks.share(recipe.batch)
            data = sweep.load_images(source, recipe, progress=ranks.first)
        if ranks.first:
            typer.echo(f"{len(data.pixels)} images, {source}; {data.skipped} skipped")
        training.train(
            experiment, recipe, out, images=data.pixels, source=data.source, preset=plan.preset, device=device,
            seed=plan.seed_of(experiment), resume=resume, command=ranks.command(plan.command(name, source)),
            ranks=ranks, graphs=plan.graphs,
        )  # fmt: skip
        if ranks.first:
            typer.echo(f"{out / name}.safetensors is trained; see it with: hollow sample {name} --models {out}")


def _all(out: Path, plan: Plan, executor: str | None, workers: int | None, scheduler: str | None) -> None:
    from dataclasses import replace

    from hollow import devices, distributed, experiments, sweep

    if distributed.launched():
        raise ValueError("torchrun is for one model; train all with: hollow train --all --executor processes")
    experiments.recipe(plan.preset)  # a slip is known before any worker starts
    opened: AbstractContextManager[Executor | None] = nullcontext()
    if executor is None:
        plan = replace(plan, device=devices.named(plan.device))
    else:
        plan, workers, opened = _opened(executor, out, plan, workers, scheduler)
    with opened as place, _sigterm_as_ctrl_c() if executor else nullcontext():
        for row, state in sweep.train_all(out, plan, place, workers):
            typer.echo(f"{row:18}{state}")
    typer.echo(f"the weights are in {out}; see them with: hollow models --models {out}")


def _opened(
    kind: str, out: Path, plan: Plan, workers: int | None, scheduler: str | None
) -> tuple[Plan, int | None, AbstractContextManager[Executor]]:
    """Return the plan with its threads, how many rows are submitted at once, and the executor."""
    from dataclasses import replace

    from hollow import devices, executors
    from hollow.machine import cores

    if kind not in executors.KINDS:
        raise ValueError(f"unknown executor {kind!r}; expected one of {', '.join(executors.KINDS)}")
    if scheduler is not None and kind != "dask":
        raise ValueError(f"--scheduler is for --executor dask, not {kind}")
    if kind == "slurm":
        threads = plan.threads or 4
        plan = replace(plan, threads=threads)
        return plan, workers, executors.slurm(
            out.absolute() / "jobs", threads=threads, gpu=plan.device.startswith("cuda")
        )  # fmt: skip
    if scheduler is not None:
        if workers:
            raise ValueError("--workers is how many are started here; those of a --scheduler are its own")
        return plan, None, executors.dask(scheduler)
    plan = replace(plan, device=devices.named(plan.device))
    gpu = plan.device.startswith("cuda")
    if gpu and kind == "dask":
        raise ValueError("a dask cluster made here would crowd one GPU; use --executor processes, or --device cpu")
    if workers is None:
        workers = len(executors.gpus()) if plan.device == "cuda" else 1 if gpu else cores()
    plan = replace(plan, threads=plan.threads or max(1, cores() // workers))
    return plan, workers, executors.dask(None, workers) if kind == "dask" else executors.processes(workers, plan.device)


@contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Let a cluster that ends this process have its workers end with a checkpoint, too."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    try:
        handler = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
