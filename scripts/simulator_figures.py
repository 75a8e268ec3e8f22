"""Write the figures of docs/simulator.md: the same structures as each microscope sees them, and
the fabs of the zoo that development may look at.

python scripts/simulator_figures.py [OUT], OUT being docs/images by default.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from semtf.cases import CHALLENGE
from semtf.simulation.geometry import draw_axes, draw_structures
from semtf.simulation.microscope import FABS, SIMULATOR
from semtf.simulation.rendering import Scene, render
from semtf.simulation.zoo import draw_fab

COLUMNS = 8
SHOWN_CASES = (CHALLENGE[0], CHALLENGE[-1])
SEEDS = range(12)
GAP = 2
ZOOM = 2


def sheet(rows: list[np.ndarray]) -> Image.Image:
    """Rows of images ``[n, height, width]`` on white, enlarged."""
    border = ((0, 0), (GAP, GAP), (GAP, GAP))
    padded = [np.pad(row, border, constant_values=255) for row in rows]
    joined = np.concatenate([np.concatenate(list(row), axis=1) for row in padded])
    image = Image.fromarray(joined)
    return image.resize((image.width * ZOOM, image.height * ZOOM), Image.Resampling.NEAREST)


def zoo() -> list[np.ndarray]:
    """A column for each seed: depth map, simulator and fab in case 1, fab in case 4."""
    columns = []
    for seed in SEEDS:
        fab, rng = draw_fab(seed), np.random.default_rng(seed)
        scene = Scene.of(draw_structures(rng, draw_axes(rng, 1, fab.holes), model=fab.holes))
        images = [
            render(scene, case, microscope, rng)[0, 0]
            for case, microscope in (
                (CHALLENGE[0], fab.simulator),
                *((c, fab.microscope) for c in SHOWN_CASES),
            )
        ]
        columns.append([scene.structures.depth(CHALLENGE[0])[0], *images])
    return list(np.stack(columns, axis=1))


def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    scene = Scene.of(draw_structures(rng, draw_axes(rng, COLUMNS)))
    depth = [scene.structures.depth(case) for case in SHOWN_CASES]
    sheet(depth).save(out / "simulator-depth.png", optimize=True)
    for name, microscope in {"simulator": SIMULATOR, **FABS}.items():
        images = [render(scene, case, microscope, rng)[0] for case in SHOWN_CASES]
        file = "simulator-itr0.png" if name == "simulator" else f"simulator-fab-{name}.png"
        sheet(images).save(out / file, optimize=True)
    sheet(zoo()).save(out / "simulator-zoo.png", optimize=True)


if __name__ == "__main__":
    main()
