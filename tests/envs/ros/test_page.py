"""The operator's page as a server: who is let in, what it tells, what its buttons do, and what a curve keeps."""

import asyncio
import json
import math
import runpy
import socket
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import aiohttp
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.errors import InvalidValue, OutputError
from headway_envs.ros import messages
from headway_envs.ros.operator.board import MOST_POINTS, Curve
from headway_envs.ros.operator.page import Page
from headway_envs.ros.operator.pictures import Pictures, to_jpeg

Operated = runpy.run_path(str(Path(__file__).with_name("operated.py")))["Operated"]
COMPRESSED, RAW = "sensor_msgs/CompressedImage", "sensor_msgs/Image"
ASK = {"asked": 1.5, "edition": -1, "points": 0, "line": -1}


@pytest.fixture(scope="module")
def shared():
    """One that tests only look at, or put back as it was."""
    made = Operated().running()
    yield made
    made.close()


@pytest.fixture
def operated():
    made = []

    def make(**options):
        made.append(Operated(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ask(world, path, method="GET", data=None, token=None, **headers):
    """Status, headers and body of an answer."""
    if token is None:
        token = world.page.token
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    request = Request(
        f"http://127.0.0.1:{world.page.port}{path}",
        data=data,
        method=method,
        headers=sent | {name.replace("_", "-"): value for name, value in headers.items()},
    )
    try:
        with urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def press(world, name, body=b"{}"):
    status, _, answer = ask(world, f"/service/{name}", "POST", body, Content_Type="application/json")
    return status, json.loads(answer) if status == 200 else answer.decode()


def talk(world, *questions, **headers):
    """What a websocket answers to each question: an object, or the code it was closed with."""

    async def run():
        async with aiohttp.ClientSession() as session:
            address = f"http://127.0.0.1:{world.page.port}/live?token={world.page.token}"
            async with session.ws_connect(address, headers=headers) as live:
                answers = []
                for question in questions:
                    await live.send_str(question if isinstance(question, str) else json.dumps(question))
                    got = await live.receive(timeout=20)
                    answers.append(
                        live.close_code if got.data is None or isinstance(got.data, int) else json.loads(got.data)
                    )
                return answers

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/page.css"),
        ("GET", "/page.js"),
        ("GET", "/live"),
        ("GET", "/picture/0"),
        ("POST", "/service/stop"),
        ("GET", "/nowhere"),
    ],
)
def test_nothing_is_answered_without_the_token_or_to_other_pages_and_names(shared, method, path):
    data = b"{}" if method == "POST" else None
    for token in ("", "wrong", shared.page.token[:-1], "ü"):
        status, headers, body = ask(
            shared, f"{path}?token={'%C3%BC' if token == 'ü' else token}", method, data, token=""
        )
        assert status == 401, token
        assert b"with its token" in body
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    for name, value in (
        ("Origin", "https://evil.example"),
        ("Origin", f"http://127.0.0.1:{shared.page.port + 1}"),
        ("Origin", "null"),
        ("Host", f"evil.example:{shared.page.port}"),
        ("Host", f"10.0.0.1:{shared.page.port}"),
        ("Sec_Fetch_Site", "cross-site"),
    ):
        assert ask(shared, path, method, data, **{name: value})[0] == 403, (name, value)
    assert shared.node.core.state == "RUNNING"


def test_the_page_itself_comes_with_its_token_and_loads_nothing_from_elsewhere(shared):
    status, headers, body = ask(shared, f"/?token={shared.page.token}", token="")
    assert status == 200
    assert b"It is no emergency stop" in body
    assert headers["Cache-Control"] == "no-store"
    for path in ("/page.css", "/page.js"):
        status, _, asset = ask(shared, path)
        assert status == 200
        body += asset
    assert b"https://" not in body
    assert b"http://" not in body.replace(b"http://www.w3.org/2000/svg", b"")


def test_only_this_machine_reaches_it(shared):
    assert shared.page._own.getsockname()[0] == "127.0.0.1"


def test_it_tells_how_the_node_stands(shared):
    shared.until(lambda: int(shared.page.board._counters.get("results", 0)) > 0)
    told = talk(shared, ASK)[0]
    assert told["asked"] == 1.5
    assert (told["state"], told["task"], told["valid"]) == ("RUNNING", "open the drawer", True)
    assert told["result"]["progress"] == 0.25
    assert 0 <= told["result"]["age"] < 2
    assert told["dry_run"] is True
    assert told["motion"] is told["success"] is told["estop_latched"] is False
    assert told["cameras"][0]["name"] == "front"
    assert 0 <= told["cameras"][0]["age"] < 2
    assert int(told["counters"]["results"]) > 0
    assert float(told["counters"]["latency_p95_ms"]) > 0
    assert [line["text"] for line in told["lines"]][:1] == ["WAITING"]


