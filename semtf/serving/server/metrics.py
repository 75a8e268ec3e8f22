"""What the server counts, in Prometheus' format."""

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

SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.15, 0.3, 1.0, 3.0, 10.0, 30.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTENT_TYPE = CONTENT_TYPE_LATEST


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
        self.version = Gauge(
            "semtf_model_version", "Newest version that is served", registry=self.registry
        )

    def batch(self, images: int) -> None:
        """Count one call of the model."""
        self.images.inc(images)
        self.batches.observe(images)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self.registry)
