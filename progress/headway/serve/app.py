"""The endpoints."""

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response

from headway.serve.desk import Desk
from headway.serve.door import HEALTH, Door, Rules
from headway.serve.messages import (
    EstimateJudged,
    EstimateSent,
    FrameJudged,
    FrameSent,
    Health,
    Info,
    SessionSent,
    SessionTold,
)
from headway.serve.metrics import MEDIA_TYPE, Metrics
from headway.serve.problems import MEDIA_TYPE as PROBLEM
from headway.serve.problems import Problem, ProblemDetails, add_handlers
from headway.serve.sessions import Sessions
from headway.serve.worker import Worker

API = "/v1"
ABOUT = "How far along a robot is, from its pictures: for whole episodes at once, or frame by frame with a reward."
REFUSED = {
    400: "The body is no JSON.",
    401: "The key is missing or wrong.",
    403: "Host or Origin is not one that this server knows.",
    404: "No session has this id.",
    408: "The body took too long to arrive.",
    409: "The estimator does not stream; or the session is over, or judging another frame.",
    413: "More bytes, frames or pixels than are taken.",
    415: "The body is compressed.",
    422: "The body is not as described, or the estimator cannot use it.",
    429: "As many sessions are open as may be.",
    500: "The estimator failed.",
    503: "Busy; Retry-After says for how many seconds.",
}
ASKING, SENDING = (401, 403, 413, 415, 422), (400, 401, 403, 408, 413, 415, 422, 500, 503)


def make_app(desk: Desk, rules: Rules, clock: Callable[[], float] = time.monotonic) -> tuple[Door, Worker]:
    """The server's ASGI application, behind its door, and the thread that works for it.

    Args:
        desk: what judges.
        rules: who is let in.
        clock: seconds that only rise; sessions expire by it.
    """
    metrics = Metrics()
    worker, sessions = Worker(desk.estimator, metrics), Sessions(desk, clock)
    # pages of documentation would be loaded from elsewhere
    app = FastAPI(title="Headway", version=version("headway"), docs_url=None, redoc_url=None, description=ABOUT)
    door = Door(app, rules, desk.limits, metrics)
    add_handlers(app)
    _add_batch(app, desk, worker)
    _add_sessions(app, desk, worker, sessions)
    _add_telling(app, desk, lambda: metrics.text(len(sessions), door.in_flight))
    _describe(app, rules)
    return door, worker


def _add_batch(app: FastAPI, desk: Desk, worker: Worker) -> None:
    @app.post(f"{API}/estimate", responses=_refusals(*SENDING))
    async def estimate(sent: EstimateSent, request: Request) -> EstimateJudged:
        """Judge episodes, each by all its frames at once."""
        started = time.perf_counter()
        pictures = sum(len(each) for episode in sent.episodes for each in episode.cameras.values())
        if pictures > desk.limits.frames:
            raise Problem(413, f"{pictures} frames are too many: at most {desk.limits.frames} are taken in a request")
        frames = [len(next(iter(episode.cameras.values()))) for episode in sent.episodes]

        def work(call: Any) -> EstimateJudged:
            found = [
                desk.judge(episode, index, sum(frames[:index]), call) for index, episode in enumerate(sent.episodes)
            ]
            return EstimateJudged(
                estimator=desk.estimator.name,
                fingerprint=desk.estimator.fingerprint,
                episodes=found,
                latency_ms=1000 * (time.perf_counter() - started),
            )

        return await worker.run(work, sum(frames), request)


def _add_sessions(app: FastAPI, desk: Desk, worker: Worker, sessions: Sessions) -> None:
    @app.post(f"{API}/sessions", status_code=201, responses=_refusals(*SENDING, 409, 429))
    async def open_session(sent: SessionSent, request: Request, response: Response) -> SessionTold:
        """Begin to judge a running episode, frame by frame."""
        streaming = sessions.check(sent)
        stream = await worker.run(lambda call: streaming.stream(sent.instruction), 0, request)
        told = sessions.open(sent, stream)
        response.headers["Location"] = f"{API}/sessions/{told.id}"
        return told

    @app.get(f"{API}/sessions/{{id}}", responses=_refusals(*ASKING, 404))
    async def tell_session(id: str) -> SessionTold:
        """How far a session has come. Asking does not keep it open."""
        return sessions.told(sessions.find(id))

    @app.delete(f"{API}/sessions/{{id}}", status_code=204, responses=_refusals(*ASKING, 404))
    async def close_session(id: str) -> None:
        """End a session."""
        sessions.close(id)

    @app.post(f"{API}/sessions/{{id}}/frames", responses=_refusals(*SENDING, 404, 409))
    async def push_frame(id: str, sent: FrameSent, request: Request) -> FrameJudged:
        """Judge the newest picture of each camera."""
        started = time.perf_counter()
        session = sessions.take(id)
        try:
            return await worker.run(lambda call: session.judge(desk, sent, started), 1, request)
        finally:
            sessions.give_back(session)


def _add_telling(app: FastAPI, desk: Desk, metrics: Callable[[], str]) -> None:
    @app.get(HEALTH, responses=_refusals(403, 413, 415))
    async def health() -> Health:
        """Whether the server answers. Needs no key."""
        return Health(status="ok")

    @app.get(f"{API}/info", responses=_refusals(*ASKING))
    async def info() -> Info:
        """What is served, what it needs, and how much it takes."""
        return desk.info()

    text: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}

    @app.get("/metrics", response_class=Response, responses=text | _refusals(*ASKING))
    async def tell_metrics() -> Response:
        """Prometheus' text format."""
        return Response(metrics(), media_type=MEDIA_TYPE)


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {status: {"description": REFUSED[status], "content": content} for status in sorted(statuses)}


def _describe(app: FastAPI, rules: Rules) -> None:
    """Complete the OpenAPI document: problem details, and the key that the door asks for."""
    document = app.openapi()
    parts = document.setdefault("components", {})
    parts["schemas"]["ProblemDetails"] = ProblemDetails.model_json_schema()
    if rules.key is not None:
        parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"key": []}]
        document["paths"][HEALTH]["get"]["security"] = []
