"""Throughput of the data layer, beside Pillow, OpenCV and TensorFlow loops in the same run.

    scripts/bench data [--data DIR|open.zip] [--images N]

Without --data it draws a small data set in the challenge's layout, in a temporary folder. Every
file is in the page cache before a timing starts, so the disk plays no part.
"""

import argparse
import os
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from isolated import run_isolated

from semtf.cases import CHALLENGE
from semtf.config import SHAPE

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
BATCHES = {"unpaired": (16, 128), "paired": (64,), "labelled": (64,)}


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = arguments.data or draw(folder / "data", arguments.images)
        files = sorted(str(path) for path in Path(data).rglob("*.png"))[: arguments.images]
        print(f"{len(files)} PNG files, load {os.getloadavg()[0]:.1f}")
        for _ in range(2):  # the second reading is from the page cache
            seconds = timed(lambda: [Path(name).read_bytes() for name in files])
        show("read only, one thread", len(files), seconds)
        packing(Path(data), folder / "folder", "folder")
        packing(zipped(Path(data), folder / "open.zip"), folder / "zip", "open.zip")
        loops(files)  # after packing: a process inherits the peak memory of the one that starts it
        pipelines(Path(data), folder / "folder")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a folder in the challenge's layout")
    parser.add_argument("--images", type=int, default=40_000, help="images to draw and to loop on")
    return parser.parse_args()


def show(name: str, images: float, seconds: float, note: str = "") -> None:
    print(f"{name:<44} {images / seconds:>10,.0f} images/s  {note}", flush=True)


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def draw(root: Path, count: int) -> Path:
    """Write about ``count`` noisy ovals as PNG files in the challenge's layout."""
    from semtf.data.png import write_png

    rng = np.random.default_rng(0)
    height, width = SHAPE
    centre = np.array([(height - 1) / 2, (width - 1) / 2]).reshape(2, 1, 1)
    rows, columns = np.mgrid[:height, :width] - centre
    radius = np.hypot(rows / 28, columns / 17)
    pixels = [
        np.clip(160 - 120 * (radius < 1) + rng.normal(0, 9, SHAPE), 0, 212).astype(np.uint8)
        for _ in range(500)
    ]
    for row, name in enumerate(_names(count)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, pixels[row % len(pixels)])
    return root


def _names(count: int) -> Iterable[str]:
    each = count // 17  # of 17 files, a case has two SEM images, a depth map, a fab image
    for case in CHALLENGE:
        for row in range(each):
            name = f"{case.simulator}/{80 + row % 5}/20201001_202940_M{row:05d}"
            yield f"simulation_data/SEM/{name}_itr0.png"
            yield f"simulation_data/SEM/{name}_itr1.png"
            yield f"simulation_data/Depth/{name}.png"
            yield f"train/SEM/{case.fab}/site_{row // 30:05d}/SEM_{row:06d}.png"
    yield from (f"test/SEM/{row:06d}.png" for row in range(each))


def loops(files: list[str]) -> None:
    """The libraries alone: no header check, no hash, no order, no record."""
    import cv2
    from PIL import Image

    def pillow() -> None:
        for name in files:
            with Image.open(name) as image:
                np.asarray(image)

    def opencv() -> None:
        for name in files:
            cv2.imread(name, cv2.IMREAD_GRAYSCALE)

    show("Pillow loop, one thread", len(files), timed(pillow))
    show("OpenCV loop, one thread", len(files), timed(opencv))
    show("tf.data + tf.io.decode_png, all cores", len(files), timed(lambda: _tensorflow(files)))


def _tensorflow(files: list[str]) -> None:
    import tensorflow as tf

    def load(name: "tf.Tensor") -> "tf.Tensor":
        return tf.io.decode_png(tf.io.read_file(name), channels=1)

    for _ in tf.data.Dataset.from_tensor_slices(files).map(load, tf.data.AUTOTUNE).batch(256):
        pass


def zipped(data: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(data.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(data))
    return target


def packing(data: Path, cache: Path, name: str) -> None:
    """The first and the second opening of a data set, each in a fresh process."""
    for what in ("packed", "opened again"):
        result = run_isolated(pack, data, cache)
        each = result["images"] / result["cpu"]
        note = f"{each:,.0f} for each second of one core, {result['mib']:.0f} MiB with workers"
        show(f"semtf, {name} {what}", result["images"], result["seconds"], note)


def pack(data: Path, cache: Path) -> dict[str, float]:
    """Open a data set; images, seconds, core seconds (with those of the imports) and peak MiB.

    The peak is an upper bound, the sum of the peaks of this process and of each worker.
    """
    from semtf.data.dataset import open_dataset
    from semtf.data.decoding import MAX_WORKERS

    seconds = timed(lambda: open_dataset(data, cache=cache))
    times = os.times()
    data_set = open_dataset(data, cache=cache)
    sets = [(data_set.simulator(case), data_set.fab(case)) for case in data_set.cases]
    images = sum(3 * len(pairs) + len(fab) for pairs, fab in sets) + len(data_set.test())
    workers = min(os.cpu_count() or 1, MAX_WORKERS)
    this_process, worker = (
        resource.getrusage(who).ru_maxrss / 1024
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    cpu = sum(times[:4])
    return {
        "images": images,
        "seconds": seconds,
        "cpu": cpu,
        "mib": this_process + workers * worker,
    }


def pipelines(data: Path, cache: Path) -> None:
    from semtf.data.dataset import open_dataset
    from semtf.data.pipelines import labelled, paired, unpaired

    data_set = open_dataset(data, cache=cache)
    simulator, fab = data_set.simulator(1), data_set.fab(1)
    labels = np.zeros(len(fab), np.int32)
    made = {
        "unpaired": (3, lambda batch: unpaired(simulator, fab, batch=batch, seed=0)),
        "paired": (3, lambda batch: paired(simulator, batch=batch, seed=0)),
        "labelled": (1, lambda batch: labelled(fab.images, labels, batch=batch, seed=0)),
    }
    for name, (images, make) in made.items():
        for batch in BATCHES[name]:
            steps = 40_000 // batch
            batches = iter(make(batch))
            next(batches)
            cpu, start = time.process_time(), time.perf_counter()
            for _ in range(steps):
                next(batches)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            count = steps * batch * images
            note = f"{count / cpu:,.0f} for each second of one core"
            show(f"semtf, {name}, batch {batch}", count, seconds, note)


if __name__ == "__main__":
    main()
