"""Towers in 8-bit integers: close to float32, each picture on its own, never mixed up with the exact ones."""

import copy
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from headway.encoders.cache import FeatureCache
from headway.encoders.fast import LARGEST, IntegerFrames, IntegerLinear, check_processor, in_integers
from headway.encoders.make import make_frame_encoder
from headway.episodes import ArrayFrames
from headway.errors import Unsupported


def can_multiply() -> bool:
    try:
        check_processor()
    except Unsupported:
        return False
    return True


needs_integers = pytest.mark.skipif(not can_multiply(), reason="this processor has no 8-bit products")
TOWERS = ("clip", "siglip", "siglip2", "dinov2", "dinov2_with_registers", "dinov3_vit", "dinov3_convnext", "vjepa2")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pair(saved):
    """pair("clip") -> the exact encoder and the fast one; made once."""
    made = {}

    def make(kind: str):
        if kind not in made:
            exact = make_frame_encoder(str(saved(kind)))
            made[kind] = exact, IntegerFrames(exact)
        return made[kind]

    return make


def apart(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Length of the difference over the length of what is expected, a picture each."""
    return np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)


@needs_integers
@pytest.mark.parametrize("kind", TOWERS)
def test_features_are_close_to_those_of_float32(kind, pair, pictures):
    exact, fast = pair(kind)
    expected, found = exact.encode(pictures), fast.encode(pictures)
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype == fast.dtype
    assert (fast.shape, fast.name) == (exact.shape, exact.name)
    error = apart(found, expected)
    assert 0 < error.mean() < 0.04
    # and closer than another picture is, although random towers hardly tell pictures apart
    assert error.mean() < 0.5 * apart(np.roll(expected, 1, axis=0), expected).mean()


@needs_integers
def test_the_encoder_it_is_made_from_stays_as_it_was(saved, pictures):
    exact = make_frame_encoder(str(saved("clip")))
    before, fingerprint = exact.encode(pictures[:3]), exact.fingerprint
    fast = IntegerFrames(exact)
    fast.encode(pictures[:3])
    np.testing.assert_array_equal(exact.encode(pictures[:3]), before)
    assert exact.fingerprint == fingerprint != fast.fingerprint
    again = IntegerFrames(make_frame_encoder(str(saved("clip"))))
    assert again.fingerprint == fast.fingerprint
    np.testing.assert_array_equal(again.encode(pictures[:3]), fast.encode(pictures[:3]))
    assert fast.fingerprint != IntegerFrames(make_frame_encoder(str(saved("siglip")))).fingerprint


@needs_integers
@pytest.mark.parametrize("kind", ["clip", "siglip", "dinov2"])
def test_a_picture_is_encoded_alike_in_whatever_company(kind, pair, pictures):
    _, fast = pair(kind)
    together = fast.encode(pictures)
    for place in (0, 7, 8, 31, 34):
        assert apart(fast.encode([pictures[place]]), together[place : place + 1]).max() < 1e-4
    # one of far more contrast than the others: a scale shared with them would make them coarse
    dull = [(picture // 16 + 120).astype(np.uint8) for picture in pictures[:6]]
    glaring = np.zeros_like(dull[0])
    glaring[::2] = 255
    alone, beside = fast.encode(dull), fast.encode([*dull, glaring])[:-1]
    assert apart(beside, alone).max() < 1e-4
    np.testing.assert_array_equal(fast.encode(pictures), together)
    assert fast.encode([]).shape == (0, *fast.shape)


@needs_integers
def test_the_cache_keeps_both_apart(pair, pictures, tmp_path):
    exact, fast = pair("clip")
    frames, cache = ArrayFrames(np.stack(pictures)), FeatureCache(tmp_path)
    assert frames.identity is not None
    for _ in range(2):
        np.testing.assert_array_equal(cache.features(exact, frames), exact.encode(pictures))
        np.testing.assert_array_equal(cache.features(fast, frames), fast.encode(pictures))
    assert len(list(tmp_path.glob("*.npy"))) == 2


@needs_integers
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    tokens=st.integers(1, 9),
    inside=st.integers(1, 40),
    outside=st.integers(1, 20),
    shift=st.sampled_from([0.0, -3.0, 500.0]),
    outlier=st.sampled_from([1.0, 200.0]),
    bias=st.booleans(),
)
def test_a_layer_is_off_by_no_more_than_its_rounding(seed, tokens, inside, outside, shift, outlier, bias):
    torch.manual_seed(seed)
    exact = nn.Linear(inside, outside, bias=bias)
    values = torch.randn(2, tokens, inside) + shift
    values[0, 0] *= outlier
    values[0, -1] = 0.3
    with torch.inference_mode():
        exact.weight[0] = 0
        found = IntegerLinear(exact.weight, exact.bias)(values)
    weight, given_values = exact.weight.detach().double(), values.double()
    expected = given_values @ weight.T + (exact.bias.detach().double() if bias else 0)
    assert found.shape == expected.shape
    # half a step of each number in a token, and half a step of each weight
    low, high = given_values.amin(-1, keepdim=True), given_values.amax(-1, keepdim=True)
    step, scale = (high - low) / (2 * LARGEST), weight.abs().amax(1) / LARGEST
    size = given_values.abs().sum(-1, keepdim=True) + step / 2 * inside
    bound = step / 2 * weight.abs().sum(1) + scale / 2 * size
    rounding = 1e-5 * (1 + given_values.abs().amax(-1, keepdim=True) * weight.abs().sum(1))
    assert ((found - expected).abs() <= bound * (1 + 1e-4) + rounding).all()


@needs_integers
def test_an_outlier_does_not_weigh_the_rounding_of_all_weights():
    torch.manual_seed(0)
    exact = nn.Linear(400, 30)
    # all of its numbers can be told exactly, so that only the weight of the one that is not 0 is rounded
    token = torch.zeros(1, 400)
    token[0, 7] = 254
    with torch.inference_mode():
        off = IntegerLinear(exact.weight, exact.bias)(token) - exact(token)
        assert (off.abs() <= exact.weight.abs().amax(1) / LARGEST / 2 * 254 + 1e-3).all()


@needs_integers
@pytest.mark.parametrize("size", [(8, 12), (10, 15)])
def test_patches_lie_where_the_convolution_has_them(size):
    torch.manual_seed(0)
    exact = nn.Conv2d(3, 5, (2, 3), stride=(2, 3))
    pictures = torch.randn(4, 3, *size)
    with torch.inference_mode():
        expected, found = exact(pictures), in_integers(exact)(pictures)
    assert found.shape == expected.shape
    assert (found - expected).norm() < 0.02 * expected.norm()


def test_layers_that_are_more_than_products_stay_as_they_are():
    for layer in (nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 2, stride=2, padding=1), nn.Conv2d(4, 4, 2, stride=2, groups=2)):
        assert in_integers(layer) is None
    assert in_integers(nn.MultiheadAttention(4, 2).out_proj) is None
    assert in_integers(nn.LayerNorm(4)) is None


def refused(encoder, *words: str) -> None:
    with pytest.raises(Unsupported) as caught:
        IntegerFrames(encoder)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_what_cannot_be_made_faster_is_told_in_one_line(saved):
    refused(make_frame_encoder("tiny"), "tiny", "CLIP")
    refused(make_frame_encoder("pixels"), "pixels", "CLIP")
    elsewhere = copy.copy(make_frame_encoder(str(saved("clip"))))
    elsewhere._device = torch.device("cuda")
    refused(elsewhere, "cuda", "CPU")


@needs_integers
def test_an_encoder_is_made_faster_only_once(pair):
    refused(pair("dinov2")[1], "cannot be made faster")


@pytest.mark.filterwarnings("ignore:TF32")
def test_a_build_without_onednn_is_told_in_one_line(saved):
    with torch.backends.mkldnn.flags(enabled=False):
        refused(make_frame_encoder(str(saved("clip"))), "oneDNN", "--fast")


@needs_integers
@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="oneDNN's limit is of x86")
def test_a_processor_whose_sums_overflow_is_refused():
    # oneDNN takes the instructions of a processor without VNNI, and those cut sums off
    program = "from headway.encoders.fast import check_processor; check_processor()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("headway.errors.Unsupported: this processor has no instructions")
