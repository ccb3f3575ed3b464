"""Decoding in worker processes, real ones on real videos; and everything that can befall them."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from headway.episodes import ArrayFrames, Episode, Frames
from headway.errors import InvalidValue, Unsupported, VideoError, VideoTooShort
from headway.replay import RepaintedFrames
from headway.scoring.decoding import DecodeAhead
from headway_datasets.video import VideoFrames, encode_video

# frames of which a worker can be told, so they must be in a module that it can import
KINDS = '''
import os, signal, sys, threading, time
from dataclasses import dataclass
from pathlib import Path
import numpy as np
from headway.errors import UnknownName, VideoError

@dataclass
class Telling:
    """Pictures that tell their number and who made them; each is noted in the file `log`."""
    length: int
    log: Path | None = None
    side: int = 8
    label: str = "telling"
    pause: float = 0

    identity = None

    def __len__(self):
        return self.length

    def __iter__(self):
        for number in range(self.length):
            self.before(number)
            time.sleep(self.pause)
            if self.log:
                with self.log.open("a") as file:
                    file.write(f"{number}\\n")
            yield self.picture(number)

    def picture(self, number):
        picture = np.zeros((self.side, self.side, 3), np.uint8)
        picture[0, 0, 0] = number % 256
        picture.reshape(-1)[6:14] = np.frombuffer(os.getpid().to_bytes(8, "little"), np.uint8)
        return picture

    def before(self, number):
        pass

class Growing(Telling):
    def picture(self, number):
        self.side = 8 + number // 3
        # not as it lies in memory
        return np.flipud(np.flipud(super().picture(number)).copy())

class Deadly(Telling):
    """Kills whoever decodes its picture number 3, but not the process that the tests run in."""
    def before(self, number):
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)

@dataclass
class Once(Telling):
    """Kills whoever decodes its picture number 3, once."""
    mark: Path = Path()
    def before(self, number):
        if number == 3 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGSEGV)

class Exiting(Telling):
    def before(self, number):
        if number == 3:
            sys.exit("leave me alone")

@dataclass
class Failing(Telling):
    error: str = ""
    def before(self, number):
        if number == 3:
            class Local(Exception):
                pass
            class Fussy(Exception):
                pass
            raise {
                "video": VideoError("frame 3 is damaged"),
                "unknown": UnknownName("camera", "x", ["a", "b"]),
                "value": ValueError("three"),
                "local": Local("of no\\nmodule"),
            }[self.error]

class Hanging(Telling):
    def before(self, number):
        if number == 3:
            time.sleep(1000)

@dataclass
class Surroundings(Telling):
    """Tells in its only picture of the process that it is decoded in."""
    video: Path = Path()
    def picture(self, number):
        import av
        from headway_datasets.video import video_stream
        with av.open(str(self.video)) as container:
            stream = video_stream(container, self.video)
            next(container.decode(stream))
            threads = stream.codec_context.thread_count
        tasks = len(os.listdir("/proc/self/task"))
        imported = [name in sys.modules for name in ("torch", "headway.scoring")]
        facts = [threads, tasks, int(os.environ["OMP_NUM_THREADS"]), *imported]
        return np.array(facts, np.uint8).reshape(1, 1, -1)

class Locked(Telling):
    def __init__(self, length):
        super().__init__(length)
        self.lock = threading.Lock()
'''


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "kinds_of_frames.py").write_text(KINDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        import kinds_of_frames

        yield kinds_of_frames


@pytest.fixture(scope="module")
def videos(tmp_path_factory, scene):
    folder = tmp_path_factory.mktemp("videos")
    for codec in ("h264", "av1"):
        encode_video(folder / f"{codec}.mp4", scene(60), 10, codec)
    return folder


def attempt(index, **cameras):
    return Episode(index=index, first_frame=0, fps=10, cameras=cameras)


def every(episode):
    return list(episode.cameras)


def made_by(picture):
    return int.from_bytes(picture.reshape(-1)[6:14].tobytes(), "little")


def numbers(pictures):
    return [int(picture[0, 0, 0]) for picture in pictures]


def eventually(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never came to be"
        time.sleep(0.01)


def gone(process):
    """Whether a process has ended; one that waits for its parent to notice has."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def bytes_shared():
    """Memory behind the pictures that workers have made and this process has not read."""
    files = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    memory = [path.stat() for path in files if "headway-pictures" in str(path.readlink())]
    return sum({file.st_ino: file.st_blocks * 512 for file in memory}.values())


