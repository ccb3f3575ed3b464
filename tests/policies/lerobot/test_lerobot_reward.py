"""`lerobot:PATH` against lerobot's own models, at tiny size, each held against lerobot's own way of running it."""

import json
import textwrap

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from headway.episodes import ArrayFrames, Episode
from headway.errors import CheckpointError, UnknownName, Unsupported
from headway.specs import make_estimator

pytest.importorskip("lerobot.rewards")
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.rewards.factory import make_reward_model, make_reward_model_config, make_reward_pre_post_processors

from headway_policies.lerobot_plugin.transfer import export_to_lerobot

TOP = "observation.images.top"


@pytest.fixture
def coloured():
    """An episode whose pictures go from dark to bright, of a size that lerobot's classifier takes."""

    def make(length=40, side=64, **changes):
        pixels = np.linspace(0, 255, length).astype(np.uint8)[:, None, None, None].repeat(side, 1).repeat(side, 2)
        state = np.linspace(0, 1, length, dtype=np.float32)[:, None].repeat(3, 1)
        parts = {"cameras": {"top": ArrayFrames(pixels.repeat(3, 3))}, "instruction": "brighten", "state": state}
        return Episode(**{"index": 2, "first_frame": 100, "fps": 10.0, **parts, **changes})

    return make


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A random ResNet in place of lerobot/resnet10, with the same 32-fold shrinking."""
    from transformers import ResNetConfig, ResNetModel

    folder = tmp_path_factory.mktemp("resnet")
    config = ResNetConfig(embedding_size=4, hidden_sizes=[4, 4, 8, 8], depths=[1, 1, 1, 1], layer_type="basic")
    torch.manual_seed(0)
    ResNetModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def classifier(resnet, tmp_path):
    """lerobot's reward classifier and its preprocessor as lerobot-train leaves them, at 128 pixels."""
    torch.manual_seed(1)
    features = {TOP: PolicyFeature(type=FeatureType.VISUAL, shape=(3, 128, 128))}
    config = make_reward_model_config(
        "reward_classifier", model_name=str(resnet), num_cameras=1, input_features=features, latent_dim=8, hidden_dim=8
    )
    model = make_reward_model(config).eval()
    stats = {TOP: {"mean": torch.full((3, 1, 1), 0.4), "std": torch.full((3, 1, 1), 0.2)}}
    process, _ = make_reward_pre_post_processors(config, dataset_stats=stats)
    model.save_pretrained(tmp_path)
    process.save_pretrained(tmp_path)
    return tmp_path, model, process


def test_a_classifier_says_done_and_claims_no_progress(classifier, coloured, curve_of):
    folder, model, process = classifier
    episode = coloured(side=128)
    pictures = torch.from_numpy(np.stack(list(episode.camera("top")))).permute(0, 3, 1, 2).float() / 255
    # its threshold is put amid what it says of these pictures, so that both answers come
    with torch.no_grad():
        logits = model.predict([process({TOP: pictures})[TOP]]).logits
        model.classifier_head[-1].bias -= logits.median()
        model.save_pretrained(folder)
        expected = model.compute_reward(process({TOP: pictures})).numpy()
        unnormalised = model.compute_reward({TOP: pictures}).numpy()
    estimator = make_estimator(f"lerobot:{folder}")
    curve = curve_of(estimator, episode)
    np.testing.assert_array_equal(curve.success, expected)
    np.testing.assert_array_equal(curve.raw, expected)
    assert 0.2 < expected.mean() < 0.8
    assert not np.array_equal(expected, unnormalised), "the statistics must matter"
    assert np.isnan(curve.values).all()
    assert "not how far along" in curve.reason
    assert not estimator.needs.whole_episode
    assert not estimator.needs.instruction


def test_a_classifier_without_its_statistics_is_refused(classifier):
    folder, *_ = classifier
    for path in folder.glob("*normalizer*.safetensors"):
        path.unlink()
    with pytest.raises(CheckpointError, match="lacks the statistics"):
        make_estimator(f"lerobot:{folder}")


def test_pictures_of_another_size_are_refused_in_one_line(classifier, coloured, curve_of):
    estimator = make_estimator(f"lerobot:{classifier[0]}")
    with pytest.raises(Unsupported, match=r"top \(3, 64, 64\)") as refusal:
        curve_of(estimator, coloured(side=64))
    assert "\n" not in str(refusal.value)
    with pytest.raises(UnknownName, match="top"):
        curve_of(estimator, coloured(cameras={"wrist": ArrayFrames(np.zeros((5, 128, 128, 3), np.uint8))}, state=None))


def test_one_of_ours_gives_the_same_curve_as_its_run(run, source, tmp_path, curve_of):
    export_to_lerobot(run, tmp_path / "model", 10)
    ours, theirs = make_estimator(f"sarm:{run}"), make_estimator(f"lerobot:{tmp_path / 'model'}")
    for number, stride in ((0, 1), (6, 7)):
        episode = source.episode(number)
        expected, found = (curve_of(estimator, episode, stride) for estimator in (ours, theirs))
        np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
        np.testing.assert_array_equal(found.looked_at, expected.looked_at)
        assert found.in_sample == expected.in_sample == (number == 0)
    assert not theirs.needs.whole_episode
    assert theirs.needs.state


