import json
import shutil

import numpy as np
import pytest

from headway.episodes import Stage
from headway.errors import DatasetError, UnknownName, VideoError
from headway_datasets.video import encode_video
from headway_datasets.video_folder import VideoFolder


@pytest.fixture
def film(tmp_path, scene):
    """Writes a video of a scene below the test's folder."""

    def write(name, length=20, first=0):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        encode_video(path, scene(length, first=first), fps=10)
        return path

    return write


def error_of(read):
    with pytest.raises(DatasetError) as caught:
        read()
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_each_video_is_an_episode_in_order_of_its_number(tmp_path, film, is_frame):
    for number, length in ((10, 12), (2, 20), (1, 15)):
        film(f"ep{number}.mp4", length, first=number)
    (tmp_path / "notes.txt").write_text("not a video")
    (tmp_path / "._ep1.mp4").write_bytes(b"what macOS leaves behind")
    source = VideoFolder(tmp_path)
    assert source.cameras == ("camera",)
    assert source.stage_names is None
    assert [len(found) for found in source] == [15, 20, 12]
    assert [found.first_frame for found in source] == [0, 15, 35]
    assert [found.fps for found in source] == [10, 10, 10]
    for found, first in zip(source, (1, 2, 10), strict=True):
        assert all(is_frame(picture, first + index) for index, picture in enumerate(found.camera("camera")))


def test_a_file_name_is_no_instruction(film):
    found = VideoFolder(film("fold_the_towel.mp4")).episode(0)
    assert found.instruction is None
    assert found.success is None
    assert found.stages is None


def test_one_file_is_a_dataset_of_one_episode(tmp_path, film):
    film("other.mp4")
    source = VideoFolder(film("one.mp4", 12))
    assert [len(found) for found in source] == [12]


def test_kinds_of_files_may_be_mixed(tmp_path, scene, save_video):
    save_video(tmp_path / "a.MP4", scene(11))
    save_video(tmp_path / "b.webm", scene(12), codec="libvpx-vp9", **{"cpu-used": "8"})
    save_video(tmp_path / "c.gif", scene(13), codec="gif", pixels="rgb8")
    assert [len(list(found.camera("camera"))) for found in VideoFolder(tmp_path)] == [11, 12, 13]


def test_a_sub_folder_is_an_episode_of_several_cameras(tmp_path, film, is_frame):
    for number in (1, 2):
        film(f"take{number}/front.mp4", 20, first=number)
        film(f"take{number}/wrist.mp4", 20, first=10 * number)
    source = VideoFolder(tmp_path)
    assert source.cameras == ("front", "wrist")
    assert all(is_frame(picture, 20 + i) for i, picture in enumerate(source.episode(1).camera("wrist")))
    assert VideoFolder(tmp_path, rename={"wrist": "hand"}).cameras == ("front", "hand")


def test_key_frames_beside_the_cameras_are_stages(tmp_path, film):
    film("take/front.mp4", 20)
    film("take/wrist.mp4", 20)
    keys = [
        {"anotation": "reach", "start_frame_id": 2, "end_frame_id": 9},
        {"annotation": "grasp", "start_frame_id": 9, "end_frame_id": 25},
    ]
    (tmp_path / "take/annotated_keyframes.json").write_text(json.dumps(keys))
    for root in (tmp_path, tmp_path / "take"):
        source = VideoFolder(root)
        assert [found.stages for found in source] == [(Stage("reach", 2, 9), Stage("grasp", 9, 20))]
        assert source.stage_names == ("reach", "grasp")
        assert source.cameras == ("front", "wrist")


def test_cameras_that_not_every_episode_has_are_left_out(tmp_path, film):
    film("a/front.mp4")
    film("a/wrist.mp4")
    film("b/front.mp4")
    assert VideoFolder(tmp_path).cameras == ("front",)


