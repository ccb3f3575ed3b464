"""The server of `headway label` over plain HTTP, and its pictures by frame number."""

import http.client
import json
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from headway.episodes import ArrayFrames
from headway.errors import InvalidValue, VideoError
from headway.label.films import Film, Films, encode, side_within

NOTHING = {"stages": [], "success": None}


def ask(served, *request, **headers):
    """As `ask_once`, again while a picture is still to be decoded."""
    for _ in range(40):
        status, content = ask_once(served, *request, **headers)
        if status != 202:
            break
    return status, content


def ask_once(served, path, method="GET", body=None, **headers):
    """The status and the content of one request; `headers` with underscores for dashes."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def put(served, after, before=NOTHING, path="/episode/0.json", **headers):
    body = json.dumps({"before": before, "after": after})
    return ask(served, path, "PUT", body, **{"Content_Type": "application/json", **headers})


def test_every_picture_is_that_very_frame(serve, unmarked):
    served = serve(unmarked)
    frames = unmarked[1].cameras["top"].pixels.astype(int)
    for number in (len(frames) - 1, 0, 17):
        status, content = ask(served, f"/episode/1/camera/top/frame/{number}.jpg")
        assert status == 200
        picture = cv2.cvtColor(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert abs(frames - picture).mean(axis=(1, 2, 3)).argmin() == number


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/episode/0/camera/side/frame/0.jpg", 404, b"available: top"),
        ("/episode/0/camera/top/frame/999.jpg", 422, b"not among the episode's frames 0 to"),
        ("/../pyproject.toml", 404, b""),
    ],
)
def test_what_is_not_there_is_told(serve, unmarked, path, status, words):
    served = serve(unmarked)
    found, content = ask(served, path)
    assert found == status
    assert words in content


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"},
    ],
)
def test_other_pages_of_the_same_browser_are_refused(serve, unmarked, headers):
    served = serve(unmarked)
    headers = {name: value.format(port=served.port) for name, value in headers.items()}
    assert put(served, {"stages": [], "success": True}, **headers)[0] == 403
    assert served.kept().episodes == {}
    if "Sec_Fetch_Mode" not in headers:
        status, content = ask(served, "/episode/0.json", **headers)
        assert status == 403
        assert b"length" not in content


def test_its_own_page_is_served(serve, unmarked):
    served = serve(unmarked)
    for host in ("127.0.0.1", "localhost"):
        own = {"Host": f"{host}:{served.port}", "Origin": f"http://{host}:{served.port}"}
        assert ask(served, "/", **own)[0] == 200
    arriving = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(served, "/", **arriving)[0] == 200, "a link from elsewhere may be followed"


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"stages": [["right", 5, 4]], "success": None}, "needs 0 <= start < end"),
        ({"stages": [["right", 0, 10**6]], "success": None}, "within the episode's"),
        ({"stages": [["right", 0, 9], ["down", 8, 12]], "success": None}, "overlap"),
        ({"stages": [["sideways", 0, 9]], "success": None}, "'sideways'"),
        ({"stages": [["right", True, 9]], "success": None}, "a stage is a name"),
        ({"stages": "right", "success": None}, "a list of stages"),
        ({"stages": [], "success": 1}, "true, false or null"),
    ],
)
def test_marks_that_are_none_are_refused_and_nothing_is_lost(serve, unmarked, after, words):
    served = serve(unmarked)
    assert put(served, {"stages": [["right", 1, 9]], "success": False})[0] == 200
    status, content = put(served, after, before={"stages": [["right", 1, 9]], "success": False})
    assert status == 422
    assert words in content.decode()
    assert served.stages() == [("right", 1, 9)]


def test_marks_come_as_json_only(serve, unmarked):
    served = serve(unmarked)
    assert put(served, NOTHING, Content_Type="text/plain")[0] == 422
    assert ask(served, "/episode/0.json", "PUT", "{", Content_Type="application/json")[0] == 422
    assert put(served, NOTHING, before={"stages": [], "success": True})[0] == 409


def test_a_video_that_breaks_shows_what_it_has_and_tells_the_rest():
    class Broken(ArrayFrames):
        def __iter__(self):
            yield from self.pixels[:3]
            raise VideoError("episode 0, camera top: cut short")

    film = Film(Broken(np.zeros((6, 8, 8, 3), np.uint8)))
    assert film.picture(2)
    with pytest.raises(VideoError, match="cut short"):
        film.picture(3)


def test_a_frame_still_to_be_decoded_is_answered_at_once_and_other_requests_do_not_wait(serve, unmarked):
    going_on = threading.Event()

    class Slow(ArrayFrames):
        def __iter__(self):
            yield from self.pixels[:5]
            going_on.wait(10)
            yield from self.pixels[5:]

    slow = replace(unmarked[0], cameras={"top": Slow(unmarked[0].cameras["top"].pixels)})
    served = serve([slow])
    try:
        assert ask(served, "/episode/0/camera/top/frame/4.jpg")[0] == 200
        assert ask_once(served, "/episode/0/camera/top/frame/5.jpg")[0] == 202
        assert put(served, {"stages": [], "success": True})[0] == 200
    finally:
        going_on.set()
    assert ask(served, "/episode/0/camera/top/frame/5.jpg")[0] == 200


def test_memory_is_bounded_and_what_is_left_half_way_is_stopped(make_sliders):
    episodes = make_sliders(6)
    size = sum(len(encode(frame, 640)) for frame in episodes[0].cameras["top"])
    films = Films(lambda index: episodes[index], budget=4 * size)
    for index in (0, 1, 2, 3, 4, 5, 0):
        films._film(index, "top").picture(len(episodes[index]) - 1)
        kept = sum(film.size for film in films._films.values())
        assert kept <= 4 * size
    assert len(films._films) < 6
    waiting = films._films[0, "top"]
    waiting.stop()
    with pytest.raises(InvalidValue, match="not among"):
        waiting.picture(10**6)


def test_a_long_episode_is_kept_smaller_and_a_short_one_as_it_is():
    frame = np.zeros((480, 640, 3), np.uint8)
    assert side_within(256 * 2**20, 300, frame) == 640
    long = side_within(256 * 2**20, 20_000, frame)
    assert 200 < long < 320
    picture = cv2.imdecode(np.frombuffer(encode(frame, long), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[1] == long


def test_an_episode_of_other_stages_begins_unmarked(serve, make_sliders):
    served = serve([replace(make_sliders(1)[0])], names=("open", "close"))
    episode = json.loads(ask(served, "/episode/0.json")[1])
    assert episode["marks"] == {"stages": [], "success": True}
    assert episode["marked"] is False
