"""Real images: what is read, how it is cropped, what is skipped, and a cache that is right or rebuilt."""

import io
import json
import os
import random
import resource
import shutil
import signal
import struct
import threading
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from hollow import images

CELEBA20K = Path(__file__).parents[2] / "shared" / "data" / "celeba64_train20k.zip"
pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
N = 70  # a few more than the fewest that are accepted


def picture(seed: int, width: int = 64, height: int = 64) -> Image.Image:
    """A smooth random picture, so that JPEG and resizing change it little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def encode(image: Image.Image, format: str = "JPEG", **options) -> bytes:
    blob = io.BytesIO()
    image.save(blob, format, **options)
    return blob.getvalue()


def files(n: int = N, width: int = 64, height: int = 64) -> dict[str, bytes]:
    return {f"{i:06d}.jpg": encode(picture(i, width, height), quality=95) for i in range(n)}


def as_folder(path: Path, members: dict[str, bytes]) -> Path:
    for name, blob in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(blob)
    return path


def as_zip(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, blob in members.items():
            archive.writestr(name, blob)
    return path


def newer(path: Path) -> Path:
    """Make a zip say that it takes a later version of the format to read it."""
    blob = bytearray(path.read_bytes())
    at = blob.index(b"PK\x01\x02") + 6
    blob[at : at + 2] = b"\xff\xff"
    path.write_bytes(blob)
    return path


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG by hand, for what Pillow does not write."""

    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def one(path: Path, name: str, blob: bytes, **options) -> np.ndarray:
    """The pixels of a single file, read from a folder of its own."""
    (path / "one").mkdir()
    (path / "one" / name).write_bytes(blob)
    return images.load(path / "one", cache=path / "one-cache", limit=1, **options).pixels[0]


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


# ------------------------------------------------------------------------------------------ what is read


def test_a_folder_and_a_zip_of_the_same_files_give_the_same_images_in_order_of_name(tmp_path, cache):
    members = {f"b/{name}" if i % 2 else name: blob for i, (name, blob) in enumerate(files().items())}
    shuffled = dict(random.Random(0).sample(list(members.items()), N))
    folder = images.load(as_folder(tmp_path / "folder", shuffled), cache=cache)
    archive = images.load(as_zip(tmp_path / "some.zip", shuffled), cache=cache)
    assert folder.pixels.shape == (N, 3, 64, 64)
    assert folder.pixels.dtype == np.uint8
    assert (folder.skipped, archive.skipped) == (0, 0)
    assert folder.key != archive.key
    np.testing.assert_array_equal(folder.pixels, archive.pixels)
    in_order = [np.asarray(Image.open(io.BytesIO(members[name]))).transpose(2, 0, 1) for name in sorted(members)]
    np.testing.assert_array_equal(folder.pixels, in_order)


@pytest.mark.parametrize(
    ("layout", "root"),
    [
        ("celeba/img_align_celeba/", ""),
        ("celeba/img_align_celeba/", "celeba"),
        ("img_align_celeba/img_align_celeba/", ""),
        ("celeba/img_align_celeba.zip", ""),
        ("celeba/img_align_celeba.zip", "celeba"),
        ("celeba/img_align_celeba.zip", "celeba/img_align_celeba.zip"),
    ],
)
def test_celeba_is_found_where_torchvision_and_its_authors_put_it(tmp_path, cache, layout, root):
    home = as_folder(tmp_path / "data", {"decoy.jpg": encode(picture(1000)), "celeba/list_attr_celeba.txt": b"1"})
    members = files(width=178, height=218)
    if layout.endswith(".zip"):
        as_zip(home / layout, {f"img_align_celeba/{name}": blob for name, blob in members.items()})
    else:
        as_folder(home / layout, members)
    loaded = images.load(home / root, cache=cache)
    assert loaded.pixels.shape == (N, 3, 64, 64)
    assert "img_align_celeba" in loaded.source


ZIPS = ["generated", *(["celeba"] if CELEBA20K.exists() else [])]


@pytest.mark.parametrize("which", ZIPS)
def test_64_pixel_images_are_stored_as_they_are(tmp_path, cache, which):
    path = CELEBA20K if which == "celeba" else as_zip(tmp_path / "generated.zip", files())
    loaded = images.load(path, cache=cache, limit=N)
    with zipfile.ZipFile(path) as archive:
        for name, pixels in zip(sorted(archive.namelist())[:N], loaded.pixels, strict=True):
            plain = np.asarray(Image.open(archive.open(name)).convert("RGB"))
            np.testing.assert_array_equal(pixels, plain.transpose(2, 0, 1))


