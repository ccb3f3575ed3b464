"""What lerobot's batches teach our SARM: each window the label of the very picture it ends on."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from headway.errors import DatasetError, InvalidValue, UnknownName, Unsupported

pytest.importorskip("lerobot.rewards")
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.rewards.factory import make_reward_model

from headway_datasets.lerobot_writer import write_dataset
from headway_policies.lerobot_plugin import HeadwaySarmConfig

TOP = "observation.images.top"
SETTINGS = {"fps": 10, "image_size": 32, "device": "cpu"}


def opened(root, config):
    deltas = [delta / 10 for delta in config.observation_delta_indices]
    return LeRobotDataset("local/slider", root=root, delta_timestamps={TOP: deltas}, video_backend="pyav")


def made(root, **settings):
    """A fresh model for a dataset, and the dataset opened for it, as lerobot-train makes both."""
    torch.manual_seed(0)
    config = HeadwaySarmConfig(**SETTINGS | settings)
    dataset = opened(root, config)
    return make_reward_model(config, dataset_stats=dataset.meta.stats, dataset_meta=dataset.meta), dataset


def batch_of(dataset, frames):
    return torch.utils.data.default_collate([dataset[frame] for frame in frames])


def some(batch, rows):
    """Some samples of a batch."""
    return {
        name: part[rows] if isinstance(part, torch.Tensor) else [part[row] for row in rows]
        for name, part in batch.items()
    }


@pytest.fixture(scope="module")
def fresh(root):
    return made(root, rewind=1.0, wrong_text=0.0)


def prepared(model, batch, training):
    return model.teacher.prepare(model._read(batch), batch, training)


def test_a_rewound_window_has_the_label_of_the_picture_it_ends_on(fresh, source):
    model, dataset = fresh
    episode = source.episode(1)
    labels = model.method.label(episode, 0, model.member.knowledge)
    frames = [0, 2, 9, 22, 31, len(episode) - 1] * 4
    torch.manual_seed(3)
    taught = prepared(model, batch_of(dataset, [episode.first_frame + frame for frame in frames]), True)
    ends = []
    for row, frame in enumerate(frames):
        # history is 4 frames apart
        end = frame - 4 * (8 - taught.windows[row, -1])
        ends.append(end)
        assert taught.stage[row] == labels["stage"][end]
        np.testing.assert_allclose(taught.within[row], labels["within"][end])
    assert sum(end < frame for end, frame in zip(ends, frames, strict=True)) == 4 * 4, "all with a past are rewound"
    # 0 and 2 have none; their windows are the first frame and the present
    assert (taught.windows[0] == [0, -1, -1, -1, -1, -1, -1, -1, 8]).all()


def test_in_evaluation_nothing_is_drawn(fresh, source):
    model, dataset = fresh
    episode = source.episode(1)
    batch = batch_of(dataset, [episode.first_frame + 31])
    taught = prepared(model, batch, False)
    assert (taught.windows == np.arange(9)).all()
    given = (batch[TOP][0] * 255).round().permute(0, 2, 3, 1)
    torch.testing.assert_close(taught.features[0, :, 0], given)
    model.eval()
    first, again = (model(batch)[0] for _ in range(2))
    assert torch.equal(first, again)


def test_a_wrong_instruction_means_no_progress(root, source):
    model, dataset = made(root, rewind=0.0, wrong_text=1.0)
    batch = batch_of(dataset, [source.episode(1).first_frame + frame for frame in (5, 30)])
    taught = prepared(model, batch, True)
    assert taught.stage.tolist() == [0, 0]
    assert taught.within.tolist() == [0, 0]
    right = model.teacher.negatives.texts.encode(batch["task"][0])
    assert not any(np.allclose(text, right) for text in taught.text)


def test_frames_that_nobody_marked_teach_nothing(fresh, source):
    model, dataset = fresh
    start = source.episode(5).first_frame
    loss, terms = model(batch_of(dataset, [start + 3, start + 20]))
    assert terms == {"stage_loss": 0, "within_loss": 0}
    loss.backward()


def test_lerobots_way_of_training_learns(root, source):
    model, dataset = made(root, rewind=0.2)
    rng = np.random.default_rng(0)
    # the marked successes; decoded once, since lerobot seeks in the video for every frame of a window
    lessons = batch_of(dataset, range(0, source.episode(5).first_frame, 3))
    judged = range(1, len(source.episode(0)), 6)
    between = batch_of(dataset, judged)
    truth = source.episode(0).truth.progress[list(judged)]
    before = model.compute_reward(between)
    optimiser = model.config.get_optimizer_preset().build(model.get_optim_params())
    model.train()
    for _ in range(40):
        loss, _ = model(some(lessons, rng.integers(0, len(lessons["index"]), 8).tolist()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    errors = [float(np.abs(reward.numpy() - truth).mean()) for reward in (before, model.compute_reward(between))]
    assert errors[1] < 0.15 < errors[0]


def test_a_dataset_at_another_rate_is_refused(root):
    with pytest.raises(InvalidValue, match=r"set --reward_model\.fps=10"):
        made(root, fps=30)


def test_a_dataset_that_nobody_marked_is_refused(tmp_path, make_slider):
    write_dataset(tmp_path / "bare", [replace(make_slider(), stages=None, truth=None)])
    with pytest.raises(DatasetError, match="stage marks"):
        made(tmp_path / "bare")


def test_a_camera_that_is_not_there_is_refused(root):
    with pytest.raises(UnknownName, match="image_keys"):
        made(root, image_keys=["observation.images.front"])


def test_without_a_dataset_there_is_no_training(fresh, root, tmp_path):
    model, dataset = fresh
    model.save_pretrained(tmp_path)
    loaded = make_reward_model(HeadwaySarmConfig(pretrained_path=str(tmp_path), **SETTINGS))
    with pytest.raises(Unsupported, match="dataset_meta"):
        loaded(batch_of(dataset, [3]))
    assert math.isfinite(float(loaded.compute_reward(batch_of(dataset, [3]))[0]))
