"""The built site in a browser without a window: every link leads somewhere, a search finds, pages fit their screens.

    sphinx-build -W --keep-going -b html docs docs/_build/html
    pytest -n 0 docs/test_site.py    # pip install ".[docs]", Debian's packages chromium and chromium-driver

Screenshots go to docs/_build/screenshots; `cp docs/_build/screenshots/site.png docs/` renews the one in the docs.
"""

from __future__ import annotations

import ast
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag
from urllib.request import Request, urlopen

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="needs Selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

DOCS = Path(__file__).resolve().parent
BUILD, PACKAGE = DOCS / "_build", DOCS.parent / "python/fastntk"

#: Of each kind one.
PAGES = [
    "index",
    "start",
    "theory",
    "claims",
    "howto/table",
    "gallery/index",
    "networks",
    "reference/generated/fastntk.inference.GradientFlow",
]

#: Signatures that end beyond the screen.
CUT = """return [...document.querySelectorAll("dt.sig")].filter(
    e => [...e.children].some(c => c.getBoundingClientRect().right > window.innerWidth)).map(e => e.textContent)"""

#: What a page has: where its links lead, names that may be led to, pictures that are none, and whether it is too wide.
CONTENTS = """return [
    [...document.querySelectorAll("a[href]")].map(a => a.href),
    [...document.querySelectorAll("[id], a[name]")].flatMap(e => [e.id, e.name]),
    [...document.images].filter(i => i.complete && i.naturalWidth == 0).map(i => i.src),
    document.documentElement.scrollWidth > window.innerWidth,
]"""


class Quiet(SimpleHTTPRequestHandler):
    """Says nothing of each request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of the site, served from here."""
    if not (BUILD / "html/index.html").exists():
        pytest.skip("the site is not built: sphinx-build -W --keep-going -b html docs docs/_build/html")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=BUILD / "html")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, with the driver of its own version."""
    places = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in places:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = places[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(places[1]))
    yield driver
    driver.quit()


def test_every_link_leads_somewhere(browser: Any, address: str) -> None:
    """Pages, their anchors, files to download; no picture is missing, and the browser has nothing to complain of."""
    wanted: set[tuple[str, str, str]] = set()  # from a page, to another, to an anchor there
    anchors: dict[str, set[str]] = {}
    todo, seen = [address + "index.html"], set()
    wrong = []
    while todo:
        url = todo.pop()
        if url in seen:
            continue
        seen.add(url)
        with urlopen(Request(url, method="HEAD")) as answer:  # an HTTPError names what is not there
            if not answer.headers["Content-Type"].startswith("text/html"):
                continue
        browser.get(url)
        links, names, broken, _ = browser.execute_script(CONTENTS)
        anchors[url] = {"", *filter(None, names)}
        wrong += [f"{url} shows {picture}" for picture in broken]
        wrong += [f"{url}: {line['message']}" for line in browser.get_log("browser") if line["level"] == "SEVERE"]
        for page, anchor in map(urldefrag, links):
            if page.startswith(address):
                wanted.add((url, page, anchor))
                todo.append(page)
    wrong += [
        f"{source} leads to {page}#{anchor}"
        for source, page, anchor in sorted(wanted)
        if page in anchors and anchor not in anchors[page]
    ]
    assert not wrong, "\n".join(wrong)
    assert len(anchors) > 100  # pages, of which the reference has most


def public() -> dict[str, list[str]]:
    """What each room makes public, by its `__all__`: read, not imported, as fastntk.gpytorch needs PyTorch."""
    rooms = {"fastntk": PACKAGE / "__init__.py"}
    rooms |= {f"fastntk.{path.parent.name}": path for path in sorted(PACKAGE.glob("[!_]*/__init__.py"))}
    rooms |= {f"fastntk.{path.stem}": path for path in sorted(PACKAGE.glob("[!_]*.py"))}
    found = {}
    for room, path in rooms.items():
        lists = re.findall(r"^__all__ = (\[.*?\])", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        if lists:
            found[room] = [name for name in ast.literal_eval(lists[0]) if f"fastntk.{name}" not in rooms]
    return found


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("room", public())
def test_reference_is_complete(room: str) -> None:
    """Every public object has a page, of its room or of fastntk, which says something of it."""
    for name in public()[room]:
        if name == "__version__":
            continue
        pages = [BUILD / f"html/reference/generated/{parent}.{name}.html" for parent in (room, "fastntk")]
        said = [page.read_text(encoding="utf-8") for page in pages if page.exists()]
        assert any(re.search(r"<dd><p>\w", text) for text in said), f"{room}.{name}"


@pytest.mark.parametrize(
    ("words", "page"),
    [("GradientFlow", "fastntk.inference.GradientFlow"), ("finite width", "finite"), ("landmarks", "large")],
)
def test_search_finds(browser: Any, address: str, words: str, page: str) -> None:
    """The page, of what is typed into the field of the start page."""
    browser.get(address + "index.html")
    browser.find_element(By.CSS_SELECTOR, "button.search-button__button, button.search-button-field").click()
    field = WebDriverWait(browser, 10).until(lambda b: b.switch_to.active_element)
    field.send_keys(words + "\n")
    WebDriverWait(browser, 20).until(
        lambda b: b.find_elements(
            By.CSS_SELECTOR, f"#search-results li a[href*='/{page}.html'], li a[href^='{page}.html']"
        )
    )


@pytest.fixture
def screen(browser: Any) -> Iterator[Callable[[int, int], None]]:
    """Sets how many pixels there are, and afterwards lets the window decide again."""

    def of(width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    yield of
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def save_screenshot(browser: Any, name: str) -> None:
    """Into a folder beside the site."""
    (BUILD / "screenshots").mkdir(exist_ok=True)
    assert browser.save_screenshot(str(BUILD / f"screenshots/{name}.png"))


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("page", PAGES)
def test_pages_fit(browser: Any, address: str, screen: Callable[[int, int], None], page: str, width: int) -> None:
    """Nothing is wider than the screen, of a desk or of a phone, but what can be scrolled by itself."""
    screen(width, 900)
    browser.get(f"{address}{page}.html")
    save_screenshot(browser, f"{page.replace('/', '-')}-{width}")
    *_, too_wide = browser.execute_script(CONTENTS)
    assert not too_wide
    cut = browser.execute_script(CUT)
    assert not cut


def test_picture_of_the_docs(browser: Any, address: str, screen: Callable[[int, int], None]) -> None:
    """The page to start with, where it draws what it has computed: docs/site.png is this screenshot."""
    screen(1000, 640)
    browser.get(f"{address}start.html")
    picture = browser.find_element(By.CSS_SELECTOR, "img[src$='start.png']")
    browser.execute_script("arguments[0].scrollIntoView({block: 'end', behavior: 'instant'})", picture)
    save_screenshot(browser, "site")
    left, top, right, bottom = browser.execute_script(
        "const r = arguments[0].getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]", picture
    )
    assert 0 <= left < right <= 1000
    assert 0 <= top < bottom <= 640
