"""Write a run as one SavedModel for TensorFlow Serving."""

import contextlib
import io
import json
import shutil
import tempfile
import typing
from collections.abc import Mapping
from pathlib import Path

import tensorflow as tf

from semtf.adaptation import adapter
from semtf.adaptation.base import Adapter
from semtf.config import IndexKind
from semtf.errors import InputError
from semtf.estimation.loading import load_models
from semtf.estimation.models import EstimatorModels
from semtf.formats import stamped
from semtf.manifest import write_manifest
from semtf.outputs import check_folder, give_name, is_unused
from semtf.run import Run
from semtf.serving.saved_model.docker_files import write_docker_files
from semtf.serving.saved_model.export_metadata import EXPORT_METADATA
from semtf.serving.saved_model.graph_assertions import MAX_BATCH
from semtf.serving.saved_model.model import Model
from semtf.serving.saved_model.samples import Samples
from semtf.serving.saved_model.signatures import SIGNATURES
from semtf.serving.saved_model.verify import Verification, verify
from semtf.serving.saved_model.warmup import write_warmup


def export(
    run: Path | str | Run,
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
        check: load the export in fresh processes, with both loaders, and compare every output
            of every signature with what Python computes.

    Returns:
        How far the export is from what Python computes; None without the check.

    Raises:
        InputError: there is no run, ``out`` is in use, or there is no such index.
        RuntimeError: the check found a difference; ``out`` is not made.
    """
    out = Path(out)
    kinds = typing.get_args(IndexKind)
    if index not in kinds:
        raise InputError(f"--index {index}: is none of {', '.join(kinds)}")
    if not is_unused(out):
        raise InputError(f"{out}: exists and is not empty; export into a new version folder")
    check_folder(out)
    opened = Run.open(run)
    if not opened.cases or not opened.classifier.is_dir():
        raise InputError(f"{opened.path}: not trained to the end; go on with semtf-train --resume")
    opened.check(full=True)
    out = out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, because TensorFlow Serving takes every folder with a number for a version.
    work = Path(tempfile.mkdtemp(prefix=".export-", dir=out.parent))
    try:
        adapters = {
            case: adapter.load(
                opened.adaptation(case), opened.config.image, opened.config.adaptation
            )
            for case in opened.cases
        }
        models = load_models(opened, index, recall=recall)
        _write_saved_model(work / "model", models, adapters)
        _write_metadata(work / "model", opened, index)
        samples = Samples.of_run(opened, models, images_per_case=1)
        requests = {name: entry.sample_inputs(samples) for name, entry in SIGNATURES.items()}
        write_warmup(work / "model", requests)
        verification = verify(opened, work / "model", adapters, index, recall) if check else None
        write_manifest(work / "model")
        give_name(work / "model", out)
    finally:
        shutil.rmtree(work)
    write_docker_files(out.parent)
    return verification


def _write_saved_model(
    folder: Path, models: EstimatorModels, adapters: Mapping[int, Adapter]
) -> None:
    model = Model(models, adapters)
    # Keras is imported after semtf.adaptation has made sure of its backend.
    import keras

    archive = keras.export.ExportArchive()
    adapter_owners = [owner for loaded in adapters.values() for owner in loaded.tracked]
    owners = (models.classifier, *models.modules, *adapter_owners, *model.variables)
    for owner in owners:
        archive.track(owner)
    for name, entry in SIGNATURES.items():
        archive.add_endpoint(name, entry.endpoint(model), input_signature=entry.specs(model))
    with contextlib.redirect_stdout(io.StringIO()):  # it lists every captured variable
        archive.write_out(str(folder))


def _write_metadata(folder: Path, run: Run, index: IndexKind) -> None:
    import keras

    metadata = {
        "index": index,
        "needs_scann_operations": index == "scann",
        "signatures": sorted(SIGNATURES),
        "max_batch": MAX_BATCH,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "cases": list(run.cases),
        "image": list(run.config.image.shape),
        "run": run.path.name,
    }
    (folder / EXPORT_METADATA).write_text(
        json.dumps(stamped("export", metadata), indent=2) + "\n", encoding="utf-8"
    )
