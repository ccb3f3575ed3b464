"""A trained estimator on frozen features: `pixels` for the plumbing, a random CLIP from disk for the real thing."""

from dataclasses import replace

import numpy as np
import pytest
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from headway.encoders.small import Pixels
from headway.learned.checkpoint import load_learned, save_learned
from headway.specs import untrained


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**vision, "vocab_size": 50, "max_position_embeddings": 8}
    vision |= {"image_size": 32, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=["pixels", "clip"])
def frozen(request, learn, method, session_sliders, clip_folder):
    encoder = "pixels" if request.param == "pixels" else clip_folder
    inputs = replace(method.inputs, encoder=encoder)
    return learn(replace(method, inputs=inputs), session_sliders(10, failing=4))


def test_it_learns_from_frozen_features(frozen, unseen, one):
    def error(estimator):
        return np.mean([np.abs(one(estimator, e).values - e.truth.progress).mean() for e in unseen])

    assert error(frozen) < 0.7 * error(untrained(frozen))


def test_streaming_gives_the_offline_numbers(frozen, make_slider, one):
    episode = make_slider(3)
    stream = frozen.stream(episode.instruction)
    readings = [stream.push({"top": frame}, t / episode.fps) for t, frame in enumerate(episode.cameras["top"])]
    np.testing.assert_allclose([r.progress for r in readings], one(frozen, episode).values, atol=1e-5)


def test_a_checkpoint_names_its_encoder(frozen, unseen, one, tmp_path):
    save_learned(tmp_path, frozen.method, frozen.members)
    loaded = load_learned("sarm", tmp_path)
    np.testing.assert_array_equal(one(loaded, unseen[0]).values, one(frozen, unseen[0]).values)


def test_an_episode_is_encoded_once_however_often_it_is_scored(
    learn, method, make_sliders, make_slider, one, monkeypatch
):
    frozen = learn(
        replace(method, inputs=replace(method.inputs, encoder="pixels"), training=replace(method.training, epochs=1)),
        make_sliders(4),
    )
    encoded = []
    encode = Pixels.encode

    def counted(encoder, pictures):
        encoded.append(len(pictures))
        return encode(encoder, pictures)

    monkeypatch.setattr(Pixels, "encode", counted)
    episode = make_slider(77)
    first, second = one(frozen, episode), one(frozen, episode)
    np.testing.assert_array_equal(first.values, second.values)
    assert sum(encoded) == len(episode)
    assert one(frozen, episode, stride=5).looked_at.sum() < len(episode)
