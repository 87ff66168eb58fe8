"""Real images: a folder, a zip or torchvision's CelebA layout, cached once as a uint8 memory map.

Nothing is downloaded and nothing is unpacked to disk; ``data/README.md`` says how to bring CelebA.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
import threading
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm import tqdm

from hollow.files import atomic
from hollow.machine import cores

VERSION = 1  # part of the key: raise it when the same file would give other pixels
FEWEST = 64  # one batch
HUGE = 2**26  # bytes of a file or pixels of an image beyond which it is not decoded
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # never EPS, which would start Ghostscript
CELEBA = ("celeba/img_align_celeba", "img_align_celeba", "celeba/img_align_celeba.zip", "img_align_celeba.zip")
CHUNK = 64  # images per task of the thread pool

PathLike = str | os.PathLike[str]
Entry = tuple[str, int, int, int]  # name, bytes, and two numbers that change with the content
Pixels = Generator[bytes | str, None, None]  # the pixels of each image, or one word on why it is skipped


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one source, cropped and resized.

    Attributes
    ----------
    pixels : numpy.memmap
        uint8, shape (n, 3, size, size), RGB; writing to it never changes the cache.
    skipped : int
        Files left out: broken, shorter than ``size / 2`` on their short side, or huge.
    key : str
        Hash of the source's content, the size and the limit; it names the files of the cache.
    source : str
        The folder or zip that was read.
    """

    pixels: np.memmap
    skipped: int
    key: str
    source: str


def dataset(
    images: PathLike, n: int = 20_000, seed: int = 0, *, cache: PathLike | None = None, progress: bool = True
) -> torch.Tensor:
    """Return training images (n, 3, 64, 64) in uint8: ``"procedural"`` portraits, or those of a path.

    Parameters
    ----------
    images
        ``"procedural"``, or a folder or zip for `load` (which also says what `cache` and `progress` do).
    n
        Number of images; of a path, the first `n` by name, or all where it holds fewer.
    seed
        Seed of the portraits; a path has no use for it.

    Raises
    ------
    ValueError, OSError
        As `load` does.
    """
    if images == "procedural":
        from hollow.faces import portraits  # only here, so that real images need none of it

        return portraits(n, seed, progress=progress)[0]
    return torch.from_numpy(load(images, cache=cache, limit=n, progress=progress).pixels)


def load(
    source: PathLike, *, cache: PathLike | None = None, size: int = 64, limit: int | None = None, progress: bool = True
) -> Images:
    """Return the images of a folder or zip as centre crops of ``size x size``, cached after the first call.

    The largest centred square (178 x 178 of CelebA's 178 x 218) is resized with an antialiased bilinear filter,
    like torchvision's ``Resize(size)`` and ``CenterCrop(size)``. EXIF rotation is applied, transparency is laid
    on white, 16-bit grey is scaled to 8 bits. A damaged cache is built again.

    Parameters
    ----------
    source
        A folder (read recursively), a zip (such as ``img_align_celeba.zip``), or a folder that contains
        ``img_align_celeba`` or ``celeba/img_align_celeba``, with or without ``.zip``. Images are sorted by name.
    cache
        Folder of the cache; by default that of the variable ``HOLLOW_CACHE``, else ``~/.cache/hollow``. The key
        covers names, sizes and checksums of a zip's members; names, sizes and change times of a folder's files.
    size
        Side in pixels.
    limit
        Return the first `limit` usable images only.
    progress
        Show a progress bar where standard error is a terminal.

    Raises
    ------
    ValueError
        If the source is missing, neither folder nor zip, unreadable, or has under ``min(64, limit)`` usable images.
    OSError
        If the cache cannot be written, as on a full disk; nothing half-written is left.
    """
    if size < 1 or (limit is not None and limit < 1):
        raise ValueError(f"size and limit must be at least 1, got size={size}, limit={limit}")
    if "://" in str(source):
        raise ValueError(f"{str(source)!r} is an address; download it, then give the folder or zip on this machine")
    path = _locate(Path(source).expanduser())
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "hollow"
    folder = Path(cache or os.environ.get("HOLLOW_CACHE") or default).expanduser()
    with _contents(path) as (entries, read):
        if not entries:
            raise ValueError(f"no images in {str(path)!r}; expected names that end in {' '.join(SUFFIXES)}")
        limit = min(limit or len(entries), len(entries))
        key = hashlib.sha256(repr((VERSION, size, limit, entries)).encode()).hexdigest()[:32]
        images = _cached(folder, key, size, path)
        if images is None:
            _build(folder / key, path, _decoded(path, entries, read, size), size, limit, progress)
            images = _cached(folder, key, size, path)
    if images is None:
        raise OSError(f"cannot read back the image cache written to {folder}; choose another with HOLLOW_CACHE")
    return images


def _locate(path: Path) -> Path:
    """Return the folder or zip that holds the images: CelebA's inside `path` where there is one, else `path`."""
    if not path.exists():
        raise ValueError(f"no folder or zip at {str(path)!r}; data/README.md says how to bring images")
    path = next((path / name for name in CELEBA if (path / name).exists()), path)
    if not path.is_dir() and not zipfile.is_zipfile(path):
        raise ValueError(f"{str(path)!r} is neither a folder nor a whole zip; was its download cut short or refused?")
    return path


