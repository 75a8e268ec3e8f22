"""The signatures of an export, each registered once.

Export, warm-up requests, the check of an export and the tables of docs/serving.md are made from or
compared with `SIGNATURES`.
"""

import numpy as np
import tensorflow as tf

from semtf.metrology.graph import NAMES
from semtf.serving.saved_model.graph_assertions import check_batch, check_floats
from semtf.serving.saved_model.graph_png import decode
from semtf.serving.saved_model.model import Model
from semtf.serving.saved_model.reference import Reference
from semtf.serving.saved_model.signature import (
    Input,
    Output,
    Signature,
    largest_difference,
    png_difference,
    relative_difference,
)

SIGNATURES: dict[str, Signature] = {}
"""By name, every signature of an export."""


def register(signature: Signature) -> Signature:
    """Add a signature to `SIGNATURES`: it is exported, warmed up and verified from then on.

    Raises:
        ValueError: there is one of that name.
    """
    if signature.name in SIGNATURES:
        raise ValueError(f"there is a signature {signature.name} already")
    SIGNATURES[signature.name] = signature
    return signature


def _images_of_files(model: Model, files: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([check_batch(tf.shape(files)[0])]):
        files = tf.identity(files)
    return decode(files, model.height, model.width)


def _images_of_floats(model: Model, images: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies(check_floats(images, model.height, model.width)):
        return tf.reshape(images, [-1, model.height, model.width])


IMAGE_BYTES = Input(
    "image_bytes",
    tf.string,
    "[n]",
    "SEM images as PNG files",
    spec_shape=lambda _: [None],
    sample=lambda samples: samples.files,
    read=_images_of_files,
)
IMAGES = Input(
    "images",
    tf.float32,
    "[n, H, W] or [n, H, W, 1]",
    "SEM images in grey levels 0–255",
    spec_shape=lambda _: None,
    sample=lambda samples: samples.images.astype(np.float32),
    read=_images_of_floats,
)
CASE_PROBABILITIES_GIVEN = Input(
    "case_probabilities",
    tf.float32,
    "[n, cases]",
    "the probability of each case, where it is known better than from the image alone",
    spec_shape=lambda model: [None, len(model.cases)],
    sample=lambda samples: samples.case_probabilities,
)
CASE_GIVEN = Input(
    "case",
    tf.int32,
    "[n]",
    "the case of each image or pair",
    spec_shape=lambda _: [None],
    sample=lambda samples: samples.cases,
)
PAIR_GIVEN = Input(
    "pair",
    tf.int32,
    "[n]",
    "the index of a stored pair of the case, as `neighbours` gives it",
    spec_shape=lambda _: [None],
    sample=lambda samples: samples.pairs,
)
SHIFT = Input(
    "shift",
    tf.int32,
    "[n, 2]",
    "rows and columns in pixels by which the pair is moved",
    spec_shape=lambda _: [None, 2],
    sample=lambda samples: samples.shifts,
)

MAP = "[n, H, W]"
DEPTH = Output(
    "depth", "float32", MAP, "depth in grey levels, smaller is deeper", largest_difference, 1e-3
)
SIGMA = Output(
    "sigma", "float32", MAP, "uncertainty of the depth in grey levels", largest_difference, 1e-3
)
CASE = Output("case", "int32", "[n]", "the case")
CASE_PROBABILITIES = Output(
    "case_probabilities",
    "float32",
    "[n, cases]",
    "the probability of each case",
    largest_difference,
    1e-5,
)
CASE_PROBABILITY = Output(
    "case_probability", "float32", "[n]", "the probability of `case`", largest_difference, 1e-5
)
SIMILARITY = Output(
    "similarity", "float32", "[n]", "cosine of the best neighbour", largest_difference, 1e-5
)
FLAGS = Output("flags", "string", "[n]", "what is doubtful, as words with spaces between them")
DEPTH_PNG = Output(
    "depth_png_bytes", "string", "[n]", "a depth map as a PNG file", png_difference, 1e-3
)
PAIR = Output("pair", "int32", "[n, k]", "index of a neighbour in the storage of the case, or −1")
NAME = Output("name", "string", "[n, k]", "name of that pair, or nothing")
SHIFTS = Output("shifts", "int32", "[n, k, 2]", "rows and columns in pixels that it is moved by")
WEIGHTS = Output(
    "weights", "float32", "[n, k]", "its part of the estimate", largest_difference, 1e-4
)
SIMILARITIES = Output(
    "similarities", "float32", "[n, k]", "its cosine with the image", largest_difference, 1e-5
)
ADAPTED = Output(
    "adapted",
    "float32",
    MAP,
    "the image as the fab's microscope would show it, in grey levels",
    largest_difference,
    1e-2,
)
ADAPTED_PNG = Output(
    "adapted_png_bytes", "string", "[n]", "the same as a PNG file", png_difference, 1e-2
)
SEM_PNG = Output(
    "sem_png_bytes", "string", "[n]", "a stored (adapted) image as a PNG file", png_difference, 1e-3
)

PREDICTION = (DEPTH, SIGMA, CASE, CASE_PROBABILITIES, SIMILARITY, FLAGS)
NEIGHBOURS = (PAIR, NAME, SHIFTS, WEIGHTS, SIMILARITIES)
MEASUREMENTS = tuple(
    Output(
        f"{prefix}{name}",
        "float32",
        "[n]",
        f"{kind} `{name}`, or −1",
        relative_difference,
        1e-2,
    )
    for prefix, kind in (("", "the measurement"), ("u_", "standard uncertainty of"))
    for name in NAMES
)
ADAPTATION = (ADAPTED, ADAPTED_PNG)


def _estimate(reference: Reference) -> dict[str, np.ndarray]:
    return reference.estimate


register(
    Signature(
        "serving_default",
        "Depth maps with their uncertainty, case and flags.",
        inputs=(IMAGE_BYTES,),
        outputs=PREDICTION,
        function=Model.predict,
        expected=_estimate,
    )
)
register(
    Signature(
        "predict_float",
        "The same of images as numbers.",
        inputs=(IMAGES,),
        outputs=PREDICTION,
        function=Model.predict,
        expected=_estimate,
    )
)
register(
    Signature(
        "predict_png",
        "The depth maps alone, rounded.",
        inputs=(IMAGE_BYTES,),
        outputs=(DEPTH_PNG,),
        function=Model.predict_png,
        expected=_estimate,
    )
)
register(
    Signature(
        "neighbours",
        "The stored pairs that each depth map is made of, best first.",
        inputs=(IMAGE_BYTES,),
        outputs=NEIGHBOURS,
        function=Model.neighbours,
        expected=_estimate,
    )
)
register(
    Signature(
        "measure",
        "What is measured of each hole, with its standard uncertainty.",
        inputs=(IMAGE_BYTES,),
        outputs=(CASE, *MEASUREMENTS),
        function=Model.measure,
        expected=lambda reference: reference.measurements,
    )
)
register(
    Signature(
        "estimate",
        "Depth maps and neighbours together.",
        inputs=(IMAGE_BYTES,),
        outputs=(*PREDICTION, CASE_PROBABILITY, *NEIGHBOURS),
        function=Model.estimate,
        expected=_estimate,
    )
)
register(
    Signature(
        "estimate_given_case",
        "The same for probabilities of the cases that are known better, as those of a site.",
        inputs=(IMAGE_BYTES, CASE_PROBABILITIES_GIVEN),
        outputs=(*PREDICTION, CASE_PROBABILITY, *NEIGHBOURS),
        function=Model.estimate,
        expected=lambda reference: reference.estimate_given_case,
    )
)
register(
    Signature(
        "classify",
        "The most probable case.",
        inputs=(IMAGE_BYTES,),
        outputs=(CASE, CASE_PROBABILITIES),
        function=Model.classify,
        expected=lambda reference: reference.classification,
    )
)
register(
    Signature(
        "adapt",
        "Simulator images as the fab's microscope would show them.",
        inputs=(IMAGE_BYTES, CASE_GIVEN),
        outputs=ADAPTATION,
        function=Model.adapt,
        expected=lambda reference: reference.adaptation,
    )
)
register(
    Signature(
        "adapt_float",
        "The same of images as numbers.",
        inputs=(IMAGES, CASE_GIVEN),
        outputs=ADAPTATION,
        function=Model.adapt,
        expected=lambda reference: reference.adaptation,
    )
)
register(
    Signature(
        "stored",
        "Stored pairs, moved as an estimate moves them.",
        inputs=(CASE_GIVEN, PAIR_GIVEN, SHIFT),
        outputs=(SEM_PNG, DEPTH_PNG),
        function=Model.stored_pair,
        expected=lambda reference: reference.stored_pairs,
    )
)
