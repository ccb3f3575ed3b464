"""What is kept of a dataset is what was there: pictures, numbers, marks and the rest, and lerobot opens it."""

import dataclasses
import hashlib
import json
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headway.episodes import ArrayFrames, Stage
from headway.errors import DatasetError, InvalidValue, OutputError, Unsupported
from headway.estimator import Estimator
from headway.learned.targets import is_complete
from headway.scoring import score
from headway.signals.segments import Cut, Piece, uncut
from headway.signals.selection import Decision, Selection
from headway.specs import make_estimator
from headway.tables import read_scores
from headway_datasets import video
from headway_datasets.episode_pieces import outcome_of, piece_of
from headway_datasets.filtered import write_filtered
from headway_datasets.lerobot_filter import filter_lerobot
from headway_datasets.lerobot_v3 import LeRobotV3
from headway_datasets.lerobot_writer import write_dataset
from headway_datasets.opening import open_dataset
from headway_datasets.stats import column_stats, merge_stacked, merge_stats

LENGTHS = (20, 13, 31, 25, 17)
# odd lengths put the starts of episodes between key frames
PIECES = (
    uncut(1, 13),
    Piece(2, 3, 17, whole=False, to_the_end=False),
    Piece(2, 20, 31, whole=False, to_the_end=True),
    uncut(4, 17),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory, episode):
    """Five episodes of two cameras with things that Headway does not know: a feature, a column, a file."""
    root = tmp_path_factory.mktemp("source") / "data"
    dense = (Stage("reach", 0, 4), Stage("grasp", 4, 10))
    made = [episode(index, length, ("top", "wrist"), dense_stages=dense) for index, length in enumerate(LENGTHS)]
    write_dataset(root, made)
    path = root / "data/chunk-000/file-000.parquet"
    rows = pq.read_table(path)
    pq.write_table(rows.append_column("next.reward", pa.array(np.arange(len(rows), dtype=np.float32))), path)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["next.reward"] = {"dtype": "float32", "shape": [1], "names": None}
    info |= {"robot_type": "slider", "splits": {"train": "0:3", "val": "3:5"}}
    (root / "meta/info.json").write_text(json.dumps(info))
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("note", pa.array([f"note {index}" for index in range(5)])), path)
    (root / "meta/own.txt").write_text("kept")
    return root


def recordings(source):
    return {episode.index: episode.recording for episode in source}


@pytest.fixture(scope="module")
def filtered(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("filtered") / "data"
    out.mkdir()
    written = filter_lerobot(root, PIECES, out, recordings(LeRobotV3(root)))
    assert (written.whole_files, written.copied, written.encoded) == (0, 8, 0)
    return out


def pictures(frames):
    return np.stack(list(frames))


def rows_of(root):
    return pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()


def digests(root):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in root.rglob("*") if path.is_file()}


def test_pictures_and_numbers_are_those_of_the_source_bit_by_bit(root, filtered):
    source, result = LeRobotV3(root), LeRobotV3(filtered)
    assert [len(each) for each in result] == [13, 14, 11, 17]
    first = 0
    for number, piece in enumerate(PIECES):
        old, new = source.episode(piece.episode), result.episode(number)
        assert new.first_frame == first
        first += len(piece)
        assert (new.instruction, new.kind) == (old.instruction, old.kind)
        span = slice(piece.start, piece.end)
        for name in ("state", "environment_state", "action"):
            np.testing.assert_array_equal(getattr(new, name), getattr(old, name)[span])
        for name in ("progress", "stage", "success"):
            np.testing.assert_array_equal(getattr(new.truth, name), getattr(old.truth, name)[span])
        for name in ("top", "wrist"):
            np.testing.assert_array_equal(pictures(new.camera(name)), pictures(old.camera(name))[span])


def test_lerobot_opens_it_with_the_same_pictures(lerobot, root, filtered):
    source = LeRobotV3(root)
    theirs = lerobot.LeRobotDataset("local/test", root=filtered, video_backend="pyav")
    assert (len(theirs), theirs.meta.total_episodes) == (55, 4)
    index = 0
    for number, piece in enumerate(PIECES):
        shown = pictures(source.episode(piece.episode).camera("wrist"))[piece.start : piece.end]
        for frame in range(len(piece)):
            if frame in (0, 1, len(piece) - 1):
                item = theirs[index + frame]
                assert (item["episode_index"], item["frame_index"], item["index"]) == (number, frame, index + frame)
                assert item["timestamp"] == pytest.approx(frame / 10, abs=1e-6)
                pixels = (item["observation.images.wrist"].numpy() * 255).round().astype(np.uint8)
                np.testing.assert_array_equal(pixels.transpose(1, 2, 0), shown[frame])
        index += len(piece)


