"""Encoders without weights."""

import numpy as np
import pytest

from headway.encoders.make import make_frame_encoder
from headway.errors import InvalidValue
from headway.pictures import resize


def test_tiny_is_the_resized_picture(pictures):
    encoder = make_frame_encoder("tiny", image_size=24)
    features = encoder.encode(pictures[:3])
    assert (encoder.shape, encoder.dtype, features.dtype) == ((24, 24, 3), np.uint8, np.uint8)
    for picture, feature in zip(pictures[:3], features, strict=True):
        np.testing.assert_array_equal(feature, resize(picture, 24))
    assert encoder.encode([]).shape == (0, 24, 24, 3)


def test_pixels_are_the_small_picture_as_numbers():
    encoder = make_frame_encoder("pixels")
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:16, :, 0] = 255
    (feature,) = encoder.encode([picture])
    assert feature.dtype == np.float32
    assert feature.shape == encoder.shape == (16 * 16 * 3,)
    small = feature.reshape(16, 16, 3)
    assert (small[:8, :, 0] == 1).all()
    assert (small[8:] == 0).all()
    assert (small[:, :, 1:] == 0).all()


def test_another_size_is_another_encoder():
    assert make_frame_encoder("tiny", 32).fingerprint != make_frame_encoder("tiny", 64).fingerprint
    assert make_frame_encoder("tiny", 16).fingerprint != make_frame_encoder("pixels").fingerprint


def test_bad_specs_are_told():
    with pytest.raises(InvalidValue, match="at least 1 pixel"):
        make_frame_encoder("tiny", image_size=0)
    with pytest.raises(InvalidValue, match="tiny, pixels, vip, r3m, liv"):
        make_frame_encoder("")