def test_without_a_common_camera_the_first_of_each_is_seen_unless_another_is_named(tmp_path, film, is_frame):
    film("single.mp4", 20)
    film("take/front.mp4", 20, first=5)
    film("take/wrist.mp4", 20, first=9)
    first = VideoFolder(tmp_path)
    assert first.cameras == ("camera",)
    assert is_frame(next(iter(first.episode(1).camera("camera"))), 5)
    other = VideoFolder(tmp_path, rename={"wrist": "camera"})
    assert is_frame(next(iter(other.episode(1).camera("camera"))), 9)
    with pytest.raises(UnknownName, match="'hand'; available: camera, front, wrist"):
        VideoFolder(tmp_path, rename={"hand": "camera"})


def test_a_csv_table_gives_instruction_success_and_stages(tmp_path, film):
    film("a.mp4")
    film("b.mp4")
    (tmp_path / "episodes.csv").write_text(
        "\ufeffvideo,instruction,success,stages\n"
        'b.mp4,"open, then pick",TRUE,open:0-8;pick:8-20\n'
        "a.mp4,,,open:0s-1.2s\n",
        encoding="utf-8",
    )
    second, first = VideoFolder(tmp_path)
    assert (second.instruction, second.success) == ("open, then pick", True)
    assert second.stages == (Stage("open", 0, 8), Stage("pick", 8, 20))
    assert (first.instruction, first.success) == (None, None)
    assert first.stages == (Stage("open", 0, 12),)
    assert VideoFolder(tmp_path).stage_names == ("open", "pick")


def test_a_csv_table_gives_dense_stages_beside_the_others_or_alone(tmp_path, film):
    film("a.mp4")
    film("b.mp4")
    film("c.mp4")
    (tmp_path / "episodes.csv").write_text(
        "video,success,stages,Dense_stages\n"
        "a.mp4,no,open:0-20,grip:0-4;pull:4-9;reach:9-20\n"
        "b.mp4,yes,,reach:0s-0.5s;grip:0.5s-0.9s;pull:0.9s-1.8s\n"
        "c.mp4,yes,open:0-20,\n"
    )
    source = VideoFolder(tmp_path)
    assert source.cameras == ("camera",)
    assert source.stage_names == ("open",)
    assert source.dense_stage_names == ("reach", "grip", "pull"), "the order of the one that succeeded"
    first, second, third = source
    assert (first.stages, second.stages) == ((Stage("open", 0, 20),), None)
    assert second.dense_stages == (Stage("reach", 0, 5), Stage("grip", 5, 9), Stage("pull", 9, 18))
    assert third.dense_stages is None


def test_a_json_table_gives_dense_stages(tmp_path, film):
    film("a.mp4")
    marks = [{"name": "reach", "start": 0, "end": 7}, {"name": "grip", "start_s": 0.7, "end_s": 2}]
    (tmp_path / "episodes.json").write_text(json.dumps([{"video": "a.mp4", "dense_stages": marks}]))
    source = VideoFolder(tmp_path)
    assert source.episode(0).dense_stages == (Stage("reach", 0, 7), Stage("grip", 7, 20))
    assert source.stage_names is None


def test_a_csv_table_groups_cameras_in_columns(tmp_path, film):
    for name in ("a_front.mp4", "a_wrist.mp4", "b_front.mp4", "b_wrist.mp4"):
        film(name)
    (tmp_path / "episodes.csv").write_text(
        "front,wrist,success\na_front.mp4,a_wrist.mp4,no\nb_front.mp4,b_wrist.mp4,yes\n"
    )
    source = VideoFolder(tmp_path)
    assert source.cameras == ("front", "wrist")
    assert [found.success for found in source] == [False, True]


