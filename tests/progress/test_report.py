import base64
import json
import re
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest

from headway.episodes import ArrayFrames, Episode, ProgressCurve, Stage, Truth
from headway.errors import DatasetError, InvalidValue, OutputError, VideoError
from headway.report import ReportTable, write_report
from headway.report.budget import Allowance, embedded_size, worst_and_best
from headway.scoring import ranked
from headway.signals.summary import summarise
from headway.tables import EPISODE_SCHEMA, Scores, frame_rows

STAGES = ("open", "pick", "place")
TIME = 40


@dataclass
class Noise:
    """Incompressible frames made one by one, which counts how often they are gone through and how many live at once."""

    time: int
    height: int = 48
    width: int = 64
    passes: int = 0
    alive: int = 0
    most_alive: int = 0

    def __len__(self) -> int:
        return self.time

    def __iter__(self) -> Iterator[np.ndarray]:
        self.passes += 1
        rng = np.random.default_rng(0)
        for _ in range(self.time):
            picture = rng.integers(0, 256, (self.height, self.width, 3), dtype=np.uint8)
            weakref.finalize(picture, self._died)
            self.alive += 1
            self.most_alive = max(self.most_alive, self.alive)
            yield picture
            del picture

    def _died(self) -> None:
        self.alive -= 1