def test_limit_takes_the_first_usable_images(tmp_path, cache):
    members = files()
    everything = images.load(as_zip(tmp_path / "whole.zip", members), cache=cache)
    members |= {"000000.jpg": b"not an image", "000002.jpg": encode(picture(2, 20, 20))}
    some = images.load(as_zip(tmp_path / "damaged.zip", members), cache=cache, limit=5)
    assert some.skipped == 2
    np.testing.assert_array_equal(some.pixels, everything.pixels[[1, 3, 4, 5, 6]])


def test_files_that_are_no_images_and_hidden_ones_are_ignored(tmp_path, cache):
    extra = {name: b"x" for name in ("list.txt", ".hidden.jpg", "._0.jpg", "__MACOSX/a.jpg", ".trash/a.jpg")}
    folder = as_folder(tmp_path / "folder", files() | extra | {"UPPER.JPEG": encode(picture(0))})
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    loaded = images.load(folder, cache=cache)
    assert (len(loaded.pixels), loaded.skipped) == (N + 1, 0)


# ------------------------------------------------------------------------------------------ crop and resize


def test_the_crop_is_the_centred_square(tmp_path):
    inside = Image.new("RGB", (178, 218), "red")
    inside.paste((0, 0, 255), (0, 20, 178, 198))
    pixels = one(tmp_path, "a.png", encode(inside, "PNG"))
    assert (pixels[:, 1:-1] == np.array([0, 0, 255])[:, None, None]).all()  # the filter reaches over the edge
    assert (pixels[2, [0, -1]] > 200).all()


@pytest.mark.parametrize(("width", "height"), [(178, 218), (218, 178), (100, 64), (40, 50)])
def test_resizing_is_that_of_torchvision(tmp_path, width, height):
    image = picture(3, width, height)
    pixels = one(tmp_path, "a.png", encode(image, "PNG"))
    theirs = functional.center_crop(functional.resize(image, 64), [64, 64])
    difference = pixels.astype(float) - np.asarray(theirs).transpose(2, 0, 1)
    assert np.abs(difference).mean() < 2.5  # torchvision crops after rounding to whole small pixels


def test_resizing_is_antialiased(tmp_path):
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels = one(tmp_path, "a.png", encode(Image.fromarray(stripes), "PNG"))
    assert np.abs(pixels.astype(int) - 127).max() <= 3
    nearest = np.asarray(Image.fromarray(stripes).resize((64, 64), Image.Resampling.NEAREST))
    assert np.abs(nearest.astype(int) - 127).max() > 100  # the control: without a filter the stripes alias


def test_large_jpegs_decoded_at_a_fraction_look_the_same(tmp_path):
    image = picture(4, 1200, 900)
    pixels = one(tmp_path, "a.jpg", encode(image, quality=95))
    plain = image.resize((64, 64), Image.Resampling.BILINEAR, (150, 0, 1050, 900))
    assert np.abs(pixels.astype(int) - np.asarray(plain).transpose(2, 0, 1)).max() <= 8


def test_another_size(tmp_path):
    assert one(tmp_path, "a.png", encode(picture(5, 50, 60), "PNG"), size=32).shape == (3, 32, 32)


# ------------------------------------------------------------------------------------------ modes

GREY16 = np.full((64, 64), 128 * 257, np.uint16)
BIG_ENDIAN = encode(Image.frombytes("I;16B", (64, 64), GREY16.astype(">u2").tobytes()), "TIFF")
PALETTE = Image.new("RGB", (64, 64), (200, 40, 90)).quantize(4)