PLUGIN = {
    "__init__": "from lerobot_probe import configuration_probe",
    "configuration_probe": """
        from dataclasses import dataclass, field
        from lerobot.configs.rewards import RewardModelConfig
        from lerobot.configs.types import FeatureType, PolicyFeature

        @RewardModelConfig.register_subclass("probe")
        @dataclass
        class ProbeConfig(RewardModelConfig):
            max_frames: int | None = None
            deltas: list[int] | None = None

            def __post_init__(self):
                super().__post_init__()
                self.input_features = {"observation.images.top": PolicyFeature(FeatureType.VISUAL, (3, 8, 8))}

            @property
            def observation_delta_indices(self):
                return self.deltas
        """,
    "modeling_probe": """
        from lerobot.rewards.pretrained import PreTrainedRewardModel
        from lerobot_probe.configuration_probe import ProbeConfig

        class ProbeRewardModel(PreTrainedRewardModel):
            name, config_class = "probe", ProbeConfig

            def __init__(self, config, **_):
                super().__init__(config)
                import torch
                self.scale = torch.nn.Parameter(torch.tensor([255.0]))

            def compute_reward(self, batch):
                # which frames it was shown, as the digits of a number
                seen = (batch["observation.images.top"] * self.scale).round()[..., 0, 0, 0].long()
                if seen.ndim == 1:
                    return seen.double()
                return sum(seen[:, place].double() * 100**place for place in range(seen.shape[1]))
        """,
    "processor_probe": """
        from lerobot.processor import IdentityProcessorStep, PolicyProcessorPipeline

        def make_probe_pre_post_processors(config, dataset_stats=None):
            return PolicyProcessorPipeline(steps=[IdentityProcessorStep()]), None
        """,
}


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """A reward model of somebody else's package, whose reward tells which frames it was shown."""
    home = tmp_path_factory.mktemp("plugin")
    (home / "lerobot_probe").mkdir()
    for name, code in PLUGIN.items():
        (home / f"lerobot_probe/{name}.py").write_text(textwrap.dedent(code))
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(home)
    import lerobot_probe  # noqa: F401

    def save(folder, **settings):
        make_reward_model(make_reward_model_config("probe", device="cpu", **settings)).save_pretrained(folder)
        return make_estimator(f"lerobot:{folder}")

    yield save
    patch.undo()


def numbered(length):
    pixels = np.arange(length, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)
    return Episode(0, 0, 10.0, {"top": ArrayFrames(pixels)}, instruction="count")


def shown(reward, places):
    return [int(reward) // 100**place % 100 for place in range(places)]


def test_a_model_that_asks_for_single_frames_gets_them(probe, tmp_path, curve_of):
    curve = curve_of(probe(tmp_path), numbered(60))
    np.testing.assert_array_equal(curve.raw, np.arange(60))
    assert np.isnan(curve.values).all()
    assert "no known scale" in curve.reason


def test_a_model_with_deltas_gets_its_window_clamped_to_the_episode(probe, tmp_path, curve_of):
    estimator = probe(tmp_path, deltas=[-1000, -20, 0, 5])
    assert estimator.needs.whole_episode, "it looks ahead"
    raw = curve_of(estimator, numbered(60)).raw
    for frame, expected in ((0, [0, 0, 0, 5]), (21, [0, 1, 21, 26]), (58, [0, 38, 58, 59])):
        # the numbers are beyond float32, in which curves are kept
        assert raw[frame] == np.float32(sum(number * 100**place for place, number in enumerate(expected)))


def test_a_model_that_takes_a_trajectory_gets_the_frames_so_far(probe, tmp_path, curve_of):
    estimator = probe(tmp_path, max_frames=3)
    assert not estimator.needs.whole_episode
    raw = curve_of(estimator, numbered(41), stride=10).raw
    assert [shown(raw[frame], 3) for frame in (0, 10, 40)] == [[0, 0, 0], [0, 5, 10], [0, 20, 40]]


def test_without_an_instruction_there_is_no_score(probe, tmp_path, curve_of, coloured):
    curve = curve_of(probe(tmp_path), coloured(instruction=None))
    assert np.isnan(curve.values).all()
    assert "--task" in curve.reason


def test_the_fingerprint_follows_the_weights(probe, tmp_path):
    before = probe(tmp_path).fingerprint
    assert probe(tmp_path).fingerprint == before
    save_file({"scale": torch.tensor([1.0])}, tmp_path / "model.safetensors")
    assert make_estimator(f"lerobot:{tmp_path}").fingerprint != before


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"type": "nothing"}', '{"type": "sarm", "hidden_dim": "wide"}'])
def test_what_lerobot_cannot_load_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError) as refusal:
        make_estimator(f"lerobot:{tmp_path}")
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_nothing_is_downloaded_for_an_encoder_that_is_not_here(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    features = {TOP: {"type": "VISUAL", "shape": [3, 128, 128]}}
    content = {"type": "reward_classifier", "model_name": "nobody/nothing", "input_features": features}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"offline|disabled|local_files_only"):
        make_estimator(f"lerobot:{tmp_path}")
    assert not huggingface_hub.constants.HF_HUB_OFFLINE, "the setting is left as it was found"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    for given in ("lerobot:", f"lerobot:{tmp_path}"):
        with pytest.raises(CheckpointError, match="hf download"):
            make_estimator(given)


def test_a_name_that_nobody_knows_lists_lerobot_among_the_known():
    with pytest.raises(UnknownName, match="lerobot"):
        make_estimator("lerobott:x")