@dataclass
class CutShort:
    """A video that ends before it should."""

    time: int

    def __len__(self) -> int:
        return self.time

    def __iter__(self) -> Iterator[np.ndarray]:
        yield from np.zeros((self.time // 2, 48, 64, 3), dtype=np.uint8)
        raise VideoError(f"clip.mp4 holds {self.time // 2} of the {self.time} frames it should")


@dataclass
class Memory:
    """A Source over episodes in memory."""

    episodes: list[Episode]
    root: Path = Path("tidy")
    format: str = "memory"
    fingerprint: str = "as scored"
    cameras: tuple[str, ...] = ("top",)
    stage_names: tuple[str, ...] | None = STAGES

    @property
    def episode_indices(self) -> list[int]:
        return [episode.index for episode in self.episodes]

    def __len__(self) -> int:
        return len(self.episodes)

    def episode(self, index: int) -> Episode:
        return self.episodes[index]

    def __iter__(self) -> Iterator[Episode]:
        return iter(self.episodes)


def made_episode(index: int = 0, time: int = TIME, **changes) -> Episode:
    frames = ArrayFrames(np.full((time, 48, 64, 3), 90, dtype=np.uint8))
    return replace(Episode(index, index * time, 20.0, {"top": frames}, instruction="tidy up", kind="expert"), **changes)


def truth_of(progress: np.ndarray) -> Truth:
    stage = np.minimum((progress * 3).astype(np.int64), 2)
    return Truth(progress.astype(np.float32), stage, progress > 0.99, STAGES, (0.4, 0.3, 0.3))


def made_curve(episode: Episode, reach: float = 1.0, **changes) -> ProgressCurve:
    values = np.linspace(0, reach, len(episode), dtype=np.float32)
    return replace(ProgressCurve(values, np.ones(len(episode), dtype=bool), "test"), **changes)


def made_scores(pairs: list[tuple[Episode, ProgressCurve]], root: Path, **run) -> Scores:
    frames = pa.concat_tables([frame_rows(episode, curve) for episode, curve in pairs])
    rows = ranked([summarise(episode, curve) for episode, curve in pairs])
    episodes = pa.Table.from_pylist(rows, schema=EPISODE_SCHEMA)
    run = {"estimator": "sarm:runs/tidy", "stage_names": list(STAGES), "identity": {"dataset": "as scored"}} | run
    return Scores(root, frames, episodes, run)


def made_report(pairs: list[tuple[Episode, ProgressCurve]], folder: Path, run: dict | None = None, **options) -> "Page":
    scores = made_scores(pairs, folder, **(run or {}))
    source = Memory([episode for episode, _ in pairs])
    return Page(write_report(scores, source, folder / "report.html", **options))


@dataclass
class Page(HTMLParser):
    """What a browser would find in the file: its elements, its text, the data of its scripts."""

    path: Path
    tags: list[tuple[str, dict]] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)
    text: str = ""
    _script: str | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.source = self.path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.data = json.loads(self.scripts["data"])
        self.entries = {entry["index"]: entry for entry in self.data["episodes"]}

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = dict(attrs).get("id", "code") if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.text += data + "\n"
        else:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data

    def carried(self, kind: str) -> dict[int, bytes]:
        return {
            int(name.split("-")[1]): base64.b64decode(content)
            for name, content in self.scripts.items()
            if name.startswith(f"{kind}-")
        }

    def curve(self, index: int, name: str) -> np.ndarray:
        packed = np.frombuffer(base64.b64decode(self.entries[index]["curves"][name]), dtype=np.uint8)
        return np.where(packed == 255, np.nan, packed)


@pytest.fixture
def few(tmp_path: Path) -> Page:
    pairs = []
    for index, reach in enumerate([1.0, 0.3, 0.7]):
        progress = np.linspace(0, reach, TIME)
        episode = made_episode(index, truth=truth_of(progress))
        stage = np.arange(TIME) // 20
        pairs.append((episode, made_curve(episode, reach, stage=stage, stage_names=STAGES)))
    return made_report(pairs, tmp_path)


def test_the_page_is_one_file_that_asks_nothing_of_a_network(few: Page):
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!data:|#)[^"'\s>]+""", few.source.split("<script")[0])
    assert not {tag for tag, _ in few.tags} & {"iframe", "object", "embed"}
    policy = next(attrs["content"] for tag, attrs in few.tags if attrs.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert [path.name for path in few.path.parent.iterdir()] == ["report.html"]


HOSTILE = """</script><script>alert(1)</script><img src=x onerror=alert(2)><!-- "'&amp; \u2028 ]]>"""


def test_text_of_the_data_can_neither_break_the_page_nor_run_in_it(tmp_path: Path):
    episode = made_episode(instruction=HOSTILE, kind=HOSTILE[:50], stages=(Stage(HOSTILE[:70], 0, TIME),))
    curve = made_curve(episode, values=np.full(TIME, np.nan, np.float32), reason=HOSTILE)
    scores = made_scores([(episode, curve)], tmp_path, estimator=HOSTILE, stage_names=[HOSTILE[:60]])
    table = ReportTable(HOSTILE, (HOSTILE,), [(HOSTILE,)], HOSTILE)
    source = Memory([episode], root=Path(HOSTILE.replace("/", "")))
    page = Page(write_report(scores, source, tmp_path / "report.html", tables=[table]))
    assert sum(tag == "script" for tag, _ in page.tags) == 3  # data, one strip, the code
    assert not [tag for tag, attrs in page.tags if tag == "img" or "onerror" in attrs]
    assert page.entries[0]["text"] == HOSTILE
    assert page.entries[0]["reason"] == HOSTILE
    assert page.text.count(HOSTILE) >= 4


def test_a_curve_arrives_within_half_a_step_and_a_gap_as_a_gap(tmp_path: Path):
    values = np.linspace(0.03, 0.98, TIME, dtype=np.float32)
    values[10:15] = np.nan
    episode = made_episode()
    curve = made_curve(episode, values=values, reason="too dark", uncertainty=np.full(TIME, 0.1, np.float32))
    page = made_report([(episode, curve)], tmp_path)
    np.testing.assert_allclose(page.curve(0, "progress") / 250, values, atol=0.002)
    np.testing.assert_allclose(page.curve(0, "uncertainty"), 25)
    assert page.entries[0]["reason"] == "too dark"
    assert "success" not in page.entries[0]["curves"]


def test_frames_that_were_not_looked_at_are_told_from_those_that_were(tmp_path: Path):
    episode = made_episode()
    looked_at = np.arange(TIME) % 4 == 0
    page = made_report([(episode, made_curve(episode, looked_at=looked_at))], tmp_path)
    np.testing.assert_array_equal(page.curve(0, "looked") > 0, looked_at)
    assert page.data["interpolated"]
    assert "the curve is interpolated" in page.text


def test_stages_of_estimator_and_annotator_are_known_by_the_same_names(tmp_path: Path):
    episode = made_episode(stages=(Stage("pick", 5, 20), Stage("wipe", 20, 30)))
    stage = np.repeat([0, 1], TIME // 2)
    page = made_report([(episode, made_curve(episode, stage=stage, stage_names=STAGES))], tmp_path)
    names = page.data["stageNames"]
    assert [names[int(code)] for code in page.curve(0, "stage")[[0, -1]]] == ["open", "pick"]
    marked = page.curve(0, "marked")
    assert np.isnan(marked[:5]).all()
    assert np.isnan(marked[30:]).all()
    assert [names[int(code)] for code in marked[[5, 19, 20, 29]]] == ["pick", "pick", "wipe", "wipe"]


def test_true_stages_are_named_by_the_truth_and_not_by_the_estimator(tmp_path: Path):
    episode = made_episode(truth=replace(truth_of(np.linspace(0, 1, TIME)), stage_names=("a", "b", "c")))
    page = made_report([(episode, made_curve(episode))], tmp_path)
    names = page.data["stageNames"]
    assert [names[int(code)] for code in page.curve(0, "marked")[[0, -1]]] == ["a", "c"]


def test_the_twenty_worst_and_the_twenty_best_have_clips_and_all_have_stills(tmp_path: Path):
    episodes = [made_episode(index, time=12) for index in range(50)]
    # final progress falls with the number, so that rank is number + 1
    pairs = [(episode, made_curve(episode, 1 - 0.019 * episode.index)) for episode in episodes]
    scores = made_scores(pairs, tmp_path)
    rank = dict(zip(range(50), scores.episodes["rank"].to_pylist(), strict=True))
    page = made_report(pairs, tmp_path)
    assert sorted(rank[index] for index in page.carried("clip")) == [*range(1, 21), *range(31, 51)]
    assert len(page.carried("strip")) == 50


def test_a_clip_is_h264_that_starts_to_play_before_it_is_whole(tmp_path: Path):
    episode = made_episode(fps=30.0, cameras={"top": Noise(61, 480, 640)})
    page = made_report([(episode, made_curve(episode))], tmp_path)
    clip = page.carried("clip")[0]
    assert clip.index(b"moov") < clip.index(b"mdat")
    with av.open(BytesIO(clip)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (320, 240)
        assert frames == 31  # every second of 61
        assert float(stream.duration * stream.time_base) == pytest.approx(61 / 30, abs=1 / 15)


def test_a_clip_shows_each_camera_side_by_side_and_in_its_own_colours(tmp_path: Path):
    red, blue = np.zeros((2, 10, 100, 100, 3), dtype=np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    episode = made_episode(time=10, cameras={"left": ArrayFrames(red), "right": ArrayFrames(blue)})
    page = made_report([(episode, made_curve(episode))], tmp_path)
    with av.open(BytesIO(page.carried("clip")[0])) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert picture.shape == (200, 400, 3)  # 100 pixels are enlarged twice
    assert picture[:, :180, 0].min() > 180 > 60 > picture[:, :180, 2].max()
    assert picture[:, 220:, 2].min() > 180 > 60 > picture[:, 220:, 0].max()


@pytest.mark.parametrize(("time", "height", "width", "fps"), [(1, 48, 64, 30.0), (3, 37, 51, 0.5), (9, 17, 301, 29.97)])
def test_odd_sizes_short_episodes_and_slow_or_broken_rates_still_make_a_clip(
    tmp_path: Path, time: int, height: int, width: int, fps: float
):
    episode = made_episode(time=time, fps=fps, cameras={"top": Noise(time, height, width)})
    page = made_report([(episode, made_curve(episode))], tmp_path)
    with av.open(BytesIO(page.carried("clip")[0])) as container:
        assert sum(1 for _ in container.decode(video=0)) == -(-time // round(max(fps / 15, 1)))
    assert page.carried("strip")


def test_stills_run_from_the_first_frame_to_the_last(tmp_path: Path):
    pixels = np.zeros((TIME, 64, 64, 3), dtype=np.uint8)
    pixels[0], pixels[-1] = (255, 0, 0), (0, 0, 255)
    episode = made_episode(cameras={"top": ArrayFrames(pixels)})
    page = made_report([(episode, made_curve(episode))], tmp_path)
    strip = cv2.imdecode(np.frombuffer(page.carried("strip")[0], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    height, width = strip.shape[:2]
    assert width > 3.5 * height
    assert strip[height // 2, height // 2, 0] > 200 > 50 > strip[height // 2, height // 2, 2]
    assert strip[height // 2, -height // 2, 2] > 200 > 50 > strip[height // 2, -height // 2, 0]


def test_every_video_is_decoded_once_and_never_held(tmp_path: Path):
    cameras = {"top": Noise(120), "wrist": Noise(120)}
    episode = made_episode(time=120, cameras=cameras)
    page = made_report([(episode, made_curve(episode))], tmp_path)
    assert page.carried("clip")
    assert [frames.passes for frames in cameras.values()] == [1, 1]
    assert max(frames.most_alive for frames in cameras.values()) < 8


def noisy(count: int) -> list[tuple[Episode, ProgressCurve]]:
    episodes = [made_episode(index, time=24, cameras={"top": Noise(24, 120, 160)}) for index in range(count)]
    return [(episode, made_curve(episode, 1 - index / 60)) for index, episode in enumerate(episodes)]


def clip_sizes(page: Page) -> set[tuple[int, int]]:
    sizes = set()
    for clip in page.carried("clip").values():
        with av.open(BytesIO(clip)) as container:
            sizes.add((container.streams.video[0].width, container.streams.video[0].height))
    return sizes


def test_where_room_is_short_clips_get_smaller_before_they_get_fewer(tmp_path: Path):
    full = made_report(noisy(4), tmp_path)
    whole = full.path.stat().st_size
    smaller = made_report(noisy(4), tmp_path, limit=whole // 3)
    assert smaller.path.stat().st_size <= whole // 3
    assert len(smaller.carried("clip")) == 4
    assert max(clip_sizes(smaller)) < max(clip_sizes(full))


def test_where_room_is_very_short_the_worst_and_the_best_keep_their_clips_and_the_page_says_so(tmp_path: Path):
    full = made_report(noisy(6), tmp_path)
    media = [*full.carried("clip").values(), *full.carried("strip").values()]
    limit = full.path.stat().st_size - sum(embedded_size(content) for content in media) + 18_000
    page = made_report(noisy(6), tmp_path, limit=limit)
    assert page.path.stat().st_size <= limit
    kept = set(page.carried("clip"))
    assert {5, 0} <= kept < set(range(6))
    assert f"{len(kept)} of 6 clips are here" in page.text


def test_thousands_of_episodes_fit_with_coarser_curves_and_fewer_stills(tmp_path: Path):
    frames = ArrayFrames(np.full((90, 16, 16, 3), 90, dtype=np.uint8))
    shared = made_episode(time=90, cameras={"top": frames}, truth=truth_of(np.linspace(0, 1, 90)))
    curve = made_curve(shared, uncertainty=np.full(90, 0.1, np.float32))
    rows, row = frame_rows(shared, curve), summarise(shared, curve)
    count = 1000
    tables = [rows.set_column(1, "episode_index", pa.array(np.full(90, index))) for index in range(count)]
    episodes = ranked([{**row, "episode_index": index, "final": index / count} for index in range(count)])
    table = pa.Table.from_pylist(episodes, schema=EPISODE_SCHEMA)
    scores = Scores(tmp_path, pa.concat_tables(tables), table, {"stage_names": list(STAGES)})
    source = Memory([replace(shared, index=index) for index in range(count)])
    page = Page(write_report(scores, source, tmp_path / "report.html", limit=2_000_000, pictured=100))
    assert page.path.stat().st_size <= 2_000_000
    assert len(page.entries) == count
    assert 24 <= len(page.curve(0, "progress")) < 90
    assert "have stills, those at the ends of the ranking" in page.text
    assert "Curves of more than" in page.text
    assert {0, count - 1} <= set(page.carried("strip"))
    tight = Page(write_report(scores, source, tmp_path / "tight.html", limit=500_000, pictured=10))
    assert tight.path.stat().st_size <= 500_000
    assert {0, count - 1} <= set(tight.entries)
    assert f"{count - len(tight.entries):,} episodes are not listed" in tight.text


def test_a_limit_that_holds_not_even_the_words_is_refused_in_one_line(tmp_path: Path):
    with pytest.raises(InvalidValue, match=r"takes [\d,]+ bytes and may take 1,000; allow more"):
        made_report(noisy(1), tmp_path, limit=1_000)


def test_an_unreadable_video_costs_its_own_pictures_only(tmp_path: Path):
    good, bad = made_episode(0), made_episode(1, cameras={"top": CutShort(TIME)})
    page = made_report([(good, made_curve(good)), (bad, made_curve(bad, 0.5))], tmp_path)
    assert set(page.carried("strip")) == set(page.carried("clip")) == {0}
    assert json.loads(page.scripts["trouble-1"]) == "clip.mp4 holds 20 of the 40 frames it should"
    assert "The video of 1 episodes cannot be read" in page.text


def test_scores_of_another_version_of_the_dataset_are_refused(tmp_path: Path):
    episode = made_episode()
    scores = made_scores([(episode, made_curve(episode))], tmp_path)
    with pytest.raises(DatasetError, match=r"hold 40 frames of episode 0 and the dataset 39.*score it again"):
        write_report(scores, Memory([made_episode(time=39)]), tmp_path / "report.html")


def test_a_report_that_fails_leaves_the_one_before_as_it_was(tmp_path: Path):
    out = tmp_path / "report.html"
    out.write_text("the one before")
    episode = made_episode()
    scores = made_scores([(episode, made_curve(episode))], tmp_path)
    with pytest.raises(DatasetError):
        write_report(scores, Memory([made_episode(time=39)]), out)
    assert out.read_text() == "the one before"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "report.html").mkdir()
    episode = made_episode()
    scores = made_scores([(episode, made_curve(episode))], tmp_path)
    with pytest.raises(OutputError, match=r"report\.html cannot be written"):
        write_report(scores, Memory([episode]), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_scores_without_an_episode_are_refused(tmp_path: Path):
    episode = made_episode()
    scores = made_scores([(episode, made_curve(episode))], tmp_path)
    with pytest.raises(DatasetError, match="list no episode"):
        write_report(replace(scores, episodes=scores.episodes[:0]), Memory([]), tmp_path / "report.html")


def test_in_sample_scores_and_missing_truth_are_marked(tmp_path: Path):
    episode = made_episode()
    page = made_report([(episode, made_curve(episode, in_sample=True))], tmp_path)
    assert "IN-SAMPLE: 1 of 1 episode trained the estimator" in page.text
    assert page.entries[0]["inSample"] is True
    assert "No truth: how accurate these scores are is unknown" in page.text
    assert "One episode proves nothing" in page.text
    assert "Nobody labelled success" in page.text


def test_what_is_known_is_not_called_unknown(few: Page):
    assert "IN-SAMPLE" not in few.text
    assert "Truth known for 3 episodes" in few.text
    assert "Nobody labelled success" not in few.text
    assert "A CONTROL" not in few.text
    assert [few.entries[index]["done"] for index in range(3)] == [True, False, False]


def test_a_control_and_a_changed_dataset_are_called_what_they_are(tmp_path: Path):
    episode = made_episode()
    run = {"estimator": "clock", "identity": {"dataset": "as it was"}}
    page = made_report([(episode, made_curve(episode))], tmp_path, run)
    assert "A CONTROL, NOT A JUDGEMENT" in page.text
    assert "The dataset has changed since it was scored" in page.text


def test_an_episode_without_a_score_is_listed_with_its_reason_and_counted(tmp_path: Path):
    scored, unscored = made_episode(0), made_episode(1)
    nothing = made_curve(unscored, values=np.full(TIME, np.nan, np.float32), reason="no instruction")
    page = made_report([(scored, made_curve(scored)), (unscored, nothing)], tmp_path)
    assert page.entries[1]["reason"] == "no instruction"
    assert page.entries[1]["scores"][:7] == [None] * 7
    assert "No score for 1 of 2 episodes" in page.text


def test_tables_stand_in_the_page_and_an_undefined_value_is_no_number(tmp_path: Path):
    episode = made_episode()
    table = ReportTable(
        "Accuracy", ("who", "error"), [("sarm", 0.0612), ("clock", None), ("x", float("nan"))], "3 seeds"
    )
    page = made_report([(episode, made_curve(episode))], tmp_path, tables=[table])
    words = page.text.split()
    assert words[words.index("sarm") + 1] == "0.061"
    assert words.count("n/a") >= 2
    assert page.text.index("Accuracy") < page.text.index("What this cannot tell")
    with pytest.raises(InvalidValue, match="2 columns and a row of 1"):
        ReportTable("Accuracy", ("who", "error"), [("sarm",)])


def test_verdicts_of_different_runs_are_kept_apart(tmp_path: Path):
    episode = made_episode()
    pairs = [(episode, made_curve(episode))]
    first, again = made_report(pairs, tmp_path), made_report(pairs, tmp_path)
    other = made_report(pairs, tmp_path, {"estimator": "sarm:runs/other"})
    assert first.data["fingerprint"] == again.data["fingerprint"] != other.data["fingerprint"]


def test_how_far_the_report_is_gets_told_up_to_the_end(tmp_path: Path):
    told: list[tuple[int, int]] = []
    made_report(noisy(3), tmp_path, on_episode=lambda done, total: told.append((done, total)))
    assert told == [(done, 6) for done in range(1, 7)]


def test_worst_and_best_come_in_turn():
    assert worst_and_best([1, 2, 3, 4, 5]) == [1, 5, 2, 4, 3]
    assert worst_and_best([1, 2]) == [1, 2]
    assert worst_and_best([]) == []


def test_what_one_leaves_over_the_others_may_have():
    half = [lambda content: content[: len(content) // 2]]
    allowance = Allowance(3 * embedded_size(bytes(300)), among=3)
    assert allowance.fitting(bytes(90), half) == bytes(90)
    assert allowance.fitting(bytes(380), half) == bytes(380)
    assert allowance.fitting(bytes(600), half) == bytes(300)