def test_what_a_page_has_already_is_not_sent_again(shared):
    first = talk(shared, ASK)[0]
    curve = first["curve"]
    assert curve["first"] == 0
    assert len(curve["points"]) >= 1
    have = {"edition": curve["edition"], "points": len(curve["points"]), "line": first["lines"][-1]["number"]}
    second = talk(shared, ASK | have)[0]
    assert second["curve"]["first"] == have["points"]
    assert len(second["curve"]["points"]) < 50
    assert all(line["number"] > have["line"] for line in second["lines"])
    other = talk(shared, ASK | have | {"edition": have["edition"] - 1})[0]
    assert other["curve"]["first"] == 0


def test_it_answers_at_most_ten_times_a_second(shared):
    began = time.monotonic()
    talk(shared, *[ASK] * 6)
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize(
    "question",
    [
        "",
        "no JSON",
        "[1]",
        "null",
        "{}",
        "[" * 900,
        "x" * 2000,
        '{"asked": NaN, "edition": 0, "points": 0, "line": 0}',
        json.dumps(ASK | {"points": -1}),
        json.dumps(ASK | {"edition": 1.5}),
        json.dumps(ASK | {"line": "0"}),
        json.dumps(ASK | {"points": 1e300}),
        json.dumps(ASK | {"asked": True}),
    ],
)
def test_what_no_page_of_ours_asks_ends_the_talk(shared, question):
    assert talk(shared, question)[0] in (1008, 1009)
    assert talk(shared, ASK)[0]["state"] == "RUNNING"


def test_numbers_that_are_none_reach_the_page_as_none(operated):
    world = operated()
    world.estimator.uncertainty = math.nan
    world.running()
    assert talk(world, ASK)[0]["result"]["uncertainty"] is None


def test_buttons_ask_the_node_and_say_what_it_answers(operated):
    world = operated(motion=True).running()
    assert press(world, "start") == (200, {"success": True, "message": "RUNNING"})
    assert press(world, "enable", b'{"value": true}')[1]["success"]
    assert world.node.core.permission.given
    assert press(world, "enable", b'{"value": false}')[1]["success"]
    assert not world.node.core.permission.given
    for body in (b"", b"{}", b'{"value": "true"}', b'{"value": 1}', b"[true]", b"\xff", b"[" * 900):
        assert press(world, "enable", body)[0] == 422, body
    assert not world.node.core.permission.given
    before = world.stops
    # however it is asked
    assert press(world, "stop", b"\xff no JSON") == (200, {"success": True, "message": "STOPPED stop was called"})
    world.until(lambda: world.stops == before + 1)
    assert press(world, "enable", b'{"value": true}')[1] == {
        "success": False,
        "message": "the node is not RUNNING; see its state",
    }
    assert press(world, "nothing")[0] == 404
    assert press(world, "reset")[1]["success"]
    world.running()


def test_a_node_that_hangs_is_told_of_and_a_stop_of_it_is_no_success(operated):
    world = operated().running()
    world.hung.go.clear()
    world.until(lambda: talk(world, ASK)[0]["node_age"] > 0.5)
    assert press(world, "stop")[1] == {"success": False, "message": "the node does not answer"}
    world.hung.go.set()
    world.until(lambda: talk(world, ASK)[0]["node_age"] < 0.5)
    # what was asked while it hung was not forgotten
    assert talk(world, ASK)[0]["state"] == "STOPPED"


def test_the_same_picture_again_and_again_is_told(operated):
    world = operated()
    same = world.picture()["data"]
    world.picture = lambda: messages.compressed_image(same, "jpeg", time.time())
    world.until(lambda: (talk(world, ASK)[0]["cameras"][0].get("same") or 0) > 0.5)
    assert talk(world, ASK)[0]["cameras"][0]["age"] < 1.5


def test_a_port_that_is_taken_or_none_is_told_in_a_line(shared):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OutputError, match="choose another with --page"):
            Page(shared.node, other.getsockname()[1])
    with pytest.raises(InvalidValue, match="--page must be"):
        Page(shared.node, 70000)


