import json
from dataclasses import replace

import numpy as np
import pytest

from headway.episodes import ArrayFrames, Episode
from headway.errors import CheckpointError, DatasetError, InvalidValue, UnknownName
from headway_envs.seeds import unseen_seeds
from headway_policies.checkpoint import CONFIG, WEIGHTS
from headway_policies.demonstrations import Demonstrations
from headway_policies.image_checkpoint import load_image_policy, save_image_policy
from headway_policies.image_cloning import ImageConfig, Pictures, clone_from_pictures, gather_pictures, shifted
from headway_policies.image_policy import ImageNetwork, ImagePolicy, ImageShape
from headway_policies.policy_training import Keeping
from headway_policies.rollout import evaluate
from headway_policies.signature import signature_of

SIZE = 24
TINY = ImageConfig(chunk=2, executed=1, width=32, blocks=1, steps=250, batch=32, size=SIZE, shifted=1)


def spots(frames, seed=0):
    """A hand that goes to the side on which a red spot is seen; where it is itself says nothing about that."""
    rng = np.random.default_rng(seed)
    where = rng.uniform(-1, 1, frames).astype(np.float32)
    pixels = rng.integers(40, 60, (frames, 1, SIZE, SIZE, 3), dtype=np.uint8)
    for picture, x in zip(pixels[:, 0], where, strict=True):
        column = round((x + 1) / 2 * (SIZE - 5))
        picture[10:15, column : column + 5] = (230, 30, 30)
    signature = signature_of("lift", "gripper")
    state = rng.uniform(-0.1, 0.1, (frames, len(signature.state))).astype(np.float32)
    action = np.concatenate([state[:, :3], np.ones((frames, 1), np.float32)], axis=1)
    action[:, 0] += 0.03 * where
    nothing = np.zeros((frames, len(signature.environment_state)), np.float32)
    # every frame an episode of its own: only its own action is inside its chunk
    return Demonstrations(state, nothing, action, np.arange(frames), signature), Pictures(("front",), pixels, SIZE)


def error(policy, demonstrations, pictures):
    """Mean error of the first action's x, in metres."""
    chunks = policy.act_together(demonstrations.state, pictures.pixels)
    return float(np.abs(chunks[:, 0, 0] - demonstrations.action[:, 0]).mean())


@pytest.fixture(scope="module")
def seeing():
    return clone_from_pictures(*spots(300), np.ones(300), TINY).policy


def test_it_sees_what_a_blind_one_cannot(seeing):
    demonstrations, pictures = spots(300)
    blind = Pictures(("front",), np.zeros_like(pictures.pixels), SIZE)
    groping = clone_from_pictures(demonstrations, blind, np.ones(300), TINY).policy
    unseen, shown = spots(100, seed=1)
    assert error(seeing, unseen, shown) < 0.004
    assert error(groping, unseen, shown) > 0.012


def test_it_follows_the_frames_that_weigh(seeing):
    demonstrations, pictures = spots(300)
    wrong = replace(demonstrations, action=demonstrations.action.copy())
    wrong.action[150:, 0] = wrong.state[150:, 0] - (wrong.action[150:, 0] - wrong.state[150:, 0])
    weight = np.repeat([1.0, np.nan], 150)
    weight[:10] = 0
    cloned = clone_from_pictures(wrong, pictures, weight, TINY)
    assert (cloned.frames, cloned.left_out) == (140, 150)
    assert error(cloned.policy, *spots(100, seed=1)) < 0.006


def test_the_same_seed_gives_the_same_policy_and_another_seed_another():
    short = replace(TINY, steps=5)
    demonstrations, pictures = spots(40)
    one, again, other = (
        clone_from_pictures(demonstrations, pictures, np.ones(40), replace(short, seed=seed)).policy
        for seed in (0, 0, 1)
    )
    asked = demonstrations.state, pictures.pixels
    assert np.array_equal(one.act_together(*asked), again.act_together(*asked))
    assert not np.array_equal(one.act_together(*asked), other.act_together(*asked))


def test_a_training_that_goes_on_ends_in_the_same_policy(tmp_path):
    class Killed(Exception):
        pass

    def kill(step, *_):
        if step == 8:
            raise Killed

    short = replace(TINY, steps=12)
    demonstrations, pictures = spots(40)
    whole = clone_from_pictures(demonstrations, pictures, np.ones(40), short).policy
    keeping = Keeping(tmp_path / "state", "this", every=5)
    with pytest.raises(Killed):
        clone_from_pictures(demonstrations, pictures, np.ones(40), short, kill, keeping)
    resumed = clone_from_pictures(demonstrations, pictures, np.ones(40), short, keeping=keeping).policy
    asked = demonstrations.state, pictures.pixels
    assert np.array_equal(resumed.act_together(*asked), whole.act_together(*asked))


def test_an_answer_does_not_depend_on_who_else_asks(seeing):
    demonstrations, pictures = spots(19, seed=2)
    together = seeing.act_together(demonstrations.state, pictures.pixels)
    alone = [seeing.act(*pair) for pair in zip(demonstrations.state, pictures.pixels, strict=True)]
    assert np.array_equal(together, np.stack(alone))


