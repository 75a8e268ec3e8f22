"""Every signature against what Python computes, in fresh processes, and wrong ones are noticed."""

import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from semtf.adaptation import adapter
from semtf.adaptation.base import Adapter
from semtf.estimation.estimator import Estimator
from semtf.run import Run
from semtf.serving.frames import Tensors
from semtf.serving.saved_model import signatures as table
from semtf.serving.saved_model.export import export
from semtf.serving.saved_model.fresh_process import (
    LOADERS,
    OutputsBySignature,
    signature_outputs,
)
from semtf.serving.saved_model.model import Model, Outputs
from semtf.serving.saved_model.reference import Reference
from semtf.serving.saved_model.samples import Samples
from semtf.serving.saved_model.signature import Output, Signature, largest_difference
from semtf.serving.saved_model.signatures import SIGNATURES
from semtf.serving.saved_model.verify import compare
from semtf.serving.saved_model.warmup import read_warmup
from tests.serving.pngs import png

DOCS = Path(__file__).parents[3] / "docs" / "serving.md"
CASES = np.array([1, 2, 3, 4, 1, 2, 3, 4], np.int32)
SHIFTS = np.array([[0, 0], [1, -2], [-2, 1], [2, 2], [-1, 0], [0, -1], [-2, -2], [1, 0]], np.int32)


@pytest.fixture(scope="module")
def adapters(run: Run) -> dict[int, Adapter]:
    config = run.config
    return {
        case: adapter.load(run.adaptation(case), config.image, config.adaptation)
        for case in run.cases
    }


@pytest.fixture(scope="module")
def samples(images: np.ndarray) -> Samples:
    """Images of the fab, pairs all over the storage, and shifts in every direction."""
    pairs = np.array([0, 39, 7, 12, 3, 3, 21, 38], np.int32)
    return Samples(images, CASES, pairs, SHIFTS, (1, 2, 3, 4))


@pytest.fixture(scope="module")
def reference(estimator: Estimator, adapters: Mapping[int, Adapter], samples: Samples) -> Reference:
    return Reference(estimator, adapters, samples)


@pytest.fixture(scope="module", params=LOADERS)
def outputs(request: pytest.FixtureRequest, exact: Path, samples: Samples) -> OutputsBySignature:
    """The outputs of every signature in a fresh process, from an export that was moved."""
    inputs = {name: entry.sample_inputs(samples) for name, entry in SIGNATURES.items()}
    moved = exact.rename(exact.with_name("7"))
    try:
        return signature_outputs(moved, inputs, request.param)
    finally:
        moved.rename(exact)


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_agrees_with_python(
    name: str, outputs: OutputsBySignature, reference: Reference
) -> None:
    entry = SIGNATURES[name]
    differences = compare(entry, outputs[name], entry.expected(reference))
    assert set(differences) == {output.name for output in entry.outputs}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_wrong_output_is_noticed(
    name: str, outputs: OutputsBySignature, reference: Reference
) -> None:
    entry = SIGNATURES[name]
    expected = entry.expected(reference)
    for output in entry.outputs:
        label = f"the output {output.name} of the signature {name} is "
        for wrong in wrong_values(output, outputs[name][output.name]):
            with pytest.raises(ValueError, match=re.escape(label)):
                compare(entry, {**outputs[name], output.name: wrong}, expected)
        missing = {key: value for key, value in outputs[name].items() if key != output.name}
        with pytest.raises(ValueError, match=f"the signature {name} gives"):
            compare(entry, missing, expected)


def wrong_values(output: Output, right: np.ndarray) -> Iterator[np.ndarray]:
    """The output of a mistaken graph: one element off, or the images in another order."""
    wrong = right.copy()
    if output.dtype == "float32":
        # Some tolerances are relative to numbers above 1.
        wrong.flat[-1] += 1.5 * output.tolerance * max(1.0, abs(float(right.flat[-1])))
        yield wrong
        wrong.flat[-1] = np.nan
    elif output.dtype == "int32":
        wrong.flat[-1] += 1
    elif output.name.endswith("_png_bytes"):
        pixels = tf.io.decode_png(right[-1])[..., 0].numpy()
        pixels[40, 20] = pixels[40, 20] - 2 if pixels[40, 20] > 100 else pixels[40, 20] + 2
        wrong[-1] = png(pixels)
    else:
        wrong.flat[-1] = right.flat[-1] + b"x"
    yield wrong
    turned = right[::-1]
    if output.dtype == "float32":
        unlike = output.difference(turned, right) > output.tolerance
    else:
        unlike = not np.array_equal(turned, right)
    if unlike:
        yield turned


@pytest.mark.parametrize("name", ["neighbours", "estimate"])
def test_neighbours_that_are_equally_similar_may_change_places(
    name: str, outputs: OutputsBySignature, reference: Reference
) -> None:
    entry = SIGNATURES[name]
    columns = {
        output.name: outputs[name][output.name][:, ::-1]
        for output in (table.PAIR, table.NAME, table.SHIFTS, table.WEIGHTS)
    }
    compare(entry, {**outputs[name], **columns}, entry.expected(reference))


