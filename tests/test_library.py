"""The examples of docs/library.md, on small arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.documents import ROOT, blocks

BLOCKS = blocks(ROOT / "docs/library.md", "python")
COUNT, SIZE = 24, (24, 16)


@pytest.fixture
def arrays() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    depth = np.full((COUNT, *SIZE), 140, np.uint8)
    for i, image in enumerate(depth):
        image[6 : 16 + i % 3, 4 : 10 + i % 4] = 30 + i
    noise = rng.integers(0, 20, (2, COUNT, *SIZE), np.uint8)
    return {
        "sem": depth + noise[0],
        "depth": depth,
        "fab": depth + noise[1],
        "names": np.array([f"hole_{i}" for i in range(COUNT)]),
        "sites": np.array([f"site_{i // 4}" for i in range(COUNT)]),
        "cases": np.repeat([1, 2], COUNT // 2),
        "config": {
            "adaptation.adapter": "none",
            "classification": {"backbone": "statistics", "epochs": 1},
            "retrieval.index": "exact",
            "image": {"height": SIZE[0], "width": SIZE[1]},
        },
    }


@pytest.mark.parametrize(("title", "block"), BLOCKS, ids=[title for title, _ in BLOCKS])
def test_examples_run(
    title: str,
    block: str,
    arrays: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(block, arrays)  # noqa: S102 - our own documentation
    if title == "In a notebook":
        assert len(arrays["result"]) == COUNT
        assert (tmp_path / "submission.zip").exists()
    elif title.startswith("Storage"):
        assert arrays["near"].pair[:, 0].numpy().tolist() == [0, 1, 2]
    elif title.startswith("A generator"):
        for one, other in zip(
            arrays["network"].get_weights(), arrays["again"].get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    elif title.startswith("The CycleGAN"):
        assert arrays["adapted"].shape == (COUNT, *SIZE, 1)
    else:
        assert title == "The classifier on arrays"
        assert (tmp_path / "classifier/model.weights.h5").exists()