def test_after_its_end_the_port_is_free_and_the_node_runs_on(operated):
    world = operated().running()
    port = world.page.port
    world.page.close()
    world.page.close()
    other = Page(world.node, port)
    assert other.token != world.page.token
    other._own.close()
    results = world.node.core.reporter.results
    world.until(lambda: world.node.core.reporter.results > results)


# ---- pictures ----


def test_a_jpeg_goes_through_as_it_came(shared):
    status, headers, body = ask(shared, "/picture/0")
    assert status == 200
    assert headers["Content-Type"] == "image/jpeg"
    assert 0 <= float(headers["X-Age"]) < 2
    assert int(headers["X-Number"]) >= 0
    assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    assert ask(shared, "/picture/1")[0] == 404


def test_pictures_are_passed_on_or_written_anew_in_their_own_colours():
    red = np.zeros((40, 60, 3), np.uint8)
    red[..., 0] = 220
    jpeg = cv2.imencode(".jpg", red[..., ::-1])[1].tobytes()
    swapped = cv2.imencode(".jpg", red)[1].tobytes()
    png = cv2.imencode(".png", red[..., ::-1])[1].tobytes()
    assert to_jpeg(messages.compressed_image(jpeg, "jpeg"), COMPRESSED) == jpeg
    assert to_jpeg(messages.compressed_image(jpeg, "rgb8; jpeg compressed bgr8"), COMPRESSED) == jpeg
    for message, kind in (
        (messages.compressed_image(png, "png"), COMPRESSED),
        (messages.compressed_image(swapped, "rgb8; jpeg compressed"), COMPRESSED),
        (messages.image(red), RAW),
    ):
        shown = cv2.imdecode(np.frombuffer(to_jpeg(message, kind), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.abs(shown.astype(int) - red).max() < 12
    large = to_jpeg(messages.image(np.zeros((3000, 2000, 3), np.uint8)), RAW)
    assert cv2.imdecode(np.frombuffer(large, np.uint8), cv2.IMREAD_COLOR).shape == (1280, 853, 3)


def test_a_picture_that_cannot_be_shown_is_told_why(operated):
    world = operated()
    world.picture = lambda: messages.compressed_image(b"\x00\x01 no picture", "jpeg", time.time())
    world.until(lambda: ask(world, "/picture/0")[0] != 404)
    status, _, body = ask(world, "/picture/0")
    assert status == 422
    assert b"does not begin as JPEG" in body


def test_pictures_are_made_at_most_ten_times_a_second_however_many_look():
    class Camera:
        now, given = 0.0, 0

        def picture(self, name):
            self.given += 1
            return round(self.now * 100), messages.image(np.zeros((4, 4, 3), np.uint8)), self.now

    camera = Camera()
    pictures = Pictures(camera, RAW, lambda: camera.now)
    seen = []
    for step in range(100):
        camera.now = step / 100
        seen += [pictures.newest("front")[0] for _ in range(5)]
    assert len(set(seen)) == 10
    number, age, _ = pictures.newest("front")
    assert age == pytest.approx(camera.now - number / 100)


# ---- the curve ----


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_curve_stays_small_keeps_its_ends_and_forgets_no_gap(data):
    count = data.draw(st.integers(1, 5 * MOST_POINTS))
    gaps = data.draw(st.sets(st.integers(1, count), max_size=5))
    curve = Curve()
    curve.begin(100.0)
    for i in range(count):
        if i in gaps:
            curve.gap()
        curve.push(100 + i * 0.05, (i % 100) / 100)
    times = [seconds for seconds, _, _ in curve.points]
    assert len(times) <= MOST_POINTS
    assert times == sorted(set(times))
    assert times[0] == 0
    assert (count - 1) * 0.05 - times[-1] <= 4 * count * 0.05 / MOST_POINTS + 0.05
    for seconds, value, _ in curve.points:
        assert value == (round(seconds / 0.05) % 100) / 100
    for gap in (each * 0.05 for each in gaps if each < count):
        pairs = zip(times, curve.points[1:], strict=False)
        crossing = [flag for before, (after, _, flag) in pairs if before < gap - 1e-6 <= after]
        assert crossing == [True], "no line is drawn over it"


def test_another_episode_is_another_curve():
    curve = Curve()
    curve.begin(5.0)
    curve.push(5.0, 0.5)
    before = curve.edition
    curve.begin(9.0)
    assert (curve.points, curve.edition) == ([], before + 1)
    curve.gap()
    curve.push(9.5, 0.1)
    assert curve.points == [(0.5, 0.1, False)]