def decoded(log):
    return len(log.read_text().split()) if log.exists() else 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_pictures_order_and_all_that_frames_say_of_themselves_are_the_same(videos, codec, workers):
    path = videos / f"{codec}.mp4"
    given = [
        attempt(
            number,
            top=VideoFrames(path, 17, f"episode {number}, camera top", start=number * 1.0, fps=10, declared=18),
            side=VideoFrames(path, 17, f"episode {number}, camera side"),
            unseen=VideoFrames(path, 17, "unseen"),
        )
        for number in range(5)
    ]
    with DecodeAhead(workers) as ahead:
        yielded = []
        for episode in ahead.episodes(iter(given), lambda episode: ["top", "side", "no such camera"]):
            own = given[episode.index]
            yielded.append(episode.index)
            assert episode.cameras["unseen"] is own.cameras["unseen"]
            for name in ("top", "side"):
                frames, wanted = episode.camera(name), own.camera(name)
                assert isinstance(frames, Frames)
                assert frames is not wanted
                assert (frames.identity, len(frames), repr(frames)) == (wanted.identity, 17, repr(wanted))
                assert (frames.label, frames.path, getattr(frames, "declared", None)) == (
                    wanted.label,
                    path,
                    wanted.declared,
                )
                with pytest.raises(AttributeError):
                    frames.nonsense  # noqa: B018
                assert pickle.loads(pickle.dumps(frames)) == copy.copy(frames) == wanted  # noqa: S301
                pictures = list(frames)
                assert len(pictures) == 17
                for picture, expected in zip(pictures, wanted, strict=True):
                    assert picture.dtype == expected.dtype
                    assert picture.flags.writeable
                    assert np.array_equal(picture, expected)
    assert yielded == list(range(5))


def test_the_first_iteration_comes_from_a_worker_and_any_other_from_here(kinds):
    with DecodeAhead(1) as ahead:
        (one,) = ahead.episodes([attempt(0, top=kinds.Telling(6))], lambda episode: [])
        assert {made_by(picture) for picture in one.camera("top")} == {os.getpid()}
        episodes = ahead.episodes([attempt(0, top=kinds.Telling(6)), attempt(1, top=kinds.Telling(6))], every)
        first = next(episodes).camera("top")
        both = list(zip(first, first, strict=True))
        assert {made_by(theirs) for theirs, _ in both} != {os.getpid()}
        assert {made_by(ours) for _, ours in both} == {os.getpid()}
        assert numbers(theirs for theirs, _ in both) == numbers(ours for _, ours in both) == list(range(6))
        assert {made_by(picture) for picture in first} == {os.getpid()}
        second = next(episodes).camera("top")
        assert next(episodes, None) is None
        assert {made_by(picture) for picture in second} == {os.getpid()}, "its turn has passed"


def test_the_next_episodes_are_decoded_before_their_turn(kinds, tmp_path):
    logs = [tmp_path / str(number) for number in range(6)]
    asked = []

    def wanted(episode):
        asked.append(episode.index)
        return ["top"]

    with DecodeAhead(2, episodes_ahead=2) as ahead:
        episodes = ahead.episodes(
            (attempt(number, top=kinds.Telling(5, log)) for number, log in enumerate(logs)), wanted
        )
        next(episodes)
        assert asked == [0, 1, 2]
        eventually(lambda: [decoded(log) for log in logs] == [5, 5, 5, 0, 0, 0])
        assert numbers(next(episodes).camera("top")) == list(range(5))
        assert asked == [0, 1, 2, 3]
        assert [episode.index for episode in episodes] == [2, 3, 4, 5]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("buffer", [1, 3_000, 10**6])
def test_cameras_can_be_read_one_by_one_in_lockstep_in_any_order_or_not_at_all(kinds, workers, buffer):
    names = ("a", "b", "c", "d")
    given = [attempt(number, **{name: kinds.Telling(23) for name in names}) for number in range(6)]
    wanted = list(range(23))
    with DecodeAhead(workers, buffer_bytes=buffer) as ahead:
        for episode in ahead.episodes(given, every):
            cameras = [episode.camera(name) for name in names]
            match episode.index:
                case 0:
                    assert [numbers(camera) for camera in cameras] == [wanted] * 4
                case 1:
                    assert [numbers(seen) for seen in zip(*zip(*cameras, strict=True), strict=True)] == [wanted] * 4
                case 2:
                    reverse = zip(*cameras[::-1], strict=True)
                    assert [numbers(seen) for seen in zip(*reverse, strict=True)] == [wanted] * 4
                case 3:
                    assert numbers(islice(cameras[2], 2)) == [0, 1]
                case 4:
                    held = iter(cameras[0])
                    assert next(held)[0, 0, 0] == 0
                case 5:
                    assert numbers(held) == wanted[1:], "it goes on when its episode has passed"
                    assert numbers(cameras[3]) == wanted


