"""Take the pictures of docs/page.md from a server that runs, or those of README.md from a report.

Needs Playwright and Chromium. With --report FILE no server is needed.
"""

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

OUT = Path(__file__).parents[1] / "docs/images"
SHOTS: dict[str, dict[str, Any]] = {
    "page-dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "page-light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "page-phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}

COLOURS = 96
FIGURES = {"report-evidence": "#evidence svg", "report-adaptation": "#case-1 .drawings"}


def main() -> None:
    """Save one PNG for each of `SHOTS`, or of `FIGURES`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8501")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        if arguments.report:
            report_pictures(browser, arguments.report.resolve().as_uri(), arguments.out)
        else:
            page_pictures(browser, arguments.url, arguments.out)
        browser.close()


def page_pictures(browser: Browser, url: str, out: Path) -> None:
    """Open the page of a server and estimate all samples."""
    for name, options in SHOTS.items():
        page, path = browser.new_page(**options), out / f"{name}.png"
        page.set_default_timeout(120_000)
        page.goto(url)
        page.wait_for_selector("#model[data-state=AVAILABLE]")
        page.click("#all-samples")
        page.wait_for_selector("#film li:last-child canvas")
        page.wait_for_selector("#neighbours tbody tr")
        page.fill("#pixel", "1.5")
        page.fill("#level", "2")
        page.press("#level", "Enter")
        angle = page.locator("#measurements tr", has_text="Sidewall angle")
        expect(angle).to_contain_text(re.compile(r"\d"))
        page.mouse.move(0, 0)
        where = "#result" if name == "page-phone" else "header"
        page.evaluate("document.activeElement.blur()")
        page.eval_on_selector(where, "place => place.scrollIntoView()")
        page.wait_for_timeout(300)
        page.screenshot(path=path, full_page=name != "page-phone")
        page.close()
        fewer_colours(path)


def report_pictures(browser: Browser, url: str, out: Path) -> None:
    """Open a report and take some of its figures."""
    page = browser.new_page(viewport={"width": 1000, "height": 900}, color_scheme="light")
    page.goto(url)
    page.add_style_tag(content="figcaption { display: none }")
    for name, selector in FIGURES.items():
        path = out / f"{name}.png"
        page.locator(selector).screenshot(path=path)
        fewer_colours(path)
    page.close()


def fewer_colours(path: Path) -> None:
    """Write a picture anew with so few colours that it has a third of its bytes."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    main()
