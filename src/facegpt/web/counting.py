"""What the server counts, in the form of Prometheus. No text, no address, no id is counted."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from facegpt.web.engine import Engine

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
_TOGETHER = (1, 2, 4, 8, 16)


class Counters:
    """Counts of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "facegpt_requests", "Answered requests.", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "facegpt_work_seconds",
            "Seconds of what was done in one go.",
            ("kind",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._together = Histogram(
            "facegpt_work_together",
            "Requests that were done in one go.",
            ("kind",),
            buckets=_TOGETHER,
            registry=self.registry,
        )

    def answered(self, route: str, status: int) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status)).inc()

    def done(self, kind: str, together: int, seconds: float) -> None:
        """Something was done in one go."""
        self._seconds.labels(kind).observe(seconds)
        self._together.labels(kind).observe(together)

    def watch(self, engine: Engine) -> None:
        """Show the queues and the store of an engine, too."""
        for name, text, value in (
            ("facegpt_waiting", "Waiting for the model.", lambda: engine.model_queue.waiting),
            ("facegpt_files_waiting", "Waiting files.", lambda: engine.picture_queue.waiting),
            ("facegpt_surfaces_waiting", "Waiting sliders.", lambda: engine.slider_queue.waiting),
            ("facegpt_faces_kept", "Faces in the store.", lambda: len(engine.store)),
        ):
            Gauge(name, text, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """All of it."""
        return generate_latest(self.registry)


class CountedAnswers:
    """ASGI middleware: every answer is counted by its route."""

    def __init__(self, app: Any, counters: Counters) -> None:
        self._app = app
        self._counters = counters

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""

        async def counting(message: Any) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "unknown")
                self._counters.answered(route, message["status"])
            await send(message)

        await self._app(scope, receive, counting)