@pytest.mark.parametrize(
    ("name", "blob", "colour"),
    [
        ("cmyk.jpg", encode(Image.new("CMYK", (64, 64), (0, 255, 255, 0)), quality=95), (255, 0, 0)),
        ("grey.jpg", encode(Image.new("L", (64, 64), 77)), (77, 77, 77)),
        ("one-bit.png", encode(Image.new("1", (64, 64), 1), "PNG"), (255, 255, 255)),
        ("palette.png", encode(PALETTE, "PNG"), (200, 40, 90)),
        ("palette.gif", encode(PALETTE, "GIF"), (200, 40, 90)),
        ("see-through-palette.png", encode(PALETTE, "PNG", transparency=0), (255, 255, 255)),
        ("see-through.png", encode(Image.new("RGBA", (64, 64), (9, 9, 9, 0)), "PNG"), (255, 255, 255)),
        ("half.png", encode(Image.new("RGBA", (64, 64), (0, 0, 0, 128)), "PNG"), (127, 127, 127)),
        ("grey-alpha.png", encode(Image.new("LA", (64, 64), (50, 255)), "PNG"), (50, 50, 50)),
        ("lossless.webp", encode(Image.new("RGB", (64, 64), (1, 2, 3)), "WEBP", lossless=True), (1, 2, 3)),
        ("grey16.png", encode(Image.fromarray(GREY16), "PNG"), (128, 128, 128)),
        ("grey16.tif", encode(Image.fromarray(GREY16), "TIFF"), (128, 128, 128)),
        ("grey16-big-endian.tif", BIG_ENDIAN, (128, 128, 128)),
        ("rgb16.png", png(64, 64, 16, 2, (b"\0" + b"\xc8\0\x28\0\x5a\0" * 64) * 64), (200, 40, 90)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_mode_becomes_the_right_rgb(tmp_path, name, blob, colour):
    pixels = one(tmp_path, name, blob)
    assert np.abs(pixels.astype(int) - np.array(colour)[:, None, None]).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path, orientation):
    upright = picture(6, 120, 80)
    turns = {
        2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE",
        6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270",
    }  # fmt: skip
    stored = upright.transpose(Image.Transpose[turns[orientation]]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = one(tmp_path, "a.jpg", encode(stored, exif=exif, quality=98)).astype(int)
    plain = upright.resize((64, 64), Image.Resampling.BILINEAR, (20, 0, 100, 80))
    assert np.abs(pixels - np.asarray(plain).transpose(2, 0, 1)).max() <= 8


# ------------------------------------------------------------------------------------------ bad files

WHOLE = encode(picture(7, 200, 200), quality=95)
BROKEN = {
    "empty.jpg": b"",
    "page.jpg": b"<html>Quota exceeded</html>",
    "truncated.jpg": WHOLE[: len(WHOLE) // 2],
    "truncated.png": encode(picture(7), "PNG")[:-200],
    "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\nshowpage\n",
    "other-format.jpg": encode(picture(0), "PCX"),
    "grey32.tif": encode(Image.new("I", (64, 64), 10**6), "TIFF"),
    "float.tif": encode(Image.fromarray(np.ones((64, 64), np.float32)), "TIFF"),
}
HUGE = {f"{side}.png": png(side, side, 1, 0, b"") for side in (9_000, 11_000, 30_000)}  # Pillow: fine, warning, error
TINY = {"tiny.jpg": encode(picture(8, 200, 31)), "dot.gif": encode(picture(8, 1, 1), "GIF")}
BAD = BROKEN | HUGE | TINY


@pytest.mark.parametrize("kind", [as_folder, as_zip])
def test_bad_files_are_skipped_and_counted(tmp_path, cache, kind):
    loaded = images.load(kind(tmp_path / "source", files() | BAD), cache=cache)
    assert (len(loaded.pixels), loaded.skipped) == (N, len(BAD))
    facts = json.loads((cache / f"{loaded.key}.json").read_text())
    assert facts["skipped"] == {"broken": len(BROKEN), "huge": len(HUGE), "tiny": len(TINY)}
    assert images.load(tmp_path / "source", cache=cache).skipped == len(BAD)


def test_damaged_and_huge_members_of_a_zip_are_skipped_and_none_is_unpacked(tmp_path, cache, monkeypatch):
    path = as_zip(tmp_path / "inner" / "odd.zip", files() | {"../../escaped.jpg": encode(picture(0))})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.jpg", bytes(2**20))
    monkeypatch.setattr(images, "HUGE", 2**19)
    raw = bytearray(path.read_bytes())
    raw[raw.find(files(1)["000000.jpg"]) + 700] ^= 1  # the checksum no longer holds
    path.write_bytes(raw)
    loaded = images.load(path, cache=cache)
    facts = json.loads((cache / f"{loaded.key}.json").read_text())
    assert (len(loaded.pixels), facts["skipped"]) == (N, {"broken": 1, "huge": 1})
    assert sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.jpg")) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "nothing", "no folder or zip at .*nothing"),
        (lambda path: as_folder(path / "empty", {"a.txt": b""}), r"no images in .*empty.*\.jpg"),
        (lambda path: as_zip(path / "e.zip", {}), "no images in .*e.zip"),
        (lambda path: as_folder(path, {"a.jpg": WHOLE}) / "a.jpg", "neither a folder nor a whole zip"),
        (lambda path: as_folder(path, {"q.zip": b"<html>Quota</html>"}) / "q.zip", "neither a folder nor a whole zip"),
        (lambda path: newer(as_zip(path / "v.zip", {"a.jpg": WHOLE})), "is a damaged zip: zip file version 25.5"),
        (
            lambda path: as_folder(path / "few", files(63) | BAD),
            "has 63 usable images, at least 64 are needed; skipped: 8 broken, 2 tiny, 3 huge",
        ),
    ],
)
def test_unusable_sources_are_one_clear_line_and_leave_no_file(tmp_path, cache, make, message):
    with pytest.raises(ValueError, match=message) as error:
        images.load(make(tmp_path), cache=cache)
    assert "\n" not in str(error.value)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_a_zip_cut_short_is_refused(tmp_path, cache):
    path = as_zip(tmp_path / "whole.zip", files())
    raw = path.read_bytes()
    for length in (100, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:length])
        with pytest.raises(ValueError, match="zip"):
            images.load(path, cache=cache)


@pytest.mark.parametrize("options", [{"size": 0}, {"limit": 0}, {"limit": -3}])
def test_sizes_and_limits_below_one_are_refused(tmp_path, options):
    with pytest.raises(ValueError, match="at least 1"):
        images.load(as_folder(tmp_path / "source", files(1)), **options)


def test_a_disk_that_fails_to_read_is_an_error_and_not_a_skipped_image(tmp_path, cache, monkeypatch):
    def fail(path):
        raise OSError(5, "Input/output error", str(path))

    source = as_folder(tmp_path / "source", files())
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(ValueError, match=r"cannot read '0000\d\d.jpg' in .*Input/output error"):
        images.load(source, cache=cache)
    assert list(cache.iterdir()) == []


# ------------------------------------------------------------------------------------------ the cache


@pytest.fixture
def decodes(monkeypatch):
    """The number of images decoded so far, in a list of one."""
    count, decode = [0], images._decode

    def counted(blob, size):
        count[0] += 1
        return decode(blob, size)

    monkeypatch.setattr(images, "_decode", counted)
    return count


def test_the_cache_is_used_until_the_content_changes(tmp_path, cache, decodes):
    members = files()
    path = as_zip(tmp_path / "a.zip", members)
    first = images.load(path, cache=cache)
    moved = images.load(shutil.copy(path, tmp_path / "b.zip"), cache=cache, limit=10**6)
    assert decodes == [N]
    assert moved.key == first.key
    np.testing.assert_array_equal(moved.pixels, first.pixels)
    changed = bytearray(members["000003.jpg"])
    changed[-30] ^= 64  # as long as before
    other = images.load(as_zip(path, members | {"000003.jpg": bytes(changed)}), cache=cache)
    assert decodes == [2 * N]
    assert other.key != first.key
    assert (other.pixels != first.pixels).any(axis=(1, 2, 3)).tolist() == [i == 3 for i in range(N)]


def test_a_changed_file_in_a_folder_is_seen_even_with_its_old_date(tmp_path, cache, decodes):
    folder = as_folder(tmp_path / "folder", files())
    before = images.load(folder, cache=cache)
    file = folder / "000003.jpg"
    raw, times = bytearray(file.read_bytes()), file.stat()
    raw[-30] ^= 64
    file.write_bytes(raw)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = images.load(folder, cache=cache)
    assert (after.key != before.key, decodes) == (True, [2 * N])
    assert (after.pixels != before.pixels).any()


def test_other_sizes_and_limits_have_caches_of_their_own(tmp_path, cache):
    path = as_zip(tmp_path / "a.zip", files())
    loaded = [images.load(path, cache=cache, **options) for options in ({}, {"size": 32}, {"limit": 65})]
    assert [each.pixels.shape for each in loaded] == [(N, 3, 64, 64), (N, 3, 32, 32), (65, 3, 64, 64)]
    assert len({each.key for each in loaded}) == 3


def test_writing_to_the_pixels_leaves_the_cache_alone(tmp_path, cache, decodes):
    path = as_zip(tmp_path / "a.zip", files())
    images.load(path, cache=cache).pixels[:] = 0
    assert images.load(path, cache=cache).pixels.any()
    assert decodes == [N]


def damage(raw: bytes, dice: random.Random) -> bytes:
    """`raw` with one to three bits flipped, cut short, emptied, or gone."""
    kind = dice.choice(["flip", "flip", "cut", "empty", "gone"])
    if kind == "flip":
        changed = bytearray(raw)
        for position in dice.sample(range(len(raw)), dice.randint(1, 3)):
            changed[position] ^= 1 << dice.randrange(8)
        return bytes(changed)
    return {"cut": raw[: dice.randrange(len(raw))], "empty": b"", "gone": None}[kind]


@pytest.mark.parametrize("suffix", ["u8", "json"])
def test_a_damaged_cache_is_rebuilt_and_never_read(tmp_path, cache, decodes, suffix):
    path = as_zip(tmp_path / "a.zip", files() | BAD)
    good = images.load(path, cache=cache, limit=64)
    pixels, file = np.array(good.pixels), cache / f"{good.key}.{suffix}"
    raw, dice, rebuilt = file.read_bytes(), random.Random(0), 0
    for _ in range(40):
        broken, decodes[0] = damage(raw, dice), 0
        file.unlink()
        if broken is not None:
            file.write_bytes(broken)
        again = images.load(path, cache=cache, limit=64)
        assert again.skipped == good.skipped
        np.testing.assert_array_equal(again.pixels, pixels)
        rebuilt += decodes[0] > 0
        assert file.read_bytes() == raw or decodes == [0]
        file.write_bytes(raw)
    assert rebuilt >= 38  # white space of the sidecar may change without harm
    wrong = np.frombuffer(bytes([raw[0] ^ 1]) + raw[1:], np.uint8)  # the control: what a blind reader would get
    assert suffix == "json" or (wrong != pixels.ravel()).any()


def test_ctrl_c_leaves_nothing_half_written(tmp_path, cache, monkeypatch):
    path = as_zip(tmp_path / "a.zip", files(100) | {f"{i}.jpg": TINY["dot.gif"] for i in range(1900)})
    decode, seen = images._decode, []

    def interrupted(blob, size):
        seen.append(blob)
        if len(seen) == 200:
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01 * (len(seen) > 200))
        return decode(blob, size)

    monkeypatch.setattr(images, "_decode", interrupted)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores the signal
    try:
        with pytest.raises(KeyboardInterrupt):
            images.load(path, cache=cache)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert 200 <= len(seen) < 2000  # it did not decode the rest first
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(images, "_decode", decode)
    assert len(images.load(path, cache=cache, limit=100).pixels) == 100


