"""The page in a browser, on a real server of a small export."""

import base64
import io
import json
import os
import re
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from semtf.metrology.hole import measure
from tests.serving.conftest import Server

playwright = pytest.importorskip("playwright.sync_api")
BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
SAMPLES = Path(__file__).parents[3] / "semtf/serving/page/samples"

pytestmark = pytest.mark.skipif(
    BROWSER is None and not os.environ.get("CI"),
    reason="no Chromium is installed (scripts/browser): the page is not tested",
)


@pytest.fixture
def url(served: Server) -> str:
    return served.url


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    assert BROWSER is not None, "CI must test the page: install Chromium (scripts/browser)"
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: "playwright.Browser", url: str) -> Iterator["playwright.Page"]:
    """The page in a fresh profile; the test fails on console errors and on foreign requests."""
    with opened(browser, url) as page:
        yield page


@contextmanager
def opened(browser: "playwright.Browser", url: str, **options: object) -> Iterator:
    context = browser.new_context(**options)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.goto(url)
    page.wait_for_selector("#model[data-state=AVAILABLE]")
    yield page
    context.close()
    # A refused request is a line of the browser's own, and no failure of the page.
    assert [line for line in said if "Failed to load resource" not in line] == []
    assert [address for address in urls if not address.startswith((url, "blob:", "data:"))] == []


def predict(url: str, signature: str, data: bytes) -> dict:
    """What the endpoint answers to any client."""
    body = {
        "signature_name": signature,
        "instances": [{"b64": base64.b64encode(data).decode()}],
    }
    answer = httpx.post(f"{url}/v1/models/semtf:predict", json=body, timeout=60, trust_env=False)
    return answer.raise_for_status().json()["predictions"][0]


def pixels(page: "playwright.Page", selector: str) -> np.ndarray:
    """What a canvas shows, uint8 [rows, columns, 4]."""
    url = page.eval_on_selector(selector, "canvas => canvas.toDataURL()")
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    return np.asarray(image.convert("RGBA"))


def open_sample(page: "playwright.Page", name: str = "000000.png") -> bytes:
    page.get_by_role("button", name=f"Sample {name}").click()
    page.wait_for_selector("#neighbours tbody tr")
    page.wait_for_selector("#measurements tbody tr")
    return (SAMPLES / name).read_bytes()


def test_sample_is_drawn_as_the_endpoint_estimates_it(page: "playwright.Page", url: str) -> None:
    data = open_sample(page)
    estimate = predict(url, "serving_default", data)
    depth, sigma = np.array(estimate["depth"]), np.array(estimate["sigma"])
    for selector, values, low, scale in (
        ("#map-depth", depth, depth.min(), "viridis"),
        ("#map-sigma", sigma, 0.0, "magma"),
    ):
        share = (values - low) / (values.max() - low)
        expected = matplotlib.colormaps[scale](share)[..., :3] * 255
        drawn = pixels(page, f"{selector} .stage canvas")
        assert drawn.shape == (72, 48, 4)
        assert np.abs(drawn[..., :3] - expected).max() < 6  # the page interpolates 33 colours
    sem = np.asarray(Image.open(io.BytesIO(data)))
    sem = sem if sem.ndim == 2 else sem[..., 0]
    np.testing.assert_array_equal(pixels(page, "#map-sem .stage canvas")[..., 0], sem)
    assert page.inner_text("#cases .chosen th") == f"Case {estimate['case']}"
    for case, probability in enumerate(estimate["case_probabilities"], 1):
        row = page.inner_text(f"#cases tr:nth-child({case})")
        assert f"{100 * probability:.1f} %" in row
    flags = page.locator("#flags li strong").all_inner_texts()
    words = {
        "case_in_doubt": "Case in doubt",
        "case_not_trained": "Case not trained",
        "unlike_storage": "Unlike the stored pairs",
        "unusual_scale": "Unusual scale",
    }
    assert flags == [words[flag] for flag in estimate["flags"].split()]


