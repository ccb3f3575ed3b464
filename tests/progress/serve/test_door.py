"""Who is let in, and how much at once."""

import gzip
import socket
import tracemalloc
from contextlib import closing

import numpy as np
import pytest

from headway.controls import constant
from headway.serve.door import Rules, host_name, names_of
from headway.serve.limits import Limits

PAGE = "https://robot.example"


@pytest.fixture(scope="module")
def served(serve):
    limits = Limits(request_bytes=200_000, frames=5, pixels=100 * 100, sending_seconds=1)
    return serve(constant(), limits, origins=[PAGE])


def talk(port: int, sent: bytes) -> bytes:
    """What is answered to bytes as they are."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as own:
        own.sendall(sent)
        return b"".join(iter(lambda: own.recv(65536), b""))


def status(answer: bytes) -> int:
    return int(answer.split()[1])


def episode(pictures):
    return {"episodes": [{"fps": 10, "cameras": {"top": pictures}}]}


@pytest.mark.parametrize(
    "key", ["", "Bearer", "Bearer wrong", "Basic a-key-for-tests-only", "a-key-for-tests-only", "Bearer ü"]
)
@pytest.mark.parametrize("path", ["/v1/info", "/metrics", "/openapi.json", "/v1/sessions/x", "/nothing"])
def test_without_the_key_nothing_is_told(served, path, key):
    refused = served.client.get(path, headers={"Authorization": key.encode()})
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert refused.json()["detail"] == "send the server's key with every request: Authorization: Bearer KEY"


def test_health_needs_no_key(served):
    answer = served.client.get("/healthz", headers={"Authorization": ""})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_without_a_key_everybody_may_ask(serve):
    open_to_all = serve(constant(), key=None)
    assert open_to_all.client.get("/v1/info", headers={"Authorization": ""}).status_code == 200
    assert open_to_all.client.get("/v1/info", headers={"Origin": "null"}).status_code == 403


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", 200), ("localhost:9", 200), ("LOCALHOST.", 200), ("[::1]:80", 200), ("evil.example", 403),
     ("127.0.0.1.evil.example", 403), ("10.0.0.7", 403), ("", 403)],
)  # fmt: skip
def test_only_a_name_of_its_own_is_answered(served, host, expected):
    answer = served.client.get("/healthz", headers={"Host": host})
    assert answer.status_code == expected


def test_a_server_for_other_machines_is_called_by_any_address_but_not_by_any_name():
    rules = Rules(None, names_of("0.0.0.0", ["Robot.lan"]), any_address=True)
    for host in ("10.0.0.7:8008", "[fe80::1]:8008", "robot.lan:8008", "localhost"):
        rules.check({"host": host}, "/")
    for host in ("evil.example:8008", "10.0.0.7.evil.example", "::1::", ""):
        with pytest.raises(Exception, match="not called"):
            rules.check({"host": host}, "/")
    assert host_name("[::1]:80") == host_name("::1") == "::1"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://robot.example", "http://127.0.0.1"])
def test_pages_of_elsewhere_are_refused(served, origin):
    for path in ("/healthz", "/v1/info"):
        refused = served.client.get(path, headers={"Origin": origin})
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers
    asked = served.client.options("/v1/info", headers={"Origin": origin, "Access-Control-Request-Method": "GET"})
    assert asked.status_code == 403


def test_a_page_that_is_allowed_is_answered_in_its_browser(served):
    asks = {"Origin": PAGE, "Access-Control-Request-Method": "POST", "Authorization": ""}
    asked = served.client.options("/v1/sessions", headers=asks)
    assert asked.status_code == 204
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    for answer in (asked, served.client.get("/v1/info", headers={"Origin": PAGE})):
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
    assert served.client.get("/v1/info", headers={"Origin": PAGE, "Authorization": ""}).status_code == 401


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_too_large_is_refused_before_it_is_in_memory(served, declared):
    body = b" " * 250_000
    refused = served.client.post("/v1/estimate", content=body if declared else iter([body[:125_000]] * 2))
    assert refused.status_code == 413
    assert "at most 200000 are taken" in refused.json()["detail"]


def test_what_is_too_much_of_a_body_is_not_kept(serve):
    served, part = serve(constant(), Limits(request_bytes=1_000_000)), b" " * 50_000
    served.client.get("/healthz")
    tracemalloc.start()
    refused = served.client.post("/v1/estimate", content=iter([part] * 58))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.status_code == 413
    # the limit twice, and what a server needs; all of the body would be 2.9 million
    assert peak < 2_500_000


def test_a_body_of_terabytes_is_refused_by_its_announcement(served):
    head = b"POST /v1/estimate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
    key = b"Authorization: Bearer a-key-for-tests-only\r\n"
    answer = talk(served.port, head + key + b"Content-Length: 9999999999999\r\n\r\n")
    assert status(answer) == 413


def test_a_body_that_never_ends_or_never_comes_is_refused(served):
    head = b"POST /v1/estimate HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a-key-for-tests-only\r\n"
    assert status(talk(served.port, head + b"Content-Length: 100\r\n\r\n{")) == 408
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    endless = head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 5
    assert status(talk(served.port, endless)) == 413


def test_a_body_of_millions_of_little_values_is_refused_before_it_is_read_as_json(serve):
    body = b'{"episodes":[{"fps":10,"state":[' + b"[1]," * 500_000 + b"[1]]}]}"
    refused = serve(constant()).client.post("/v1/estimate", content=body, headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
    assert refused.json()["detail"] == "the body holds more than 500000 values; send fewer frames"


def test_a_compressed_body_is_not_unpacked(served):
    bomb = gzip.compress(bytes(10_000_000))
    refused = served.client.post("/v1/estimate", content=bomb, headers={"Content-Encoding": "gzip"})
    assert refused.status_code == 415


def test_pictures_too_many_or_too_large_are_refused(served, packed):
    small, large = np.zeros((4, 4, 3), np.uint8), np.zeros((101, 100, 3), np.uint8)
    assert served.post("/v1/estimate", episode([packed(small)] * 5)).status_code == 200
    many = served.post("/v1/estimate", episode([packed(small)] * 6))
    assert (many.status_code, many.json()["detail"]) == (
        413,
        "6 frames are too many: at most 5 are taken in a request",
    )
    bomb = served.post("/v1/estimate", episode([packed(large)]))
    assert bomb.status_code == 413
    assert "episodes.0.cameras.top.0: the picture has 100x101 pixels; at most 10000" in bomb.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "expected"), [("GET", "/nothing", 404), ("PUT", "/v1/info", 405), ("GET", "/docs", 404)]
)
def test_what_is_not_there_is_told_as_a_problem(served, method, path, expected):
    answer = served.client.request(method, path)
    assert answer.status_code == expected
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.json()["status"] == expected


def test_metrics_count_requests_by_route_and_status(served):
    before = served.metric('headway_requests_total{route="/v1/sessions/{id}",method="GET",status="404"}')
    for id in ("a", "b"):
        assert served.client.get(f"/v1/sessions/{id}").status_code == 404
    assert served.metric('headway_requests_total{route="/v1/sessions/{id}",method="GET",status="404"}') == before + 2
    text = served.client.get("/metrics").text
    buckets = [line for line in text.splitlines() if line.startswith('headway_request_seconds_bucket{route="/metrics"')]
    counts = [int(line.split()[-1]) for line in buckets]
    assert counts == sorted(counts)
    assert 'le="+Inf"' in buckets[-1]
    assert f'headway_request_seconds_count{{route="/metrics"}} {counts[-1]}' in text


def test_limits_of_nothing_are_refused():
    with pytest.raises(ValueError, match="the limit request bytes must be above 0"):
        Limits(request_bytes=0)
