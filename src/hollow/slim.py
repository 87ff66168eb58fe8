"""Rendered pages made light: WebP that loads when it comes near, notebooks without outputs, no idle scripts."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from PIL import Image

LOSSLESS = 100_000  # bytes, up to which a picture is kept exactly
QUALITY = 90  # of those that would take more
# Of MathJax the pages load tex-chtml.js, which fetches fonts and extensions of TeX; the rest is for other pages.
IDLE = (
    "latest.js", "node-main.js", "tex-svg*.js", "mml-*.js", "tex-mml-*.js", "tex-chtml-full*.js", "sre", "adaptors",
    "input/mml*", "input/asciimath*", "output/svg*",
)  # fmt: skip


def slim(html: Path) -> None:
    """Make the pages in the folder `html` light, in place; what they show stays the same."""
    converted = {picture.name: _webp(picture) for picture in sorted((html / "_images").glob("*.png"))}
    for page in html.rglob("*.html"):
        page.write_text(_lazy(page.read_text(encoding="utf-8"), converted), encoding="utf-8")
    for notebook in (html / "_sources").rglob("*.ipynb"):  # what the download button hands out
        _clear(notebook)
    for pattern in IDLE:
        for path in (html / "_static/mathjax").glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (html / "_static").rglob("*.map"):  # for debuggers of the theme
        path.unlink()


def _webp(picture: Path) -> Path:
    """Replace a PNG by a WebP, unless that is larger, and return what is there."""
    target = picture.with_suffix(".webp")
    with Image.open(picture) as image:
        image.save(target, lossless=True, method=4)
        if target.stat().st_size > LOSSLESS:
            image.save(target, quality=QUALITY, method=4)
    small, large = sorted((target, picture), key=lambda path: path.stat().st_size)
    large.unlink()
    return small


def _lazy(page: str, converted: dict[str, Path]) -> str:
    """Return a page that names the new pictures, keeps room for them, and loads all but the first when near."""
    for old, new in converted.items():
        if old in page:
            with Image.open(new) as image:
                room = f'width="{image.width}" height="{image.height}"'
            named = rf'(<img [^>]*src="[^"]*_images/){re.escape(old)}"'
            page = re.sub(named, rf'\g<1>{new.name}" {room}', page)
            page = page.replace(f"_images/{old}", f"_images/{new.name}")
    start = page.find("<img ") + 1  # of the first, which may be in view at once
    return page[:start] + page[start:].replace("<img ", '<img loading="lazy" ')


def _clear(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