def test_files_and_memory_are_given_back_whatever_was_read(kinds):
    before = open_files()
    with DecodeAhead(2) as ahead:
        for episode in ahead.episodes([attempt(n, a=kinds.Telling(9), b=kinds.Telling(9)) for n in range(20)], every):
            if episode.index % 2:
                next(iter(episode.camera("b")))
            if episode.index == 1:
                begun = open_files()
        assert open_files() <= begun
        # the two workers' pipes and the socket that they take jobs from
        assert open_files() == before + 4
    assert open_files() == before


def test_the_bytes_held_are_bound_whatever_is_decoded(kinds, tmp_path):
    side, room = 32, 60  # pictures of 3,072 bytes
    logs = [tmp_path / str(number) for number in range(3)]
    with DecodeAhead(2, buffer_bytes=room * side * side * 3 + 100) as ahead:
        given = [attempt(number, top=kinds.Telling(10_000, log, side)) for number, log in enumerate(logs)]
        episodes = ahead.episodes(given, every)
        reading = iter(next(episodes).camera("top"))
        for _ in range(100):
            next(reading)

        def held():
            return sum(decoded(log) for log in logs) - 100

        eventually(lambda: held() == room)
        time.sleep(0.2)
        assert held() == room
        # and for each of three jobs a page of header, and pages that are not full
        assert room * 3072 <= bytes_shared() <= room * 3072 + 3 * 4 * 4096
        memory = Path("/proc") / str(made_by(next(reading))) / "status"
        before = memory.read_text()
        assert numbers(reading)[-1] == 9_999 % 256
        peaks = [int(text.split("VmHWM:")[1].split()[0]) for text in (before, memory.read_text())]
        assert peaks[1] - peaks[0] < 2_000, "kilobytes; 10,000 pictures are 30,000"
        assert bytes_shared() <= room * 3072 + 3 * 4 * 4096


def test_a_picture_larger_than_the_buffer_and_pictures_that_change_their_size(kinds):
    with DecodeAhead(1, buffer_bytes=50_000) as ahead:
        given = [kinds.Telling(5, side=500), kinds.Growing(40), kinds.Growing(40)]
        expected = [list(copy.copy(frames)) for frames in given]
        for episode in ahead.episodes([attempt(number, top=frames) for number, frames in enumerate(given)], every):
            count = (5, 40, 7)[episode.index]
            own = expected[episode.index][:count]
            pictures = list(islice(episode.camera("top"), count))
            assert [picture.shape for picture in pictures] == [picture.shape for picture in own]
            assert all(made_by(picture) != os.getpid() for picture in pictures if episode.index == 0)
            for picture, same in zip(pictures, own, strict=True):
                picture.reshape(-1)[6:14] = same.reshape(-1)[6:14]
                assert np.array_equal(picture, same)


@pytest.mark.parametrize("error", ["video", "unknown", "value"])
def test_an_error_is_raised_at_its_frame_as_it_is_here(kinds, error):
    given = [attempt(0, top=kinds.Failing(9, error=error)), attempt(1, top=kinds.Telling(4))]
    with pytest.raises(Exception) as here:  # noqa: PT011 - which is what is found out
        list(given[0].camera("top"))
    with DecodeAhead(1) as ahead:
        episodes = ahead.episodes(given, every)
        reading = iter(next(episodes).camera("top"))
        assert numbers(islice(reading, 3)) == [0, 1, 2]
        with pytest.raises(type(here.value)) as there:
            next(reading)
        assert type(there.value) is type(here.value)
        assert str(there.value) == str(here.value)
        assert numbers(next(episodes).camera("top")) == [0, 1, 2, 3]


def test_an_error_that_cannot_travel_is_named_in_one_line(kinds):
    with DecodeAhead(1) as ahead:
        given = [attempt(0, top=kinds.Failing(9, error="local")), attempt(1, top=kinds.Exiting(9))]
        texts = "Local: of no module", "SystemExit: leave me alone"
        for episode, text in zip(ahead.episodes(given, every), texts, strict=True):
            with pytest.raises(VideoError) as found:
                list(episode.camera("top"))
            assert str(found.value) == text


