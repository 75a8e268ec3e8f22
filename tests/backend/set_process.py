"""A tiny run of the set of versions that this interpreter has, and what is computed with one.

python tests/backend/set_process.py train FOLDER    # data, run, exports, expected.npz
python tests/backend/set_process.py read FOLDER OUT # OUT/predict.npz, exact, scann, exported
"""

import sys
from pathlib import Path

import numpy as np

import semtf
from semtf.data.image_folder import open_images
from semtf.presets import preset
from semtf.serving.saved_model import loading

SETTINGS = {
    "adaptation.width": "2",
    "adaptation.batch": "4",
    "adaptation.first_epochs": "1",
    "adaptation.warm_up_steps": "2",
    "adaptation.other_epochs": "1",
    "adaptation.steps_per_epoch": "2",
    "adaptation.tensorboard": "false",
    "classification.backbone": "small",
    "classification.epochs": "2",
    "classification.steps_per_epoch": "10",
    "retrieval.dimensions": "6",
    "retrieval.shift": "1",
    "retrieval.candidates": "32",
    "retrieval.pool": "12",
    "retrieval.neighbours": "4",
}
INDEXES = ("exact", "scann")


def train(folder: Path) -> None:
    """Two cases of a small fab, in files of their own that the test reads."""
    folder.mkdir(parents=True)
    semtf.simulate(folder / "data", pairs=12, train=40, test=8, seed=3)
    config = preset("quick").with_settings(SETTINGS)
    semtf.train(folder / "data", case=1, run=folder / "run", config=config)
    semtf.train(folder / "data", case=2, run=folder / "run")
    images = open_images(folder / "data/test/SEM", size=(72, 48)).images[:6]
    np.savez_compressed(folder / "images.npz", images=images)
    for version, index in enumerate(INDEXES, start=1):
        semtf.export(folder / "run", folder / f"semtf/{version}", index=index, check=False)
    predict(folder, folder / "expected.npz")


def predict(folder: Path, out: Path) -> None:
    """The results of the run in a folder, and the images that its first adapter makes."""
    from semtf.adaptation import adapter
    from semtf.run import Run

    run = Run.open(folder / "run")
    with np.load(folder / "images.npz") as stored:
        images = stored["images"]
    result = semtf.load(run, index="exact").predict(images)
    loaded = adapter.load(run.adaptation(1), run.config.image, run.config.adaptation)
    np.savez_compressed(
        out,
        depth=result.depth,
        sigma=result.sigma,
        case=result.case,
        similarity=result.similarity,
        adapted=loaded(images.astype(np.float32)).numpy(),
    )


def serve(export: Path, images: Path, out: Path) -> None:
    """The depth maps of an export's signature."""
    import tensorflow as tf

    model = loading.load(export)
    with np.load(images) as stored:
        floats = tf.constant(stored["images"], tf.float32)
    served = model.signatures["predict_float"](images=floats)
    np.savez_compressed(out, depth=served["depth"].numpy(), sigma=served["sigma"].numpy())


def read(folder: Path, out: Path) -> None:
    """Predict with a run, serve its exports, export it anew and serve that."""
    out.mkdir(parents=True)
    predict(folder, out / "predict.npz")
    for version, index in enumerate(INDEXES, start=1):
        serve(folder / f"semtf/{version}", folder / "images.npz", out / f"{index}.npz")
    semtf.export(folder / "run", out / "semtf/1", index="exact", check=False)
    serve(out / "semtf/1", folder / "images.npz", out / "exported.npz")


if __name__ == "__main__":
    commands = {"train": train, "read": read}
    commands[sys.argv[1]](*map(Path, sys.argv[2:]))
