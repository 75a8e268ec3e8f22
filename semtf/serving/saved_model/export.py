"""Write a run as one SavedModel for TensorFlow Serving."""

import contextlib
import io
import json
import shutil
import tempfile
from pathlib import Path

import keras
import tensorflow as tf

from semtf.adaptation import adapter
from semtf.config import IndexKind
from semtf.errors import InputError
from semtf.estimation.estimator import load_models
from semtf.run import Run
from semtf.serving.saved_model.docker_files import write_docker_files
from semtf.serving.saved_model.export_metadata import EXPORT_METADATA
from semtf.serving.saved_model.graph_assertions import MAX_BATCH
from semtf.serving.saved_model.signatures import Model
from semtf.serving.saved_model.verify import Verification, verify
from semtf.serving.saved_model.warmup import write_warmup


def export(
    run: Path | str,
    out: Path | str,
    *,
    index: IndexKind = "scann",
    recall: float | None = None,
    check: bool = True,
) -> Verification | None:
    """Export a run as a SavedModel with the signatures that docs/serving.md lists.

    Args:
        run: a trained run folder.
        out: the new version folder, such as ``saved_models/semtf/1``.
        index: ``"exact"`` has only stock TensorFlow operations; ``"scann"`` loads only where
            ScaNN's operations are registered.
        recall: share of the best rows that a ScaNN index must find; as trained where None.
        check: load the export in fresh processes, with both loaders, and compare every
            signature with the estimator.

    Returns:
        What the check found; None without it.

    Raises:
        InputError: there is no run, or ``out`` exists.
    """
    out = Path(out)
    if out.exists():
        raise InputError(f"{out}: exists; export into a new version folder")
    opened = Run.open(run)
    if not opened.cases or not opened.classifier.is_dir():
        raise InputError(f"{run}: not trained to the end; go on with semtf-train --resume")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, because TensorFlow Serving takes every folder with a number for a version.
    work = Path(tempfile.mkdtemp(prefix=".export-", dir=out.parent))
    try:
        _write(opened, work / "model", index, recall)
        found = verify(opened, work / "model", index, recall) if check else None
        (work / "model").rename(out)
    finally:
        shutil.rmtree(work)
    write_docker_files(out.parent)
    return found


def _write(run: Run, folder: Path, index: IndexKind, recall: float | None) -> None:
    parts = load_models(run, index, recall=recall)
    settings = run.config.adaptation
    adapters = {
        case: adapter.load(run.adaptation(case), run.config.image, settings) for case in run.cases
    }
    model = Model(parts, adapters)
    archive = keras.export.ExportArchive()
    translators = [resource for made in adapters.values() for resource in made.tracked]
    owners = (parts.classifier, *parts.retrievers.values(), *translators, *model.variables)
    for owner in owners:
        archive.track(owner)
    for name, (function, specs) in model.signatures.items():
        archive.add_endpoint(name, function, input_signature=specs)
    with contextlib.redirect_stdout(io.StringIO()):  # it lists every captured variable
        archive.write_out(str(folder))
    note = {
        "index": index,
        "needs_scann_operations": index == "scann",
        "signatures": sorted(model.signatures),
        "max_batch": MAX_BATCH,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "cases": list(run.cases),
        "image": list(run.config.image.shape),
        "run": run.path.name,
    }
    (folder / EXPORT_METADATA).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    write_warmup(folder, run, parts.cases)