def test_videos_that_are_damaged_or_short_say_so_as_they_do_here(videos, tmp_path):
    whole = (videos / "h264.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole)
    (tmp_path / "no.mp4").write_bytes(b"no video")
    broken = bytearray(whole)
    middle = len(whole) // 2
    broken[middle : middle + 400] = bytes(400)
    (tmp_path / "broken.mp4").write_bytes(broken)
    given = [
        attempt(0, top=VideoFrames(tmp_path / "cut.mp4", 70, "episode 0")),
        attempt(1, top=VideoFrames(tmp_path / "no.mp4", 60, "episode 1")),
        attempt(2, top=VideoFrames(tmp_path / "missing.mp4", 60, "episode 2")),
        attempt(3, top=VideoFrames(tmp_path / "broken.mp4", 60, "episode 3")),
    ]

    def outcome(frames):
        pictures = []
        try:
            for picture in frames:
                pictures.append(picture)
        except VideoError as error:
            return len(pictures), type(error), str(error)
        return len(pictures), None, ""

    here = [outcome(episode.camera("top")) for episode in given]
    assert [kind for _, kind, _ in here][:3] == [VideoTooShort, VideoError, VideoError]
    with DecodeAhead(2) as ahead:
        assert [outcome(episode.camera("top")) for episode in ahead.episodes(given, every)] == here


def test_a_video_that_kills_its_decoders_is_named_and_the_others_go_on(kinds, tmp_path):
    given = [
        attempt(0, top=kinds.Telling(40, pause=0.005)),
        attempt(1, top=kinds.Deadly(9, label="episode 1, camera top")),
        attempt(2, top=kinds.Telling(40)),
        attempt(3, top=kinds.Once(9, mark=tmp_path / "once")),
        attempt(4, top=kinds.Telling(40)),
    ]
    with DecodeAhead(1, buffer_bytes=10**5) as ahead:
        for episode in ahead.episodes(given, every):
            if episode.index == 1:
                reading = iter(episode.camera("top"))
                assert numbers(islice(reading, 3)) == [0, 1, 2]
                with pytest.raises(VideoError) as found:
                    next(reading)
                assert str(found.value) == (
                    "episode 1, camera top: the decoder died with SIGKILL after 3 of 9 frames, and so did another; "
                    "replace the file or leave the episode out"
                )
            else:
                assert numbers(episode.camera("top")) == list(range(len(episode)))


def test_a_worker_killed_from_outside_costs_nothing_but_time(kinds):
    with DecodeAhead(2, buffer_bytes=20 * 192 * 3) as ahead:
        given = [attempt(number, top=kinds.Telling(100), side=kinds.Telling(100)) for number in range(4)]
        killed = set()
        for episode in ahead.episodes(given, every):
            for number, pictures in enumerate(zip(*episode.cameras.values(), strict=True)):
                assert numbers(pictures) == [number, number]
                if number in (0, 50):
                    # it has decoded as far as it may, or is about to
                    time.sleep(0.01 * episode.index)
                    workers = {made_by(picture) for picture in pictures} - killed - {os.getpid()}
                    for worker in list(workers)[: 1 + episode.index % 2]:
                        os.kill(worker, signal.SIGKILL)
                        killed.add(worker)
            assert number == 99
        assert len(killed) >= 4


MAIN = """
import sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from kinds_of_frames import Hanging, Telling
from headway.episodes import Episode
from headway.scoring.decoding import DecodeAhead

def attempt(index, frames):
    return Episode(index=index, first_frame=0, fps=10, cameras={{"top": frames}})

with DecodeAhead(2, buffer_bytes=10**6) as ahead:
    log = Path(sys.argv[1])
    given = [attempt(0, Telling(10**6)), attempt(1, Hanging(10, log))]
    for episode in ahead.episodes(given, lambda episode: ["top"]):
        for number, picture in enumerate(episode.camera("top")):
            if number == 100:
                while not log.exists() or len(log.read_text()) < 6:
                    time.sleep(0.01)
                print(*ahead.processes, flush=True)
"""


@pytest.fixture
def running(kinds, tmp_path):
    """A process in a process group of its own, in the midst of reading, and the ids of its two workers."""
    path = [place for place in sys.path if place]
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN.format(path=path), str(tmp_path / "log")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers = [int(word) for word in process.stdout.readline().split()]
    assert len(workers) == 2
    yield process, workers
    process.kill()
    process.communicate()


def test_workers_end_with_whoever_began_them_and_leave_nothing_behind(running):
    process, workers = running
    process.kill()
    eventually(lambda: all(gone(worker) for worker in workers), seconds=5)
    assert not [path for path in Path("/dev/shm").iterdir() if "headway" in path.name]


def test_ctrl_c_ends_all_without_a_word_from_the_workers(running):
    process, workers = running
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert said.count("Traceback") == said.count("KeyboardInterrupt") == 1
    assert all(gone(worker) for worker in workers)


def test_frames_that_cannot_be_sent_or_are_here_already_are_left_as_they_are(kinds):
    class Unknown(kinds.Telling):
        """Of no module that a worker could import."""

    small, large = (ArrayFrames(np.zeros((20, side, side, 3), np.uint8)) for side in (8, 256))
    nested = RepaintedFrames(large, max, "not at all")
    given = attempt(0, array=small, nested=nested, locked=kinds.Locked(20), unknown=Unknown(20))
    with DecodeAhead(1) as ahead:
        (episode,) = ahead.episodes([given], every)
        assert episode is given
        own = kinds.Telling(5)
        own.__class__ = type("Elsewhere", (kinds.Telling,), {"__module__": "kinds_of_frames"})
        kinds.Elsewhere = type(own)
        given = attempt(1, top=own)
        for episode in ahead.episodes([given], every):
            assert episode is not given, "here it can be pickled"
            assert [made_by(picture) for picture in episode.camera("top")] == [os.getpid()] * 5


def test_workers_have_one_thread_each_and_import_little(kinds, videos):
    with DecodeAhead(1) as ahead:
        given = attempt(0, top=kinds.Surroundings(1, video=videos / "h264.mp4"))
        ((facts,),) = [list(episode.camera("top")) for episode in ahead.episodes([given], every)]
    codec_threads, tasks, omp, torch, scoring = facts[0, 0].tolist()
    assert (codec_threads, omp, torch, scoring) == (1, 1, 0, 0)
    assert tasks == 2, "itself, and one that waits for its parent's end"


@pytest.mark.parametrize("at", ["source", "wanted"])
def test_an_error_in_coming_by_an_episode_is_raised_in_its_turn(kinds, at):
    def source():
        for number in range(3):
            yield attempt(number, top=kinds.Telling(4))
        if at == "source":
            raise KeyError("no fourth")
        yield attempt(3, top=kinds.Telling(4))

    def wanted(episode):
        return {3: {}}[episode.index]["no fourth"] if episode.index == 3 else ["top"]

    with DecodeAhead(2) as ahead:
        episodes = ahead.episodes(source(), wanted)
        assert [numbers(episode.camera("top")) for episode in islice(episodes, 3)] == [[0, 1, 2, 3]] * 3
        with pytest.raises(KeyError, match="no fourth"):
            next(episodes)


def test_without_workers_episodes_are_as_they_were(kinds):
    given = [attempt(0, top=kinds.Telling(4))]
    with DecodeAhead(0) as ahead:
        assert next(ahead.episodes(given, every)) is given[0]


@pytest.mark.parametrize(
    "wrong", [{"workers": -1}, {"workers": 1, "episodes_ahead": -1}, {"workers": 1, "buffer_bytes": 0}]
)
def test_numbers_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InvalidValue, match="decoding ahead takes"):
        DecodeAhead(**wrong)


def test_what_is_read_when_it_is_closed_goes_on_here(kinds):
    ahead = DecodeAhead(1, buffer_bytes=10 * 192)
    episodes = ahead.episodes([attempt(n, top=kinds.Telling(50)) for n in range(3)], every)
    reading = iter(next(episodes).camera("top"))
    taken = [next(reading)]
    waiting = threading.Thread(target=lambda: taken.extend(reading))
    ahead.close()
    waiting.start()
    waiting.join(20)
    assert numbers(taken) == list(range(50))
    assert made_by(taken[-1]) == os.getpid()
    assert [numbers(episode.camera("top")) for episode in episodes] == [list(range(50))] * 2
    assert ahead.processes == []


def test_a_worker_that_cannot_begin_is_said_in_one_line(kinds, tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with DecodeAhead(1) as ahead:
        episodes = ahead.episodes([attempt(0, top=kinds.Telling(5)), attempt(1, top=kinds.Telling(5))], every)
        episode = next(episodes)
        with pytest.raises(Unsupported, match="gave up with exit status 1"):
            list(episode.camera("top"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with DecodeAhead(1) as ahead, pytest.raises(Unsupported, match="grants no worker"):
        next(ahead.episodes([attempt(0, top=kinds.Telling(5))], every))
