"""The rendered book: every page opened from the disk in headless Chromium, in both themes; links; alt texts."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
import yaml
from playwright.sync_api import sync_playwright

import browser
from conftest import ROOT

pytestmark = pytest.mark.pages
THEMES = ("light", "dark")

# Runs in the page once everything is loaded, and returns what a reader would stumble over.
LOOK = """async () => {
  if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
  const images = [...document.images];
  images.forEach(image => { image.loading = 'eager'; });
  await Promise.all(images.map(image => image.decode().catch(() => {})));
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const numbers = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const background = node => {
    for (; node; node = node.parentElement) {
      const colour = numbers(getComputedStyle(node).backgroundColor);
      if (colour.length && (colour.length < 4 || colour[3] > 0.99)) return colour;
    }
    return [255, 255, 255];
  };
  const contrast = node => {
    const [a, b] = [luminance(numbers(getComputedStyle(node).color)), luminance(background(node))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  };
  const main = document.querySelector('main'), prose = main.cloneNode(true);
  prose.querySelectorAll('pre, code, script, style, mjx-container').forEach(node => node.remove());
  return {
    theme: document.documentElement.dataset.theme,
    broken: images.filter(image => !(image.complete && image.naturalWidth > 0)).map(image => image.src),
    untypeset: [...main.querySelectorAll('.math')]
      .filter(node => !node.querySelector('mjx-container')).map(node => node.textContent.slice(0, 60)),
    mistaken: [...document.querySelectorAll('mjx-merror')].map(node => node.textContent.slice(0, 60)),
    raw: prose.textContent.match(/\\\\[([]|\\$\\$|\\{(glue|cite|numref|doc|ref)[:}]/g) || [],
    math: document.querySelectorAll('mjx-container').length,
    faint: [...main.querySelectorAll('p, li, td, th, dt, dd, h1, h2, h3, pre')]
      .filter(node => node.textContent.trim() && node.checkVisibility() && contrast(node) < 4.5)
      .map(node => node.textContent.trim().slice(0, 60)),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
}"""


@pytest.fixture(scope="session")
def chromium():
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser.find(), args=browser.FLAGS)
        yield started
        started.close()


def look(chromium, url, theme="light"):
    """Open a page as a reader whose system has this theme, with the network cut off, and return what was seen."""
    context = chromium.new_context(color_scheme=theme, viewport={"width": 1280, "height": 900}, offline=True)
    context.set_default_timeout(120_000)  # a busy machine is no fault of the page
    errors, away, missing = [], [], []
    page = context.new_page()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else away.append(request.url))
    page.on("requestfailed", lambda request: missing.append(request.url))
    page.goto(url, wait_until="load")
    seen = page.evaluate(LOOK)
    context.close()
    return {**seen, "errors": errors, "away": away, "missing": missing}


def url(path):
    return path.resolve().as_uri()


def pages(html):
    return sorted(path for path in html.rglob("*.html") if "_static" not in path.parts and path != html / "index.html")


@pytest.fixture(scope="session")
def seen(chromium, html):
    """Return what each page shows in each theme."""
    return {
        (path.relative_to(html).as_posix(), theme): look(chromium, url(path), theme)
        for path in pages(html)
        for theme in THEMES
    }


def found(seen, key):
    return {page: view[key] for page, view in seen.items() if view[key]}


def flat(entry):
    """Return an entry of the table of contents and those under it."""
    return [entry, *(inner for section in entry.get("sections", ()) for inner in flat(section))]


def test_every_page_of_the_table_of_contents_is_rendered(html):
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    entries = [entry for part in toc["parts"] for chapter in part["chapters"] for entry in flat(chapter)]
    files = [toc["root"], *(entry["file"] for entry in entries)]
    assert len(files) >= 28
    assert [name for name in files if not (html / f"{name}.html").exists()] == []


def test_pages_take_the_theme_of_the_system(seen):
    assert {(theme, view["theme"]) for (_, theme), view in seen.items()} == {("light", "light"), ("dark", "dark")}


def test_no_page_logs_an_error(seen):
    assert found(seen, "errors") == {}


def test_no_request_leaves_the_machine(seen):
    assert found(seen, "away") == {}


def test_every_file_that_a_page_asks_for_is_there(seen):
    assert found(seen, "missing") == {}


def test_mathematics_is_typeset(seen):
    assert found(seen, "untypeset") == {}
    assert found(seen, "mistaken") == {}
    assert all(seen[f"book/{name}.html", "light"]["math"] > 10 for name in ("notation", "01_soap_bubble"))


def test_no_markup_is_left_in_the_text(seen):
    assert found(seen, "raw") == {}


def test_every_picture_is_loaded(seen):
    assert found(seen, "broken") == {}


def test_text_is_legible_in_both_themes(seen):
    assert found(seen, "faint") == {}


def test_no_page_is_wider_than_the_window(seen):
    assert found(seen, "overflow") == {}


def test_the_look_at_a_bad_page_finds_everything(chromium, html, tmp_path):
    mathjax = url(html / "_static" / "mathjax" / "tex-chtml.js")
    page = tmp_path / "bad.html"
    page.write_text(f"""<!doctype html><html data-theme="light"><script src="{mathjax}" defer></script>
      <script src="https://example.org/cdn.js"></script><script>console.error('oh')</script>
      <main><img src="nowhere.png"><p style="color: #eee">faint</p><p>left over {{glue:text}}`x` </p>
      <span class="math">plain</span><span class="math">\\(\\frac{{1}}\\)</span>
      <div style="width: 3000px">wide</div></main></html>""")
    view = look(chromium, url(page))
    assert any("oh" in error for error in view["errors"])
    assert view["away"] == ["https://example.org/cdn.js"]
    assert any("nowhere.png" in name for name in view["missing"])
    assert len(view["broken"]) == len(view["untypeset"]) == len(view["mistaken"]) == len(view["raw"]) == 1
    assert view["faint"] == ["faint"]
    assert view["overflow"] > 0


def test_the_first_page_leads_into_the_book(chromium, html):
    page = chromium.new_page()
    page.goto(url(html / "index.html"))
    page.wait_for_url("**/book/index.html")
    page.close()


def test_search_works_from_the_disk(chromium, html):
    page = chromium.new_page()
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(url(html / "search.html") + "?q=cauchy")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li").count() >= 1
    assert errors == []
    page.close()


def test_solutions_unfold(chromium, html):
    page = chromium.new_page()
    page.goto(url(html / "book" / "01_soap_bubble.html"))
    page.wait_for_selector(".solution.dropdown button")
    solution = page.locator(".solution.dropdown").first
    assert not solution.locator("pre").first.is_visible()
    solution.locator("button").first.click()
    assert solution.locator("pre").first.is_visible()
    page.close()


# ---- what the HTML says, without a browser


class Page(HTMLParser):
    """The links, loaded files, anchors and pictures of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loaded, self.anchors, self.pictures, self.style = [], [], set(), [], False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs.get("id"), attrs.get("name")}
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag == "img":
            self.pictures.append((attrs.get("src", ""), attrs.get("alt") or ""))
        self.loaded += [attrs[key] for key in ("src", "poster", "background") if attrs.get(key)]
        self.loaded += [place.split()[0] for place in (attrs.get("srcset") or "").split(",") if place.strip()]
        if tag == "object" and attrs.get("data"):
            self.loaded.append(attrs["data"])
        if tag in ("use", "image") and (attrs.get("href") or attrs.get("xlink:href")):
            self.loaded.append(attrs.get("href") or attrs["xlink:href"])
        self.loaded += styled(attrs.get("style") or "")
        self.style = tag == "style"
        if tag == "link" and attrs.get("rel") not in ("canonical",) and attrs.get("href"):
            self.loaded.append(attrs["href"])

    def handle_data(self, data):
        if self.style:
            self.loaded += styled(data)

    def handle_endtag(self, tag):
        self.style = False


def styled(text):
    """Return what a style sheet loads: fonts, pictures, other sheets."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    found = re.findall(r"url\(\s*(?:\"([^\"]*)\"|'([^']*)'|([^)\s]*))\s*\)", text)
    imports = re.findall(r"@import\s+[\"']([^\"']+)", text)
    return [name for names in found for name in names if name] + imports


def foreign(folder, name):
    """Whether a name that something in a folder loads is no file beside it, nor in the page itself."""
    parts = urlsplit(name)
    if parts.scheme == "data" or (not parts.path and parts.fragment):
        return False
    return bool(parts.scheme or parts.netloc) or not (folder / unquote(parts.path)).exists()


@pytest.fixture(scope="session")
def parsed(html):
    return {path: Page(path) for path in pages(html)}


def broken_links(parsed):
    bad = []
    for path, page in parsed.items():
        for link in page.links + page.loaded:
            if urlsplit(link).scheme in ("http", "https", "mailto", "data"):
                continue
            name, anchor = urldefrag(unquote(link.split("?")[0] if "#" not in link else link))
            target = (path.parent / name).resolve() if name else path
            if not target.exists() or (anchor and target in parsed and anchor not in parsed[target].anchors):
                bad.append(f"{path.name}: {link}")
    return bad


def test_links_between_pages_lead_somewhere(parsed):
    assert broken_links(parsed) == []


def test_a_link_to_nowhere_is_found(tmp_path):
    page = tmp_path / "a.html"
    page.write_text('<a href="b.html">b</a> <a href="#none">c</a> <a href="a.html#here" id="here">d</a>')
    assert broken_links({page: Page(page)}) == ["a.html: b.html", "a.html: #none"]


def test_pages_load_nothing_from_elsewhere(parsed):
    loaded = [(path, name) for path, page in parsed.items() for name in page.loaded]
    assert len(loaded) > 10 * len(parsed)
    assert [(path.name, name) for path, name in loaded if foreign(path.parent, name)] == []


def test_styles_load_nothing_from_elsewhere(html):
    loaded = [(path, name) for path in sorted(html.rglob("*.css")) for name in styled(path.read_text(encoding="utf-8"))]
    assert sum(urlsplit(name).path.endswith((".woff2", ".woff", ".ttf")) for _, name in loaded) >= 3
    assert [(path.name, name) for path, name in loaded if foreign(path.parent, name)] == []


@pytest.mark.parametrize(
    "markup",
    [
        '<script src="https://example.org/a.js"></script>',
        '<script src="//example.org/a.js"></script>',
        '<link rel="stylesheet" href="gone.css">',
        '<link rel="preload" as="font" href="https://example.org/a.woff2">',
        '<img src="here.png" srcset="here.png 1x, https://example.org/b.png 2x">',
        "<style>@import 'https://example.org/a.css';</style>",
        "<style>p { background: url( 'gone.png' ) }</style>",
        '<p style="background: url(//example.org/a.png)">',
        '<iframe src="https://example.org"></iframe>',
        '<object data="https://example.org/a.svg"></object>',
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(tmp_path, markup):
    page = tmp_path / "a.html"
    for name in ("here.png", "here.css"):
        (tmp_path / name).touch()
    page.write_text(f"""<link rel="stylesheet" href="here.css?v=1"><img src="data:image/png;base64,AA">
      <style>/* url(gone.png) */ p {{ background: url(here.png) }}</style>{markup}""")
    assert len([name for name in Page(page).loaded if foreign(tmp_path, name)]) == 1


def test_every_picture_says_what_is_to_be_seen(parsed):
    pictures = [(path.name, src, alt) for path, page in parsed.items() for src, alt in page.pictures]
    assert len(pictures) >= 6
    assert [(name, src) for name, src, alt in pictures if len(alt.split()) < 8 or "_images" in alt] == []


def test_the_renderer_warned_of_nothing(html):
    assert "WARNING" not in (html.parent / "render.log").read_text()


def test_pages_are_light(html):
    heavy = {path.name: path.stat().st_size for path in pages(html) if path.stat().st_size > 2_000_000}
    assert heavy == {}
    assert sum(path.stat().st_size for path in html.rglob("*") if path.is_file()) < 40_000_000


def test_pictures_below_the_first_wait_until_they_come_near(html):
    for path in pages(html):
        tags = re.findall(r"<img [^>]*>", path.read_text(encoding="utf-8"))
        assert all('loading="lazy"' in tag for tag in tags[1:]), path.name
