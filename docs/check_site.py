"""Check the built site: every link, what examples printed, and pages in a browser.

    python docs/check_site.py docs/_build/html
    python docs/check_site.py docs/_build/html --browser

The first looks up the target of each link inside the site, with its anchor, and the
gallery's pages: each example has drawn a picture and met no warning. The second
opens pages in headless Chromium (selenium, chromium, chromedriver are needed): none may
log an error to the console, the search must find, and light and dark must differ.
"""

from __future__ import annotations

import argparse
import functools
import re
import shutil
import threading
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

PAGES = (
    "index.html",
    "getting_started.html",
    "user_guide/gates.html",
    "auto_examples/index.html",
    "auto_examples/plot_first_model.html",
    "reference/generated/sklearn_mmoe.MultiTaskMMoEClassifier.html",
    "mathematics.html",
    "results.html",
)


class Page(HTMLParser):
    """The links of a page, and the anchors that links may name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        self.links += [given[name] for name in ("href", "src") if given.get(name)]


def broken_links(site: Path) -> list[str]:
    """List the links inside the site that lead nowhere."""
    paths = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    pages = {path.resolve(): Page(path) for path in paths}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            if target.is_dir():
                target /= "index.html"
            anchor = unquote(parts.fragment)
            known = pages[target].anchors if target in pages else None
            # Text fragments (":~:text=") are found by the browser, in the page's text.
            named = bool(anchor and known) and not anchor.startswith(":~:")
            if not target.exists() or (named and anchor not in known):
                broken.append(f"{path.relative_to(site.resolve())}: {link}")
    return sorted(set(broken))


def gallery_problems(site: Path) -> list[str]:
    """List the examples that met a warning, or drew nothing."""
    problems = []
    for path in sorted((site / "auto_examples").glob("plot_*.html")):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"sphx-glr-(single|multi)-img", text):
            problems.append(f"{path.name}: no picture")
        # Python writes the category and a colon after the line of code.
        found = re.findall(r"^.*:\d+: \w*Warning: .*$", text, re.MULTILINE)
        problems += [f"{path.name}: {line}" for line in found]
    return problems


def serve(site: Path) -> ThreadingHTTPServer:
    """Serve the site on a free port of this machine."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(site))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def open_browser():
    """Start headless Chromium with a console that can be read."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1400,1000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def browser_problems(site: Path, pictures: Path | None) -> list[str]:
    """Open the pages, search, and switch to dark; list what is wrong."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    server, browser = serve(site), open_browser()
    root = f"http://127.0.0.1:{server.server_port}"
    problems = []

    def look(page: str, name: str) -> None:
        browser.get(f"{root}/{page}")
        for entry in browser.get_log("browser"):
            if entry["level"] == "SEVERE":
                problems.append(f"{page}: {entry['message']}")
        if pictures:
            browser.save_screenshot(str(pictures / f"{name}.png"))

    def background() -> str:
        script = "return getComputedStyle(document.body).backgroundColor"
        return browser.execute_script(script)

    try:
        for page in PAGES:
            look(page, Path(page).stem)
        look("search.html?q=gate_weights", "search")
        wait = WebDriverWait(browser, 20)
        hits = wait.until(lambda b: b.find_elements(By.CSS_SELECTOR, "ul.search li a"))
        if not any("gate_weights" in (hit.get_attribute("href") or "") for hit in hits):
            problems.append("the search for gate_weights does not find it")
        colours = []
        for mode in ("light", "dark"):
            script = f"localStorage.setItem('mode', '{mode}');"
            script += f"localStorage.setItem('theme', '{mode}')"
            browser.execute_script(script)
            look("index.html", mode)
            colours.append(background())
        if colours[0] == colours[1]:
            problems.append(f"light and dark have the same background, {colours[0]}")
        browser.execute_script("localStorage.clear()")
        browser.get(f"{root}/index.html")
        browser.find_element(By.LINK_TEXT, "User guide").click()
        if not browser.current_url.endswith("/user_guide/index.html"):
            problems.append(f"navigation leads to {browser.current_url}")
    finally:
        browser.quit()
        server.shutdown()
    return problems


def main() -> None:
    """Check, and exit with 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path)
    parser.add_argument("--browser", action="store_true")
    parser.add_argument("--pictures", type=Path, help="folder for screenshots")
    arguments = parser.parse_args()
    if arguments.browser:
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
        problems = browser_problems(arguments.site, arguments.pictures)
    else:
        problems = broken_links(arguments.site) + gallery_problems(arguments.site)
    print("\n".join(problems) or "The site is as it should be.")
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