def test_marks_are_counted_from_the_start_of_a_piece(filtered):
    result = LeRobotV3(filtered)
    assert result.episode(0).stages == (Stage("open", 0, 8), Stage("pick", 8, 13))
    assert result.episode(1).stages == (Stage("open", 0, 5), Stage("pick", 5, 14))
    assert result.episode(1).dense_stages == (Stage("reach", 0, 1), Stage("grasp", 1, 7))
    assert result.episode(2).stages == (Stage("pick", 0, 11),)
    assert result.episode(2).dense_stages == ()
    assert result.stage_names == ("open", "pick")
    row = rows_of(filtered)[1]
    assert row["sparse_subtask_start_times"] == pytest.approx([0, 0.5])
    assert row["sparse_subtask_end_times"] == pytest.approx([0.5, 1.4])


def test_a_piece_cut_within_its_last_stage_is_no_whole_success(tmp_path, episode):
    """Nobody labelled it, and every stage is among its marks: only the cut tells that it was not finished."""
    write_dataset(tmp_path / "data", [episode(number, 30, success=None) for number in range(2)])
    source = LeRobotV3(tmp_path / "data")
    names = source.stage_names
    assert is_complete(source.episode(1), names)
    pieces = (uncut(0, 30), Piece(1, 0, 22, whole=False, to_the_end=False))
    (tmp_path / "out").mkdir()
    filter_lerobot(source.root, pieces, tmp_path / "out", recordings(source))
    whole, cut = LeRobotV3(tmp_path / "out")
    assert tuple(stage.name for stage in cut.stages) == names
    assert (whole.success, cut.success) == (None, False)
    assert is_complete(whole, names)
    assert not is_complete(cut, names)


def test_outcomes_of_pieces_by_hand():
    marks = [(0, 10), (10, 20)]
    held = Piece(0, 5, 30, whole=False, to_the_end=True)
    assert [outcome_of(said, marks, held) for said in (True, False, None)] == [True, False, None]
    within, between = Piece(0, 0, 15, False, False), Piece(0, 0, 10, False, False)
    after = Piece(0, 0, 25, False, False)
    assert [outcome_of(True, marks, piece) for piece in (within, between, after)] == [False, None, None]
    assert outcome_of(True, [], within) is None


def test_a_piece_keeps_the_outcome_only_with_the_end(filtered):
    assert [episode.success for episode in LeRobotV3(filtered)] == [False, False, True, True]


def test_what_headway_does_not_know_is_carried_over(root, filtered):
    assert [row["note"] for row in rows_of(filtered)] == ["note 1", "note 2", "note 2", "note 4"]
    rewards = pq.read_table(filtered / "data/chunk-000/file-000.parquet")["next.reward"].to_numpy()
    starts = np.cumsum([0, *LENGTHS])
    expected = [np.arange(piece.start, piece.end) + starts[piece.episode] for piece in PIECES]
    np.testing.assert_array_equal(rewards, np.concatenate(expected))
    assert (filtered / "meta/own.txt").read_text() == "kept"
    for name in ("meta/headway.json", "meta/temporal_proportions_sparse.json", "meta/temporal_proportions_dense.json"):
        assert (filtered / name).read_bytes() == (root / name).read_bytes()
    info = json.loads((filtered / "meta/info.json").read_text())
    assert info["robot_type"] == "slider"
    assert info["splits"] == {"train": "0:3", "val": "3:4"}


def test_a_piece_is_still_the_recording_that_an_estimator_was_trained_on(root, filtered):
    known = recordings(LeRobotV3(root))
    assert [row["recording"] for row in rows_of(filtered)] == [known[piece.episode] for piece in PIECES]
    assert [episode.recording for episode in LeRobotV3(filtered)] == [known[piece.episode] for piece in PIECES]


