"""SARM, trained for real on the toy task."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from headway.episodes import ArrayFrames, Episode
from headway.errors import CheckpointError, DatasetError, InvalidValue, UnknownName
from headway.learned.cross_fit import assign_folds, train_members
from headway.learned.sarm import Sarm
from headway.learned.sarm_checkpoint import load_sarm, save_sarm
from headway.learned.sarm_training import SarmConfig, batch_loss, load_sample, loss_of, train_network, with_wrong_text
from headway.learned.targets import fit_scale
from headway.specs import make_estimator

CONFIG = SarmConfig(("top",), image_size=32, epochs=50, batch=6)
NAMES = ("right", "down")


def quiet(step: int, steps: int, loss: float) -> None:
    pass


@pytest.fixture(scope="session")
def sarm(session_sliders) -> Sarm:
    members = train_members(session_sliders(10, failing=4), NAMES, CONFIG, 1, quiet, "cpu")
    return Sarm("sarm:toy", "sarm-toy", CONFIG, members)


@pytest.fixture(scope="session")
def unseen(session_sliders) -> list[Episode]:
    return [replace(episode, recording=f"unseen-{episode.index}") for episode in session_sliders(6, failing=4, seed=7)]


def one(estimator, episode, stride=1):
    (curve,) = estimator.estimate([episode], stride)
    return curve


def test_it_learns_progress_stage_and_success_of_episodes_it_never_saw(sarm, unseen):
    errors, stages = [], []
    for episode in unseen:
        curve = one(sarm, episode)
        errors.append(np.abs(curve.values - episode.truth.progress).mean())
        stages.append((curve.stage == episode.truth.stage).mean())
        assert (curve.success[-1] > 0.5) == episode.success
        assert not curve.in_sample
    assert np.mean(errors) < 0.06
    assert np.mean(stages) > 0.93


def test_later_frames_never_change_earlier_values(sarm, unseen):
    episode = unseen[0]
    pixels = np.stack(list(episode.cameras["top"]))
    garbage = np.random.default_rng(0).integers(0, 255, (15, *pixels.shape[1:]), dtype=np.uint8)
    longer = Episode(0, 0, episode.fps, {"top": ArrayFrames(np.concatenate([pixels, garbage]))}, episode.instruction)
    short = replace(longer, cameras={"top": ArrayFrames(pixels)})
    before, after = one(sarm, short), one(sarm, longer)
    assert not sarm.needs.whole_episode
    np.testing.assert_allclose(after.values[: len(pixels)], before.values, atol=1e-5)
    np.testing.assert_allclose(after.success[: len(pixels)], before.success, atol=1e-5)


@pytest.mark.parametrize("fps", [10.0, 12.0])
def test_streaming_gives_the_offline_numbers(sarm, make_slider, fps):
    episode = make_slider(3, fps=fps)
    stream = sarm.stream(episode.instruction)
    readings = [stream.push({"top": frame}, t / fps) for t, frame in enumerate(episode.cameras["top"])]
    offline = one(sarm, episode)
    np.testing.assert_allclose([r.progress for r in readings], offline.values, atol=1e-5)
    np.testing.assert_allclose([r.success for r in readings], offline.success, atol=1e-5)
    np.testing.assert_allclose([r.uncertainty for r in readings], offline.uncertainty, atol=1e-4)
    assert [NAMES.index(r.stage) for r in readings] == offline.stage.tolist()


def test_a_stream_forgets_what_no_window_can_reach(sarm, make_slider):
    stream = sarm.stream()
    frame = next(iter(make_slider().cameras["top"]))
    for t in range(200):
        stream.push({"top": frame}, t / 10)
    assert len(stream._features) < 50


def test_a_stream_without_its_camera_says_which_it_was_trained_with(sarm, make_slider):
    frame = next(iter(make_slider().cameras["top"]))
    with pytest.raises(UnknownName, match="unknown camera 'top'; available: wrist"):
        sarm.stream().push({"wrist": frame}, 0.0)


def test_a_stride_keeps_the_values_at_the_frames_it_looks_at_and_marks_the_others(sarm, unseen):
    every, fifth = one(sarm, unseen[0]), one(sarm, unseen[0], stride=5)
    looked = np.flatnonzero(fifth.looked_at)
    assert looked.tolist() == [*range(0, len(every) - 1, 5), len(every) - 1]
    np.testing.assert_allclose(fifth.values[looked], every.values[looked], atol=1e-5)
    middle = (fifth.values[0] + fifth.values[5]) / 2
    assert fifth.values[2:4].mean() == pytest.approx(middle, abs=1e-5)


def test_the_wrong_instruction_on_the_right_video_scores_low(sarm, unseen):
    success = next(episode for episode in unseen if episode.success)
    wrong = replace(success, instruction="fold the towel on the shelf")
    assert one(sarm, success).values[-1] > 0.9
    assert one(sarm, wrong).values[-1] < 0.3


def test_playing_a_success_backwards_takes_progress_back_down(sarm, unseen):
    success = next(episode for episode in unseen if episode.success)
    pixels = np.stack(list(success.cameras["top"]))
    there_and_back = np.concatenate([pixels, pixels[::-1][: len(pixels) // 2]])
    curve = one(sarm, Episode(0, 0, 10.0, {"top": ArrayFrames(there_and_back)}, success.instruction))
    assert curve.values[len(pixels) - 1] > 0.9
    assert curve.values[-1] < 0.7


def test_padding_changes_nothing(sarm):
    network = sarm.members[0].network
    windows = torch.randn(3, 9, network.shape.dimension)
    padding = torch.zeros(3, 9, dtype=torch.bool)
    padding[:, 1:4] = True
    text = torch.zeros(3, 256)
    other = torch.where(padding[..., None], torch.full_like(windows, 99.0), windows)
    with torch.inference_mode():
        for got, expected in zip(
            network.judge(other, padding, text), network.judge(windows, padding, text), strict=True
        ):
            torch.testing.assert_close(got, expected)


def test_the_loss_leaves_out_what_is_unknown():
    logits, within_all = torch.randn(4, 3), torch.rand(4, 2)
    stage, within = torch.tensor([0, 1, -1, 2]), torch.tensor([0.5, float("nan"), 0.9, 0.0])
    by_hand = torch.nn.functional.cross_entropy(logits[[0, 1, 3]], stage[[0, 1, 3]]) + 4 * (within_all[0, 0] - 0.5) ** 2
    torch.testing.assert_close(loss_of(logits, within_all, stage, within), by_hand)


def test_a_batch_with_nothing_known_within_a_stage_still_has_a_loss():
    loss = loss_of(torch.randn(2, 3), torch.rand(2, 2), torch.tensor([2, 2]), torch.tensor([0.0, 0.0]))
    assert torch.isfinite(loss)


def test_wrong_text_is_drawn_a_window_at_a_time_and_its_progress_is_zero():
    stage, within = np.full(1000, 1), np.full(1000, 0.7, np.float32)
    texts, stages, withins = with_wrong_text("push the cube", stage, within, 0.2, np.random.default_rng(0))
    wrong = (texts != texts[np.flatnonzero(stages == 1)[0]]).any(axis=1)
    assert 0.15 < wrong.mean() < 0.25
    assert (stages[wrong] == 0).all()
    assert (withins[wrong] == 0).all()
    assert (stages[~wrong] == 1).all()
    assert len(np.unique(texts[wrong], axis=0)) > 50


def test_an_episode_without_an_instruction_gets_no_wrong_one():
    stage, within = np.ones(50, int), np.ones(50, np.float32)
    texts, stages, _ = with_wrong_text("", stage, within, 1.0, np.random.default_rng(0))
    assert not texts.any()
    assert (stages == 1).all()


def test_rewound_windows_are_taught_the_label_of_the_picture_they_end_on(make_sliders, monkeypatch):
    """The present picture alone decides the label, so a network that only sees it can reach a small loss."""
    episodes = make_sliders(4)
    config = replace(CONFIG, rewind=1.0, wrong_text=0.0, history=2)
    scale = fit_scale(episodes, NAMES)
    sample = load_sample(episodes[0], scale, config)
    seen = []

    class Spy(torch.nn.Module):
        place = torch.zeros(1)

        def encode(self, pictures, state):
            # where the square is tells which frame it was
            red = pictures[:, 0, :, :, 0] - pictures[:, 0, :, :, 2]
            return red.flatten(1)

        def judge(self, windows, padding, text):
            seen.append(windows[:, -1])
            return torch.zeros(len(windows), 3), torch.zeros(len(windows), 2)

    def keep_labels(logits, within_all, stage, within):
        seen.append(stage + torch.nan_to_num(within))
        return torch.zeros(())

    monkeypatch.setattr("headway.learned.sarm_training.loss_of", keep_labels)
    monkeypatch.setattr("headway.learned.sarm_training.augment", lambda pictures, rng: pictures.float())
    for seed in range(5):
        batch_loss(Spy(), [sample], config, np.random.default_rng(seed))
    pictures, labels = torch.cat(seen[::2]), torch.cat(seen[1::2])
    red = torch.as_tensor(sample.pictures[:, 0, ..., 0].astype(np.float32) - sample.pictures[:, 0, ..., 2])
    known = sample.targets.stage + np.nan_to_num(sample.targets.within)
    for picture, taught in zip(pictures, labels, strict=True):
        frame = int((red.flatten(1) - picture).abs().sum(dim=1).argmin())
        assert float(taught) == pytest.approx(float(known[frame]))


def test_same_seed_same_weights(make_sliders):
    config = replace(CONFIG, epochs=2)
    first, second, other = (
        train_network(make_sliders(4), NAMES, replace(config, seed=seed))[0].state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_state_is_used_when_asked_for_and_missing_state_is_one_clear_line(make_sliders):
    config = replace(CONFIG, epochs=2, use_state=True)
    network, scale = train_network(make_sliders(4), NAMES, config)
    assert network.shape.state_dim == 1
    from headway.learned.sarm import SarmMember

    estimator = Sarm("sarm", "x", config, [SarmMember(network, scale, frozenset())])
    assert estimator.needs.state
    episode = make_sliders(1, seed=3)[0]
    moved = replace(episode, state=episode.state + 5)
    assert not np.allclose(one(estimator, episode).values, one(estimator, moved).values)
    with pytest.raises(DatasetError, match="episode 0 has no state, which this estimator was trained with"):
        one(estimator, replace(episode, state=None))
    with pytest.raises(DatasetError, match="episode 0 has no state; train without --state"):
        train_network([replace(e, state=None) for e in make_sliders(4)], NAMES, config)


def test_several_cameras_are_all_looked_at(make_sliders):
    def with_side(episode):
        pixels = np.stack(list(episode.cameras["top"]))
        return replace(episode, cameras={"top": ArrayFrames(pixels), "side": ArrayFrames(pixels[:, ::-1].copy())})

    config = replace(CONFIG, cameras=("top", "side"), epochs=2)
    members = train_members([with_side(e) for e in make_sliders(4)], NAMES, config, 1, quiet, "cpu")
    estimator = Sarm("sarm", "x", config, members)
    episode = with_side(make_sliders(1, seed=3)[0])
    black = replace(
        episode, cameras={**episode.cameras, "side": ArrayFrames(np.zeros((len(episode), 32, 32, 3), np.uint8))}
    )
    assert not np.allclose(one(estimator, episode).values, one(estimator, black).values)


def test_saving_and_loading_keeps_every_number(sarm, unseen, tmp_path):
    save_sarm(tmp_path / "run", sarm.config, sarm.members)
    loaded = make_estimator(f"sarm:{tmp_path / 'run'}")
    np.testing.assert_array_equal(one(loaded, unseen[0]).values, one(sarm, unseen[0]).values)
    assert loaded.fingerprint == make_estimator(f"sarm:{tmp_path / 'run'}").fingerprint
    assert not [path for path in (tmp_path / "run").iterdir() if path.suffix not in (".json", ".safetensors")]


def test_other_weights_have_another_fingerprint(sarm, tmp_path):
    save_sarm(tmp_path / "a", sarm.config, sarm.members)
    with torch.no_grad():
        changed = sarm.members[0].network.stage_head.bias
        changed += 1
        save_sarm(tmp_path / "b", sarm.config, sarm.members)
        changed -= 1
    assert load_sarm(tmp_path / "a").fingerprint != load_sarm(tmp_path / "b").fingerprint


def test_damaged_checkpoints_are_one_clear_line(sarm, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(CheckpointError, match="holds no SARM; train one with: headway train sarm"):
        load_sarm(run)
    save_sarm(run, sarm.config, sarm.members)
    weights = run / "member-0.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="is damaged"):
        load_sarm(run)
    weights.unlink()
    with pytest.raises(CheckpointError, match="is damaged"):
        load_sarm(run)
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "estimator": "pixels"}))
    with pytest.raises(CheckpointError, match="is a checkpoint of 'pixels'"):
        load_sarm(run)
    (run / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        load_sarm(run)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("training", "gap_seconds", 0),
        ("training", "history", 3),
        ("training", "image_size", 48),
        ("training", "cameras", []),
        ("training", "use_state", True),
        ("shape", "dimension", 129),
        ("shape", "heads", 3),
        ("scale", "names", ["right"]),
        ("scale", "proportions", [5, 5]),
        ("scale", "seconds", ["a", "b"]),
        ("member", "trained_on", None),
        ("config", "members", []),
    ],
)
def test_a_checkpoint_whose_parts_contradict_each_other_is_refused_in_one_line(sarm, tmp_path, part, key, value):
    save_sarm(tmp_path, sarm.config, sarm.members)
    config = json.loads((tmp_path / "config.json").read_text())
    member = config["members"][0]
    places = {"training": config["training"], "config": config, "member": member}
    (places.get(part) or member[part])[key] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="is damaged") as caught:
        load_sarm(tmp_path)
    assert "\n" not in str(caught.value)


def test_folds_without_enough_complete_successes_are_refused_before_training(make_sliders):
    with pytest.raises(DatasetError, match="needs complete, marked successes in at least two of them"):
        train_members(make_sliders(1, failing=5), NAMES, CONFIG, 2, quiet, "cpu")


def test_a_cross_fit_judges_every_episode_by_a_member_that_never_saw_it(make_sliders):
    episodes = make_sliders(6, failing=2)
    config = replace(CONFIG, epochs=1)
    estimator = Sarm("sarm", "x", config, train_members(episodes, NAMES, config, 2, quiet, "cpu"))
    curves = list(estimator.estimate(episodes))
    assert not any(curve.in_sample for curve in curves)
    for episode, curve in zip(episodes, curves, strict=True):
        assert episode.recording not in estimator.members[curve.fold].trained_on
    assert {curve.fold for curve in curves} == {0, 1}


def test_an_episode_every_member_was_trained_on_is_marked_in_sample(sarm, make_sliders):
    assert one(sarm, make_sliders(10, failing=4)[0]).in_sample
    elsewhere = replace(make_sliders(1)[0], recording="another")
    assert not one(sarm, elsewhere).in_sample


def test_folds_spread_successes_evenly_and_cover_everything(make_sliders):
    episodes = make_sliders(9, failing=6)
    fold_of = assign_folds(episodes, 3, seed=0)
    successes = np.array([episode.success for episode in episodes])
    assert [int(successes[fold_of == fold].sum()) for fold in range(3)] == [3, 3, 3]
    assert np.bincount(fold_of).tolist() == [5, 5, 5]


def test_impossible_numbers_of_folds_are_refused(make_sliders):
    with pytest.raises(InvalidValue, match="needs 1 to 4 folds for 4 episodes, got 5"):
        train_members(make_sliders(4), NAMES, CONFIG, 5, quiet, "cpu")


def test_an_untrained_network_has_the_shape_but_not_the_weights(sarm, unseen, tmp_path):
    save_sarm(tmp_path / "run", sarm.config, sarm.members)
    blind = make_estimator(f"untrained:sarm:{tmp_path / 'run'}")
    assert blind.fingerprint != sarm.fingerprint
    error = np.abs(one(blind, unseen[0]).values - unseen[0].truth.progress).mean()
    assert error > 0.15
