"""A trained estimator made faster: another fingerprint, nearly the same progress, and how near it tells."""

import copy
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from headway.controls import clock
from headway.encoders.fast import check_processor
from headway.errors import Unsupported
from headway.learned.checkpoint import load_learned, save_learned
from headway.learned.fast import deviation, faster
from headway.tables import read_scores
from headway_datasets.video import encode_video


@pytest.fixture(scope="module", autouse=True)
def integers():
    try:
        check_processor()
    except Unsupported as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def frozen(tmp_path_factory, learn, method, session_sliders):
    """A SARM on a random CLIP, trained for real, and loaded from its checkpoint."""
    folder = tmp_path_factory.mktemp("clip")
    text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision = {**text, "hidden_size": 48, "intermediate_size": 96, "image_size": 32, "patch_size": 8}
    words = {**text, "vocab_size": 50, "max_position_embeddings": 8}
    torch.manual_seed(1)
    clip = CLIPModel(CLIPConfig(text_config=words, vision_config=vision, projection_dim=24))
    # as drawn, it hardly tells one picture from another
    for weight in clip.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    clip.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    inputs, training = replace(method.inputs, encoder=str(folder)), replace(method.training, epochs=60)
    trained = learn(replace(method, inputs=inputs, training=training), session_sliders(6))
    run = tmp_path_factory.mktemp("run")
    save_learned(run, trained.method, trained.members)
    return load_learned("sarm", run)


def test_it_says_nearly_the_same_under_a_fingerprint_of_its_own(frozen, unseen, one):
    fast = faster(frozen)
    assert fast.fingerprint != frozen.fingerprint
    assert (fast.name, fast.needs, fast.stage_names) == (frozen.name, frozen.needs, frozen.stage_names)
    near, exact = one(fast, unseen[0]), one(frozen, unseen[0])
    assert near.fingerprint == fast.fingerprint
    assert exact.fingerprint == frozen.fingerprint
    moved = np.ptp(exact.values)
    assert moved > 0.2
    assert 0 < np.abs(near.values - exact.values).mean() < 0.02
    # the cache now holds both
    np.testing.assert_array_equal(one(fast, unseen[0]).values, near.values)
    np.testing.assert_array_equal(one(frozen, unseen[0]).values, exact.values)


def test_a_stream_gives_the_offline_numbers(frozen, make_slider, one):
    fast, episode = faster(frozen), make_slider(3)
    stream = fast.stream(episode.instruction)
    readings = [stream.push({"top": frame}, t / episode.fps) for t, frame in enumerate(episode.cameras["top"])]
    np.testing.assert_allclose([r.progress for r in readings], one(fast, episode).values, atol=1e-4)


def test_the_deviation_is_what_the_curves_and_the_features_say(frozen, unseen, one):
    fast, episode = faster(frozen), unseen[1]
    found = deviation(frozen, fast, episode)
    apart = np.abs(one(fast, episode).values - one(frozen, episode).values)
    assert found.frames == len(episode)
    assert found.progress_mean == pytest.approx(apart.mean())
    assert found.progress_largest == pytest.approx(apart.max())
    assert found.reason is None
    pictures = list(episode.camera("top"))
    exact, near = frozen.eyes.frames.encode(pictures), fast.eyes.frames.encode(pictures)
    error = np.linalg.norm(near - exact, axis=1) / np.linalg.norm(exact, axis=1)
    # the encoders are compared on some of the pictures only
    assert error.min() <= found.features_mean <= found.features_largest <= error.max() * 1.001
    assert found.speed > 0


def test_there_is_no_deviation_from_itself(frozen, unseen):
    found = deviation(frozen, frozen, unseen[2])
    assert (found.progress_mean, found.progress_largest, found.features_mean, found.features_largest) == (0, 0, 0, 0)


def test_a_slower_encoder_is_told_as_slower(frozen, unseen):
    class Sleepy:
        def __init__(self, encoder):
            self.name, self.fingerprint, self.shape, self.dtype = encoder.name, "sleepy", encoder.shape, encoder.dtype
            self._encoder = encoder

        def encode(self, pictures):
            time.sleep(0.01 * len(pictures))
            return self._encoder.encode(pictures)

    slow = copy.copy(frozen)
    slow.eyes = replace(frozen.eyes, frames=Sleepy(frozen.eyes.frames))
    assert deviation(frozen, slow, unseen[2]).speed < deviation(slow, frozen, unseen[2]).speed


def test_progress_that_is_not_known_has_no_deviation(frozen, unseen, one):
    class Uncalibrated(type(frozen)):
        """One without progress, as a VIP without a map from its raw scores."""

        def estimate(self, episodes, stride=1):
            for curve in super().estimate(episodes, stride):
                values = np.full_like(curve.values, np.nan)
                yield replace(curve, values=values, reason="no map from raw scores")

    silent = object.__new__(Uncalibrated)
    silent.__dict__.update(frozen.__dict__)
    found = deviation(silent, faster(silent), unseen[0])
    assert np.isnan(found.progress_mean)
    assert np.isnan(found.progress_largest)
    assert found.reason == "no map from raw scores"
    assert found.features_mean > 0


def test_what_has_no_frozen_encoder_is_told_in_one_line(learn, method, session_sliders):
    small = learn(replace(method, training=replace(method.training, epochs=1)), session_sliders(3))
    for estimator, word in ((clock(), "clock"), (small, "tiny")):
        with pytest.raises(Unsupported) as caught:
            faster(estimator)
        assert "\n" not in str(caught.value)
        assert word in str(caught.value)


def test_on_the_command_line_the_deviation_is_told_of_the_first_episode_that_can_be_read(
    headway, frozen, unseen, tmp_path
):
    demos, run = tmp_path / "demos", tmp_path / "run"
    save_learned(run, frozen.method, frozen.members)
    for number, episode in enumerate(unseen[:2]):
        (demos / str(number)).mkdir(parents=True)
        encode_video(demos / str(number) / "top.mp4", episode.camera("top"), episode.fps)
    broken = demos / "0" / "top.mp4"
    content = broken.read_bytes()
    half = len(content) // 2
    broken.write_bytes(content[:half] + bytes(200) + content[half + 200 :])
    done = headway("score", demos, "--estimator", f"sarm:{run}", "--fast", "--out", tmp_path / "fast")
    assert "fast: encodes" in done.stdout
    assert "fast: progress of episode 1 differs by 0.0" in done.stdout
    exact = headway("score", demos, "--estimator", f"sarm:{run}", "--out", tmp_path / "exact")
    assert "fast:" not in exact.stdout
    one, other = (read_scores(tmp_path / name).curve(1) for name in ("fast", "exact"))
    assert 0 < np.abs(one - other).mean() < 0.02
    refused = headway("score", demos, "--estimator", "clock", "--fast", "--out", tmp_path / "clock")
    assert refused.returncode == 1
    assert "no frozen encoder" in refused.stderr