def test_statistics_are_those_of_what_is_left(lerobot, root, filtered, tmp_path):
    source = LeRobotV3(root)
    lengths = [0, *(len(piece) for piece in PIECES)]
    parts = [
        piece_of(source.episode(piece.episode), piece, number, sum(lengths[: number + 1]))
        for number, piece in enumerate(PIECES)
    ]
    write_dataset(tmp_path / "again", parts)
    ours, written = (json.loads((place / "meta/stats.json").read_text()) for place in (filtered, tmp_path / "again"))
    ours.pop("next.reward", None)
    assert ours.keys() == written.keys()
    # the writer numbers tasks as they come
    written.pop("task_index")
    for key, stats in written.items():
        # the writer's pictures went through the encoder once more
        tolerance = {"atol": 0.02} if "images" in key else {"rtol": 1e-6, "atol": 1e-6}
        names = ["count", "mean", "std"] if "images" in key else stats
        for name in names:
            np.testing.assert_allclose(ours[key][name], stats[name], **tolerance, err_msg=f"{key} {name}")
    from lerobot.datasets.compute_stats import aggregate_stats

    found = [
        {
            key: {name: np.array(row[f"stats/{key}/{name}"]) for name in stats if f"stats/{key}/{name}" in row}
            for key, stats in ours.items()
        }
        for row in rows_of(filtered)
    ]
    for key, stats in aggregate_stats(found).items():
        for name, value in stats.items():
            np.testing.assert_allclose(ours[key][name], value, rtol=1e-9, err_msg=f"{key} {name}")


def test_merging_at_once_is_merging_one_after_another():
    rng = np.random.default_rng(0)
    parts = [column_stats(rng.normal(size=(length, 3))) for length in (5, 1, 40)]
    parts.insert(1, column_stats(np.full((4, 3), np.nan)))
    stacked = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    one_by_one, at_once = reduce(merge_stats, parts), merge_stacked(stacked)
    assert at_once.keys() == one_by_one.keys()
    for name, value in one_by_one.items():
        np.testing.assert_allclose(at_once[name], value)
    assert merge_stacked({name: value[1:2] for name, value in stacked.items()})["count"] == 0


def test_a_video_file_that_stays_whole_is_copied_as_it_is(root, tmp_path):
    pieces = [uncut(index, length) for index, length in enumerate(LENGTHS)]
    written = filter_lerobot(root, pieces, tmp_path, recordings(LeRobotV3(root)))
    assert (written.whole_files, written.copied, written.encoded) == (10, 0, 0)
    for camera in ("top", "wrist"):
        name = f"videos/observation.images.{camera}/chunk-000/file-000.mp4"
        assert (tmp_path / name).read_bytes() == (root / name).read_bytes()
    old, new = LeRobotV3(root), LeRobotV3(tmp_path)
    np.testing.assert_array_equal(pictures(new.episode(3).camera("top")), pictures(old.episode(3).camera("top")))


def test_a_cut_far_from_a_key_frame_is_encoded_anew_and_nothing_else_is(tmp_path, episode, is_frame, monkeypatch):
    encoder, options = video.CODECS["h264"]
    monkeypatch.setitem(video.CODECS, "h264", (encoder, options | {"g": "40", "sc_threshold": "0"}))
    write_dataset(tmp_path / "data", [episode(index, 40) for index in range(3)])
    monkeypatch.undo()
    pieces = [uncut(0, 40), Piece(1, 5, 20, False, False), Piece(1, 25, 40, False, True), uncut(2, 40)]
    out = tmp_path / "out"
    out.mkdir()
    written = filter_lerobot(tmp_path / "data", pieces, out, recordings(LeRobotV3(tmp_path / "data")))
    assert (written.copied, written.encoded) == (3, 1)
    old, new = LeRobotV3(tmp_path / "data"), LeRobotV3(out)
    for number, piece in enumerate(pieces):
        shown = pictures(new.episode(number).camera("top"))
        assert len(shown) == len(piece)
        assert all(is_frame(each, 100 * piece.episode + piece.start + at) for at, each in enumerate(shown))
        if number != 2:
            before = pictures(old.episode(piece.episode).camera("top"))[piece.start : piece.end]
            np.testing.assert_array_equal(shown, before)
    assert not list(out.rglob(".*"))


