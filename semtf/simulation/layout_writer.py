"""The files of a synthetic data set, in the challenge's layout."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semtf.cases import Case

BUCKETS = (80, 81, 82, 83, 84)


def bucket(index: int) -> str:
    """The folder of a pair, by its index; the pairs take the buckets in turn."""
    return str(BUCKETS[index % len(BUCKETS)])


def save_pair(
    root: Path,
    case: Case,
    bucket: str,
    base: str,
    images: NDArray[np.uint8],
    depth: NDArray[np.uint8],
) -> None:
    """Write the images ``[2, H, W]`` (itr0, itr1) and the depth map ``[H, W]`` of a structure."""
    folder = f"{case.simulator}/{bucket}"
    _save(root / "simulation_data/Depth" / folder / f"{base}.png", depth)
    for exposure, image in enumerate(images):
        _save(root / "simulation_data/SEM" / folder / f"{base}_itr{exposure}.png", image)


def save_target_key(
    root: Path, case: Case, bucket: str, base: str, image: NDArray[np.uint8]
) -> None:
    """Write a pair's structure ``[H, W]`` as the fab's microscope shows it."""
    _save(root / "truth/SEM" / case.simulator / bucket / f"{base}.png", image)


def save_fab_image(
    root: Path, case: Case, site: int, number: int, pixels: NDArray[np.uint8]
) -> None:
    """Write a fab training image, grey ``[H, W]`` or with three equal channels ``[H, W, 3]``."""
    folder = root / "train/SEM" / case.fab / _site_folder(site)
    _save(folder / f"SEM_{number:06d}.png", pixels)


def save_test_image(
    root: Path, number: int, image: NDArray[np.uint8], depth: NDArray[np.uint8]
) -> None:
    """Write a test image and its true depth map, ``[H, W]`` each."""
    _save(root / f"test/SEM/{number:06d}.png", image)
    _save(root / f"truth/Depth/{number:06d}.png", depth)


def site_name(case: Case, site: int) -> str:
    """The name of a site in ``average_depth.csv``."""
    return f"{case.fab.lower()}_{_site_folder(site)}"


def write_average_depth(root: Path, averages: Mapping[str, float]) -> None:
    """Write ``train/average_depth.csv``: the average depth of each site in grey levels."""
    rows = [(site, f"{value:.6f}") for site, value in sorted(averages.items())]
    _write_csv(root / "train/average_depth.csv", ("0", "1"), rows)


def write_true_cases(root: Path, cases: Mapping[int, int]) -> None:
    """Write ``truth/cases.csv``: the case of each test image, by the number that names it."""
    rows = [(f"{number:06d}.png", str(case)) for number, case in sorted(cases.items())]
    _write_csv(root / "truth/cases.csv", ("name", "case"), rows)


def _site_folder(site: int) -> str:
    return f"site_{site:05d}"


def _write_csv(path: Path, header: tuple[str, str], rows: list[tuple[str, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _save(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, compress_level=1)