def test_neighbours_and_measurements(page: "playwright.Page", url: str) -> None:
    data = open_sample(page)
    neighbours = predict(url, "neighbours", data)
    best = int(np.argmax(np.abs(neighbours["weights"])))
    row = page.inner_text("#neighbours tbody tr:first-child")
    assert neighbours["name"][best] in row
    assert f"{neighbours['weights'][best]:.3f}" in row
    assert f"{neighbours['similarities'][best]:.4f}" in row
    assert page.locator("#neighbours tr:first-child img").evaluate("one => one.naturalHeight") == 72
    estimate = predict(url, "serving_default", data)
    stored = {
        "signature_name": "stored",
        "instances": [
            {
                "case": estimate["case"],
                "pair": neighbours["pair"][best],
                "shift": neighbours["shifts"][best],
            }
        ],
    }
    answer = httpx.post(f"{url}/v1/models/semtf:predict", json=stored, trust_env=False).json()
    png = base64.b64decode(answer["predictions"][0]["depth_png_bytes"]["b64"])
    depth = np.array(estimate["depth"], np.float32)
    share = (np.asarray(Image.open(io.BytesIO(png))) - depth.min()) / np.ptp(depth)
    expected = matplotlib.colormaps["viridis"](share)[..., :3] * 255
    drawn = pixels(page, "#neighbours tr:first-child canvas")[..., :3]
    assert np.abs(drawn - expected).max() < 6
    page.fill("#pixel", "1.5")
    page.fill("#level", "2")
    page.press("#level", "Enter")
    expected = measure(depth, 1.5, 2.0).iloc[0]
    playwright.expect(page.locator("#measurements")).to_contain_text(f"{expected['depth_nm']:.1f}")
    shown = page.inner_text("#measurements")
    for column in ("cd_rows_px", "cd_rows_nm", "sidewall_angle_deg", "wall_width_px"):
        if np.isfinite(expected[column]):
            assert f"{expected[column]:.2f}" in shown, column
    uncertain = predict(url, "measure", data)["u_cd_rows_px"]
    if uncertain >= 0:
        playwright.expect(page.locator("#measurements")).to_contain_text(f"± {2 * uncertain:.2f}")
    assert page.locator("#map-depth polygon").get_attribute("points")


def test_bad_files_are_explained_beside_good_ones(page: "playwright.Page", tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 213, (72, 48), np.uint8)
    Image.fromarray(np.ascontiguousarray(grey.T)).save(tmp_path / "transposed.png")
    Image.fromarray(grey.astype(np.uint16) * 256).save(tmp_path / "sixteen.png")
    (tmp_path / "words.png").write_text("no image")
    good = [SAMPLES / f"00000{i}.png" for i in range(3)]
    page.set_input_files("#files", [*tmp_path.glob("*.png"), *good])
    playwright.expect(page.locator("#count")).to_contain_text("6 images, 3 refused")
    assert page.locator("#film button.failed").count() == 3
    for name, reason in (
        ("transposed.png", "transposed"),
        ("sixteen.png", "8 bits"),
        ("words.png", "no PNG"),
    ):
        page.get_by_role("button", name=name).click()
        said = page.inner_text("#refusal")
        assert name in said
        assert reason in said
        assert page.locator("#views").is_hidden()
    page.get_by_role("button", name="000001.png, case").click()
    assert page.locator("#refusal").is_hidden()
    page.wait_for_selector("#neighbours tbody tr")