def test_pictures_are_shifted_whole_and_their_border_repeated():
    pixels = np.random.default_rng(0).integers(0, 255, (4, 2, 6, 6, 3), dtype=np.uint8)
    frames = np.array([3, 0, 0, 1])
    assert np.array_equal(shifted(pixels, frames, 0, np.random.default_rng(0)), pixels[frames])
    moved = shifted(pixels, frames, 2, np.random.default_rng(0))
    padded = np.pad(pixels, ((0, 0), (0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    found = set()
    for picture, frame in zip(moved, frames, strict=True):
        for camera in range(2):
            crops = {(y, x): padded[frame, camera, y : y + 6, x : x + 6] for y in range(5) for x in range(5)}
            found.add(next(at for at, crop in crops.items() if np.array_equal(crop, picture[camera])))
    assert len(found) > 4, "each picture is shifted by itself"
    assert any(down != across for down, across in found)


def episode(index, frames, height=32, width=32, first=0):
    rng = np.random.default_rng(index)
    drawn = {name: ArrayFrames(rng.integers(0, 255, (frames, height, width, 3), np.uint8)) for name in ("a", "b")}
    return Episode(index, first, 20.0, drawn)


def test_pictures_are_kept_in_the_order_of_episodes_and_cameras():
    episodes = [episode(0, 3), episode(1, 2)]
    gathered = gather_pictures(episodes, ["b", "a"], 32)
    assert gathered.pixels.shape == (5, 2, 32, 32, 3)
    assert gathered.recorded_size == 32
    assert np.array_equal(gathered.pixels[3, 0], next(iter(episodes[1].camera("b"))))
    wanted = np.array([False, False, False, True, False])
    partly = gather_pictures(episodes, ["b", "a"], 16, wanted)
    assert partly.pixels.shape[2] == 16
    assert not partly.pixels[:3].any()
    assert partly.pixels[3:].any(axis=(1, 2, 3, 4)).all()


def test_pictures_that_cannot_be_drawn_alike_are_refused():
    with pytest.raises(DatasetError, match="square"):
        gather_pictures([episode(0, 2, 32, 48)], ["a"], 16)
    with pytest.raises(DatasetError, match="one size"):
        gather_pictures([episode(0, 2), episode(1, 2, 48, 48)], ["a"], 16)
    with pytest.raises(UnknownName, match="'top'"):
        gather_pictures([episode(0, 2)], ["top"], 16)


def test_a_loaded_policy_acts_as_the_saved_one(seeing, tmp_path):
    save_image_policy(tmp_path / "policy", seeing)
    loaded = load_image_policy(tmp_path / "policy")
    demonstrations, pictures = spots(3, seed=4)
    asked = demonstrations.state, pictures.pixels
    assert np.array_equal(loaded.act_together(*asked), seeing.act_together(*asked))
    assert (loaded.signature, loaded.cameras, loaded.picture_size) == (seeing.signature, ("front",), SIZE)


def test_a_damaged_checkpoint_is_refused_in_one_line(seeing, tmp_path):
    def refusal():
        with pytest.raises(CheckpointError) as raised:
            load_image_policy(tmp_path)
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert "holds no policy" in refusal()
    save_image_policy(tmp_path, seeing)
    content = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(content | {"policy": "behaviour-cloning"}))
    assert "needs 'image-cloning' version 1" in refusal()
    (tmp_path / CONFIG).write_text(json.dumps(content | {"shape": {**content["shape"], "cameras": ["a", "b"]}}))
    assert "damaged" in refusal()
    (tmp_path / CONFIG).write_text(json.dumps(content))
    (tmp_path / WEIGHTS).write_bytes((tmp_path / WEIGHTS).read_bytes()[:-40])
    assert "damaged" in refusal()


def test_what_makes_no_sense_is_refused():
    demonstrations, pictures = spots(4)
    with pytest.raises(InvalidValue, match="4 frames need as many pictures"):
        clone_from_pictures(demonstrations, replace(pictures, pixels=pictures.pixels[:3]), np.ones(4), TINY)
    with pytest.raises(InvalidValue, match="at least 16 pixels"):
        ImageConfig(size=8)
    with pytest.raises(InvalidValue, match="at least one camera"):
        ImageShape(demonstrations.signature, (), 96, 64, 2, 8, 1)


def test_rollouts_draw_for_it_and_do_not_depend_on_how_many_are_in_step():
    """With an untrained network whose answers do depend on the picture."""
    shape = ImageShape(signature_of("lift", "gripper"), ("front", "wrist"), 48, 24, 2, 16, 1)
    policy = ImagePolicy(ImageNetwork(shape), executed=2)
    seeds = unseen_seeds(3)
    one, three = (evaluate(policy, "lift", seeds, "gripper", seconds=1, together=n, variation="mild") for n in (1, 3))
    assert one == three
    assert all(rollout.steps == 20 for rollout in one)
