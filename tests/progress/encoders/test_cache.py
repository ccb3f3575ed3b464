"""The cache of features: right, computed once, and unharmed by whatever happens to its processes and files."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway
from headway.encoders.cache import BATCH, FeatureCache, cache_root, default_cache
from headway.encoders.small import Pictures, Pixels
from headway.episodes import ArrayFrames, Frames
from headway.errors import InvalidValue, OutputError, VideoError


@dataclass
class Counting:
    """Frames that count how often they are gone through, and how many are alive at once."""

    length: int
    identity: str | None = "clip"
    passes: int = 0
    shown: int = 0

    def __len__(self) -> int:
        return self.length

    def __iter__(self):
        self.passes += 1
        for number in range(self.length):
            self.shown += 1
            yield np.full((4, 6, 3), number % 256, np.uint8)


@dataclass
class Mean:
    """The mean of a picture, which tells which frame it was."""

    name: str = "mean"
    fingerprint: str = "mean-1"
    shape: tuple[int, ...] = (2,)
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float32))
    most: int = 0

    def encode(self, pictures):
        self.most = max(self.most, len(pictures))
        return np.array([[picture.mean(), 1] for picture in pictures], np.float32).reshape(-1, 2)


@given(length=st.integers(1, 150), every=st.integers(1, 40))
def test_every_kept_frame_is_there_in_order(tmp_path_factory, length, every):
    encoder, frames = Mean(), Counting(length, identity=None)
    expected = [number for number in range(length) if number % every == 0]
    np.testing.assert_array_equal(FeatureCache(Path("unused")).features(encoder, frames, every)[:, 0], expected)
    cache = FeatureCache(tmp_path_factory.mktemp("cache"))
    for _ in range(2):
        np.testing.assert_array_equal(cache.features(encoder, Counting(length), every)[:, 0], expected)


def test_features_are_computed_once_and_mapped(tmp_path):
    cache, frames, encoder = FeatureCache(tmp_path / "made" / "when needed"), Counting(101), Mean()
    first = cache.features(encoder, frames, 2)
    assert isinstance(first, np.memmap)
    assert not first.flags.writeable
    assert (first.shape, first.dtype) == ((51, 2), np.float32)
    again = FeatureCache(cache.folder).features(encoder, frames, 2)
    np.testing.assert_array_equal(first, again)
    assert frames.passes == 1
    assert encoder.most == BATCH


def test_nothing_after_the_last_kept_frame_is_decoded(tmp_path):
    frames = Counting(100)
    FeatureCache(tmp_path).features(Mean(), frames, 60)
    assert frames.shown == 61


def test_encoder_frames_and_stride_are_told_apart(tmp_path):
    cache = FeatureCache(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    frames, other = ArrayFrames(pixels), ArrayFrames(pixels[::-1])
    seen = [
        cache.features(Pixels(4), frames),
        cache.features(Pixels(8), frames),
        cache.features(Pixels(4), other),
        cache.features(Pixels(4), frames, 2),
    ]
    assert len(list(tmp_path.glob("*.npy"))) == 4
    np.testing.assert_array_equal(seen[0], Pixels(4).encode(list(pixels)))
    np.testing.assert_array_equal(seen[2], seen[0][::-1])
    np.testing.assert_array_equal(seen[3], seen[0][::2])
    stored = cache.features(Pictures(4), ArrayFrames(pixels))
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, Pictures(4).encode(list(pixels)))


def test_frames_without_identity_are_not_kept(tmp_path):
    frames = Counting(5, identity=None)
    cache = FeatureCache(tmp_path)
    features = cache.features(Mean(), frames)
    cache.features(Mean(), frames)
    assert frames.passes == 2
    assert not features.flags.writeable
    assert list(tmp_path.iterdir()) == []
    assert cache.features(Mean(), Counting(0)).shape == (0, 2)


@pytest.mark.parametrize("harm", ["cut", "longer", "empty", "header", "another shape"])
def test_a_damaged_file_is_noticed_and_computed_anew(harm, tmp_path):
    cache = FeatureCache(tmp_path)
    expected = np.array(cache.features(Mean(), Counting(50)))
    (path,) = tmp_path.glob("*.npy")
    content = path.read_bytes()
    if harm == "another shape":
        np.save(path, np.zeros((49, 2), np.float32))
    else:
        harmed = {"cut": content[:-1], "longer": content + b"x", "empty": b"", "header": b"\0" * 20 + content[20:]}
        path.write_bytes(harmed[harm])
    frames = Counting(50)
    np.testing.assert_array_equal(cache.features(Mean(), frames), expected)
    assert frames.passes == 1
    assert path.read_bytes() == content


def test_a_video_that_breaks_leaves_nothing(tmp_path):
    @dataclass
    class Broken(Counting):
        raises: bool = True

        def __iter__(self):
            yield from [np.zeros((4, 4, 3), np.uint8)] * 40
            if self.raises:
                raise VideoError("clip.mp4 holds 40 of 60 frames")

    for raises in (True, False):
        with pytest.raises(VideoError):
            FeatureCache(tmp_path).features(Mean(), Broken(60, raises=raises))
        assert [path.suffix for path in tmp_path.iterdir() if path.suffix != ".lock"] == []


def test_bad_use_is_told(tmp_path):
    with pytest.raises(InvalidValue, match="at least 1, got 0"):
        FeatureCache(tmp_path).features(Mean(), Counting(5), 0)
    with pytest.raises(InvalidValue, match="says its features are"):
        FeatureCache(tmp_path).features(Mean(shape=(3,)), Counting(5))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="HEADWAY_CACHE"):
        FeatureCache(tmp_path / "file" / "features").features(Mean(), Counting(5))


def test_the_cache_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWAY_CACHE", str(tmp_path / "chosen"))
    assert default_cache().folder == tmp_path / "chosen" / "features"
    monkeypatch.delenv("HEADWAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "headway"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_root() == Path.home() / ".cache" / "headway"


WORKER = """
import sys, time
from pathlib import Path
import numpy as np
from headway.encoders.cache import FeatureCache

