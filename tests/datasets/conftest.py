import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest

from headway.episodes import ArrayFrames, Episode, Stage, Truth

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"


@pytest.fixture
def real_recordings():
    if not REAL.is_dir():
        pytest.skip("the real recordings (../shared/data/real) are not here")
    return REAL


def square_at(number, side=64):
    """Left edge of the square in a scene's frame of that number."""
    return (3 * number) % (side - 16)


@pytest.fixture(scope="session")
def scene():
    """Makes frames (length, side, side, 3) in which a bright square tells the frame's number."""

    def make(length, side=64, first=0):
        frames = np.full((length, side, side, 3), 70, np.uint8)
        for index in range(length):
            left = square_at(first + index, side)
            frames[index, 24:40, left : left + 16] = (240, 235, 230)
        return frames

    return make


@pytest.fixture(scope="session")
def is_frame():
    """Whether a decoded picture is the scene's frame of that number."""

    def check(picture, number):
        bright = picture.mean(axis=-1) > 150
        columns = np.flatnonzero(bright.any(axis=0))
        left = square_at(number, picture.shape[1])
        return len(columns) > 0 and abs(columns[0] - left) <= 1 and abs(columns[-1] - left - 15) <= 1

    return check


@pytest.fixture(scope="session")
def episode(scene):
    """Makes episodes with everything an episode can have; each starts its scene at another frame number."""

    def make(index=0, length=20, names=("top",), side=64, **changes):
        rng = np.random.default_rng(index)
        progress = np.linspace(0, 1, length, dtype=np.float32)
        whole = Episode(
            index=index,
            first_frame=0,
            fps=10.0,
            cameras={
                name: ArrayFrames(scene(length, side, first=100 * index + 7 * place))
                for place, name in enumerate(names)
            },
            instruction=f"task {index % 2}",
            state=rng.normal(size=(length, 3)).astype(np.float32),
            environment_state=rng.normal(size=(length, 5)).astype(np.float32),
            action=rng.normal(size=(length, 2)).astype(np.float32),
            stages=(Stage("open", 0, 8), Stage("pick", 8, length)),
            success=index % 2 == 0,
            truth=Truth(
                progress=progress,
                stage=(progress > 0.5).astype(np.int64),
                success=progress > 0.9,
                stage_names=("open", "pick"),
                proportions=(0.4, 0.6),
            ),
            kind="expert" if index % 2 == 0 else "drop",
        )
        return dataclasses.replace(whole, **changes)

    return make


@pytest.fixture(scope="session")
def save_video():
    """Writes frames with any of FFmpeg's encoders; `times` gives each frame's own time in tenths of a second."""

    def save(path, frames, codec="libx264", pixels="yuv420p", times=None, **options):
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10, options=options)
            stream.height, stream.width = frames.shape[1:3]
            stream.pix_fmt = pixels
            for index, frame in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(frame, "rgb24").reformat(format=pixels)
                picture.pts = index if times is None else times[index]
                picture.time_base = 1 / stream.codec_context.framerate
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
        return path

    return save