CODECS = {
    "b-frames": ("libx264", {"g": "10", "bf": "3"}),
    "open groups": ("libx264", {"g": "10", "bf": "3", "x264-params": "open-gop=1"}),
    "av1": ("libsvtav1", {"g": "2", "preset": "12"}),
    "mpeg4": ("mpeg4", {"g": "10", "bf": "2"}),
}


@pytest.mark.parametrize("codec", CODECS)
def test_every_kept_frame_of_another_encoder_is_the_right_one(
    tmp_path, episode, scene, is_frame, save_video, codec, monkeypatch
):
    monkeypatch.setenv("SVT_LOG", "1")
    write_dataset(tmp_path / "data", [episode(0, 40), episode(0, 40)])
    path = tmp_path / "data/videos/observation.images.top/chunk-000/file-000.mp4"
    encoder, options = CODECS[codec]
    save_video(path, scene(80), encoder, **options)
    pieces = [Piece(0, 0, 9, False, False), Piece(0, 17, 40, False, True), Piece(1, 3, 30, False, False)]
    out = tmp_path / "out"
    out.mkdir()
    old = LeRobotV3(tmp_path / "data")
    filter_lerobot(tmp_path / "data", pieces, out, recordings(old))
    for number, piece in enumerate(pieces):
        shown = pictures(LeRobotV3(out).episode(number).camera("top"))
        first = 40 * piece.episode + piece.start
        assert len(shown) == len(piece)
        assert all(is_frame(each, first + at) for at, each in enumerate(shown))


def test_a_source_of_several_files_and_pictures_in_parquet_is_filtered(lerobot, tmp_path, scene):
    """As lerobot itself writes it: one camera in AV1 video, one of stored pictures."""
    picture = {"shape": (64, 64, 3), "names": ["height", "width", "channels"]}
    features = {
        "observation.images.top": {"dtype": "video", **picture},
        "observation.image": {"dtype": "image", **picture},
        "action": {"dtype": "float32", "shape": (1,), "names": ["grip"]},
    }
    made = lerobot.LeRobotDataset.create("local/test", 10, features, root=tmp_path / "data", use_videos=True)
    for index, length in enumerate((20, 13, 31)):
        for number, frame in enumerate(scene(length, first=100 * index)):
            stored = {"observation.image": frame[::-1].copy(), "action": np.array([number], np.float32)}
            made.add_frame({"observation.images.top": frame, **stored, "task": ["fold", "pour"][index % 2]})
        made.save_episode()
    made.finalize()
    pieces = [Piece(0, 5, 20, False, True), uncut(2, 31)]
    out = tmp_path / "out"
    out.mkdir()
    old = LeRobotV3(tmp_path / "data")
    written = filter_lerobot(tmp_path / "data", pieces, out, recordings(old))
    assert written.encoded == 0
    new = LeRobotV3(out)
    for number, piece in enumerate(pieces):
        for camera in ("top", "image"):
            before = pictures(old.episode(piece.episode).camera(camera))[piece.start : piece.end]
            np.testing.assert_array_equal(pictures(new.episode(number).camera(camera)), before)
    theirs = lerobot.LeRobotDataset("local/test", root=out, video_backend="pyav")
    assert theirs[15]["action"] == 0
    assert theirs[15]["observation.image"].shape == (3, 64, 64)
    seen = pictures(new.episode(0).camera("image")) / 255
    found = rows_of(out)[0]["stats/observation.image/mean"]
    np.testing.assert_allclose(np.ravel(found), seen.mean(axis=(0, 1, 2)), rtol=1e-6)


def test_installed_marks_are_noted_by_their_new_numbers(root, tmp_path):
    source = tmp_path / "data"
    write_dataset(source, list(LeRobotV3(root)))
    said = {"stages": [["open", 0, 8], ["pick", 8, 31]], "success": True}
    (source / "meta/headway_marks.json").write_text(json.dumps({"made_by": "me", "episodes": {"2": said}}))
    out = tmp_path / "out"
    out.mkdir()
    filter_lerobot(source, PIECES, out, recordings(LeRobotV3(source)))
    noted = json.loads((out / "meta/headway_marks.json").read_text())
    assert noted["made_by"] == "me"
    assert noted["episodes"] == {
        "1": {"stages": [["open", 0, 5], ["pick", 5, 14]], "success": False},
        "2": {"stages": [["pick", 0, 11]], "success": True},
    }


