"""Measure points of latent space: decode, take features, compare with real images."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from hollow import quality, zoo
from hollow.faces import portraits
from hollow.files import atomic, write_record
from hollow.machine import SOURCE, commit, cores
from hollow.measure.points import Point, grid
from hollow.measure.table import Measured, Table, read, write

N, SMALL = 10_000, 2000  # images at a point, and in a quick repeat
REFERENCE = 5000  # portraits that they are compared with; of photographs, those whose features are shipped
SUBSETS = 10  # of SMALL images, whose estimates give the errors
BATCH = 500
PARTIAL = ("diversity", "kernel")  # of part of the images, since all pairs take too long; more do not sharpen them
AT_ONCE = 64  # images in a network: few enough to stay in cache
PIXELS = {
    "saturation": quality.saturation, "colour": quality.colour_saturation, "contrast": quality.contrast,
}  # fmt: skip
_KIND = {"portraits": "portraits", "celeba": "photographs"}


@dataclass(frozen=True)
class Sample:
    """Decoded images of a point, as far as metrics need them: features (n, d), and means of pixels over batches."""

    features: Tensor
    pixels: dict[str, Tensor]


@cache
def _network(images: str) -> quality.Features:
    return quality.load(_KIND[images])


@cache
def real(images: str) -> Tensor:
    """Return features of the real images, "portraits" or "celeba", that others are compared with, shape (n, d)."""
    network = _network(images)
    if network.reference is not None:
        return network.reference.rows
    return network.features(quality.unit(portraits(REFERENCE, seed=1)[0]))  # seed 0 has been trained on


@cache
def _known(images: str) -> tuple[quality.Manifold, float]:
    """What is computed once of real images: their balls, and their mean distance."""
    data = real(images)
    return quality.Manifold(data), quality.spread(data[:SMALL])


def draw(
    point: Point, n: int, generator: torch.Generator, *, models: str | Path | None = None, device: str = "cpu"
) -> Sample:
    """Decode `n` latents of a point."""
    model, network = zoo.load(point.model, models, device=device), _network(point.images)
    model.generator.to(memory_format=torch.channels_last)  # a quarter faster
    latents = point.latents(model.prior, n, generator)
    return look((model.decode(part, batch=AT_ONCE) for part in latents.split(BATCH)), network)


def look(batches: Iterable[Tensor], network: quality.Features) -> Sample:
    """Return what metrics need of batches of images in [-1, 1]."""
    features: list[Tensor] = []
    pixels: dict[str, list[float]] = {name: [] for name in PIXELS}
    for images in batches:
        features.append(network.features(images, batch=AT_ONCE))
        for name, metric in PIXELS.items():
            pixels[name].append(metric(images))
    return Sample(torch.cat(features), {name: torch.tensor(values) for name, values in pixels.items()})


def compare(features: Tensor, images: str) -> dict[str, float]:
    """Return the metrics of features (n, d) against those of real images, "portraits" or "celeba"."""
    data, moments = real(images), _network(images).reference
    manifold, spread = _known(images)
    found = manifold.compare(features)
    return {
        "frechet": quality.frechet_distance(data if moments is None else moments, features),
        "kernel": quality.kernel_distance(data, features, subsets=10),
        "precision": found.precision,
        "recall": found.recall,
        "density": found.density,
        "coverage": found.coverage,
        "realism": float(found.realism.median()),
        "diversity": quality.spread(features[:SMALL]) / spread,
    }


def evaluate(sample: Sample, images: str, generator: torch.Generator) -> dict[str, Measured]:
    r"""Return every metric of a sample of n images with its standard error.

    Errors come from `SUBSETS` random subsets of m = `SMALL` images, drawn without replacement: the deviation of
    their estimates, corrected for their overlap by :math:`\sqrt{1 - m/n}`, is the error for m images, and
    :math:`\sqrt{m/n}` times that the error for n (Politis and Romano 1994). The bootstrap would draw images twice,
    which breaks metrics of nearest neighbours.
    """
    n = len(sample.features)
    if n <= SMALL:
        raise ValueError(f"{n} images; expected more than {SMALL}, so that their error can be told; raise --n")
    whole = compare(sample.features, images)
    subsets = [
        compare(sample.features[torch.randperm(n, generator=generator)[:SMALL]], images) for _ in range(SUBSETS)
    ]
    out = {}
    for metric, value in whole.items():
        estimates = torch.tensor([subset[metric] for subset in subsets], dtype=torch.float64)
        error = float(estimates.std()) / math.sqrt(1 - SMALL / n)
        small_error = math.hypot(error, error * math.sqrt(1 / SUBSETS + SMALL / n))  # of a new one about their mean
        own = SMALL if metric in PARTIAL else n
        out[metric] = Measured(n, value, error * math.sqrt(SMALL / own), float(estimates.mean()), small_error)
    for metric, means in sample.pixels.items():
        value, spread = float(means.mean()), float(means.std())
        error, small = spread * math.sqrt(BATCH / n), spread * math.sqrt(BATCH / SMALL)
        out[metric] = Measured(n, value, error, value, math.hypot(small, error))
    return out


def measure(
    point: Point, *, n: int = N, seed: int = 0, models: str | Path | None = None, device: str = "cpu"
) -> dict[str, Measured]:
    """Return every metric of `n` images at a point."""
    generator = torch.Generator().manual_seed(point.seed + seed)
    return evaluate(draw(point, n, generator, models=models, device=device), point.images, generator)


def quick(point: Point, *, seed: int, models: str | Path | None = None) -> dict[str, float]:
    """Return every metric of `SMALL` new images at a point."""
    sample = draw(point, SMALL, torch.Generator().manual_seed(point.seed + seed), models=models)
    pixels = {name: float(means.mean()) for name, means in sample.pixels.items()}
    return compare(sample.features, point.images) | pixels


def _networks(points: Iterable[Point]) -> set[str]:
    return {name for point in points for name in (point.model, f"features-{_KIND[point.images]}")}


def hashes(points: Iterable[Point] | None = None, models: str | Path | None = None) -> dict[str, str]:
    """Return the SHA-256 (12 digits) of every network that points need, as their manifests say it."""
    names = _networks(grid() if points is None else points)
    features = {f"features-{kind}": kind for kind in _KIND.values()}

    def manifest(name: str) -> dict[str, Any]:
        return quality.load(features[name]).manifest if name in features else zoo.manifest(name, models)

    return {name: manifest(name)["sha256"][:12] for name in names}


def load(path: str | Path) -> Table:
    """Read a recorded table; a ValueError names the command if it is incomplete or networks have changed since."""
    table, remake = read(path), f"measure again with: hollow measure --out {path}"
    if stale := table.stale(hashes()):
        raise ValueError(f"{path} was measured on other weights of {', '.join(stale)}; {remake}")
    if missing := [point for point in grid() if point not in table.points]:
        raise ValueError(f"{path} lacks {len(missing)} points, {missing[0]} among them; {remake}")
    return table


def record(
    path: str | Path,
    *,
    n: int = N,
    jobs: int | None = None,
    command: str = "",
    points: Sequence[Point] | None = None,
    models: str | Path | None = None,
    device: str = "cpu",
) -> Table:
    """Measure every point that `path` does not hold yet, with the weights of today, and write it after each.

    Whatever stops it, what has been measured is kept, and the next call goes on.
    """
    wanted = grid() if points is None else points
    old = read(path) if Path(path).exists() else Table()
    current = hashes({*wanted, *(point for point in old.points if point in set(grid()))}, models)
    stale = set(old.stale(current))
    kept = {point: metrics for point, metrics in old.points.items() if not _networks([point]) & stale}
    done = {point for point, metrics in kept.items() if all(m.n == n for m in metrics.values())}
    table = Table(kept, current, command, str(commit(SOURCE / "src")))
    todo = [point for point in wanted if point not in done]
    with tqdm(total=len(wanted), initial=len(wanted) - len(todo), desc="measure", unit="point") as bar:
        work = partial(measure, n=n, models=models, device=device)
        for point, metrics in _measured(todo, work, jobs or (cores() if device == "cpu" else 1)):
            table.points[point] = metrics
            write(table, path)
            bar.update()
    order = {point: i for i, point in enumerate(dict.fromkeys((*grid(), *wanted)))}
    table.points = dict(sorted(table.points.items(), key=lambda item: order.get(item[0], len(order))))
    write(table, path)
    return table


def _measured(
    points: Sequence[Point], work: Callable[[Point], dict[str, Measured]], jobs: int
) -> Iterator[tuple[Point, dict[str, Measured]]]:
    if jobs == 1:
        yield from ((point, work(point)) for point in points)
        return
    context = torch.multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_worker) as pool:
        futures = {pool.submit(work, point): point for point in points}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the parent's to answer
    torch.set_num_threads(1)


def note(table: Table, models: str | Path | None = None) -> None:
    """Add each model's own quality, at its prior, to its manifest."""
    for point, metrics in table.points.items():
        if point == Point(point.model):
            manifest = zoo.folder(models) / f"{point.model}.json"
            values = {metric: float(f"{measured.value:.5g}") for metric, measured in metrics.items()}
            whole = zoo.manifest(point.model, models) | {"quality": {"n": next(iter(metrics.values())).n, **values}}
            with atomic(manifest) as part:
                write_record(part, whole)
