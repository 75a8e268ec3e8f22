"""Take the pictures of docs/page.md from a server that runs: needs Playwright and Chromium."""

import argparse
import re
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import expect, sync_playwright

OUT = Path(__file__).parents[1] / "docs/images"
SHOTS: dict[str, dict[str, Any]] = {
    "page-dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "page-light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "page-phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}


def main() -> None:
    """Open the page, estimate all samples, and save one PNG for each of `SHOTS`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8501")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for name, options in SHOTS.items():
            page = browser.new_page(**options)
            page.set_default_timeout(120_000)
            page.goto(arguments.url)
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
            page.screenshot(path=arguments.out / f"{name}.png", full_page=name != "page-phone")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
