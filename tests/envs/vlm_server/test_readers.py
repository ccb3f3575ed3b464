import cv2
import numpy as np
import pytest
from scipy.stats import spearmanr

from headway_envs.recording import Recorder
from headway_envs.vlm_server.readers import READERS, STAGES, push_to_goal, slider, tidy_drawer


def test_the_square_is_read_to_a_pixel(make_slider):
    episode = make_slider(3)
    read = np.array([slider(frame) for frame in episode.camera("top")])
    assert (np.diff(read) >= 0).all()
    assert (read[0], read[-1]) == (0, 1)
    assert np.abs(read - episode.truth.progress).max() <= 0.5 / 24 + 1e-6  # 24 pixels of travel each way


def test_a_larger_picture_reads_the_same(slide):
    for picture in slide:
        larger = cv2.resize(picture, None, fx=7, fy=7, interpolation=cv2.INTER_NEAREST)
        assert slider(larger) == pytest.approx(slider(picture))


def test_with_red_and_blue_swapped_there_is_no_square(slide):
    assert [slider(picture[:, :, ::-1]) for picture in slide] == [None] * len(slide)


@pytest.fixture(scope="module")
def record():
    """Records with pictures. Of other seeds than the readers were made with."""
    kept = {}

    def record_one(task_id, seed, kind="expert"):
        if task_id not in kept:
            kept[task_id] = Recorder(task_id)
        return kept[task_id].record(seed, kind)

    yield record_one
    for recorder in kept.values():
        recorder.close()


@pytest.mark.parametrize(("task_id", "least"), [("push-to-goal", 0.94), ("tidy-drawer", 0.97)])
def test_experts_in_simulation_are_read_in_the_order_of_their_truth(can_draw, record, task_id, least):
    for seed in (101, 102):
        trajectory = record(task_id, seed)
        shown = np.linspace(0, len(trajectory) - 1, 30).round().astype(int)
        read = [READERS[task_id](trajectory.frames["front"][place]) for place in shown]
        assert None not in read
        assert min(read) >= 0
        assert max(read) <= 1
        assert read[-1] > 0.95
        assert spearmanr(read, trajectory.truth.progress[shown]).statistic > least, (seed, read)
        begins = np.cumsum([0, *STAGES[task_id].values()])[1:-1]
        assert np.mean(np.digitize(read, begins) == trajectory.truth.stage[shown]) > 0.85


@pytest.mark.parametrize("task_id", ["push-to-goal", "tidy-drawer"])
def test_a_failure_is_not_read_as_done(can_draw, record, task_id):
    kinds = ("abandon", "near-miss") if task_id == "tidy-drawer" else ("abandon", "abandon")
    for seed, kind in zip((104, 51), kinds, strict=True):
        trajectory = record(task_id, seed, kind)
        assert not trajectory.truth.succeeded
        assert READERS[task_id](trajectory.frames["front"][-1]) < 0.9, seed


@pytest.mark.parametrize("reader", [push_to_goal, tidy_drawer])
def test_with_red_and_blue_swapped_the_hand_is_not_found(can_draw, record, reader):
    frames = record("push-to-goal" if reader is push_to_goal else "tidy-drawer", 101).frames["front"]
    assert {reader(frame[:, :, ::-1]) for frame in frames[::20]} == {None}


def test_a_scene_of_another_task_shows_nothing(slide):
    assert push_to_goal(slide[3]) is None
    assert tidy_drawer(slide[3]) is None
