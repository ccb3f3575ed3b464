"""Our estimators as lerobot's reward models: lerobot's own factories and datasets against our own curves."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from headway.encoders.cache import FeatureCache
from headway.errors import CheckpointError, DatasetError, InvalidValue, OutputError
from headway.learned.checkpoint import save_learned
from headway.learned.cross_fit import train_members
from headway.learned.inputs import InputConfig
from headway.learned.members import Workshop
from headway.learned.method import TaskEpisodes, TrainingConfig
from headway.learned.methods import METHODS
from headway.specs import make_estimator

pytest.importorskip("lerobot.rewards")
from lerobot.configs.rewards import RewardModelConfig
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.rewards.factory import make_reward_model, make_reward_model_config, make_reward_pre_post_processors

from headway_policies.lerobot_plugin.configuration_headway import FIRST_FRAME, HeadwaySarmConfig
from headway_policies.lerobot_plugin.transfer import export_to_lerobot, import_from_lerobot

FPS = 10


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_to_lerobot(run, folder, FPS)
    return folder


@pytest.fixture(scope="module")
def model(exported):
    config = RewardModelConfig.from_pretrained(exported)
    config.pretrained_path, config.device = str(exported), "cpu"
    return make_reward_model(config)


def opened(root, config):
    """lerobot's dataset, as its training would open it with a model's config."""
    deltas = [delta / FPS for delta in config.observation_delta_indices]
    keys = dict.fromkeys(("observation.images.top", "observation.state"), deltas)
    return LeRobotDataset("local/slider", root=root, delta_timestamps=keys, video_backend="pyav")


@pytest.fixture(scope="module")
def windows(root, model):
    return opened(root, model.config)


def batch_of(dataset, frames):
    return torch.utils.data.default_collate([dataset[frame] for frame in frames])


def test_the_window_is_the_first_frame_and_a_history_that_never_looks_ahead(model):
    assert model.config.observation_delta_indices == [FIRST_FRAME, -28, -24, -20, -16, -12, -8, -4, 0]


def test_lerobot_hands_over_the_episodes_first_frame(windows, source):
    episode = source.episode(1)
    given = windows[episode.first_frame + 30]["observation.images.top"]
    pictures = list(episode.camera("top"))
    for place, frame in ((0, 0), (-2, 26), (-1, 30)):
        found = (given[place] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(found, pictures[frame])
    assert not np.array_equal(pictures[0], pictures[2]), "the toy task must tell frames apart"


def test_the_reward_is_our_own_curve(model, run, source, windows, curve_of):
    estimator = make_estimator(f"sarm:{run}")
    process, _ = make_reward_pre_post_processors(model.config)
    for number in (1, 6):
        episode = source.episode(number)
        curve = curve_of(estimator, episode)
        frames = [0, 3, 4, 11, 29, len(episode) - 1]
        batch = process(batch_of(windows, [episode.first_frame + frame for frame in frames]))
        found = model.compute_reward(batch)
        assert found.shape == (len(frames),)
        np.testing.assert_allclose(found.numpy(), curve.values[frames], atol=1e-5)
        assert np.ptp(curve.values) > 0.1, "a flat curve would prove nothing"


def test_each_window_is_judged_by_its_own_instruction(model, windows):
    batch = batch_of(windows, [20, 20])
    own, other = batch["task"][0], "unplug the lamp"
    alone = [float(model.compute_reward(batch | {"task": [task, task]})[0]) for task in (own, other)]
    together = model.compute_reward(batch | {"task": [other, own]})
    np.testing.assert_allclose(together.numpy(), alone[::-1], atol=1e-5)
    assert abs(alone[0] - alone[1]) > 1e-4


def test_a_run_of_headway_train_is_loaded_as_it_is(run, model, windows):
    config = make_reward_model_config("headway_sarm", pretrained_path=str(run), fps=FPS, device="cpu")
    batch = batch_of(windows, [5, 30])
    loaded = make_reward_model(config)
    torch.testing.assert_close(loaded.compute_reward(batch), model.compute_reward(batch))
    assert config.use_state
    assert config.image_keys == ["observation.images.top"]


def test_what_lerobot_saved_is_a_run_again(model, run, source, tmp_path, curve_of):
    model.save_pretrained(tmp_path / "saved")
    spec = import_from_lerobot(tmp_path / "saved", tmp_path / "run")
    assert spec == f"sarm:{tmp_path / 'run'}"
    episode = source.episode(2)
    before, after = (curve_of(make_estimator(given), episode) for given in (f"sarm:{run}", spec))
    np.testing.assert_allclose(after.values, before.values, atol=1e-5)
    assert after.in_sample, "it still knows what it was trained on"
    assert not curve_of(make_estimator(spec), source.episode(6)).in_sample
    with pytest.raises(OutputError, match="already holds"):
        import_from_lerobot(tmp_path / "saved", tmp_path / "run")


def test_an_export_writes_nothing_outside_its_folder_and_replaces_nothing(exported, run, tmp_path):
    assert sorted(path.name for path in exported.iterdir()) == ["config.json", "model.safetensors"]
    assert [path.name for path in exported.parent.iterdir()] == ["model"]
    with pytest.raises(OutputError, match="not empty"):
        export_to_lerobot(run, exported, FPS)
    content = json.loads((exported / "config.json").read_text())
    content["checkpoint"]["members"][0]["weights"] = "../../stolen.safetensors"
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil/config.json").write_text(json.dumps(content))
    save_file(load_file(exported / "model.safetensors"), tmp_path / "evil/model.safetensors")
    import_from_lerobot(tmp_path / "evil", tmp_path / "a/b/run")
    assert not list(tmp_path.rglob("stolen*"))


def test_another_estimators_run_is_refused(run):
    config = make_reward_model_config("headway_vip", pretrained_path=str(run), device="cpu")
    with pytest.raises(CheckpointError, match="checkpoint of 'sarm'"):
        make_reward_model(config)


def test_a_cut_off_model_is_refused_in_one_line(exported, tmp_path):
    (tmp_path / "config.json").write_bytes((exported / "config.json").read_bytes())
    weights = (exported / "model.safetensors").read_bytes()
    for content in (b"", weights[:1000], weights[:-100]):
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match="save it again"):
            import_from_lerobot(tmp_path, tmp_path / "run")


@pytest.mark.parametrize("kind", ["heads", "vip", "classifier"])
def test_what_lerobot_cannot_train_says_so(kind):
    config = make_reward_model_config(f"headway_{kind}", device="cpu")
    with pytest.raises(CheckpointError, match="does not train"):
        make_reward_model(config)
    assert len(make_reward_pre_post_processors(config)) == 2


def test_batches_that_are_no_windows_are_refused(model, windows):
    batch = batch_of(windows, [20, 25])
    key = "observation.images.top"
    with pytest.raises(InvalidValue, match=r"needs \(window, 9, 3, height, width\)"):
        model.compute_reward(batch | {key: batch[key][:, -1]})
    with pytest.raises(InvalidValue, match="outside"):
        model.compute_reward(batch | {key: batch[key] * 2 - 1})
    with pytest.raises(DatasetError, match=r"observation\.images\.top_is_pad"):
        model.compute_reward({name: value for name, value in batch.items() if not name.endswith("top_is_pad")})
    with pytest.raises(DatasetError, match=r"observation\.state of shape"):
        model.compute_reward({name: value for name, value in batch.items() if name != "observation.state"})
    streamed = batch[key].clone()
    streamed[:, 0] = 0  # what lerobot's streamed datasets put before the episode's start
    with pytest.raises(InvalidValue, match="streaming"):
        model.compute_reward(batch | {key: streamed})


def test_a_renamed_camera_is_found(run, windows, model):
    config = HeadwaySarmConfig(pretrained_path=str(run), fps=FPS, device="cpu", image_keys=["observation.images.front"])
    batch = batch_of(windows, [30])
    renamed = {name.replace("images.top", "images.front"): value for name, value in batch.items()}
    torch.testing.assert_close(make_reward_model(config).compute_reward(renamed), model.compute_reward(batch))
    config.image_keys = ["observation.images.front", "observation.images.wrist"]
    with pytest.raises(InvalidValue, match="needs 1"):
        make_reward_model(config)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_run_of_every_method_is_a_reward_model(name, root, source, tmp_path, curve_of):
    method = METHODS[name](InputConfig(("top",), image_size=32), TrainingConfig(epochs=2, batch=4, validation=0.3))
    tasks = [TaskEpisodes(list(source), source.stage_names)]
    save_learned(tmp_path, method, train_members(method, tasks, Workshop(FeatureCache(tmp_path / "cache")), 1))
    config = make_reward_model_config(f"headway_{name}", pretrained_path=str(tmp_path), fps=FPS, device="cpu")
    episode = source.episode(1)
    frames = [0, 3, 17, len(episode) - 1]
    model = make_reward_model(config)
    found = model.compute_reward(batch_of(opened(root, config), [episode.first_frame + at for at in frames]))
    expected = curve_of(make_estimator(f"{name}:{tmp_path}"), episode).values[frames]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
