"""The case classifiers on sites they have not seen: accuracy, calibration and speed.

scripts/bench classifier [--networks efficientnet_b0 small statistics …] [--seeds 0 1 2]
                         [--fab struct|random] [--cases 1 2 3 4] [--images 400]

A fab of 800 images a case is made for each seed; the sites of the first 400 train, the others test.
Every network is trained with the quick preset, the light ones for more steps. `one_cycle` and
`one_cosine` are EfficientNet-B0 with a training that does not look whether it is done, and
`small_long` is `small` with four times the steps. The first row is of linear discriminant analysis;
`with_discriminant` are both together, with factors that held-out sites choose.
"""

import argparse
import dataclasses
import json
import tempfile
import time
from collections.abc import Callable
from os import cpu_count
from pathlib import Path
from typing import Any

import numpy as np
from discriminant import discriminant, joined

from semtf.cases import CHALLENGE
from semtf.classification.batchnorm_folding import folded
from semtf.classification.calibration import expected_calibration_error, nll, scaled_softmax
from semtf.classification.classifier import Classifier
from semtf.classification.train import hold_out, train
from semtf.classification.voting import site_vote
from semtf.data.dataset import open_dataset
from semtf.presets import preset
from semtf.simulation.world import simulate

QUICK = preset("quick").classification
LIGHT = dataclasses.replace(
    QUICK, batch=64, epochs=12, cycle=12, steps_per_epoch=150, learning_rate=5e-3
)
SETTINGS = {
    "efficientnet_b0": QUICK,
    "one_cycle": dataclasses.replace(QUICK, epochs=QUICK.cycle),
    "one_cosine": dataclasses.replace(QUICK, cycle=QUICK.epochs),
    "small": dataclasses.replace(LIGHT, backbone="small"),
    "small_long": dataclasses.replace(LIGHT, backbone="small", epochs=48, cycle=48),
    "statistics": dataclasses.replace(LIGHT, backbone="statistics"),
}
Data = tuple[np.ndarray, np.ndarray, np.ndarray]
Logits = Callable[[np.ndarray], np.ndarray]


def fab(folder: Path, seed: int, options: argparse.Namespace) -> tuple[Data, Data]:
    """Images, cases and sites to train on and to test on; no site is in both."""
    root = simulate(
        folder / f"fab{seed}",
        pairs=1,
        train=2 * options.images,
        test=1,
        seed=seed,
        fab=options.fab,
        cases=tuple(case for case in CHALLENGE if case.case in options.cases),
    )
    dataset = open_dataset(root, cache=folder / "cache")
    parts: tuple[list[Data], list[Data]] = ([], [])
    for case in dataset.cases:
        images = dataset.fab(case)
        boundary = images.sites[options.images - 1]
        for part, rows in zip(
            parts, (images.sites <= boundary, images.sites > boundary), strict=True
        ):
            sites = np.char.add(f"{case}/", images.sites[rows])
            part.append((images.images[rows], np.full(int(rows.sum()), case), sites))
    return _joined(parts[0]), _joined(parts[1])


def _joined(parts: list[Data]) -> Data:
    images, cases, sites = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return images, cases, sites


def rate(classifier: Classifier, images: np.ndarray) -> float:
    """Images a second in batches, the best of three passes."""
    classifier.probabilities(images[:256])

    def once() -> float:
        start = time.perf_counter()
        classifier.probabilities(images)
        return len(images) / (time.perf_counter() - start)

    return max(once() for _ in range(3))


def clocks(work: Callable[[], Classifier]) -> tuple[Classifier, float, float]:
    """The work's result, its seconds and the seconds that the cores were busy with it."""
    start, busy = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - start, time.process_time() - busy


def measure(
    network: str, first: Data, second: Data, held_out: np.ndarray, analysis: Logits, seed: int
) -> dict[str, Any]:
    """Train on the first sites, test on the second, also together with discriminant analysis."""
    with tempfile.TemporaryDirectory() as folder:
        classifier, seconds, core_seconds = clocks(
            lambda: train(
                *first, SETTINGS[network], seed=seed, folder=Path(folder), held_out=held_out
            )
        )
    images, cases, sites = second
    labels = np.searchsorted(classifier.cases, cases)
    logits = classifier.logits(images)
    both = together(classifier, analysis, first, held_out)
    probabilities = scaled_softmax(logits, classifier.temperature)
    right = probabilities.argmax(axis=1) == labels
    kept = probabilities.max(axis=1) >= classifier.threshold
    voted = site_vote(probabilities, sites).argmax(axis=1) == labels
    _, one_of_each = np.unique(sites, return_index=True)
    raw = scaled_softmax(logits, 1.0)
    for_inference = dataclasses.replace(classifier, model=folded(classifier.model))
    return {
        "network": network,
        "seed": seed,
        "train_images": len(first[0]),
        "train_seconds": round(seconds, 1),
        "train_core_seconds": round(core_seconds, 1),
        "test_images": len(images),
        **judged(logits, labels, classifier.temperature),
        "with_discriminant": judged(both(images), labels),
        "site_accuracy": round(float(voted[one_of_each].mean()), 4),
        "calibration_error_before": round(expected_calibration_error(raw, labels), 4),
        "calibration_error": round(expected_calibration_error(probabilities, labels), 4),
        "temperature": round(classifier.temperature, 3),
        "kept": round(float(kept.mean()), 4),
        "wrong_among_kept": round(float((~right[kept]).mean()), 5) if kept.any() else None,
        "images_a_second": round(rate(classifier, images)),
        "images_a_second_folded": round(rate(for_inference, images)),
    }


def together(classifier: Classifier, analysis: Logits, first: Data, held_out: np.ndarray) -> Logits:
    """The logits of both, added with the factors that are best on images put aside."""
    images, cases = first[0][held_out], first[1][held_out]
    labels = np.searchsorted(classifier.cases, cases)
    own, others = joined([classifier.logits(images), analysis(images)], labels)
    return lambda new: own * classifier.logits(new) + others * analysis(new)


def judged(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> dict[str, float]:
    """Accuracy, and mean negative log likelihood, of logits."""
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    likelihood = nll(logits, labels, temperature)
    return {"accuracy": round(accuracy, 4), "likelihood": round(likelihood, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--fab", choices=["struct", "random"], default="struct")
    parser.add_argument("--cases", nargs="+", type=int, default=[1, 2, 3, 4])
    parser.add_argument("--images", type=int, default=400, help="to train with, a case")
    options = parser.parse_args()
    print(json.dumps({"cores": cpu_count()}))
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            first, second = fab(Path(folder), seed, options)
            held_out = hold_out(first[1], first[2], QUICK, seed)
            labels, truth = (np.unique(part[1], return_inverse=True)[1] for part in (first, second))
            analysis = discriminant(first[0][~held_out], labels[~held_out])
            row = {"network": "discriminant", "seed": seed, **judged(analysis(second[0]), truth)}
            print(json.dumps(row), flush=True)
            for network in options.networks:
                row = measure(network, first, second, held_out, analysis, seed)
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
