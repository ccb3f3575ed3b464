"""Pictures out of messages: every layout against pixels worked out by hand or the other way, and every refusal."""

import io
import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headway.errors import HeadwayError, InvalidValue
from headway_datasets.ros_images import decoding as d
from headway_datasets.ros_images.picture_header import read_header
from headway_envs.ros.messages import compressed_image, from_wire, image

LIMITS = d.DecodingLimits()
RAW, STORED = "sensor_msgs/Image", "sensor_msgs/CompressedImage"
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def raw(encoding, data, width, height=1, step=None, big=0):
    """A `sensor_msgs/Image` without a header."""
    data = bytes(data)
    return {
        "width": width,
        "height": height,
        "encoding": encoding,
        "step": len(data) // height if step is None else step,
        "is_bigendian": big,
        "data": data,
    }


def decoded(encoding, data, width, height=1, **rest):
    return d.decode(raw(encoding, data, width, height, **rest), RAW)


def smooth(height, width, seed=0):
    """A colourful picture without sharp edges, so that chroma at half resolution loses little."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def fault(message, kind=RAW, limits=LIMITS):
    with pytest.raises(d.FrameError) as caught:
        d.decode(message, kind, limits)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, HeadwayError)
    return type(caught.value)


# --- raw pictures


@pytest.mark.parametrize(
    ("encoding", "data", "pixels"),
    [
        ("rgb8", [1, 2, 3, 4, 5, 6], [(1, 2, 3), (4, 5, 6)]),
        ("bgr8", [1, 2, 3, 4, 5, 6], [(3, 2, 1), (6, 5, 4)]),
        ("8UC3", [1, 2, 3, 4, 5, 6], [(3, 2, 1), (6, 5, 4)]),
        ("rgba8", [1, 2, 3, 0, 4, 5, 6, 255], [(1, 2, 3), (4, 5, 6)]),
        ("bgra8", [1, 2, 3, 0, 4, 5, 6, 255], [(3, 2, 1), (6, 5, 4)]),
        ("mono8", [7, 200], [(7, 7, 7), (200, 200, 200)]),
        ("8UC1", [7, 200], [(7, 7, 7), (200, 200, 200)]),
        ("mono16", [0xFF, 0xFF, 0x01, 0x80], [(255,) * 3, (128,) * 3]),
        ("rgb16", [0, 1, 0, 2, 0, 3, 255, 255, 0, 0, 0, 128], [(1, 2, 3), (255, 0, 128)]),
        ("bgr16", [0, 1, 0, 2, 0, 3, 255, 255, 0, 0, 0, 128], [(3, 2, 1), (128, 0, 255)]),
        ("rgba16", [0, 1, 0, 2, 0, 3, 9, 9], [(1, 2, 3)]),
        ("bgra16", [0, 1, 0, 2, 0, 3, 9, 9], [(3, 2, 1)]),
        # BT.601: luma 16 is black and 235 white; 81, 90, 240 is red; 41, 240, 110 is blue
        ("yuv422", [128, 16, 128, 235], [(0, 0, 0), (255, 255, 255)]),
        ("uyvy", [90, 81, 240, 81], [RED, RED]),
        ("yuv422_yuy2", [16, 128, 235, 128], [(0, 0, 0), (255, 255, 255)]),
        ("yuyv", [41, 240, 41, 110], [BLUE, BLUE]),
    ],
)
def test_pixels_worked_out_by_hand(encoding, data, pixels):
    picture = decoded(encoding, data, len(pixels))
    assert picture.dtype == np.uint8
    assert picture.shape == (1, len(pixels), 3)
    assert np.abs(picture[0].astype(int) - pixels).max() <= (2 if encoding[0] in "yu" else 0)


@pytest.mark.parametrize(("encoding", "chroma"), [("nv12", (90, 240)), ("nv21", (240, 90))])
def test_two_planes_by_hand(encoding, chroma):
    picture = decoded(encoding, [81, 81, 81, 81, *chroma], 2, 2, step=2)
    assert np.abs(picture.astype(int) - RED).max() <= 2


def test_sixteen_bits_are_scaled_to_the_nearest_in_either_order_of_bytes():
    values = np.arange(65536)
    expected = np.rint(values / 257).astype(np.uint8)
    for order, big in (("<u2", 0), (">u2", 1)):
        picture = decoded("mono16", values.astype(order).tobytes(), 256, 256, big=big)
        assert (picture == expected.reshape(256, 256, 1)).all()


def to_uyvy(luma, blue, red):
    return np.stack([blue[:, ::2], luma[:, ::2], red[:, ::2], luma[:, 1::2]], axis=2).reshape(luma.shape[0], -1)


def to_yuy2(luma, blue, red):
    return np.stack([luma[:, ::2], blue[:, ::2], luma[:, 1::2], red[:, ::2]], axis=2).reshape(luma.shape[0], -1)


def to_planes(luma, first, second):
    return np.vstack([luma, np.stack([first[::2, ::2], second[::2, ::2]], axis=2).reshape(luma.shape[0] // 2, -1)])


def bt601(picture):
    """Luma, blue and red chroma of RGB, by ITU-R BT.601 in full width."""
    red, green, blue = np.moveaxis(picture.astype(float) / 255, 2, 0)
    luma = 16 + 65.481 * red + 128.553 * green + 24.966 * blue
    from_blue = 128 - 37.797 * red - 74.203 * green + 112 * blue
    from_red = 128 + 112 * red - 93.786 * green - 18.214 * blue
    return [np.rint(plane).astype(np.uint8) for plane in (luma, from_blue, from_red)]


def rgb_of(luma, blue, red):
    """The inverse, by its coefficients as published."""
    luma, blue, red = 1.164384 * (luma - 16.0), blue - 128.0, red - 128.0
    colours = [luma + 1.596027 * red, luma - 0.391762 * blue - 0.812968 * red, luma + 2.017232 * blue]
    return np.clip(np.stack(colours, axis=2), 0, 255)


YUV = {
    "yuv422": to_uyvy,
    "yuv422_yuy2": to_yuy2,
    "nv12": to_planes,
    "nv21": lambda luma, blue, red: to_planes(luma, red, blue),
}


@pytest.mark.parametrize("encoding", YUV)
@pytest.mark.parametrize(("height", "width"), [(32, 48), (31, 47), (32, 47), (31, 48), (1, 1), (2, 1)])
@pytest.mark.parametrize("padding", [0, 6])
def test_yuv_against_the_recommendations_own_numbers(encoding, height, width, padding):
    picture = smooth(height, width, seed=3)
    even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    luma, blue, red = bt601(even)
    packed = YUV[encoding](luma, blue, red)
    if not encoding.startswith("nv"):
        packed = packed[:height]
    elif height % 2:
        packed = np.delete(packed, height, axis=0)
    packed = np.pad(packed, ((0, 0), (0, padding)), constant_values=77)
    result = decoded(encoding, packed.tobytes(), width, height, step=packed.shape[1])
    # each chroma sample stands for its pair, or its two by two pixels
    tall = 2 if encoding.startswith("nv") else 1
    blue, red = (plane[::tall, ::2].repeat(tall, axis=0).repeat(2, axis=1) for plane in (blue, red))
    expected = rgb_of(luma, blue, red)[:height, :width]
    assert result.shape == expected.shape
    assert np.abs(result - expected).max() <= 2


@pytest.mark.parametrize(
    ("encoding", "code"), [("yuv422", cv2.COLOR_YUV2RGB_UYVY), ("yuv422_yuy2", cv2.COLOR_YUV2RGB_YUY2)]
)
def test_an_odd_width_may_lack_the_second_half_of_its_last_chroma(encoding, code):
    rng = np.random.default_rng(1)
    packed = rng.integers(0, 256, (5, 7 * 2), dtype=np.uint8)
    result = decoded(encoding, packed.tobytes(), 7, 5)
    assert (result[:, :6] == cv2.cvtColor(packed[:, :12].reshape(5, 6, 2), code)).all()
    # the last pixel has its own luma and the one chroma that it has, the other from the pair before
    luma, chroma = (13, 12) if encoding == "yuv422" else (12, 13)
    other = 10 if encoding == "yuv422" else 11
    pair = np.zeros((5, 4), np.uint8)
    places = (1, 0, 2) if encoding == "yuv422" else (0, 1, 3)
    for place, source in zip(places, (luma, chroma, other), strict=True):
        pair[:, place] = packed[:, source]
    assert (result[:, 6] == cv2.cvtColor(pair.reshape(5, 2, 2), code)[:, 0]).all()
    assert decoded(encoding, [128, 128], 1).shape == (1, 1, 3)


MOSAICS = {"rggb": "RGGB", "bggr": "BGGR", "gbrg": "GBRG", "grbg": "GRBG"}


def mosaic(picture, pattern):
    result = np.empty(picture.shape[:2], picture.dtype)
    for place, colour in enumerate(pattern):
        row, column = divmod(place, 2)
        result[row::2, column::2] = picture[row::2, column::2, "RGB".index(colour)]
    return result


@pytest.mark.parametrize("name", MOSAICS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("height", "width"), [(40, 60), (41, 59)])
def test_a_mosaic_comes_back_as_the_picture_it_was_made_of(name, bits, height, width):
    picture = smooth(height, width, seed=5)
    cells = mosaic(picture, MOSAICS[name])
    for big in (0, 1):
        data = cells.tobytes() if bits == 8 else (cells.astype(">u2" if big else "<u2") * 257).tobytes()
        error = np.abs(decoded(f"bayer_{name}{bits}", data, width, height, big=big).astype(int) - picture)
        assert error[2:-2, 2:-2].mean() < 3
        assert error.mean() < 6
    one_colour = np.broadcast_to(np.uint8([200, 100, 50]), (6, 6, 3))
    data = mosaic(one_colour, MOSAICS[name]).astype(np.uint16 if bits == 16 else np.uint8) * (257 if bits == 16 else 1)
    assert (decoded(f"bayer_{name}{bits}", data.tobytes(), 6, 6) == one_colour).all()


@given(
    st.sampled_from([("rgb8", 3), ("bgr8", 3), ("rgba8", 4), ("bgra8", 4), ("mono8", 1)]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 5),
    st.integers(0, 99),
)
def test_what_cv2_made_of_rgb_is_made_rgb_again_whatever_the_padding(layout, height, width, padding, seed):
    encoding, channels = layout
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    code = {
        "bgr8": cv2.COLOR_RGB2BGR,
        "rgba8": cv2.COLOR_RGB2RGBA,
        "bgra8": cv2.COLOR_RGB2BGRA,
        "mono8": cv2.COLOR_RGB2GRAY,
    }.get(encoding)
    stored = picture if code is None else cv2.cvtColor(picture, code)
    rows = np.pad(stored.reshape(height, -1), ((0, 0), (0, padding)), constant_values=99)
    result = decoded(encoding, rows.tobytes(), width, height, step=width * channels + padding)
    assert (result == (picture if channels > 1 else stored.reshape(height, width, 1))).all()
    assert result.flags.c_contiguous
    assert result.flags.writeable


def test_a_picture_is_its_own_and_bags_arrays_are_taken():
    picture = smooth(4, 6)
    message = image(picture)
    result = d.decode(message, "sensor_msgs/msg/Image")
    result[:] = 0
    assert (d.decode(message, RAW) == picture).all()
    assert (d.decode(message | {"data": np.frombuffer(message["data"], np.uint8)}, RAW) == picture).all()
    assert (d.decode(message | {"data": bytearray(message["data"]), "width": np.uint32(6)}, RAW) == picture).all()


@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_is_refused(encoding):
    assert fault(raw(encoding, bytes(16), 2, 2)) is d.DepthImage


def test_each_fault_of_a_raw_picture_has_its_error():
    good = image(smooth(4, 6))
    assert fault(good | {"encoding": "rgb9"}) is d.UnknownEncoding
    assert fault(good | {"encoding": ""}) is d.UnknownEncoding
    assert fault(good | {"data": good["data"][:-1]}) is d.WrongLength
    assert fault(good | {"data": good["data"] + b"0"}) is d.WrongLength
    assert fault(good | {"step": 17}) is d.WrongLength
    assert fault(good | {"step": 19}) is d.WrongLength
    assert fault(good | {"height": 5}) is d.WrongLength
    assert fault(good | {"width": 7}) is d.WrongLength
    assert fault(good | {"height": 0}) is d.EmptyImage
    assert fault(good | {"width": 0}) is d.EmptyImage
    assert fault(good | {"data": b""}) is d.EmptyImage
    assert fault(good, limits=d.DecodingLimits(max_pixels=23)) is d.TooLarge
    assert fault(good, limits=d.DecodingLimits(max_bytes=71)) is d.TooLarge
    assert fault(raw("bayer_rggb8", bytes(4), 2, 2)) is d.MalformedFrame
    assert fault(raw("nv12", bytes(9), 3, 2)) is d.WrongLength
    for name, wrong in (
        ("height", -1), ("height", "4"), ("height", None), ("height", 4.0), ("height", 10**6000), ("width", 2**32),
        ("step", None), ("step", -18), ("encoding", None), ("encoding", b"rgb8"), ("is_bigendian", "no"),
        ("data", None), ("data", "abc"), ("data", [1, 2]), ("data", np.zeros(72)),
    ):  # fmt: skip
        assert fault(good | {name: wrong}) is d.MalformedFrame
    for name in ("height", "width", "step", "encoding", "is_bigendian", "data"):
        assert fault({key: value for key, value in good.items() if key != name}) is d.MalformedFrame
    for message, kind in ((None, RAW), ([], RAW), (good, "std_msgs/String"), (good, None), (good, "")):
        assert fault(message, kind) is d.MalformedFrame
    assert fault(raw("rgb8", bytes(3), 2**31, 2**31)) is d.TooLarge


def test_every_error_has_its_own_word():
    kinds = [
        d.UnknownEncoding,
        d.WrongLength,
        d.TooLarge,
        d.EmptyImage,
        d.DepthImage,
        d.DamagedPicture,
        d.MalformedFrame,
    ]
    reasons = {kind.reason for kind in kinds}
    assert len(reasons) == len(kinds)
    assert all(reason.isidentifier() for reason in reasons)
    with pytest.raises(InvalidValue):
        d.DecodingLimits(max_pixels=0)


# --- stored pictures


def file(picture, codec="jpeg", **options):
    """What Pillow, which is not what decodes, writes of an RGB or grey picture."""
    written = io.BytesIO()
    Image.fromarray(picture).save(written, codec.upper(), **options)
    return written.getvalue()


PICTURE = smooth(30, 44, seed=7)
FILES = {
    "jpeg": file(PICTURE, quality=95, subsampling=0),
    "progressive": file(PICTURE, quality=95, subsampling=0, progressive=True),
    "png": file(PICTURE, "png"),
    "webp": file(PICTURE, "webp", quality=95),
    "lossless webp": file(PICTURE, "webp", lossless=True),
    "extended webp": file(PICTURE, "webp", lossless=True, exif=Image.Exif()),
}


def near(result, expected, most=6):
    return result.shape == expected.shape and np.abs(result.astype(int) - expected).mean() < most


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("words", ["jpeg", "png", "", "bgr8; jpeg compressed bgr8", "rgb8; png compressed bgr8"])
def test_an_ordinary_file_is_told_by_its_content(name, words):
    assert near(d.decode(compressed_image(FILES[name], words), STORED), PICTURE)


@pytest.mark.parametrize(
    ("words", "swapped"),
    [
        # publisher of compressed_image_transport: always bgr, so that cv2.imencode writes an ordinary file
        ("rgb8; jpeg compressed bgr8", False),
        ("bgr8; jpeg compressed bgr8", False),
        ("rgba8; jpeg compressed bgr8", False),
        ("bgr16; png compressed bgr16", False),
        # subscriber: otherwise what cv2.imencode took for BGR was RGB
        ("rgb8; jpeg compressed rgb8", True),
        ("bgr8; jpeg compressed rgb8", True),
        ("rgb8; jpeg compressed ", True),
        # no colour was told, or nothing by that transport
        ("mono8; jpeg compressed ", False),
        ("yuv422; jpeg compressed bgr8", False),
        ("jpeg", False),
        ("rgb8", False),
    ],
)
def test_the_words_tell_the_order_of_colours(words, swapped):
    for codec in ("jpeg", "png"):
        stored = PICTURE[..., ::-1] if swapped else PICTURE
        options = {"quality": 95, "subsampling": 0} if codec == "jpeg" else {}
        result = d.decode(compressed_image(file(np.ascontiguousarray(stored), codec, **options), words), STORED)
        assert near(result, PICTURE)
        assert not near(result[..., ::-1], PICTURE)
        assert result.flags.c_contiguous


def test_what_the_transports_own_steps_make_of_a_picture_comes_back():
    """rgb8 in, to bgr8 as its publisher does, cv2.imencode."""
    data = cv2.imencode(".jpg", cv2.cvtColor(PICTURE, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    assert near(d.decode(compressed_image(data, "rgb8; jpeg compressed bgr8"), STORED), PICTURE)


# what a genuine rosbridge 0.11.17 sent for an 8x6 picture, all of whose samples were 38
GENUINE = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGB"
    "YUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wAARCAAG"
    "AAgDASIAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhBy"
    "JxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKT"
    "lJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QAHwEAAwEBAQEBAQEBAQAAAA"
    "AAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdhcRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRom"
    "JygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExc"
    "bHyMnK0tPU1dbX2Nna4uPk5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD4PooooA//2Q=="
)


def test_the_genuine_picture_of_a_bridge():
    message = {"format": "rgb8; jpeg compressed bgr8", "data": GENUINE}
    assert (d.decode(from_wire(message, STORED), STORED) == np.full((6, 8, 3), 38)).all()


def test_grey_and_transparent_and_sixteen_bits():
    grey = PICTURE[..., 0]
    assert near(d.decode(compressed_image(file(grey, "png"), "mono8; png compressed "), STORED)[..., 2], grey, 1)
    assert near(d.decode(compressed_image(file(grey), "mono8; jpeg compressed mono8"), STORED)[..., 1], grey)
    clear = np.dstack([PICTURE, np.zeros_like(grey)])
    assert (d.decode(compressed_image(file(clear, "png"), "png"), STORED) == PICTURE).all()
    wide = cv2.imencode(".png", PICTURE[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    assert (d.decode(compressed_image(wide, "rgb16; png compressed bgr16"), STORED) == PICTURE).all()
    deep = cv2.imencode(".png", grey.astype(np.uint16) * 257)[1].tobytes()
    assert (d.decode(compressed_image(deep, "mono16; png compressed "), STORED) == grey[..., None]).all()
    for words in ("png", "16UC1; png compressed ", "16UC1; compressedDepth png"):
        assert fault(compressed_image(deep, words), STORED) is d.DepthImage


def test_a_mosaic_that_was_stored_as_if_it_were_grey_gets_its_colours():
    cells = mosaic(PICTURE, "GBRG")
    plain = d.decode(compressed_image(file(cells, "png"), "bayer_gbrg8; png compressed "), STORED)
    assert np.abs(plain.astype(int) - PICTURE)[2:-2, 2:-2].mean() < 4
    wide = cv2.imencode(".png", cells.astype(np.uint16) * 257)[1].tobytes()
    assert (d.decode(compressed_image(wide, "bayer_gbrg16; png compressed "), STORED) == plain).all()
    grey = d.decode(compressed_image(file(cells, "png"), "bayer_gbrg8; jpeg compressed mono8"), STORED)
    assert (grey == cells[..., None]).all()


def test_a_pictures_orientation_is_as_stored():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = file(PICTURE, quality=95, subsampling=0, exif=exif)
    assert near(d.decode(compressed_image(turned), STORED), PICTURE)


@pytest.mark.parametrize(
    "words", ["16UC1; compressedDepth", "32FC1; compressedDepth png", "16UC1; jpeg compressed mono8"]
)
def test_compressed_depth_is_refused(words):
    assert fault(compressed_image(FILES["png"], words), STORED) is d.DepthImage


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_short_anywhere_is_refused(name):
    data = FILES[name]
    for length in {*range(1, 64), *range(64, len(data) - 8, 37), len(data) - 9}:
        assert issubclass(fault(compressed_image(data[:length]), STORED), d.DamagedPicture), length


def test_a_thumbnails_end_is_not_the_pictures_end():
    thumbnail = file(PICTURE[:8, :8])
    within = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = FILES["jpeg"][:2] + within + FILES["jpeg"][2:]
    assert near(d.decode(compressed_image(whole), STORED), PICTURE)
    cut = whole[: len(whole) * 2 // 3]
    assert fault(compressed_image(cut), STORED) is d.DamagedPicture
    # not every version of the decoder notices by itself: some fill the rest with grey
    for short in (cut, FILES["jpeg"][:-2], FILES["progressive"][:-2], FILES["webp"][:-1]):
        with pytest.raises(ValueError, match="its end is missing"):
            read_header(short)


def test_what_cameras_append_to_a_jpeg_does_no_harm():
    assert near(d.decode(compressed_image(FILES["jpeg"] + bytes(500)), STORED), PICTURE)


def claimed(codec, width, height):
    """A short file that claims a size."""
    if codec == "jpeg":
        at = FILES["jpeg"].index(b"\xff\xc0")
        return FILES["jpeg"][: at + 5] + struct.pack(">HH", height, width) + FILES["jpeg"][at + 9 :]
    if codec == "png":
        content = b"IHDR" + struct.pack(">II", width, height) + FILES["png"][24:29]
        checksum = struct.pack(">I", zlib.crc32(content))
        return FILES["png"][:12] + content + checksum + FILES["png"][33:]
    name = {"webp": "webp", "lossless webp": "lossless webp", "extended webp": "extended webp"}[codec]
    data = FILES[name]
    if codec == "webp":
        return data[:26] + struct.pack("<HH", width, height) + data[30:]
    if codec == "lossless webp":
        return data[:21] + struct.pack("<I", (width - 1) | (height - 1) << 14) + data[25:]
    return data[:24] + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3] + data[30:]


BOMBS = {
    "jpeg": (65535, 65535),
    "png": (2**31 - 1, 2**31 - 1),
    "webp": (16383, 16383),
    "lossless webp": (16384, 16384),
    "extended webp": (2**24, 2**24),
}


@pytest.mark.parametrize("codec", BOMBS)
def test_a_bomb_is_refused_before_a_pixel_of_it_is_made(codec, monkeypatch):
    def never(*_):
        raise AssertionError("the decoder was asked")

    message = compressed_image(claimed(codec, *BOMBS[codec]))
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "imdecode", never)
        tracemalloc.start()
        assert fault(message, STORED) is d.TooLarge
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
        tracemalloc.stop()


@pytest.mark.parametrize("name", FILES)
def test_the_size_that_is_judged_is_the_one_that_is_decoded(name):
    height, width, _ = PICTURE.shape
    pixels = height * width
    assert fault(compressed_image(FILES[name]), STORED, d.DecodingLimits(max_pixels=pixels - 1)) is d.TooLarge
    assert near(d.decode(compressed_image(FILES[name]), STORED, d.DecodingLimits(max_pixels=pixels)), PICTURE)


def test_each_fault_of_a_stored_picture_has_its_error():
    data = FILES["jpeg"]
    assert fault(compressed_image(b""), STORED) is d.EmptyImage
    assert fault(compressed_image(claimed("jpeg", 0, 30)), STORED) is d.EmptyImage
    assert fault(compressed_image(claimed("png", 44, 0)), STORED) is d.EmptyImage
    assert fault(compressed_image(data), STORED, d.DecodingLimits(max_bytes=len(data) - 1)) is d.TooLarge
    assert fault(compressed_image(b"BM" + data, "jpeg"), STORED) is d.DamagedPicture
    assert fault(compressed_image(b"\x00\x00\x00\x01\x67" + data, "h264"), STORED) is d.UnknownEncoding
    assert fault(compressed_image(file(PICTURE, "tiff"), "rgb8; tiff compressed bgr8"), STORED) is d.UnknownEncoding
    assert (
        fault(compressed_image(data, "bayer_rggb8; jpeg compressed bgr8") | {"format": None}, STORED)
        is d.MalformedFrame
    )
    assert fault({"format": "jpeg", "data": "/9j/"}, STORED) is d.MalformedFrame
    at = data.index(b"\xff\xc0")
    assert fault(compressed_image(data[: at + 4] + b"\x0c" + data[at + 5 :]), STORED) is d.UnknownEncoding
    many_scans = data[:-2] + b"\xff\xda" * 101 + data[-2:]
    assert fault(compressed_image(many_scans), STORED) is d.DamagedPicture
    many_segments = data[:2] + b"\xff\xfe\x00\x02" * 2000 + data[2:]
    assert fault(compressed_image(many_segments), STORED) is d.DamagedPicture
    flipped = bytearray(FILES["png"])
    flipped[len(flipped) // 2] ^= 0x10
    assert fault(compressed_image(bytes(flipped)), STORED) is d.DamagedPicture


# --- garbage

ENCODINGS = ["rgb8", "mono16", "bayer_rggb8", "bayer_gbrg16", "yuv422", "yuv422_yuy2", "nv12", "nv21", "16UC1", "x"]
ANYTHING = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=4)
    | st.binary(max_size=40)
    | st.lists(st.integers(), max_size=3)
    | st.integers(0, 9)
    | st.sampled_from(ENCODINGS)
)
FIELDS = ("width", "height", "step", "is_bigendian", "encoding", "format", "data", "header")


def survives(message, kind):
    """Decodes, or raises a FrameError of one line."""
    try:
        result = d.decode(message, kind, d.DecodingLimits(max_pixels=10_000))
        told = ""
    except d.FrameError as error:
        told = f"{error.reason}: {error}"
    assert "\n" not in told
    if not told:
        assert (result.dtype, result.ndim, result.shape[2]) == (np.uint8, 3, 3)
        assert result.flags.c_contiguous


@given(
    ANYTHING
    | st.dictionaries(st.sampled_from(FIELDS) | ANYTHING.filter(lambda key: not isinstance(key, list)), ANYTHING),
    st.sampled_from([RAW, STORED]) | ANYTHING,
)
def test_garbage_of_any_type_raises_frame_errors_alone(message, kind):
    survives(message, kind)


@given(
    st.sampled_from(ENCODINGS),
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(0, 30),
    st.integers(0, 1),
    st.integers(0, 12),
    st.booleans(),
)
def test_raw_pictures_of_any_small_shape_raise_frame_errors_alone(encoding, width, height, step, big, rows, exact):
    count = height + (height + 1) // 2 if encoding.startswith("nv") and exact else height if exact else rows
    survives(raw(encoding, bytes(range(256))[: min(256, count * step)], width, height, step, big), RAW)


@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.integers(0, 400) | st.integers(0), st.integers(0, 255)), max_size=6),
    st.integers(0, 3),
    st.sampled_from(["jpeg", "rgb8; jpeg compressed rgb8", "bayer_rggb8; jpeg compressed ", "mono16; png compressed "]),
)
def test_damaged_files_raise_frame_errors_alone(name, changes, cut, words):
    data = bytearray(FILES[name])
    for place, value in changes:
        data[place % len(data)] = value
    survives(compressed_image(bytes(data[: len(data) - cut * 50]), words), STORED)
