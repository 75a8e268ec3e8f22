"""The server's counters, in Prometheus' format: ours, and those of TensorFlow Serving's names."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import psutil
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from semtf.serving.server.versions import Versions

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.15, 0.3, 1.0, 3.0, 10.0, 30.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTENT_TYPE = CONTENT_TYPE_LATEST
STATUS = {200: "OK", 400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND"} | {
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""By status of HTTP, the name that TensorFlow and gRPC have for it."""
SERVING = ":tensorflow:serving:request"


class Metrics:
    """The server's counters; one registry a server, so that several can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        PlatformCollector(registry=self.registry)
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "semtf_requests", "Answered requests", ["method", "code"], registry=self.registry
        )
        self.seconds = Histogram(
            "semtf_request_seconds",
            "Time to answer a predict request",
            ["signature"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.images = Counter(
            "semtf_images", "Rows of input given to the model", registry=self.registry
        )
        self.batches = Histogram(
            "semtf_batch_images",
            "Rows of one call of the model",
            buckets=IMAGES,
            registry=self.registry,
        )
        self.pending = Gauge(
            "semtf_pending_requests", "Predict requests under way", registry=self.registry
        )
        self.loads = Counter(
            "semtf_version_loads", "Versions loaded since the start", registry=self.registry
        )
        self._serving = _ServingNames()
        self.registry.register(self._serving)
        self._models = _ModelsNow()
        self.registry.register(self._models)

    def answered(self, model: str, signature: str, seconds: float) -> None:
        """Count a predict request that was answered, and its time."""
        self.seconds.labels(signature).observe(seconds)
        self._serving.latency.labels(model).observe(1e6 * seconds)

    def ended(self, model: str, status: int) -> None:
        """Count a predict request that named a model that is served, whatever became of it."""
        self._serving.requests.labels(model, STATUS.get(status, "UNKNOWN")).inc()

    def batch(self, images: int) -> None:
        """Count one call of the model."""
        self.images.inc(images)
        self.batches.observe(images)

    def text(self, models: "Mapping[str, Versions]") -> bytes:
        """Everything in Prometheus' text format, of these models as they are now."""
        self._models.by_name = models
        return generate_latest(self.registry)


class _ServingNames(Collector):
    """TensorFlow Serving's names for counts and times (in microseconds) of predict requests."""

    def __init__(self) -> None:
        self.requests = Counter("count", "Requests", ["model_name", "status"], registry=None)
        microseconds = [1e6 * bound for bound in SECONDS]
        self.latency = Histogram(
            "latency", "Microseconds", ["model_name"], buckets=microseconds, registry=None
        )

    def collect(self) -> Iterator[Metric]:
        for kind, source in (("counter", self.requests), ("histogram", self.latency)):
            (family,) = source.collect()
            name = f"{SERVING}_{family.name}"
            # Prometheus' client would add _total to the name of a counter of its own.
            renamed = Metric(name, f"{family.documentation}, as TensorFlow Serving", "unknown")
            for sample in family.samples:
                suffix = sample.name.removeprefix(family.name)
                if suffix != "_created":
                    suffix = suffix.removesuffix("_total") if kind == "counter" else suffix
                    renamed.add_sample(name + suffix, sample.labels, sample.value)
            yield renamed


class _ModelsNow(Collector):
    """The newest version of each model, and the memory of the processes that hold versions."""

    def __init__(self) -> None:
        self.by_name: Mapping[str, Versions] = {}

    def collect(self) -> Iterator[Metric]:
        newest = GaugeMetricFamily(
            "semtf_model_version", "Newest version that is served", labels=["model"]
        )
        memory = GaugeMetricFamily(
            "semtf_worker_resident_bytes",
            "Memory of the process that holds a version",
            labels=["model", "version"],
        )
        warm = GaugeMetricFamily(
            "semtf_version_warm",
            "1 where the first, slow call of every signature is over",
            labels=["model", "version"],
        )
        for name, versions in self.by_name.items():
            available = versions.available()
            if available:
                newest.add_metric([name], max(available))
            for number, version in versions.known.items():
                if version.worker is None:
                    continue
                warm.add_metric([name, str(number)], version.worker.warm)
                if version.worker.pid is not None:
                    memory.add_metric([name, str(number)], _resident(version.worker.pid))
        yield newest
        yield memory
        yield warm


def _resident(pid: int) -> int:
    """Resident memory of a process in bytes; 0 where it has ended."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
