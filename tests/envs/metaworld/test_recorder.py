import numpy as np
import pytest

from headway.errors import InvalidValue, UnknownName
from headway_envs.metaworld.recorder import MetaWorldRecorder, recorder_with
from headway_envs.recording import RecordingOptions

TASKS = ("drawer-open", "basketball", "peg-insert-side", "stick-push", "door-close", "window-open")
"""In some of them Meta-World writes the layout into its model, where it stays."""


def test_a_seed_gives_the_same_episode_to_the_last_bit_whatever_was_recorded_before(recorder_of):
    for name in TASKS:
        recorder = recorder_of(name)
        first = recorder.record(7, "jitter")
        recorder.record(8)
        recorder.record(3, "hesitate")
        again = recorder.record(7, "jitter")
        fresh = MetaWorldRecorder(f"metaworld/{name}", cameras=(), disturbance=0.0).record(7, "jitter")
        for other in (again, fresh):
            assert first.state.tobytes() == other.state.tobytes()
            assert first.environment_state.tobytes() == other.environment_state.tobytes()
            assert first.action.tobytes() == other.action.tobytes()
            assert first.truth.progress.tobytes() == other.truth.progress.tobytes()


def test_every_seed_has_a_layout_of_its_own(recorder_of):
    for name in ("drawer-open", "pick-place", "reach", "soccer"):
        simulator = recorder_of(name).simulator
        readings = [simulator.reset(seed) for seed in range(30)]
        layouts = [np.append(now.observation[4:7], now.observation[-3:]).tobytes() for now in readings]
        assert len(set(layouts)) == 30, name


def test_an_episode_starts_with_things_where_they_are(recorder_of):
    # Meta-World's own first observation has the window where the layout before it had it
    for name in ("window-open", "drawer-open", "faucet-close"):
        simulator = recorder_of(name).simulator
        start = simulator.reset(5)
        after = simulator.step(np.array([0, 0, 0, -1.0]))
        assert np.abs(after.thing - start.thing).max() < 0.005


def test_an_episode_has_the_parts_that_it_says(record, recorder_of):
    recorder = recorder_of("pick-place")
    trajectory = record("pick-place")
    assert trajectory.fps == recorder.fps == 80
    for values, names in (
        (trajectory.state, recorder.state_names),
        (trajectory.environment_state, recorder.environment_names),
        (trajectory.action, recorder.action_names),
    ):
        assert values.dtype == np.float32
        assert values.shape == (len(trajectory), len(names))
    assert np.abs(trajectory.action).max() <= 1
    goal = trajectory.environment_state[:, -3:]
    assert np.ptp(goal, axis=0).max() == 0
    thing = trajectory.environment_state[-1, :3]
    assert np.linalg.norm(thing - goal[-1]) < 0.07, "Meta-World's criterion"


def test_disturbance_moves_the_hand_but_not_what_is_recorded_of_the_action(recorder_of):
    calm, pushed = recorder_of("reach"), MetaWorldRecorder("metaworld/reach", cameras=(), disturbance=0.01)
    for seed in range(4):
        one, other = calm.record(seed), pushed.record(seed)
        assert np.array_equal(one.action[0], other.action[0])
        steps = min(len(one), len(other), 30)
        gap = np.linalg.norm(one.state[:steps, :3] - other.state[:steps, :3], axis=1)
        assert 0.003 < gap.max() < 0.08
        assert other.truth.succeeded
        again = pushed.record(seed)
        assert other.state.tobytes() == again.state.tobytes()


def test_wording_varies_when_asked_to(recorder_of):
    recorder_of("reach")
    plain = MetaWorldRecorder("metaworld/reach", cameras=())
    varied = MetaWorldRecorder("metaworld/reach", cameras=(), paraphrase=True)
    assert {plain.record(seed).instruction for seed in range(6)} == {"reach the mark"}
    assert len({varied.record(seed).instruction for seed in range(6)}) > 1


def test_what_meta_world_does_not_have_is_refused():
    for options, word in (
        (RecordingOptions(robot="gripper"), "robot"),
        (RecordingOptions(variation="mild"), "variation"),
        (RecordingOptions(action_space="ee-delta"), "action space"),
    ):
        with pytest.raises(InvalidValue, match=f"metaworld/reach has one robot.*leave {word} as it is"):
            recorder_with("metaworld/reach", options)
    with pytest.raises(InvalidValue, match="disturbance must be metres from 0 and below 1"):
        MetaWorldRecorder("metaworld/reach", disturbance=-1)


def test_a_camera_that_is_not_there_is_refused_with_those_that_are(recorder_of):
    recorder_of("reach")
    with pytest.raises(UnknownName, match="unknown camera 'front'; available: behindGripper, corner, corner2"):
        MetaWorldRecorder("metaworld/reach", cameras=("front",))


def red(pixels):
    """Mean row and column of the arm's red."""
    channels = pixels.astype(int)
    rows, columns = np.nonzero((channels[..., 0] > 90) & (channels[..., 1] < 60) & (channels[..., 2] < 60))
    return rows.mean(), columns.mean()


@pytest.mark.parametrize("camera", ["corner", "corner2", "corner3", "corner4"])
def test_frames_are_upright_and_not_mirrored(recorder_of, can_draw, camera):
    simulator = recorder_of("reach").simulator

    def seen_after(x, y, z):
        simulator.reset(0)
        for _ in range(25):
            simulator.step(np.array([x, y, z, -1.0]))
        return red(simulator.frame(camera, 128))

    low, high = seen_after(0, 0, -0.4), seen_after(0, 0, 1)
    assert high[0] < low[0] - 1, "what rises goes up in the picture"
    near, far = seen_after(0, -0.8, 0), seen_after(0, 0.8, 0)
    # corner looks at the table from the left, the others from the right: away from the robot is left and right there
    assert (far[1] < near[1]) if camera == "corner" else (far[1] > near[1])


def test_frames_show_what_the_demonstrator_saw(recorder_of, can_draw):
    trajectory = MetaWorldRecorder("metaworld/reach", cameras=("corner2", "topview"), size=48).record(0)
    assert {name: pixels.shape for name, pixels in trajectory.frames.items()} == {
        "corner2": (len(trajectory), 48, 48, 3),
        "topview": (len(trajectory), 48, 48, 3),
    }
    assert all(pixels.dtype == np.uint8 for pixels in trajectory.frames.values())
    moved = np.abs(np.diff(trajectory.frames["corner2"].astype(int), axis=0)).sum(axis=(1, 2, 3))
    assert (moved[5:30] > 0).all()
