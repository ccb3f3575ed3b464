"""Pictures from strangers: decoded right, refused before a pixel is made, damage seen."""

import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.serve.pictures import PNG, PictureError, check_picture, decode_picture

MOST = 10_000
FORMATS = {
    ".png": [],
    ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
    "progressive.jpg": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 95],
    "lossy.webp": [cv2.IMWRITE_WEBP_QUALITY, 90],
    "lossless.webp": [cv2.IMWRITE_WEBP_QUALITY, 101],
}


def drawn(width=37, height=21):
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack([columns * 6, rows * 10, np.full_like(rows, 40)], axis=-1)
    return picture.clip(0, 255).astype(np.uint8)


def coded(name: str, picture=None) -> bytes:
    picture = drawn() if picture is None else picture
    return cv2.imencode("." + name.split(".")[-1], picture[..., ::-1], FORMATS[name])[1].tobytes()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def claiming(width: int, height: int, pixels: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", FORMATS)
def test_size_and_colours_are_those_that_were_drawn(name):
    data = coded(name)
    assert check_picture(data, MOST) == (37, 21)
    decoded = decode_picture(data, MOST)
    assert decoded.dtype == np.uint8
    off = np.abs(decoded.astype(int) - drawn())
    assert off.max() == 0 if name in (".png", "lossless.webp") else off.mean() < 4


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_and_transparent_pictures_become_rgb(channels):
    given = np.full((5, 7) if channels == 1 else (5, 7, 4), 90, np.uint8)
    decoded = decode_picture(cv2.imencode(".png", given)[1].tobytes(), MOST)
    assert decoded.shape == (5, 7, 3)
    assert (decoded == 90).all()


@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_cut_anywhere_is_refused_and_never_half_grey(name):
    data = coded(name)
    for length in [*range(0, len(data) - 2, 7), len(data) - 3]:
        with pytest.raises(PictureError) as refused:
            decode_picture(data[:length], MOST)
        assert refused.value.reason in ("damaged", "unknown"), length
        assert "\n" not in str(refused.value)


def test_a_jpeg_with_something_behind_it_is_taken_as_cameras_send_it():
    assert decode_picture(coded(".jpg") + b"\0" * 100, MOST).shape == (21, 37, 3)


def test_a_jpeg_whose_thumbnail_is_whole_and_itself_is_not_is_refused():
    data, thumbnail = coded(".jpg"), b"Exif\0\0" + coded(".jpg")
    inside = data[:2] + b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + data[2:]
    assert check_picture(inside, MOST) == (37, 21)
    with pytest.raises(PictureError, match="truncated"):
        check_picture(inside[:-20], MOST)


@pytest.mark.parametrize(
    "bomb",
    [
        claiming(30_000, 30_000, bytes(100_000)),
        b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff" * 6,
        b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\3" + bytes(9) + b"\xff\xda\0\2\xff\xd9",
    ],
    ids=["png", "webp", "jpeg"],
)
def test_a_bomb_is_refused_before_its_pixels_are_made(bomb):
    assert len(bomb) < 1000
    tracemalloc.start()
    with pytest.raises(PictureError, match="at most 10000 are taken") as refused:
        decode_picture(bomb, MOST)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    assert refused.value.reason == "too_large"


def test_a_jpeg_of_a_thousand_passes_is_refused_for_what_it_would_cost():
    data = coded("progressive.jpg")
    start, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    with pytest.raises(PictureError, match="scans") as refused:
        decode_picture(data[:start] + data[start:end] * 1000 + data[end:], MOST)
    assert refused.value.reason == "too_large"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unknown"),
        (b"GIF89a" + bytes(50), "unknown"),
        (claiming(0, 5), "damaged"),
        (claiming(9, 9, bytes(20)), "damaged"),
    ],
    ids=["nothing", "gif", "no width", "too few pixels"],
)
def test_what_is_no_picture_says_so(data, reason):
    with pytest.raises(PictureError) as refused:
        decode_picture(data, MOST)
    assert refused.value.reason == reason


@given(
    name=st.sampled_from(list(FORMATS)),
    at=st.floats(0, 1),
    put=st.binary(min_size=1, max_size=6),
)
def test_whatever_is_damaged_gives_a_picture_or_one_error(name, at, put):
    data = coded(name)
    place = int(at * len(data))
    damaged = data[:place] + put + data[place + len(put) :]
    try:
        picture = decode_picture(damaged, MOST)
    except PictureError:
        return
    assert picture.shape[2] == 3
    assert picture.shape[0] * picture.shape[1] <= MOST