def test_a_disk_that_fills_up_is_one_clear_line_and_leaves_nothing(tmp_path, cache):
    path = as_zip(tmp_path / "a.zip", files())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as a full disk: a write in the middle fails
    try:
        with pytest.raises(OSError, match=r"cannot write .*space") as error:
            images.load(path, cache=cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(error.value)
    assert list(cache.iterdir()) == []
    assert len(images.load(path, cache=cache).pixels) == N


def test_a_cache_folder_that_cannot_be_is_an_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        images.load(as_zip(tmp_path / "a.zip", files()), cache=tmp_path / "file" / "cache")


def test_two_that_build_at_once_do_not_disturb_each_other(tmp_path, cache, monkeypatch):
    members, decode, barrier = files(300), images._decode, threading.Barrier(2, timeout=300)
    path = as_zip(tmp_path / "a.zip", members)

    def in_step(blob, size):
        if blob in (members["000000.jpg"], members["000299.jpg"]):
            barrier.wait()  # until the other has come this far too
        return decode(blob, size)

    monkeypatch.setattr(images, "_decode", in_step)
    with ThreadPoolExecutor(2) as pool:
        both = [each.result() for each in [pool.submit(images.load, path, cache=cache) for _ in range(2)]]
    np.testing.assert_array_equal(both[0].pixels, both[1].pixels)
    assert sorted(file.name for file in cache.iterdir()) == [f"{both[0].key}.json", f"{both[0].key}.u8"]


def test_the_cache_folder_comes_from_the_environment(tmp_path, monkeypatch, capfd):
    path = as_zip(tmp_path / "a.zip", files())
    monkeypatch.setenv("HOLLOW_CACHE", str(tmp_path / "mine"))
    first = images.load(path)
    assert (tmp_path / "mine" / f"{first.key}.u8").exists()
    monkeypatch.delenv("HOLLOW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert (tmp_path / "xdg" / "hollow" / f"{images.load(path).key}.u8").exists()
    assert capfd.readouterr() == ("", "")  # no bar where there is no terminal


# ------------------------------------------------------------------------------------------ data sets by name


def test_a_path_names_a_data_set(tmp_path, cache):
    path = as_zip(tmp_path / "a.zip", files())
    loaded = images.dataset(str(path), 66, cache=cache, progress=False)
    assert (loaded.dtype, loaded.shape) == (torch.uint8, (66, 3, 64, 64))
    np.testing.assert_array_equal(loaded, images.load(path, cache=cache).pixels[:66])


def test_procedural_names_the_portraits():
    loaded = images.dataset("procedural", 8, seed=3)
    assert (loaded.dtype, loaded.shape) == (torch.uint8, (8, 3, 64, 64))
    assert torch.equal(loaded, images.dataset("procedural", 8, seed=3))
    assert not torch.equal(loaded, images.dataset("procedural", 8, seed=4))
