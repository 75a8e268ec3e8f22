"""The case classifiers on sites they have not seen: accuracy, calibration and speed.

scripts/bench classifier [--networks efficientnet_b0 small statistics] [--seeds 0 1 2]

A `struct` fab of 800 images a case is made for each seed; the sites of the first 400 train, the
others test. Every network is trained with the quick preset, the light ones for more steps.
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

from semtf.classification.batchnorm_folding import folded
from semtf.classification.calibration import expected_calibration_error, scaled_softmax
from semtf.classification.classifier import Classifier
from semtf.classification.train import train
from semtf.classification.voting import site_vote
from semtf.config import ClassificationConfig
from semtf.data.dataset import open_dataset
from semtf.presets import preset
from semtf.simulation.world import simulate

IMAGES = 400
QUICK = preset("quick").classification
LIGHT = dataclasses.replace(QUICK, batch=64, epochs=12, steps_per_epoch=150, learning_rate=5e-3)
SETTINGS = {
    "efficientnet_b0": QUICK,
    "small": dataclasses.replace(LIGHT, backbone="small"),
    "statistics": dataclasses.replace(LIGHT, backbone="statistics"),
}
Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def fab(folder: Path, seed: int) -> tuple[Data, Data]:
    """Images, cases and sites to train on and to test on; no site is in both."""
    root = simulate(folder / f"fab{seed}", pairs=1, train=2 * IMAGES, test=1, seed=seed)
    dataset = open_dataset(root, cache=folder / "cache")
    parts: tuple[list[Data], list[Data]] = ([], [])
    for case in dataset.cases:
        images = dataset.fab(case)
        boundary = images.sites[IMAGES - 1]
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


def measure(config: ClassificationConfig, first: Data, second: Data, seed: int) -> dict[str, Any]:
    """Train on the first sites, test on the second."""
    with tempfile.TemporaryDirectory() as folder:
        classifier, seconds, core_seconds = clocks(
            lambda: train(*first, config, seed=seed, folder=Path(folder))
        )
    images, cases, sites = second
    labels = np.searchsorted(classifier.cases, cases)
    logits = classifier.logits(images)
    probabilities = scaled_softmax(logits, classifier.temperature)
    right = probabilities.argmax(axis=1) == labels
    kept = probabilities.max(axis=1) >= classifier.threshold
    voted = site_vote(probabilities, sites).argmax(axis=1) == labels
    _, one_of_each = np.unique(sites, return_index=True)
    raw = scaled_softmax(logits, 1.0)
    for_inference = dataclasses.replace(classifier, model=folded(classifier.model))
    return {
        "network": config.backbone,
        "seed": seed,
        "train_images": len(first[0]),
        "train_seconds": round(seconds, 1),
        "train_core_seconds": round(core_seconds, 1),
        "test_images": len(images),
        "accuracy": round(float(right.mean()), 4),
        "site_accuracy": round(float(voted[one_of_each].mean()), 4),
        "calibration_error_before": round(expected_calibration_error(raw, labels), 4),
        "calibration_error": round(expected_calibration_error(probabilities, labels), 4),
        "temperature": round(classifier.temperature, 3),
        "kept": round(float(kept.mean()), 4),
        "wrong_among_kept": round(float((~right[kept]).mean()), 5) if kept.any() else None,
        "images_a_second": round(rate(classifier, images)),
        "images_a_second_folded": round(rate(for_inference, images)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    options = parser.parse_args()
    print(json.dumps({"cores": cpu_count()}))
    with tempfile.TemporaryDirectory() as folder:
        for seed in options.seeds:
            first, second = fab(Path(folder), seed)
            for network in options.networks:
                print(json.dumps(measure(SETTINGS[network], first, second, seed)), flush=True)


if __name__ == "__main__":
    main()
