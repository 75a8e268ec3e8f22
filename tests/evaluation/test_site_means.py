"""Site means against the fab's averages, on numbers whose uncertainty is known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semtf.errors import InputError
from semtf.estimation.joint import ErrorPatterns
from semtf.evaluation.site_means import check_site_means, mean_uncertainty, site_errors

PLATE, SHARE, U, CROPS = 140, 0.82, 0.5, 30


def tables(sites: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    generator = np.random.default_rng(seed)
    site_means = generator.normal(102, 1.5, sites)
    names = [f"site_{i:05d}" for i in range(sites)]
    means = site_means[:, None] + U * generator.normal(size=(sites, CROPS))
    images = pd.DataFrame(
        {"case": 1, "site": np.repeat(names, CROPS), "mean": means.ravel(), "u": 1e-6}
    )
    depth = PLATE - SHARE * (PLATE - site_means)
    return images, pd.DataFrame({"case": 1, "site": names, "depth": depth})


def test_normalised_errors_are_within_1_for_95_percent() -> None:
    found = site_errors(*tables(800), {1: PLATE})
    assert found["share"].iloc[0] == pytest.approx(SHARE, rel=2e-3)
    assert np.mean(np.abs(found["en"]) <= 1) == pytest.approx(0.95, abs=0.02)
    assert found["u"].median() == pytest.approx(SHARE * U / np.sqrt(CROPS), rel=0.05)
    assert (found["images"] == CROPS).all()


def test_too_few_sites() -> None:
    with pytest.raises(InputError, match="case 1 has 2 sites"):
        site_errors(*tables(2), {1: PLATE})


def test_the_mean_is_surer_where_pixels_err_alone() -> None:
    sigma = np.full((3, 8, 6), 2.0)
    assert mean_uncertainty(sigma, None) == pytest.approx(np.full(3, 2.0))
    zeros, ones = np.zeros((1, 8, 6), np.float32), np.ones((8, 6), np.float32)
    alone = mean_uncertainty(sigma, ErrorPatterns(zeros, ones))
    assert alone == pytest.approx(np.full(3, 2 / np.sqrt(48)))
    together = mean_uncertainty(sigma, ErrorPatterns(ones[None], 0 * ones))
    assert together == pytest.approx(np.full(3, 2.0))


def test_predictions_by_site_against_the_file(tmp_path: Path) -> None:
    """Three sites of two images, which lie as far off as their sigma says."""
    data, out = tmp_path / "data", tmp_path / "out"
    (data / "train").mkdir(parents=True)
    (data / "simulation_data").mkdir()
    lines, names = ["0,1"], []
    for number, level in enumerate((100.0, 103.0, 106.0)):
        site = f"site_{number:05d}"
        lines.append(f"depth_110_{site},{140 - 0.8 * (140 - level)}")
        (out / "Depth_110" / site).mkdir(parents=True)
        for crop, off in enumerate((-0.5, 0.5)):
            stem = f"Depth_110/{site}/SEM_{crop}"
            names.append(f"{stem}.png")
            np.save(out / f"{stem}.npy", np.full((8, 6), level + off, np.float32))
            np.save(out / f"{stem}_sigma.npy", np.full((8, 6), 1.0, np.float32))
    (data / "train/average_depth.csv").write_text("\n".join(lines) + "\n")
    (out / "predictions.csv").write_text("name\n" + "\n".join(names) + "\n")
    found = check_site_means(out, data)
    assert found["site"].tolist() == ["site_00000", "site_00001", "site_00002"]
    assert found["share"].to_numpy() == pytest.approx(np.full(3, 0.8))
    assert found["en"].to_numpy() == pytest.approx(np.zeros(3), abs=1e-6)
    # Two images of u 1 that err independently, and crops of a standard deviation of 0.71.
    assert found["u"].to_numpy() == pytest.approx(np.full(3, 0.8 * np.sqrt(0.75)))
    (data / "train/average_depth.csv").unlink()
    with pytest.raises(InputError, match=r"average_depth\.csv"):
        check_site_means(out, data)