folder, log, pause, name = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4]

class Frames:
    identity = "clip"
    def __len__(self): return 200
    def __iter__(self): return (np.full((2, 2, 3), n, np.uint8) for n in range(200))

class Encoder:
    name, fingerprint, shape, dtype = "slow", "slow-1", (1,), np.dtype(np.float32)
    def encode(self, pictures):
        with log.open("a") as file:
            file.write(f"{name} {len(pictures)}\\n")
        time.sleep(pause)
        return np.array([[picture.mean()] for picture in pictures], np.float32)

features = FeatureCache(folder).features(Encoder(), Frames())
assert np.array_equal(features[:, 0], np.arange(200)), features
print("right")
"""


def start(folder: Path, log: Path, pause: float, name: str) -> subprocess.Popen:
    rooms = str(Path(headway.__file__).parents[1])
    command = [sys.executable, "-c", WORKER, str(folder), str(log), str(pause), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": rooms})


def wait_for(log: Path, lines: int) -> None:
    for _ in range(3000):
        if log.exists() and len(log.read_text().splitlines()) >= lines:
            return
        time.sleep(0.01)
    raise AssertionError("the encoder was never called")


def encoded(log: Path, name: str = "") -> int:
    return sum(int(line.split()[1]) for line in log.read_text().splitlines() if line.startswith(name))


def test_two_processes_at_once_compute_once(tmp_path):
    log = tmp_path / "log"
    workers = [start(tmp_path / "cache", log, 0.15, name) for name in ("first", "second")]
    for worker in workers:
        assert worker.communicate(timeout=60)[0] == "right\n"
        assert worker.returncode == 0
    assert encoded(log) == 200
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 1


def test_a_killed_process_blocks_nobody_and_leaves_no_rubbish(tmp_path):
    log, cache = tmp_path / "log", tmp_path / "cache"
    killed = start(cache, log, 0.5, "killed")
    wait_for(log, 3)
    waiting = start(cache, log, 0.0, "waiting")
    killed.send_signal(signal.SIGKILL)
    killed.wait(timeout=60)
    assert len(list(cache.glob("*.part"))) <= 1
    assert not list(cache.glob("*.npy"))
    assert waiting.communicate(timeout=60)[0] == "right\n"
    assert encoded(log, "waiting") == 200
    assert not list(cache.glob(".*.part"))
    assert start(cache, log, 0.0, "late").communicate(timeout=60)[0] == "right\n"
    assert encoded(log, "late") == 0


def test_frames_in_memory_are_known_by_their_pixels():
    pixels = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    frames = ArrayFrames(pixels)
    assert isinstance(frames, Frames)
    assert frames.identity == ArrayFrames(pixels.copy()).identity
    changed = pixels.copy()
    changed[-1, -1, -1, -1] += 1
    others = [changed, pixels.reshape(2, 4, 3, 3), pixels[::-1]]
    assert len({frames.identity, *(ArrayFrames(other).identity for other in others)}) == 4


def test_frames_of_a_file_are_known_by_where_it_lies_and_its_change(tmp_path):
    from headway_datasets.lerobot_v3 import StoredPictures
    from headway_datasets.video import VideoFrames, encode_video

    path = tmp_path / "clip.mp4"
    encode_video(path, [np.zeros((16, 16, 3), np.uint8)] * 6, 10)
    frames = VideoFrames(path, 3, "one", start=0.0, fps=10)
    assert frames.identity == VideoFrames(path, 3, "another label", start=0.0, fps=10).identity
    others = [
        VideoFrames(path, 2, "one", start=0.0, fps=10),
        VideoFrames(path, 3, "one", start=0.3, fps=10),
        VideoFrames(path, 3, "one"),
    ]
    assert len({frames.identity, *(other.identity for other in others)}) == 4
    (tmp_path / "link.mp4").symlink_to(path)
    assert VideoFrames(tmp_path / "link.mp4", 3, "one", start=0.0, fps=10).identity == frames.identity
    before = frames.identity
    os.utime(path, ns=(1, 1))
    assert frames.identity != before
    assert VideoFrames(tmp_path / "none.mp4", 3, "one").identity is None

    stored = [StoredPictures(path, key, start, 3, "one") for key in ("top", "side") for start in (0, 3)]
    assert len({frames.identity for frames in stored}) == 4
    assert StoredPictures(tmp_path / "none.parquet", "top", 0, 3, "one").identity is None