def test_a_json_table_groups_cameras_and_may_name_a_sub_folder(tmp_path, film):
    film("x.mp4")
    film("y.mp4")
    film("take/front.mp4")
    film("take/wrist.mp4")
    rows = [
        {
            "cameras": {"front": "x.mp4", "wrist": "y.mp4"},
            "instruction": "pour",
            "success": False,
            "stages": [{"name": "lift", "start": 0, "end": 7}, {"name": "pour", "start_s": 0.7, "end_s": 2}],
        },
        {"video": "take", "success": None},
    ]
    (tmp_path / "episodes.json").write_text(json.dumps(rows))
    first, second = VideoFolder(tmp_path)
    assert (first.instruction, first.success) == ("pour", False)
    assert first.stages == (Stage("lift", 0, 7), Stage("pour", 7, 20))
    assert list(second.cameras) == ["front", "wrist"]
    assert second.success is None


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video,success\na.mp4,maybe\n", "episode 1: success is 'maybe'; write true or false"),
        ("video,stages\na.mp4,open:5\n", "stage 'open:5' should read name:first-end"),
        ("video,stages\na.mp4,open:0.5-3\n", "fraction of a frame"),
        ("video,stages\na.mp4,open:9-3\n", "ends at frame 3, before it starts at 9"),
        ("video,dense_stages\na.mp4,open:5\n", "episode 1: dense_stages: stage 'open:5' should read name:first-end"),
        (
            "video,dense_stages\na.mp4,a:0-9;b:4-12\n",
            "episode 0, dense_stages: stage 'b' (frames 4 to 12) overlaps 'a'",
        ),
        ("video\nb.mp4\n", "'video' is 'b.mp4', which is no file here"),
        ("video,instructions\na.mp4,pour\n", "give `video` or a file for each camera, not both"),
        ("front,instructions\na.mp4,pour\n", "'instructions' is 'pour', which is no file here; columns are video"),
        ("video\n../a.mp4\n", "no file here"),
        ("instruction\npour\n", "no video is named"),
        ("video,instruction\na.mp4,pour,then,more\n", "more or fewer cells than its header"),
        ("video\n", "lists no episodes"),
    ],
)
def test_a_wrong_table_is_one_line_that_names_the_row(tmp_path, film, table, message):
    film("a.mp4")
    (tmp_path / "episodes.csv").write_text(table)
    assert message in error_of(lambda: VideoFolder(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "should hold a list of objects"),
        ("[", "not readable JSON"),
        ('[{"video": "a.mp4", "stages": [{"name": "open", "start": 1}]}]', "needs name, start and end"),
        ('[{"video": "a.mp4", "stages": {"open": 3}}]', "should be a list of objects"),
        ('[{"video": "a.mp4", "dense_stages": [3]}]', "dense_stages: stages should be a list of objects"),
        ('[{"cameras": ["a.mp4"]}]', "should map each camera to its file"),
    ],
)
def test_a_wrong_json_table_is_one_line(tmp_path, film, content, message):
    film("a.mp4")
    (tmp_path / "episodes.json").write_text(content)
    assert message in error_of(lambda: VideoFolder(tmp_path))


def test_a_table_that_forgets_videos_says_which(tmp_path, film):
    film("a.mp4")
    film("b.mp4")
    (tmp_path / "episodes.csv").write_text("video\na.mp4\n")
    assert "does not name 1 of the videos beside it (b.mp4)" in error_of(lambda: VideoFolder(tmp_path))


def test_cameras_of_different_length_are_named_with_their_frames(tmp_path, film):
    film("take/front.mp4", 20)
    film("take/wrist.mp4", 18)
    assert "front.mp4 20, wrist.mp4 18" in error_of(lambda: VideoFolder(tmp_path))


@pytest.mark.parametrize("keys", ['[{"anotation": "a"}]', '{"a": 1}', "no json"])
def test_wrong_key_frames_are_named(tmp_path, film, keys):
    film("take/front.mp4")
    (tmp_path / "take/annotated_keyframes.json").write_text(keys)
    assert "annotated_keyframes.json" in error_of(lambda: VideoFolder(tmp_path))


