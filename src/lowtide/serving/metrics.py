"""What Prometheus reads at /metrics, in a registry of its own."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
UNMATCHED = "unmatched"  # a path that no route has: its own name would be the client's to choose
UNKNOWN = float("nan")


class Metrics:
    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "lowtide_requests", "Answers by route and status.", ["route", "code"], registry=registry
        )
        self.latency_s = Histogram(
            "lowtide_request_seconds", "From the headers to the end of the answer.", ["route"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.in_flight = Gauge(
            "lowtide_requests_in_flight", "Requests being answered.", registry=registry
        )
        self.queued = Gauge("lowtide_queue_images", "Images that wait.", registry=registry)
        self.batch_images = Histogram(
            "lowtide_batch_images", "Images run at once.", buckets=IMAGES, registry=registry
        )
        self.images = Counter(
            "lowtide_inferences", "Images classified.", ["place", "version"], registry=registry
        )
        self.model = Gauge(
            "lowtide_model_info", "1 for what may answer now.", ["place", "version", "sha256"],
            registry=registry,
        )  # fmt: skip
        self.swaps = Counter("lowtide_swaps", "Models put in place.", ["place"], registry=registry)
        self.refused = Counter(
            "lowtide_models_refused", "New models that were not fit to serve: the old one stayed.",
            ["place"], registry=registry,
        )  # fmt: skip
        self.registry_up = Gauge(
            "lowtide_registry_up", "1 if the model registry answered last.", registry=registry
        )
        self._carbon(registry)

    def _carbon(self, registry: CollectorRegistry) -> None:
        """Gauges of what is unknown are NaN."""
        self.energy_j = Counter(
            "lowtide_energy_joules", "Used by this process.", ["provenance"], registry=registry
        )
        self.emissions_g = Counter(
            "lowtide_emissions_grams", "gCO2e of it, while the intensity was known.",
            registry=registry,
        )  # fmt: skip
        self.intensity = Gauge(
            "lowtide_intensity_g_per_kwh", "Of the grid now, gCO2e/kWh.", registry=registry
        )
        self.request_energy_j = Gauge(
            "lowtide_request_energy_joules", "Per request, lately.", registry=registry
        )
        self.request_emissions_g = Gauge(
            "lowtide_request_emissions_grams", "gCO2e per request at the intensity of now.",
            registry=registry,
        )  # fmt: skip
        self.inference_energy_j = Gauge(
            "lowtide_inference_energy_joules",
            "Per image: served (in the runtime, lately) or recorded (when it was evaluated).",
            ["figure"], registry=registry,
        )  # fmt: skip
        for gauge in (self.intensity, self.request_energy_j, self.request_emissions_g):
            gauge.set(UNKNOWN)

    def render(self) -> bytes:
        """In Prometheus's text format 0.0.4."""
        return generate_latest(self._registry)


class Observed:
    """ASGI middleware: counts and times every request, whatever answers it."""

    def __init__(self, app: Callable[..., Any], metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, code = perf_counter(), "gone"  # where nothing was sent: the client has left

        async def noting(message: dict[str, Any]) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = str(message["status"])
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, noting)
        finally:
            self._metrics.in_flight.dec()
            route = getattr(scope.get("route"), "path_format", UNMATCHED)
            self._metrics.requests.labels(route, code).inc()
            self._metrics.latency_s.labels(route).observe(perf_counter() - began)
