"""Each defect is put into a written dataset and found there, and nowhere else; sound episodes have none."""

import os
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from headway.checks import DEFECTS, defect_words
from headway.episodes import ArrayFrames
from headway_datasets.opening import open_dataset

TIME = 80
NONE = {f"defect_{check.name}": 0 for check in DEFECTS} | {"defects": 0}


def defects(row):
    return {name: value for name, value in row.items() if name.startswith("defect")}


# what is put in is a number of frames or joints, and nothing else is wrong with the episode
def only(row, name, count):
    assert defects(row) == NONE | {f"defect_{name}": count, "defects": 1}


def test_sound_episodes_have_no_defect_also_when_they_hold_still_at_the_end(written, rows_of):
    assert [defects(row) for row in rows_of(written)] == [NONE] * 4


def test_values_that_are_not_finite_are_counted_by_frame(faulty, rows_of):
    def change(values):
        values[TIME + 5, :2] = np.nan
        values[TIME + 6, 1] = np.inf

    faulty.numbers("action", change)
    rows = rows_of(faulty.root)
    only(rows[1], "nonfinite", 2)
    assert [row["defects"] for row in rows] == [0, 1, 0, 0]
    assert rows[1]["risk_action_variation"] is None, "a risk of values that are not there is not known"
    assert rows[1]["risk_blur"] is not None


def test_a_joint_that_stays_where_it_is_while_its_command_moves_is_found(faulty, rows_of):
    def change(values):
        values[2 * TIME : 3 * TIME, 1] = values[2 * TIME, 1]

    faulty.numbers("observation.state", change)
    rows = rows_of(faulty.root)
    only(rows[2], "dead_joint", 1)
    assert [row["defects"] for row in rows] == [0, 0, 1, 0]


def test_a_joint_that_is_dead_in_the_only_episode_is_found(make_arm, rows_of):
    episode = make_arm(0)
    state = episode.state.copy()
    state[:, 2] = 0.3
    (row,) = rows_of([replace(episode, state=state)])
    assert row["defect_dead_joint"] == 1


def test_a_joint_that_nobody_commands_is_not_dead(make_arm, rows_of):
    episodes = [make_arm(index) for index in range(3)]
    state, action = episodes[0].state.copy(), episodes[0].action.copy()
    state[:, 0] = action[:, 0] = 0.2
    rows = rows_of([replace(episodes[0], state=state, action=action), *episodes[1:]])
    assert [row["defect_dead_joint"] for row in rows] == [0, 0, 0]


def steps(episode):
    return np.diff(episode.state, axis=0, append=episode.state[-1:])


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param(steps, id="steps"),
        pytest.param(lambda episode: steps(episode) * 15, id="speeds that go as far as the joint does"),
        pytest.param(lambda episode: np.rad2deg(episode.action), id="positions in another unit"),
    ],
)
def test_commands_that_are_no_positions_of_the_state_say_nothing_of_a_joint(make_arm, rows_of, commands):
    """As many as the state has values, and of the same names even."""
    episodes = [make_arm(index) for index in range(3)]
    told = [replace(episode, action=commands(episode).astype(np.float32)) for episode in episodes]
    for row in rows_of(told):
        names = ("defect_dead_joint", "defect_saturated_action", "risk_tracking_error", "risk_lag")
        assert [row[name] for name in names] == [None] * 4


def test_sizes_that_differ_without_names_in_common_say_nothing_of_a_joint(make_arm, rows_of):
    episode = make_arm(0)
    names = {"state_names": None, "action_names": None}
    (row,) = rows_of([replace(episode, state=episode.state[:, :3], **names)])
    assert row["defect_dead_joint"] is None
    assert row["risk_jerk"] is not None, "for which no command is needed"


def test_joints_are_found_by_name_where_sizes_differ(make_arm, rows_of):
    episodes = [make_arm(index) for index in range(3)]
    mixed = [
        replace(
            episode,
            state=np.column_stack([episode.state[:, ::-1], np.ones(TIME)]).astype(np.float32),
            state_names=(*episode.state_names[::-1], "current"),
        )
        for episode in episodes
    ]
    state = mixed[1].state.copy()
    state[:, 2] = 0.1
    rows = rows_of([mixed[0], replace(mixed[1], state=state), mixed[2]])
    assert [row["defect_dead_joint"] for row in rows] == [0, 1, 0]


