"""The files that TensorFlow Serving in a container needs, beside the versions of a model."""

import shutil
from pathlib import Path

TEMPLATES = Path(__file__).with_name("docker")
FOLDER = "serving"


def write_docker_files(model: Path) -> None:
    """Write ``serving/`` into a folder of versions; files that are there stay as they are.

    ``models.config`` and ``batching.config`` are TensorFlow Serving's, ``Dockerfile``,
    ``Dockerfile.scann`` and ``compose.yaml`` build and run images of it. Its name is no number,
    so TensorFlow Serving does not take it for a version.
    """
    folder = model / FOLDER
    folder.mkdir(exist_ok=True)
    for template in sorted(TEMPLATES.iterdir()):
        if not (folder / template.name).exists():
            shutil.copyfile(template, folder / template.name)
