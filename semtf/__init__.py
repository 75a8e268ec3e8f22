"""semtf: depth maps from SEM images of contact holes.

The flow: files become arrays (`semtf.data`; `semtf.simulation` makes them where there are none),
simulator images become fab-like ones (`semtf.adaptation`), which are stored with their depth maps
and searched (`semtf.retrieval`); a classifier tells the plate level of a fab image
(`semtf.classification`), `semtf.estimation` brings the two together, `semtf.metrology` measures
the holes, `semtf.pipeline` trains it all into one run folder, and `semtf.serving` exports that as
one SavedModel.

    semtf.simulate("data", pairs=1000, seed=0)
    run = semtf.train("data")
    result = semtf.load(run.path).predict(images)
    table = semtf.measure(result.depth)
    semtf.export(run.path, "saved_models/semtf/1")
"""

import importlib
import os
from functools import lru_cache
from inspect import isfunction
from typing import TYPE_CHECKING, Any

from semtf.errors import InputError
from semtf.python_words import speaking_python
from semtf.version import __version__

if TYPE_CHECKING:
    from semtf.analysis.analysis import Analysis, analyze
    from semtf.analysis.plots import plot_pairs
    from semtf.data.dataset import Dataset
    from semtf.estimation.estimator import Estimator, load
    from semtf.estimation.result import DepthResult, Neighbour
    from semtf.metrology.hole import measure
    from semtf.pipeline import train
    from semtf.report.page import write_report
    from semtf.run import Run
    from semtf.serving.saved_model.export import export
    from semtf.simulation.world import simulate

__all__ = [
    "Analysis",
    "Dataset",
    "DepthResult",
    "Estimator",
    "InputError",
    "Neighbour",
    "Run",
    "__version__",
    "analyze",
    "export",
    "load",
    "measure",
    "plot_pairs",
    "simulate",
    "train",
    "write_report",
]

# Both are read when TensorFlow and Keras are first imported. Level 3 hides what TensorFlow's C++
# code reports by itself, such as a missing GPU; errors still come as exceptions.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_MODULES = {
    "Analysis": "semtf.analysis.analysis",
    "Dataset": "semtf.data.dataset",
    "analyze": "semtf.analysis.analysis",
    "DepthResult": "semtf.estimation.result",
    "Estimator": "semtf.estimation.estimator",
    "Neighbour": "semtf.estimation.result",
    "Run": "semtf.run",
    "export": "semtf.serving.saved_model.export",
    "load": "semtf.estimation.estimator",
    "measure": "semtf.metrology.hole",
    "plot_pairs": "semtf.analysis.plots",
    "simulate": "semtf.simulation.world",
    "train": "semtf.pipeline",
    "write_report": "semtf.report.page",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: TensorFlow takes seconds to load."""
    if name not in _MODULES:
        raise AttributeError(f"module 'semtf' has no attribute {name!r}")
    return _public(name)


@lru_cache
def _public(name: str) -> Any:
    """A public name; errors of functions speak of their arguments."""
    value = getattr(importlib.import_module(_MODULES[name]), name)
    return speaking_python(value) if isfunction(value) else value


def __dir__() -> list[str]:
    return sorted(__all__)