def test_unreadable_videos_are_named_and_counted(tmp_path, film):
    film("a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"broken")
    (tmp_path / "c.mp4").write_bytes(b"")
    message = error_of(lambda: VideoFolder(tmp_path))
    assert "b.mp4 cannot be read as a video" in message
    assert "1 more of 3 videos" in message


def test_a_truncated_video_leaves_the_others_readable(tmp_path, film, scene, save_video):
    film("a.mp4")
    noise = np.random.default_rng(0).integers(0, 24, (60, 64, 64, 3), dtype=np.uint8)
    path = save_video(tmp_path / "b.mkv", scene(60) + noise)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = VideoFolder(tmp_path)
    assert len(list(source.episode(0).camera("camera"))) == 20
    with pytest.raises(VideoError, match=r"episode 1, camera camera: .*b\.mkv"):
        list(source.episode(1).camera("camera"))


def test_the_fingerprint_moves_with_the_folder_and_changes_with_the_content(tmp_path, film):
    film("old/a.mp4")
    before = VideoFolder(tmp_path / "old").fingerprint
    moved = shutil.move(tmp_path / "old", tmp_path / "new")
    assert VideoFolder(moved).fingerprint == before
    (tmp_path / "new/episodes.csv").write_text("video,success\na.mp4,true\n")
    labelled = VideoFolder(moved).fingerprint
    assert labelled != before
    film("new/a.mp4", 20, first=1)
    assert VideoFolder(moved).fingerprint not in (before, labelled)


def test_the_real_recordings_open_as_one_dataset(real_recordings):
    source = VideoFolder(real_recordings)
    assert source.cameras == ("camera",)
    assert [len(found) for found in source] == [32, 1277, 50, 50]
    assert [found.fps for found in source] == pytest.approx([10, 30, 25, 25])
    assert [len(found.stages or ()) for found in source] == [0, 16, 0, 0]
    for index in (0, 2, 3):
        assert len(list(source.episode(index).camera("camera"))) == len(source.episode(index))


def test_the_real_episode_of_three_cameras_has_its_key_frames(real_recordings):
    source = VideoFolder(real_recordings / "clean-table")
    assert source.cameras == ("cam_high", "cam_left_wrist", "cam_right_wrist")
    found = source.episode(0)
    assert len(found) == 1277
    assert found.stages[0] == Stage("subtask1", 8, 147)
    assert found.stages[-1].end == 1263
    shapes = {picture.shape for picture in found.camera("cam_left_wrist")}
    assert shapes == {(480, 640, 3)}


def test_a_recording_is_known_again_when_its_marks_are_corrected_or_others_are_added(tmp_path, film):
    table = tmp_path / "episodes.csv"
    film("a.mp4", 20)
    film("b.mp4", 20, first=7)
    table.write_text("video,stages\na.mp4,reach:0-9\nb.mp4,\n")
    before = [found.recording for found in VideoFolder(tmp_path)]
    film("c.mp4", 12, first=3)
    table.write_text("video,stages\nc.mp4,\na.mp4,reach:0-10\nb.mp4,\n")
    after = [found.recording for found in VideoFolder(tmp_path)]
    assert after[1:] == before
    assert len({*after}) == 3


def test_a_video_listed_twice_is_refused(tmp_path, film):
    film("a.mp4")
    (tmp_path / "episodes.csv").write_text("video,success\na.mp4,true\na.mp4,false\n")
    assert "lists a.mp4 twice" in error_of(lambda: VideoFolder(tmp_path))


def test_headings_may_have_capitals_and_spaces(tmp_path, film):
    film("a.mp4")
    (tmp_path / "episodes.csv").write_text("Video, Instruction, Success\na.mp4,fold it,yes\n")
    found = VideoFolder(tmp_path).episode(0)
    assert (found.instruction, found.success) == ("fold it", True)


@pytest.mark.parametrize("end", ["1e999", "NaN", "null", "[[1]]", "true"])
def test_a_stage_end_that_is_no_number_is_one_line(tmp_path, film, end):
    film("a.mp4")
    content = f'[{{"video": "a.mp4", "stages": [{{"name": "reach", "start": 0, "end": {end}}}]}}]'
    (tmp_path / "episodes.json").write_text(content)
    assert "episode 1" in error_of(lambda: VideoFolder(tmp_path))
