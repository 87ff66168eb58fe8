"""Pictures of unusual kinds have the right colours; broken and hostile ones are skipped, counted, and cost nothing."""

import io
import os
import resource
import struct
import sys
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from faults import record, running
from hollow import images
from test_images import as_folder, as_zip, encode, files, one, picture, png

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
N = 64  # whole pictures beside the odd ones
RAMP = np.tile(np.linspace(0, 65535, 64).round().astype(np.uint16), (64, 1))  # from black to white in 16 bits


def flat(mode: str, colour, **options):
    """Return a picture of one colour, for `encode`."""
    return Image.new(mode, (64, 64), colour, **options)


INKS = {"cyan": (255, 0, 0, 0), "magenta": (0, 255, 0, 0), "yellow": (0, 0, 255, 0), "black": (0, 0, 0, 255)}
LIGHT = {"cyan": (0, 255, 255), "magenta": (255, 0, 255), "yellow": (255, 255, 0), "black": (0, 0, 0)}
CYCLE = flat("P", 1)
CYCLE.putpalette([0, 0, 0, 10, 200, 90])
SIXTEEN = {
    "grey.png": encode(Image.fromarray(RAMP), "PNG"),
    "grey.tif": encode(Image.fromarray(RAMP), "TIFF"),
    "big-endian grey.tif": encode(Image.frombytes("I;16B", (64, 64), RAMP.astype(">u2").tobytes()), "TIFF"),
    "rgb.png": png(64, 64, 16, 2, b"".join(b"\0" + row.astype(">u2").repeat(3).tobytes() for row in RAMP)),
    "rgba.png": png(64, 64, 16, 6, b"".join(
        b"\0" + np.stack([row, row, row, np.full(64, 65535)], 1).astype(">u2").tobytes() for row in RAMP)),
    "rgb.ppm": b"P6 64 64 65535\n" + RAMP.astype(">u2").repeat(3).tobytes(),
}  # fmt: skip
COLOURS = {
    **{f"cmyk, {ink}.{end}": (encode(flat("CMYK", INKS[ink]), kind, **more), LIGHT[ink])
       for ink in INKS for end, kind, more in (("jpg", "JPEG", {"quality": 95}), ("tif", "TIFF", {}))},
    "palette.png": (encode(CYCLE, "PNG"), (10, 200, 90)),
    "palette.gif": (encode(CYCLE, "GIF"), (10, 200, 90)),
    "palette.bmp": (encode(CYCLE, "BMP"), (10, 200, 90)),
    "palette.tif": (encode(CYCLE, "TIFF"), (10, 200, 90)),
    "palette, see-through.png": (encode(CYCLE, "PNG", transparency=1), (255, 255, 255)),
    "colour key.png": (encode(flat("RGB", (9, 8, 7)), "PNG", transparency=(9, 8, 7)), (255, 255, 255)),
    "one bit.tif": (encode(flat("1", 1), "TIFF"), (255, 255, 255)),
    "grey and alpha.png": (encode(flat("LA", (0, 128)), "PNG"), (127, 127, 127)),
    "ycbcr.tif": (encode(flat("RGB", (200, 40, 90)).convert("YCbCr"), "TIFF"), (200, 40, 90)),
    "grey.pgm": (b"P5 64 64 255\n" + bytes([77]) * 4096, (77, 77, 77)),
}  # fmt: skip


@pytest.mark.parametrize("name", COLOURS)
def test_the_colours_are_right(tmp_path, name, tally):
    blob, colour = COLOURS[name]
    pixels = one(tmp_path, name, blob)
    assert np.abs(pixels.astype(int) - np.array(colour)[:, None, None]).max() <= 3
    tally[record.PICTURES][f"read rightly: {name.split(',')[0].split('.')[0].split()[0]}"] += 1


@pytest.mark.parametrize("name", SIXTEEN)
def test_sixteen_bits_are_neither_black_nor_clipped(tmp_path, name, tally):
    pixels = one(tmp_path, name, SIXTEEN[name])
    assert np.abs(pixels[:, 32].astype(int) - np.linspace(0, 255, 64).round()).max() <= 1
    tally[record.PICTURES]["read rightly: 16 bit"] += 1


