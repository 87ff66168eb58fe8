"""What it costs to read the rendered book: bytes, and the time to the first paint in headless Chromium."""

import functools
import http.server
import statistics
import sys
import threading
from pathlib import Path

from playwright.sync_api import Request, sync_playwright

sys.path.append(str(Path(__file__).parents[1]))
import browser

HTML = Path(__file__).parents[2] / "_build/html"
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def _note(sizes: list[int], request: Request) -> None:
    sizes.append(request.sizes()["responseBodySize"])


def reading(rounds: int = 3) -> dict[str, float]:
    """Open every page of _build/html from localhost with an empty cache."""
    pages = sorted(page for page in HTML.rglob("*.html") if "_static" not in page.parts)
    if not pages:
        raise SystemExit(f"there is no book in {HTML}; render it with: make book")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(HTML)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    weight, paint = {}, {}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser.find(), args=browser.FLAGS)
        for page in pages:
            name = page.relative_to(HTML).as_posix()
            times = []
            for _ in range(rounds):
                context = chromium.new_context()  # an empty cache
                tab, sizes = context.new_page(), []
                done = functools.partial(_note, sizes)
                tab.on("requestfinished", done)
                tab.goto(f"http://127.0.0.1:{server.server_port}/{name}", wait_until="load")
                tab.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
                times.append(tab.evaluate(PAINT))
                context.close()
            weight[name], paint[name] = sum(sizes), statistics.median(times)
        chromium.close()
    server.shutdown()
    whole = sum(file.stat().st_size for file in HTML.rglob("*") if file.is_file())
    return {
        "pages": len(pages),
        "all of the HTML, MB": whole / 1e6,
        "heaviest page with all that it loads, MB": max(weight.values()) / 1e6,
        "its HTML alone at most, MB": max(page.stat().st_size for page in pages) / 1e6,
        "slowest first paint, s": max(paint.values()) / 1000,
        "median first paint, s": statistics.median(paint.values()) / 1000,
    }