def test_other_types_and_shapes_are_noticed(
    outputs: OutputsBySignature, reference: Reference
) -> None:
    entry = SIGNATURES["classify"]
    right, expected = outputs["classify"], entry.expected(reference)
    with pytest.raises(ValueError, match="is int64 instead of int32"):
        compare(entry, {**right, "case": right["case"].astype(np.int64)}, expected)
    with pytest.raises(ValueError, match=r"has shape \[7\] instead of \[8\]"):
        compare(entry, {**right, "case": right["case"][:-1]}, expected)
    files = {"depth_png_bytes": np.array([b"hello"] * len(CASES), object)}
    with pytest.raises(ValueError, match="a PNG file cannot be read"):
        compare(SIGNATURES["predict_png"], files, reference.estimate)


def test_samples_of_a_run_move_pairs_and_know_cases(run: Run, estimator: Estimator) -> None:
    samples = Samples.of_run(run, estimator.models, 3)
    assert samples.cases.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert samples.pairs.tolist() == [0, 1, 2] * 4
    radius = run.config.retrieval.shift
    assert samples.shifts[:3].tolist() == [[0, 0], [radius, -radius], [-radius, 0]]
    np.testing.assert_array_equal(samples.case_probabilities.argmax(axis=1) + 1, samples.cases)


def _confidence(model: Model, images: tf.Tensor) -> Outputs:
    probabilities = model.classify(images)["case_probabilities"]
    return {"confidence": tf.reduce_max(probabilities, axis=1)}


def _confidence_in_python(reference: Reference) -> Tensors:
    return {"confidence": reference.case_probabilities.max(axis=1)}


@pytest.fixture
def confidence() -> Iterator[Signature]:
    """A new signature, registered as CONTRIBUTING tells a successor to."""
    yield table.register(
        Signature(
            "confidence",
            "How sure the classifier is.",
            inputs=(table.IMAGE_BYTES,),
            outputs=(
                Output(
                    "confidence",
                    "float32",
                    "[n]",
                    "the largest probability of a case",
                    largest_difference,
                    1e-5,
                ),
            ),
            function=_confidence,
            expected=_confidence_in_python,
        )
    )
    del SIGNATURES["confidence"]


def test_a_registered_signature_is_exported_warmed_up_and_verified(
    confidence: Signature, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The faster of the loaders and one signature beside the new one are enough for that.
    monkeypatch.setattr(sys.modules[compare.__module__], "LOADERS", ("saved_model",))
    for name in set(SIGNATURES) - {"serving_default", "confidence"}:
        monkeypatch.delitem(SIGNATURES, name)
    with pytest.raises(ValueError, match="there is a signature confidence already"):
        table.register(confidence)
    verification = export(run.path, tmp_path / "1", index="exact")
    assert verification is not None
    assert max(verification.difference.values()) <= 1e-3
    assert verification.images == 16
    metadata = json.loads((tmp_path / "1" / "semtf.json").read_text())
    assert "confidence" in metadata["signatures"]
    requests = read_warmup(tmp_path / "1")
    assert list(requests) == list(SIGNATURES)
    assert [file[:4] for file in requests["confidence"]["image_bytes"]] == [b"\x89PNG"] * 4
    # What the check compares with is what was registered: if that differs, nothing is exported.
    monkeypatch.setitem(
        SIGNATURES, "confidence", _with_expected(confidence, lambda _: {"confidence": np.ones(16)})
    )
    message = "the output confidence of the signature confidence is"
    with pytest.raises(RuntimeError, match=message):
        export(run.path, tmp_path / "2", index="exact")
    assert not (tmp_path / "2").exists()


def _with_expected(signature: Signature, expected: Any) -> Signature:
    return dataclasses.replace(signature, expected=expected)


def test_outputs_that_are_not_registered_are_refused(
    confidence: Signature, estimator: Estimator, adapters: Mapping[int, Adapter]
) -> None:
    model = Model(estimator.models, adapters)
    misnamed = dataclasses.replace(confidence, function=Model.classify)
    graph = tf.function(
        misnamed.endpoint(model), input_signature=misnamed.specs(model), autograph=False
    )
    with pytest.raises(ValueError, match="the signature confidence gives"):
        graph.get_concrete_function()


def test_the_documentation_has_the_tables_of_signatures() -> None:
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    entries = SIGNATURES.values()
    inputs = {field.name: field for entry in entries for field in entry.inputs}
    outputs = {field.name: field for entry in entries for field in entry.outputs}
    expected = [
        f"| `{entry.name}` | {listed(entry.inputs)} | {listed(entry.outputs)} | "
        f"{entry.description} |"
        for entry in entries
    ]
    expected += [
        f"| `{field.name}` | {field.dtype.name} `{field.shape}` | {field.description} |"
        for field in inputs.values()
    ]
    expected += [
        f"| `{field.name}` | {field.dtype} `{field.shape}` | {field.description} |"
        for field in outputs.values()
    ]
    missing = [row for row in expected if row not in rows]
    assert not missing, "docs/serving.md lacks\n" + "\n".join(missing)
    documented = {name for row in rows if (name := re.match(r"\| `(\w+)` \|", row))}
    names = {match[1] for match in documented}
    assert names == {*SIGNATURES, *inputs, *outputs} | {"exact", "scann"}


def listed(fields: Any) -> str:
    return ", ".join(f"`{field.name}`" for field in fields)
