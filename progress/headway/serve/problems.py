"""Errors as problem details (RFC 9457): one clear line in `detail`."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from headway.errors import HeadwayError

MEDIA_TYPE = "application/problem+json"
MOST_LETTERS = 400
CLIENT_GONE = 499
"""Not a status that anybody is sent: for the metrics."""


class Problem(Exception):
    """A request cannot be answered as asked.

    Attributes:
        status: of HTTP.
        detail: one line for whoever asked.
        headers: that belong to the status.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None):
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


class ProblemDetails(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field("about:blank", description="nothing more specific than the status")
    title: str = Field(description="the status in words")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="one line: what was given, what is allowed, what to do")


def response_of(problem: Problem) -> Response:
    """The problem as it is sent."""
    title = "Client Closed Request" if problem.status == CLIENT_GONE else HTTPStatus(problem.status).phrase
    content = {"type": "about:blank", "title": title, "status": problem.status, "detail": one_line(problem.detail)}
    # letters that no encoding has, which JSON can name, are named again
    body = json.dumps(content, ensure_ascii=True).encode()
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


def one_line(text: str) -> str:
    """The text in one line of bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_LETTERS else f"{line[: MOST_LETTERS - 4]} ..."


def add_handlers(app: FastAPI) -> None:
    """Have everything that goes wrong in the application answered with problem details."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return response_of(error)

    async def on_refusal(request: Request, error: Exception) -> Response:
        return response_of(Problem(422, str(error)))

    async def on_status(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = {
            404: f"there is no {request.url.path!r}; /openapi.json lists what there is",
            405: f"{request.url.path!r} does not take {request.method}",
            400: "the body cannot be read as JSON in UTF-8",
        }.get(error.status_code, str(error.detail))
        return response_of(Problem(error.status_code, detail, error.headers))

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return response_of(Problem(422, _first(error.errors())))

    async def on_fault(request: Request, error: Exception) -> Response:
        # the server logs it besides
        return response_of(Problem(500, "the server failed; its log tells more"))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HeadwayError, on_refusal)
    app.add_exception_handler(HTTPException, on_status)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Exception, on_fault)


def _first(errors: Any) -> str:
    first, others = errors[0], len(errors) - 1
    where = ".".join(str(part)[:60] for part in first["loc"])
    more = f" (and {others} more)" if others else ""
    return f"{where}: {first['msg']}{more}; /openapi.json describes what is taken"