@contextmanager
def _contents(path: Path) -> Iterator[tuple[list[Entry], Callable[[int], bytes]]]:
    """Yield the image files of a folder or zip, sorted by name, and a function that reads the i-th."""
    if path.is_dir():
        entries = sorted(_walk(path))
        yield entries, lambda i: (path / entries[i][0]).read_bytes()
        return
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise ValueError(f"{str(path)!r} is a damaged zip: {error}") from error
    lock = threading.Lock()  # ZipFile counts its open members without one
    with archive:
        members = [member for member in archive.infolist() if _is_image(member.filename) and not member.is_dir()]
        members.sort(key=lambda member: (member.filename, member.file_size, member.CRC))

        def read(i: int) -> bytes:
            with lock, archive.open(members[i]) as file:
                return file.read(members[i].file_size)  # without it, a member that is longer than it says is unpacked

        yield [(member.filename, member.file_size, member.CRC, 0) for member in members], read


def _walk(path: Path) -> Iterator[Entry]:
    def fail(error: OSError) -> None:
        raise ValueError(f"cannot read {error.filename!r}: {error.strerror}") from error

    for root, _, names in os.walk(path, onerror=fail):
        for file in (Path(root, name) for name in names):
            name = file.relative_to(path).as_posix()
            try:
                if _is_image(name) and stat.S_ISREG((info := file.stat()).st_mode):
                    yield name, info.st_size, info.st_mtime_ns, info.st_ctime_ns
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.ELOOP):  # a link that leads nowhere, or to itself
                    fail(error)


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _decode(blob: bytes, size: int) -> bytes | str:
    """Return the pixels of one image, (3, size, size) in C order, or why it is left out."""
    image: Image.Image = Image.open(io.BytesIO(blob), formats=FORMATS)
    if min(image.size) < size / 2:
        return "tiny"
    if image.width * image.height > HUGE:
        return "huge"
    image.draft(None, (2 * size, 2 * size))  # large JPEGs are decoded at 1/2, 1/4 or 1/8
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # convert() would clip at 255
        image = Image.fromarray(np.rint(np.asarray(image) / 257).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode} does not tell which value is white")
    elif image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side)
    image = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR, box, reducing_gap=2.0)
    return np.asarray(image).transpose(2, 0, 1).tobytes()


def _decoded(path: Path, entries: list[Entry], read: Callable[[int], bytes], size: int) -> Pixels:
    """Decode all entries in order."""

    def decode(i: int) -> bytes | str:
        name, length, *_ = entries[i]
        try:
            return _decode(read(i), size) if length <= HUGE else "huge"
        except Image.DecompressionBombError:
            return "huge"
        except MemoryError:
            raise
        except Exception as error:  # Pillow and zipfile raise nearly anything on damaged content
            if isinstance(error, OSError) and error.errno:  # the disk fails, not the file: never cache that
                raise ValueError(f"cannot read {name!r} in {str(path)!r}: {error.strerror}") from error
            return "broken"

    def task(start: int) -> list[bytes | str]:
        return [decode(i) for i in range(start, min(start + CHUNK, len(entries)))]

    # Threads, since Pillow decodes without the GIL; a few chunks ahead of the writer, so that memory stays flat.
    workers = min(8, cores())
    pool = ThreadPoolExecutor(workers)
    pending: deque[Future[list[bytes | str]]] = deque()
    try:
        for start in range(0, len(entries), CHUNK):
            pending.append(pool.submit(task, start))
            if len(pending) > 2 * workers:
                yield from pending.popleft().result()
        for future in pending:
            yield from future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _build(stem: Path, path: Path, items: Pixels, size: int, limit: int, progress: bool) -> None:
    """Write the first `limit` pixel items to ``stem.u8`` and what is known of them to ``stem.json``."""
    count, crc, skipped = 0, 0, Counter[str]()
    bar = tqdm(total=limit, desc="caching images", unit=" images", disable=None if progress else True)
    with atomic(f"{stem}.u8") as data, open(data, "wb") as file, bar, closing(items):
        for item in items:
            if isinstance(item, str):
                skipped[item] += 1
                continue
            file.write(item)
            crc = zlib.crc32(item, crc)
            count += 1
            bar.update()
            if count == limit:
                break
        if count < (fewest := min(FEWEST, limit)):
            counts = ", ".join(f"{skipped[reason]} {reason}" for reason in ("broken", "tiny", "huge"))
            raise ValueError(
                f"{str(path)!r} has {count} usable images, at least {fewest} are needed; skipped: {counts} "
                f"(tiny: under {size / 2:g} pixels)"
            )
    facts = {"version": VERSION, "source": path.name, "count": count, "skipped": dict(skipped)}
    with atomic(f"{stem}.json") as note:
        note.write_text(json.dumps(facts | {"crc32": _seal(facts, crc)}, indent=1))


def _seal(facts: dict[str, object], crc: int) -> int:
    """Return the checksum of the pixels, whose own is `crc`, together with what is said of them."""
    return zlib.crc32(json.dumps(facts, sort_keys=True).encode(), crc)


def _cached(folder: Path, key: str, size: int, path: Path) -> Images | None:
    """Return the cached images, or None where they are missing or damaged."""
    try:
        facts = json.loads((folder / f"{key}.json").read_bytes())
        seal = facts.pop("crc32")
        data = folder / f"{key}.u8"
        shape = (data.stat().st_size // (3 * size * size), 3, size, size)
        pixels = np.memmap(data, np.uint8, "c", shape=shape)  # copy on write: torch wants writable arrays
        if _seal(facts, zlib.crc32(pixels.data)) != seal:
            return None
        return Images(pixels, sum(facts["skipped"].values()), key, str(path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