UPRIGHT = picture(6, 64, 64)
TURNS = {
    1: None, 2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90",
    7: "TRANSVERSE", 8: "ROTATE_270",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", TURNS)
def test_pictures_are_turned_upright_once(tmp_path, kind, turn, tally):
    stored = UPRIGHT.transpose(Image.Transpose[TURNS[turn]]) if TURNS[turn] else UPRIGHT
    exif = Image.Exif()
    exif[0x0112] = turn
    options = {"JPEG": {"quality": 98}, "WEBP": {"lossless": True}}.get(kind, {})
    pixels = one(tmp_path, f"a.{kind.lower()}", encode(stored, kind, exif=exif, **options)).astype(int)
    wanted = np.asarray(UPRIGHT).transpose(2, 0, 1)
    assert np.abs(pixels - wanted).max() <= 8
    if turn > 1:  # the control: as it is stored, it would not pass
        assert np.abs(np.asarray(stored).transpose(2, 0, 1).astype(int) - wanted).max() > 30
    tally[record.PICTURES]["read rightly: turned by EXIF"] += 1


# ---- what is skipped


def swapped(exif: bytes) -> bytes:
    """Return a whole JPEG whose EXIF is not EXIF."""
    return encode(picture(1), exif=b"Exif\0\0" + exif)


def told(blob: bytes, name: str, size: int) -> bytes:
    """Return a zip with a member of zeros that says to be shorter than it is."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, blob)
    raw = bytearray(file.getvalue())
    local, central = raw.index(b"PK\3\4"), raw.index(b"PK\1\2")
    raw[local + 22 : local + 26] = raw[central + 24 : central + 28] = struct.pack("<I", size)
    return bytes(raw)


def text_bomb() -> bytes:
    """Return a PNG with a compressed comment of 100 MB."""
    info = PngImagePlugin.PngInfo()
    info.add(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(10**8), 9))
    return encode(picture(2), "PNG", pnginfo=info)


WHOLE = encode(picture(7, 200, 200), quality=95)
CUTS = {f"cut {i}.jpg": WHOLE[: len(WHOLE) * i // 10] for i in range(10)}
CUTS |= {f"cut {i}.png": encode(picture(7), "PNG")[: 40 + 300 * i] for i in range(8)}
NOT_PICTURES = {
    "page.png": b"<html>Quota exceeded</html>",
    "script.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n",
    "vector.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "program.gif": b"\x7fELF" + bytes(100),
    "archive.webp": told(b"x", "a.jpg", 1),
    "noise.bmp": np.random.default_rng(0).bytes(5000),
    "unknown white.tif": encode(flat("I", 10**6), "TIFF"),
}
BOMBS = {
    "millions of pixels.png": png(60_000, 60_000, 1, 0, zlib.compress(bytes(10**6))),
    "long.png": png(1_000_000, 70, 8, 2, b""),
    "negative.bmp": b"BM" + struct.pack("<IIIIiiHH6I", 54, 0, 54, 40, 2**31 - 1, -(2**31), 1, 24, *[0] * 6),
}


@pytest.mark.parametrize("kind", [as_folder, as_zip])
@pytest.mark.parametrize(("what", "bad"), [("cut short", CUTS), ("no pictures", NOT_PICTURES), ("too large", BOMBS)])
def test_what_cannot_be_used_is_skipped_and_counted(tmp_path, kind, what, bad, tally):
    loaded = images.load(kind(tmp_path / "source", files(N) | bad), cache=tmp_path / "cache")
    assert (len(loaded.pixels), loaded.skipped) == (N, len(bad))
    tally[record.PICTURES][f"skipped and counted: {what}"] += len(bad)


@pytest.mark.parametrize("exif", [b"", b"junk", b"II*\0" + b"\xff" * 40, bytes(2000)], ids=repr)
def test_a_picture_with_spoilt_exif_is_read_or_counted(tmp_path, exif, tally):
    members = files(N) | {"zz.jpg": swapped(exif)}
    loaded = images.load(as_folder(tmp_path / "source", members), cache=tmp_path / "cache")
    assert len(loaded.pixels) + loaded.skipped == N + 1
    if not loaded.skipped:
        assert np.abs(loaded.pixels[-1].astype(int) - np.asarray(picture(1)).transpose(2, 0, 1)).mean() < 5
    tally[record.PICTURES]["read or skipped: spoilt EXIF"] += 1


# ---- bombs: neither memory nor time

MUCH = 9 * 10**7  # bytes: more than a file may have


def _cost(connection, source, cache, limit):
    """Send how many bytes and seconds it takes to read a source, and what came of it."""
    images.HUGE = limit
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loaded = images.load(source, cache=cache, progress=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    connection.send((1024 * peak, time.perf_counter() - begun, len(loaded.pixels), loaded.skipped))


def cost(source, cache, limit=images.HUGE):
    here, there = running.CONTEXT.Pipe()
    process = running.CONTEXT.Process(target=_cost, args=(there, source, cache, limit))
    process.start()
    there.close()
    found = here.recv()
    assert running.end(process) == 0
    return found


def test_a_zip_bomb_is_skipped_without_memory_or_time(tmp_path, tally):
    path = as_zip(tmp_path / "bomb.zip", files(N))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.jpg", bytes(MUCH))
    assert path.stat().st_size < 10**6
    memory, seconds, whole, skipped = cost(path, tmp_path / "cache")
    assert (whole, skipped) == (N, 1)
    assert memory < MUCH / 2
    blind, *_ = cost(path, tmp_path / "other", limit=10**12)
    assert blind > MUCH  # the control: without the limit it is unpacked
    assert seconds < 30
    tally[record.PICTURES]["skipped and counted: zip bombs"] += 1


def test_a_bomb_that_lies_about_its_size_is_skipped(tmp_path, tally):
    """It is read as far as it says, and then its checksum is wrong."""
    raw = told(bytes(MUCH), "bomb.jpg", 5000)
    memory, _, whole, skipped = cost(_joined(tmp_path, raw), tmp_path / "cache")
    assert (whole, skipped) == (N, 1)
    assert memory < MUCH / 2
    tally[record.PICTURES]["skipped and counted: zip bombs"] += 1


def _joined(folder: Path, raw: bytes) -> Path:
    """Return a zip of the one member of `raw` and, by zipfile's own means, whole pictures after it."""
    path = folder / "joined.zip"
    path.write_bytes(raw)
    with zipfile.ZipFile(path, "a") as archive:
        for name, blob in files(N).items():
            archive.writestr(name, blob)
    return path


def test_a_comment_that_unpacks_to_much_does_not(tmp_path, tally):
    path = as_zip(tmp_path / "text.zip", files(N) | {"zz.png": text_bomb()})
    memory, _, whole, skipped = cost(path, tmp_path / "cache")
    assert whole + skipped == N + 1
    assert memory < MUCH / 2
    tally[record.PICTURES]["read or skipped: comment that unpacks to 100 MB"] += 1


# ---- names that lead elsewhere


@pytest.fixture(scope="module")
def opened():
    """Return the list of files opened or changed while it is not None, with whether for writing."""
    seen: dict[str, list | None] = {"now": None}

    def note(event, arguments):
        if seen["now"] is not None and event in ("open", "os.mkdir", "os.rename", "os.link", "os.symlink"):
            writes = event != "open" or bool((arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            seen["now"].append((str(arguments[0]), writes))

    sys.addaudithook(note)  # for good; it does nothing once the list is gone
    yield seen
    seen["now"] = None


NAMES = (
    "../../escaped.jpg", "/escaped.jpg", "a/../../../escaped.jpg", "..\\..\\escaped.jpg", "C:\\escaped.jpg",
    "\\\\host\\share\\escaped.jpg", "~/escaped.jpg", "secret.jpg\0.png", "con.jpg", "a" * 300 + ".jpg",
)  # fmt: skip


def test_names_and_links_in_a_zip_lead_nowhere(tmp_path, opened, tally):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(encode(picture(99)))
    source, cache = tmp_path / "in" / "odd.zip", tmp_path / "cache"
    links = ["../secret.jpg", str(secret)]
    as_zip(source, files(N) | {name: encode(picture(5)) for name in NAMES})
    with zipfile.ZipFile(source, "a") as archive:
        for number, target in enumerate(links):
            info = zipfile.ZipInfo(f"link{number}.jpg")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
    before = {path for path in tmp_path.rglob("*") if cache not in path.parents}
    opened["now"] = []
    loaded = images.load(source, cache=cache)
    paths, opened["now"] = opened["now"], []
    assert loaded.skipped == len(links)  # a link's content is no picture
    assert len(loaded.pixels) == N + len(NAMES) - 1  # one is hidden: it begins with a dot
    assert [path for path, writes in paths if writes and Path(path).parent != cache and Path(path) != cache] == []
    assert [path for path, _ in paths if "escaped" in path or "secret" in path] == []
    assert {path for path in tmp_path.rglob("*") if cache not in path.parents} - {cache} == before
    secret.read_bytes()  # the control: an opened file is noted
    assert opened["now"][0] == (str(secret), False)
    opened["now"] = None
    tally[record.PICTURES]["kept inside: names in zips"] += len(NAMES)
    tally[record.PICTURES]["skipped and counted: links in zips"] += len(links)


def test_links_in_a_folder_are_files_and_loops_end(tmp_path, tally):
    folder = as_folder(tmp_path / "source", files(N))
    outside = as_folder(tmp_path / "outside", {"a.jpg": WHOLE})
    (folder / "zz.jpg").symlink_to(outside / "a.jpg")  # one's own, as git-annex and others keep large files
    (folder / "loop").symlink_to(folder)
    (folder / "up.jpg").symlink_to(folder)
    (folder / "elsewhere").symlink_to(outside)
    (folder / "nowhere.jpg").symlink_to(folder / "none")
    (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
    loaded = images.load(folder, cache=tmp_path / "cache")
    assert (len(loaded.pixels), loaded.skipped) == (N + 1, 0)
    tally[record.PICTURES]["read rightly or passed over: links in folders"] += 6