def test_noise_is_flagged_in_words(page: "playwright.Page", tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 213, (72, 48), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    page.set_input_files("#files", [tmp_path / "noise.png"])
    page.wait_for_selector("#flags li")
    assert "Do not rely on the depth" in page.inner_text("#flags")
    assert "1 flagged" in page.inner_text("#count")


def test_half_brightness_is_flagged_in_words(page: "playwright.Page", tmp_path: Path) -> None:
    half = np.asarray(Image.open(SAMPLES / "000000.png").convert("L")) // 2
    Image.fromarray(half).save(tmp_path / "half.png")
    page.set_input_files("#files", [tmp_path / "half.png"])
    page.wait_for_selector("#flags li")
    assert "Unusual scale" in page.inner_text("#flags")
    assert "1 flagged" in page.inner_text("#count")


def test_files_can_be_dropped(page: "playwright.Page") -> None:
    data = base64.b64encode((SAMPLES / "000002.png").read_bytes()).decode()
    page.evaluate(
        """data => {
            const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "dropped.png", {type: "image/png"}));
            const drop = new DragEvent("drop", {dataTransfer: transfer, bubbles: true});
            document.querySelector("#drop").dispatchEvent(drop);
        }""",
        data,
    )
    page.wait_for_selector("#neighbours tbody tr")
    assert page.inner_text("#name") == "dropped.png"


def test_keyboard(page: "playwright.Page") -> None:
    page.wait_for_selector("#all-samples")
    page.focus("#files")
    for _ in range(9):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "all-samples"
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#film canvas")).to_have_count(8)
    page.focus("#film li:first-child button")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#name") == "000002.png"
    page.focus("#map-depth .stage canvas")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Shift+ArrowLeft")
    assert re.match(r"row\s+37\s+column\s+14\s", page.inner_text("#readout"))
    assert "Row 37" in page.inner_text("#section-row")
    before = settled(page)
    page.focus("#surface-canvas")
    page.keyboard.press("ArrowRight")
    turned = settled(page)
    assert (turned != before).any()
    page.keyboard.press("Home")
    np.testing.assert_array_equal(settled(page), before)
    page.check("#surface-cut")
    assert (settled(page) != before).any()


def settled(page: "playwright.Page") -> np.ndarray:
    """The surface once the next frames are drawn."""
    page.evaluate("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    return pixels(page, "#surface-canvas")


def test_surface_turns_with_the_mouse(page: "playwright.Page") -> None:
    open_sample(page)
    before = settled(page)
    assert len(np.unique(before.reshape(-1, 4), axis=0)) > 100
    box = page.locator("#surface-canvas").bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 160, box["y"] + 120, steps=3)
    page.mouse.up()
    assert (settled(page) != before).any()


def test_hover_shows_the_values_of_a_pixel(page: "playwright.Page", url: str) -> None:
    estimate = predict(url, "serving_default", open_sample(page))
    box = page.locator("#map-depth .stage canvas").bounding_box()
    row, column = 20, 9
    page.mouse.move(
        box["x"] + (column + 0.5) * box["width"] / 48, box["y"] + (row + 0.5) * box["height"] / 72
    )
    said = " ".join(page.inner_text("#readout").split())
    assert f"row {row} column {column}" in said
    assert f"depth {estimate['depth'][row][column]:.1f}" in said


def saved(page: "playwright.Page", selector: str) -> bytes:
    with page.expect_download() as download:
        page.click(selector)
    return Path(download.value.path()).read_bytes()


def test_downloads(page: "playwright.Page", url: str) -> None:
    page.click("#all-samples")
    playwright.expect(page.locator("#film canvas")).to_have_count(8)
    page.wait_for_selector("#measurements tbody tr")
    names = [f"{i:06d}.png" for i in range(8)]
    estimates = [predict(url, "serving_default", (SAMPLES / name).read_bytes()) for name in names]
    depth = np.array([estimate["depth"] for estimate in estimates], np.float32)
    np.testing.assert_allclose(np.load(io.BytesIO(saved(page, "#all-npy"))), depth, atol=1e-4)
    sigma = np.array([estimate["sigma"] for estimate in estimates], np.float32)
    np.testing.assert_allclose(np.load(io.BytesIO(saved(page, "#all-sigma"))), sigma, atol=1e-4)
    one = np.load(io.BytesIO(saved(page, "#one-npy")))
    np.testing.assert_allclose(one, depth[0], atol=1e-4)
    image = Image.open(io.BytesIO(saved(page, "#one-png")))
    assert image.mode == "L"
    assert np.abs(np.asarray(image) - depth[0]).max() < 0.501
    with zipfile.ZipFile(io.BytesIO(saved(page, "#all-png"))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == names
        last = np.asarray(Image.open(archive.open(names[-1])))
    assert np.abs(last - depth[-1]).max() < 0.501
    table = pd.read_csv(io.BytesIO(saved(page, "#all-csv")))
    assert table["name"].tolist() == names
    assert table["case"].tolist() == [estimate["case"] for estimate in estimates]
    assert table["neighbours"].str.count(":").min() >= 3
    expected = measure(depth)
    np.testing.assert_allclose(table["cd_rows_px"], expected["cd_rows_px"], atol=1e-2)
    one_row = pd.read_csv(io.BytesIO(saved(page, "#one-csv")))
    assert one_row.iloc[0]["neighbours"] == table.iloc[0]["neighbours"]


@pytest.mark.parametrize(("scheme", "other"), [("dark", "light"), ("light", "dark")])
def test_dark_and_light(scheme: str, other: str, browser: "playwright.Browser", url: str) -> None:
    def brightness() -> float:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return float(np.mean([int(value) for value in re.findall(r"\d+", colour)[:3]]))

    with opened(browser, url, color_scheme=scheme) as page:
        assert (brightness() < 128) == (scheme == "dark")
        page.get_by_role("button", name=f"Switch to {other} colours").click()
        assert (brightness() < 128) == (other == "dark")
        page.reload()
        assert (brightness() < 128) == (other == "dark")


def test_phone_width(browser: "playwright.Browser", url: str) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with opened(browser, url, **phone) as page:
        open_sample(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        small = page.eval_on_selector_all(
            "button:not([hidden])", "all => all.map(b => b.getBoundingClientRect().height)"
        )
        assert min(height for height in small if height) >= 32
        page.tap("#map-depth .stage canvas")
        assert "depth" in page.inner_text("#readout")


def test_everything_has_a_name_for_screen_readers(page: "playwright.Page") -> None:
    open_sample(page)
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas[tabindex]")]
            .filter(one => one.checkVisibility())
            .filter(one => !(one.ariaLabel || one.innerText || one.labels?.[0]?.innerText))
            .map(one => one.outerHTML)"""
    )
    assert unnamed == []
    assert page.locator("h1").count() == 1
    assert page.locator("[role=status]").count() >= 3


def test_token_is_asked_for_until_it_is_right_and_a_lost_server_is_explained(
    browser: "playwright.Browser", exact: Path, tmp_path: Path
) -> None:
    token = secrets.token_hex(16)
    (tmp_path / "token").write_text(token)
    server = Server(exact.parent, "--token-file", str(tmp_path / "token"))
    page = browser.new_page()
    page.goto(server.url)
    for given in ("wrong-token-wrong-token", token):
        page.wait_for_selector("#token[open]")
        page.fill("#token-field", given)
        page.keyboard.press("Enter")
        playwright.expect(page.locator("#token-field")).to_have_value("")
    page.wait_for_selector("#model[data-state=AVAILABLE]", timeout=240_000)
    open_sample(page)
    body = {"depth": [[[1.0] * 4] * 4]}
    assert httpx.post(f"{server.url}/measure", json=body, trust_env=False).status_code == 401
    # Now with the same page: a server that is gone.
    server.stop()
    late = {"name": "late.png", "mimeType": "image/png"}
    page.set_input_files("#files", [{**late, "buffer": (SAMPLES / "000001.png").read_bytes()}])
    page.wait_for_selector("#film button.failed")
    page.get_by_role("button", name="late.png").click()
    assert "does not answer" in page.inner_text("#refusal")
    page.close()


def test_samples_are_what_their_command_makes(tmp_path: Path) -> None:
    from semtf.simulation.world import simulate

    listed = json.loads((SAMPLES / "samples.json").read_text())
    assert "--pairs 0 --train 0 --test 2 --seed 7" in listed["made_by"]
    made = simulate(tmp_path / "fab", pairs=0, train=0, test=2, seed=7) / "test/SEM"
    assert sorted(listed["images"]) == sorted(path.name for path in made.iterdir())
    for name in listed["images"]:
        ours, theirs = (np.asarray(Image.open(folder / name)) for folder in (SAMPLES, made))
        np.testing.assert_array_equal(ours, theirs)