def test_notes_with_times_are_not_cut_apart(root, tmp_path):
    source = tmp_path / "data"
    write_dataset(source, list(LeRobotV3(root)))
    info = json.loads((source / "meta/info.json").read_text())
    info["features"]["language_persistent"] = {"dtype": "language", "shape": [1], "names": None}
    (source / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(Unsupported, match="language_persistent, whose times would be wrong"):
        filter_lerobot(source, PIECES, tmp_path / "out", {})


# the whole: dataset, scores and cut points in one folder


def selection(pieces, lengths=LENGTHS, fps=10.0):
    kept = {piece.episode for piece in pieces}
    decisions = [
        Decision(index, length, fps, "" if index in kept else "--keep", "") for index, length in enumerate(lengths)
    ]
    return Selection(tuple(decisions), tuple(pieces), (Cut(2, 0, 3, "idle"), Cut(2, 17, 20, "regressing")))


@pytest.fixture(scope="module")
def scores(root, tmp_path_factory):
    estimator: Estimator = make_estimator("oracle")
    return read_scores(score(LeRobotV3(root), estimator, tmp_path_factory.mktemp("scores") / "oracle"))


def test_scores_are_reindexed_and_belong_to_the_new_dataset(root, scores, tmp_path):
    source = LeRobotV3(root)
    write_filtered(source, scores, selection(PIECES), tmp_path / "out", {"keep": "x"})
    new, result = read_scores(tmp_path / "out/scores"), LeRobotV3(tmp_path / "out")
    assert new.run["identity"]["dataset"] == result.fingerprint
    assert new.run["dataset"] == {"path": str((tmp_path / "out").resolve()), "format": "lerobot-v3"}
    assert (new.run["episodes"], new.run["frames"]) == (4, 55)
    np.testing.assert_array_equal(new.frames["index"], np.arange(55))
    for number, piece in enumerate(PIECES):
        np.testing.assert_array_equal(new.curve(number), scores.curve(piece.episode)[piece.start : piece.end])
        np.testing.assert_array_equal(new.curve(number, "frame_index"), np.arange(len(piece)))
    old_rows, rows = scores.episodes.to_pylist(), new.episodes.to_pylist()
    assert {**rows[3], "rank": None} == {**old_rows[4], "rank": None, "episode_index": 3}
    assert rows[1]["final"] == pytest.approx(new.curve(1)[-5:].mean())
    assert (rows[1]["length"], rows[1]["success_label"]) == (14, False)
    assert sorted(row["rank"] for row in rows) == [1, 2, 3, 4]
    record = json.loads((tmp_path / "out/cuts.json").read_text())
    assert [(cut["episode"], cut["from"], cut["to"], cut["why"]) for cut in record["cuts"]] == [
        (2, 0, 3, "idle"),
        (2, 17, 20, "regressing"),
    ]
    assert record["episodes"][2] == {"episode_index": 2, "from_episode": 2, "from": 20, "to": 31}
    assert [each["episode"] for each in record["gone"]] == [0, 3]


def test_the_source_keeps_every_byte(root, scores, tmp_path):
    before = digests(root)
    write_filtered(LeRobotV3(root), scores, selection(PIECES), tmp_path / "out", {})
    assert digests(root) == before


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError(28, "No space left on device")])
@pytest.mark.parametrize("part", [0, 3, 11])
def test_cut_off_it_leaves_nothing(root, scores, tmp_path, interruption, part):
    def on_part(done, total):
        if done == part:
            raise interruption

    expected = OutputError if isinstance(interruption, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        write_filtered(LeRobotV3(root), scores, selection(PIECES), tmp_path / "out", {}, on_part)
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_never_replaced_and_the_source_never_written_to(root, scores, tmp_path):
    source = LeRobotV3(root)
    (tmp_path / "out").mkdir()
    for out, words in ((tmp_path / "out", "already exists"), (root / "good", "lies within the dataset")):
        with pytest.raises(OutputError, match=words):
            write_filtered(source, scores, selection(PIECES), out, {})
    with pytest.raises(InvalidValue, match="nothing is left"):
        write_filtered(source, scores, selection(()), tmp_path / "none", {})
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_video_cut_short_is_one_line_and_leaves_nothing(root, scores, tmp_path, share, save_video, scene):
    source = tmp_path / "data"
    write_dataset(source, list(LeRobotV3(root)))
    path = source / "videos/observation.images.wrist/chunk-000/file-000.mp4"
    if share:
        save_video(path, scene(50))
    else:
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"wrist.*leave the episode out") as error:
        write_filtered(LeRobotV3(source), scores, selection(PIECES), tmp_path / "out", {})
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_another_format_is_written_as_lerobot_with_all_it_has(tmp_path, make_source, make_sliders):
    episodes = make_sliders(2, failing=1)
    odd = [
        dataclasses.replace(each, cameras={"top": ArrayFrames(each.camera("top").pixels[:, :31, :29])})
        for each in episodes
    ]
    source = make_source(odd, tmp_path / "toy")
    scores = read_scores(score(source, make_estimator("oracle"), tmp_path / "scores"))
    length = len(odd[1])
    pieces = [uncut(0, len(odd[0])), Piece(1, 4, length - 5, False, False)]
    lengths = [len(each) for each in odd]
    written = write_filtered(source, scores, selection(pieces, lengths), tmp_path / "out", {})
    assert (written.copied, written.encoded) == (0, 2)
    result = LeRobotV3(tmp_path / "out")
    new = result.episode(1)
    np.testing.assert_array_equal(new.state, odd[1].state[4 : length - 5])
    np.testing.assert_array_equal(new.truth.progress, odd[1].truth.progress[4 : length - 5])
    assert new.success is None
    assert new.stages[0].start == 0
    assert sum(stage.end - stage.start for stage in new.stages) <= len(new)
    shown, before = pictures(new.camera("top")), odd[1].camera("top").pixels[4 : length - 5]
    assert shown.shape[1:3] == (32, 30)
    assert np.abs(shown[:, :31, :29].astype(int) - before).mean() < 8
    assert [row["recording"] for row in rows_of(tmp_path / "out")] == [odd[0].recording, odd[1].recording]
    assert read_scores(tmp_path / "out/scores").run["identity"]["dataset"] == result.fingerprint


