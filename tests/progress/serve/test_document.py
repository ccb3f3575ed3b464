"""The OpenAPI document is true: whatever schemathesis makes of it finds no fault in the server."""

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def served(serve, toy_sarm):
    return serve(toy_sarm)


@pytest.fixture(scope="module")
def document(served):
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json", headers=dict(served.client.headers))


def test_the_document_has_every_endpoint_and_asks_for_the_key(served):
    document = served.client.get("/openapi.json").json()
    telling, asking = ["/healthz", "/metrics", "/v1/info"], ["/v1/estimate", "/v1/sessions"]
    assert set(document["paths"]) == {*telling, *asking, "/v1/sessions/{id}", "/v1/sessions/{id}/frames"}
    assert document["security"] == [{"key": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert path == "/healthz" or "401" in operation["responses"]
            assert "HTTPValidationError" not in str(operation)


def test_schemathesis_finds_no_fault(served, document, make_slider, short, sendable):
    id = served.open(fps=10, instruction="x").split("/")[3]
    frame = sendable(short(make_slider(1), 1), state=True)
    (picture,) = frame["cameras"]["top"]
    asked = []

    def check(case) -> None:
        # a made-up id finds nothing, and made-up pictures are none: half of the time there is something behind them
        if case.path_parameters and len(asked) % 2:
            case.path_parameters["id"] = id
        body = case.body
        if isinstance(body, dict) and isinstance(body.get("cameras"), dict) and len(asked) % 3:
            body["cameras"] = {"top": picture}
        response = case.call(headers=dict(served.client.headers))
        asked.append((case.operation.label, response.status_code))
        case.validate_response(response, checks=CHECKS)

    for found in document.get_all_operations():
        operation = found.ok()
        run(operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE), check, 12)
        # elsewhere nothing is wrong enough
        if operation.method == "post":
            run(operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE), check, 12)
    labels, statuses = zip(*asked, strict=True)
    assert len(set(labels)) == 8
    assert {200, 201, 204, 404, 422} <= set(statuses)


def run(strategy, check, examples) -> None:
    settings = hypothesis.settings(
        max_examples=examples, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    settings(hypothesis.given(strategy)(check))()
