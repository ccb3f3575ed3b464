"""Pictures as they are sent, and which of an episode's frames they are."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.errors import InvalidValue
from headway.vlm.chat import Picture
from headway.vlm.clip import Clip, encode, encode_frames, evenly, thinned


def decoded(picture: Picture) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def test_a_large_picture_is_made_smaller_and_keeps_its_shape_and_colours():
    pixels = np.full((480, 640, 3), (20, 90, 160), np.uint8)
    pixels[:, 320:] = (200, 60, 10)
    picture = encode(pixels)
    assert (picture.width, picture.height, picture.media_type) == (448, 336, "image/png")
    seen = decoded(picture)
    assert seen.shape == (336, 448, 3)
    assert (seen[:, :223] == (20, 90, 160)).all()
    assert (seen[:, 225:] == (200, 60, 10)).all()


@pytest.mark.parametrize(("shape", "size"), [((640, 480), (448, 336)), ((2, 2000), (1, 448)), ((900, 900), (448, 448))])
def test_the_longer_side_decides_and_no_side_is_lost(shape, size):
    picture = encode(np.zeros((*shape, 3), np.uint8))
    assert (picture.height, picture.width) == size


@given(st.integers(1, 448), st.integers(1, 448), st.integers(0, 2**32 - 1))
def test_a_small_picture_is_left_as_it_is(height, width, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    picture = encode(pixels)
    assert (picture.height, picture.width) == (height, width)
    assert (decoded(picture) == pixels).all()


@given(st.integers(1, 100_000), st.integers(2, 200))
def test_frames_are_spread_evenly_with_both_ends_among_them(length, count):
    frames = evenly(length, count)
    assert frames.dtype == np.int64
    assert (frames[0], frames[-1], len(frames)) == (0, length - 1, min(length, count))
    assert (np.diff(frames) > 0).all()
    assert np.abs(frames - np.linspace(0, length - 1, len(frames))).max() <= 0.5


@given(st.integers(1, 300), st.integers(2, 60), st.integers(2, 60) | st.none())
def test_a_clip_is_thinned_to_a_limit_with_both_ends_and_each_picture_with_its_number(length, count, most):
    frames = evenly(length, count)
    clip = Clip(tuple(Picture(b"%d" % frame, 1, 1) for frame in frames), frames, length, "move it", 0)
    thin = thinned(clip, most)
    assert len(thin.pictures) == len(thin.frames) == (len(frames) if most is None else min(len(frames), most))
    assert (thin.frames[0], thin.frames[-1]) == (0, length - 1)
    assert (np.diff(thin.frames) > 0).all()
    assert [int(picture.data) for picture in thin.pictures] == thin.frames.tolist()
    assert (thin.length, thin.instruction, thin.seed) == (length, "move it", 0)


@pytest.mark.parametrize("count", [-1, 0, 1])
def test_one_frame_tells_no_progress(count, clip_of, exact):
    with pytest.raises(InvalidValue, match=f"an episode is judged by at least 2 frames, got {count}"):
        evenly(10, count)
    with pytest.raises(InvalidValue, match="at least 2 frames"):
        thinned(clip_of(exact, 5), count)


def test_frames_are_decoded_in_order_and_no_further_than_the_last_one_wanted(exact, sight):
    class Counting:
        decoded = 0

        def __iter__(self):
            for picture in exact.cameras["top"]:
                self.decoded += 1
                yield picture

    frames = Counting()
    pictures = encode_frames(frames, np.array([3, 12, 24]))
    assert [round(48 * sight(picture)) for picture in pictures] == [3, 12, 24]
    assert frames.decoded == 25


def test_a_clip_is_of_the_first_camera_and_tells_its_episode(clip_of, make_slider):
    clip = clip_of(make_slider(5, seconds=4.8, hold=1), 4)
    assert (clip.length, clip.seed, clip.frames.tolist()) == (49, 5, [0, 16, 32, 48])
    assert clip.instruction == "move the square to the corner"