def test_real_recordings_are_filtered(real_recordings, tmp_path):
    source = open_dataset(real_recordings / "clean-table", cameras=["cam_high"])
    scores = read_scores(score(source, make_estimator("clock"), tmp_path / "scores"))
    (episode,) = source
    pieces = [Piece(episode.index, 10, 40, whole=False, to_the_end=False)]
    kept = selection(pieces, [len(episode)], episode.fps)
    write_filtered(source, scores, kept, tmp_path / "out", {})
    new = LeRobotV3(tmp_path / "out").episode(0)
    assert set(new.cameras) == set(source.cameras)
    name = source.cameras[0]
    before = [frame for frame, _ in zip(episode.camera(name), range(12), strict=False)]
    after = next(iter(new.camera(name)))
    height, width = before[10].shape[:2]
    assert np.abs(after[:height, :width].astype(int) - before[10]).mean() < 6


def test_lerobot_trains_on_it(lerobot, filtered):
    """One step of ACT, lerobot's own policy, loss and normalisation."""
    import torch
    from lerobot.configs import FeatureType, PolicyFeature
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.act.processor_act import make_act_pre_post_processors

    torch.set_num_threads(1)
    steps = {"action": [number / 10 for number in range(4)]}
    dataset = lerobot.LeRobotDataset("local/test", root=filtered, delta_timestamps=steps, video_backend="pyav")
    picture = PolicyFeature(FeatureType.VISUAL, (3, 64, 64))
    config = ACTConfig(
        input_features={
            "observation.images.top": picture,
            "observation.images.wrist": picture,
            "observation.state": PolicyFeature(FeatureType.STATE, (3,)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
        chunk_size=4,
        n_action_steps=4,
        dim_model=32,
        n_heads=2,
        dim_feedforward=32,
        n_encoder_layers=1,
        n_vae_encoder_layers=1,
        pretrained_backbone_weights=None,
        device="cpu",
    )
    policy = ACTPolicy(config)
    before, _ = make_act_pre_post_processors(config, dataset.meta.stats)
    batch = before(torch.utils.data.default_collate([dataset[index] for index in (0, 13, 14, 54)]))
    optimizer = torch.optim.AdamW(policy.parameters(), 1e-4)
    loss, _ = policy.forward(batch)
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    assert batch["action"].abs().max() < 10
