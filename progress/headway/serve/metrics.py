"""What the server has done, in Prometheus' text format (version 0.0.4)."""

import threading
from bisect import bisect_left
from collections import Counter
from itertools import accumulate

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the buckets of latency."""


class Histogram:
    """Durations in seconds, counted by how long they were."""

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str, labels: str) -> list[str]:
        most = [*(f"{end:g}" for end in SECONDS), "+Inf"]
        comma = "," if labels else ""
        own = f"{{{labels}}}" if labels else ""
        found = [
            f'{name}_bucket{{{labels}{comma}le="{end}"}} {count}'
            for end, count in zip(most, accumulate(self._counts), strict=True)
        ]
        return [*found, f"{name}_sum{own} {self._sum:.6f}", f"{name}_count{own} {sum(self._counts)}"]


class Metrics:
    """Counters of one server; any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._latency: dict[str, Histogram] = {}
        self._model = Histogram()
        self._frames = 0

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """One that was answered. `route` is the path's template, so that ids make no series of their own."""
        with self._lock:
            self._requests[route, method, status] += 1
            self._latency.setdefault(route, Histogram()).add(seconds)

    def model(self, frames: int, seconds: float) -> None:
        """One call of the estimator, for so many frames."""
        with self._lock:
            self._frames += frames
            self._model.add(seconds)

    def text(self, sessions: int, in_flight: int) -> str:
        with self._lock:
            requests = [
                f'headway_requests_total{{route="{route}",method="{method}",status="{status}"}} {count}'
                for (route, method, status), count in sorted(self._requests.items())
            ]
            latency = [
                line
                for route, histogram in sorted(self._latency.items())
                for line in histogram.lines("headway_request_seconds", f'route="{route}"')
            ]
            model = self._model.lines("headway_model_seconds", "")
            frames = self._frames
        parts = [
            ("headway_requests_total", "counter", "Requests answered.", requests),
            ("headway_request_seconds", "histogram", "From a request's header to the end of its answer.", latency),
            ("headway_model_seconds", "histogram", "Calls of the estimator, decoding included.", model),
            ("headway_frames_total", "counter", "Frames judged.", [f"headway_frames_total {frames}"]),
            ("headway_sessions", "gauge", "Sessions open.", [f"headway_sessions {sessions}"]),
            (
                "headway_requests_in_flight",
                "gauge",
                "Requests not answered.",
                [f"headway_requests_in_flight {in_flight}"],
            ),
        ]
        lines = [
            line
            for name, kind, told, found in parts
            for line in (f"# HELP {name} {told}", f"# TYPE {name} {kind}", *found)
        ]
        return "\n".join(lines) + "\n"
