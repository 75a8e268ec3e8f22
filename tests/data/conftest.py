"""A small data set in the challenge's layout, drawn by the tests themselves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAIRS, SITES, CROPS, TEST = 4, 3, 3, 5
BUCKETS = ("80", "extra bucket")


def draw(seed: int, top: int = 212) -> np.ndarray:
    """A 72 x 48 image of noise whose maximum is ``top``; the seed tells images apart."""
    image = np.random.default_rng(seed).integers(0, top, (72, 48), dtype=np.uint8)
    image[0, 0] = top
    return image


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def make_layout(root: Path, cases: tuple[int, ...] = (1, 2)) -> Path:
    """Write the layout: seeds 1000·case + 10·pair + (0, 1, 2) for itr0, itr1 and depth."""
    for case in cases:
        for pair in range(PAIRS):
            bucket, seed = BUCKETS[pair % 2], 1000 * case + 10 * pair
            sem = root / f"simulation_data/SEM/Case_{case}/{bucket}"
            depth = root / f"simulation_data/Depth/Case_{case}/{bucket}"
            save(sem / f"hole_{pair}_itr0.png", draw(seed))
            save(sem / f"hole_{pair}_itr1.png", draw(seed + 1))
            save(depth / f"hole_{pair}.png", draw(seed + 2, 130 + 10 * case))
        for site in range(SITES):
            for crop in range(CROPS):
                number = 10 * site + crop
                image = draw(100_000 * case + number)
                name = f"Depth_{100 + 10 * case}/site_{site:05d}/SEM_{number:06d}.png"
                rgb = np.repeat(image[..., None], 3, axis=2)
                save(root / "train/SEM" / name, rgb if crop else image)
    for number in range(TEST):
        save(root / f"test/SEM/{number:06d}.png", draw(900_000 + number))
    rows = [
        f"depth_{100 + 10 * case}_site_{site:05d},{99 + 10 * case + site / 8:.6f}"
        for case in cases
        for site in range(SITES)
    ]
    (root / "train/average_depth.csv").write_text("\n".join(["0,1", *rows]) + "\n")
    return root


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMTF_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def world(tmp_path: Path) -> Path:
    return make_layout(tmp_path / "world")


@pytest.fixture(name="draw")
def _draw() -> Callable[..., np.ndarray]:
    return draw


@pytest.fixture(name="save")
def _save() -> Callable[[Path, np.ndarray], None]:
    return save