def test_dropped_and_repeated_timestamps_are_told_apart(faulty, rows_of):
    def change(times):
        times[40:TIME] += 3 / 20  # three frames are missing
        times[TIME + 10] = times[TIME + 9]  # no time has passed
        times[3 * TIME :] += 0.3 / 20 * np.tile([0, 1], TIME // 2)  # jitter of a third of a frame

    faulty.numbers("timestamp", change)
    rows = rows_of(faulty.root)
    only(rows[0], "dropped_timestamps", 3)
    assert rows[1]["defect_repeated_timestamps"] == 1
    assert defects(rows[2]) == defects(rows[3]) == NONE


def test_commands_cut_off_at_a_limit_are_found_and_free_ones_are_not(faulty, rows_of):
    counts = []

    def change(values):
        values[:, 0] = np.minimum(values[:, 0], 0.4)
        for index in range(4):
            counts.append((values[TIME * index : TIME * (index + 1), 0] == np.float32(0.4)).sum())

    faulty.numbers("action", change)
    rows = rows_of(faulty.root)
    found = [row["defect_saturated_action"] for row in rows]
    assert max(found) > 10
    assert all(0 <= count <= most for count, most in zip(found, counts, strict=True))
    assert {row["defect_dead_joint"] for row in rows} == {0}


def test_a_joint_that_reaches_its_extreme_once_and_waits_there_is_no_limit(make_arm, rows_of):
    episodes = [make_arm(index) for index in range(3)]
    action = episodes[0].action.copy()
    action[20:50, 1] = 1.5
    rows = rows_of([replace(episodes[0], action=action), *episodes[1:]])
    assert [row["defect_saturated_action"] for row in rows] == [0, 0, 0]


def test_a_joint_that_rests_at_its_limit_from_the_start_is_not_pushed_against_it(make_arm, rows_of):
    episodes = []
    for index in range(3):
        episode = make_arm(index)
        action, state = episode.action.copy(), episode.state.copy()
        action[:, 2], state[:, 2] = np.abs(action[:, 2]) + 0.1, np.abs(state[:, 2]) + 0.1
        if index < 2:
            action[:40, 2] = state[:40, 2] = 0
        episodes.append(replace(episode, action=action, state=state))
    assert [row["defect_saturated_action"] for row in rows_of(episodes)] == [0, 0, 0]


def test_a_command_of_the_last_moment_cannot_have_been_followed(make_arm, rows_of):
    episodes = [make_arm(index) for index in range(3)]
    action, state = episodes[0].action.copy(), episodes[0].state.copy()
    state[:, 1] = action[:, 1] = 0.2
    action[-2:, 1] = 0.9
    rows = rows_of([replace(episodes[0], state=state, action=action), *episodes[1:]])
    assert [row["defect_dead_joint"] for row in rows] == [0, 0, 0]


def test_a_truncated_file_is_undecodable_and_the_rest_of_the_row_is_there(faulty, rows_of):
    content = faulty.video.read_bytes()
    faulty.video.write_bytes(content[: len(content) // 2])
    for row in rows_of(faulty.root):
        assert row["defect_undecodable_video"] == TIME
        assert row["defect_video_length"] == 0
        assert row["defect_black_video"] is None, "nobody saw it"
        assert row["risk_jerk"] is not None


def test_a_sound_video_that_ends_early_has_another_length(faulty, rows_of):
    faulty.pictures(lambda pictures: pictures[:-7])
    rows = rows_of(faulty.root)
    assert [row["defects"] for row in rows] == [0, 0, 0, 1]
    only(rows[3], "video_length", 7)


def test_a_video_that_is_declared_longer_than_the_table_has_another_length(faulty, rows_of):
    (path,) = (faulty.root / "meta" / "episodes").rglob("*.parquet")
    table = pq.read_table(path)
    key = "videos/observation.images.top/to_timestamp"
    ends = table[key].to_numpy().copy()
    ends[1] += 6 / 20
    pq.write_table(table.set_column(table.column_names.index(key), key, [ends]), path)
    assert [row["defect_video_length"] for row in rows_of(faulty.root)] == [0, 6, 0, 0]


def test_black_frames_are_counted_and_dark_scenes_are_not_black(faulty, rows_of):
    def change(pictures):
        pictures[TIME + 10 : TIME + 30] = 0
        pictures[2 * TIME : 3 * TIME] //= 3
        return pictures

    faulty.pictures(change)
    rows = rows_of(faulty.root)
    assert [row["defect_black_video"] for row in rows] == [0, 20, 0, 0]
    # black frames stand still too, while the arm goes on
    assert rows[1]["defect_frozen_video"] == 20


@pytest.mark.parametrize("start", [0, 30])
def test_a_picture_that_stands_still_while_the_arm_moves_is_frozen(faulty, rows_of, start):
    def change(pictures):
        pictures[TIME + start : 2 * TIME] = pictures[TIME + start]
        return pictures

    faulty.pictures(change)
    rows = rows_of(faulty.root)
    assert [row["defects"] for row in rows] == [0, 1, 0, 0]
    assert rows[1]["defect_frozen_video"] == pytest.approx(TIME - start, abs=2)
    assert defect_words(rows[1]).startswith("frozen video (")


def test_without_a_state_only_a_picture_that_hardly_ever_changes_is_frozen(make_arm, without_state, rows_of):
    episodes = [without_state(make_arm(index, hold=hold)) for index, hold in ((0, 0), (1, 50), (2, 75))]
    rows = rows_of(episodes)
    assert [row["defect_frozen_video"] for row in rows[:2]] == [0, 0]
    assert rows[2]["defect_frozen_video"] == pytest.approx(75, abs=1)
    unknown = ("nonfinite", "dead_joint", "dropped_timestamps", "repeated_timestamps", "saturated_action")
    assert [rows[0][f"defect_{name}"] for name in unknown] == [None] * 5


def test_one_camera_out_of_two_is_enough(make_arm, rows_of):
    episode = make_arm(0)
    dark = ArrayFrames(np.zeros((TIME, 32, 32, 3), np.uint8))
    (row,) = rows_of([replace(episode, cameras={**episode.cameras, "wrist": dark})])
    assert row["defect_black_video"] == TIME
    assert row["risk_exposure"] == 1


def test_a_single_frame_is_checked_too(make_arm, rows_of):
    episode = make_arm(0)
    one = replace(
        episode,
        cameras={"top": ArrayFrames(episode.cameras["top"].pixels[:1])},
        state=episode.state[:1],
        action=episode.action[:1],
    )
    (row,) = rows_of([one])
    assert row["defects"] == 0


def test_a_second_look_decodes_nothing(written, rows_of):
    rows_of(written)
    source = open_dataset(written)
    frames = source.episode(0).cameras["top"]
    path = frames.path
    stat = path.stat()
    # the same place, size and time of change, but no video any more
    content = path.read_bytes()
    try:
        path.write_bytes(b"\0" * len(content))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert [row["defects"] for row in rows_of(written)] == [0] * 4
    finally:
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
