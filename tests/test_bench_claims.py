"""The experiments of the recipe's claims: effects, verdicts, the law of pairs, and a tiny fab."""

from pathlib import Path

import bench_claims
import numpy as np
import pytest

from semtf.benchmark.rows import Rows


def rows(**errors: float) -> Rows:
    """Rows of ten images, whose errors differ alike."""
    made = Rows(None)
    for name, rmse in errors.items():
        squares = (rmse**2 * np.linspace(0.9, 1.1, 10)).tolist()
        made.add(
            {"name": f"{name}/nearest", "seed": 0, "pairs": None, "squares": squares, "fit_s": rmse}
        )
    return made


@pytest.mark.parametrize(
    ("effects", "expected"),
    [
        ([(0.2, 0.1, 0.3), (0.1, 0.05, 0.2)], "holds"),
        ([(-0.2, -0.3, -0.1)], "fails"),
        ([(0.2, 0.1, 0.3), (-0.2, -0.3, -0.1)], "mixed"),
        ([(0.2, 0.1, 0.3), (0.0, -0.1, 0.1)], "mixed"),
        ([(0.01, -0.1, 0.1)], "no difference seen"),
        ([], "not measured"),
    ],
)
def test_a_verdict_needs_the_same_sign_everywhere(
    effects: list[tuple[float, float, float]], expected: str
) -> None:
    assert bench_claims.verdict(effects) == expected


def test_a_claim_becomes_a_table() -> None:
    claim = bench_claims.Claim("a helps", (("a/nearest", "b/nearest"), ("a/nearest", "c/nearest")))
    found = {"struct:0": (rows(a=3.0, b=4.0), None), "tonal:0": (rows(a=2.0, b=4.0), None)}
    text = bench_claims.report("test", claim, found, [0])
    assert "3.00 / 4.00: +25.0% (+25.0% to +25.0%)" in text
    assert "2.00 / 4.00: +50.0%" in text
    assert text.splitlines()[-4].endswith("| holds |")
    assert text.splitlines()[-3].count("not measured") == 3
    # Means over both fabs, whose seconds are their errors here.
    assert text.splitlines()[-1] == "Seconds to fit: `a/nearest` 2, `b/nearest` 4."


def test_other_keys_take_the_place_of_the_adapted_ones() -> None:
    claim = bench_claims.CLAIMS["centre"].with_keys("target")
    # That of the target keys was there before: it is told once.
    assert claim.comparisons == (
        ("target/nearest-centre", "target/nearest"),
        ("none/nearest-centre", "none/nearest"),
    )
    assert len(claim.names) == 4


@pytest.mark.parametrize(("floor", "power"), [(0.0, 0.2), (1.5, 0.5)])
def test_the_law_of_pairs_is_found(floor: float, power: float) -> None:
    sizes = np.array(bench_claims.SIZES)
    found = bench_claims.law(sizes, floor + 20.0 * sizes**-power)
    assert found[0] == pytest.approx(floor, abs=0.1)
    assert found[2] == pytest.approx(power, abs=0.05)


@pytest.mark.parametrize(
    ("fitted", "expected"),
    [
        ((1.0, 10.0, 0.5), "100"),
        ((2.0, 10.0, 0.5), "no number"),
        ((0.0, 3.0, 0.0), "no number"),
        ((0.0, 3.0, 0.01), "more than 1,000,000,000"),
    ],
)
def test_pairs_for_an_error(fitted: tuple[float, float, float], expected: str) -> None:
    assert bench_claims.pairs_for(2.0, fitted) == expected


def test_all_methods_of_claims_are_known() -> None:
    for claim in bench_claims.CLAIMS.values():
        assert bench_claims.methods_of(claim)


def test_a_tiny_fab_is_made_once_and_its_rows_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("FAB", 4), ("TEST", 3), ("CASES", (1,))):
        monkeypatch.setattr(bench_claims, name, value)
    claim = bench_claims.Claim("pairs help", (("nearest-true-map", "mean-map"),))
    monkeypatch.setitem(bench_claims.CLAIMS, "depth", claim)
    arguments = ["--claims", "depth", "--fabs", "tonal:2", "--pairs", "12"]
    arguments += ["--work", str(tmp_path)]
    bench_claims.main(arguments)
    first = capsys.readouterr().out
    assert "| `nearest-true-map` | `mean-map` |" in first
    assert "| holds |" in first
    kept = (tmp_path / "tonal_2_12" / "rows_1.jsonl").read_text()
    assert len(kept.splitlines()) == 2
    bench_claims.main(arguments)
    assert capsys.readouterr().out == first
    assert (tmp_path / "tonal_2_12" / "rows_1.jsonl").read_text() == kept


def test_a_claim_of_a_case_is_judged_on_its_images_alone(tmp_path: Path) -> None:
    truth = tmp_path / "struct_0_500" / "data" / "truth"
    truth.mkdir(parents=True)
    cases = np.arange(10) % 3 + 1
    table = "".join(f"{9 - i:03}.png,{case}\n" for i, case in enumerate(cases))
    (truth / "cases.csv").write_text(f"name,case\n{table}")
    fab = bench_claims.Fab("struct:0", tmp_path, 500)
    claim = bench_claims.Claim("a helps", (("a/nearest", "b/nearest"),), (1, 2), 2)
    judged = fab.judged(claim)
    sorted_cases = cases[::-1]
    assert (judged == (sorted_cases[sorted_cases < 3] == 2)).all()
    made = Rows(None)
    for name, error in (("a/nearest", 1.0), ("b/nearest", 2.0)):
        squares = np.where(judged, error**2, 100.0)
        for seed in (0, 1):
            made.add(
                {
                    "name": name,
                    "seed": seed,
                    "pairs": None,
                    "squares": squares.tolist(),
                    "fit_s": 1.0,
                }
            )
    row = bench_claims.joined(made, "b/nearest", [0, 1], judged=judged)
    assert row["rmse"] == 2.0
    assert len(row["squares"]) == 2 * judged.sum()
