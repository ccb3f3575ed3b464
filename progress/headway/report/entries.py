"""What the page knows of each episode: its scores, its words and its curves."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from headway.checks import defect_words
from headway.episodes import Episode
from headway.report.curves import CODES, MOST_CURVES, FrameRows, StageNames, pack_curves
from headway.source import Source
from headway.tables import Scores

LONGEST_TEXT = 400  # characters of an instruction or a reason that the page carries
WORDS = 600  # bytes that an episode takes besides its curves, about
POINTS = (24, 400)  # of a curve, at least and at most


@dataclass(frozen=True)
class Column:
    """A score that episodes can be sorted by.

    Attributes:
        key: its name in the episodes table.
        label: what the page calls it.
        worst: whether "low" or "high" values are bad; None where neither is.
        digits: decimals that a person reads.
        meaning: one sentence for whoever meets it first.
    """

    key: str
    label: str
    worst: str | None
    digits: int
    meaning: str


COLUMNS = (
    Column("rank", "Rank", "high", 0, "Place among the scored episodes; 1 is the best."),
    Column("final", "Final", "low", 2, "Estimated progress at the end: the mean of the last five frames."),
    Column("mean", "Mean", "low", 2, "Estimated progress, averaged over the episode."),
    Column("maximum", "Maximum", "low", 2, "The furthest it ever got."),
    Column("drawdown", "Drawdown", "high", 2, "The largest fall of progress from an earlier high."),
    Column("idle", "Idle", "high", 2, "The share of the episode in which progress does not change."),
    Column("success", "Success", "low", 2, "Estimated probability that the task is done at the end."),
    Column("truth_final", "True final", "low", 2, "The simulator's progress at the end."),
    Column("truth_mae", "Error", "high", 2, "Mean absolute error of the curve to the simulator's progress."),
    Column("seconds", "Seconds", None, 1, "How long the episode lasts."),
    Column("length", "Frames", None, 0, "How many frames the episode has."),
    Column("episode_index", "Episode", None, 0, "The episode's number in its dataset."),
)


@dataclass(frozen=True, repr=False)
class Entries:
    """What the page knows of the episodes it lists.

    Attributes:
        texts: one JSON object an episode, as it stands in the page.
        outcomes: episode -> whether it succeeded, from the simulator or else an annotator; None where nobody says.
        truths: how many of them have a simulator's truth.
        points: the most points a curve has.
        shortened: whether a curve has fewer points than its episode has frames.
        stage_names: number of a stage -> its name.
    """

    texts: list[str]
    outcomes: dict[int, bool | None]
    truths: int
    points: int
    shortened: bool
    stage_names: list[str]


def read_entries(scores: Scores, source: Source, order: Iterable[int], room: int) -> Entries:
    """Read the episodes in `order`, as many as fit `room` bytes, whatever is said of them; nothing is decoded.

    Raises DatasetError when scores and dataset do not belong together.
    """
    rows = {row["episode_index"]: row for row in scores.episodes.to_pylist()}
    frames = FrameRows(scores.frames)
    names = StageNames(scores.run.get("stage_names") or ())
    # a byte of a curve takes 4/3 in base64
    points = int(np.clip((room / len(rows) - WORDS) / (MOST_CURVES * 4 / 3), *POINTS))
    texts: list[str] = []
    outcomes: dict[int, bool | None] = {}
    truths = longest = 0
    for index in order:
        episode = source.episode(index)
        entry = read_entry(rows[index], frames, episode, names, points)
        text = for_script(entry)
        room -= len(text.encode()) + 1
        if room < 0:
            break
        texts.append(text)
        outcomes[index] = entry.get("done", entry.get("label"))
        truths += episode.truth is not None
        longest = max(longest, len(episode))
    return Entries(texts, outcomes, truths, points, longest > points, list(names.codes)[:CODES])


def read_entry(
    row: dict[str, Any], rows: FrameRows, episode: Episode, names: StageNames, points: int
) -> dict[str, Any]:
    """Everything the page shows of one episode but its pictures, in JSON's types.

    Args:
        row: the episode's row of the episodes table.
        rows: the frames table.
        episode: the episode itself; nothing is decoded.
        names: where stage names are numbered.
        points: how many points a curve may have.
    """
    entry: dict[str, Any] = {
        "index": row["episode_index"],
        "frames": len(episode),
        "fps": round(episode.fps, 4),
        "scores": [_number(row.get(column.key)) for column in COLUMNS],
        "text": clipped(row.get("instruction") or episode.instruction or ""),
        "kind": clipped(row.get("kind") or "", 60),
        "stage": clipped(row.get("stage") or "", 80),
        "why": clipped(row.get("why") or ""),
        "defects": clipped(defect_words(row)),
        "reason": clipped(row.get("reason") or ""),
        "fold": row.get("fold"),
        "inSample": row.get("in_sample"),
        "label": row.get("success_label"),
        "done": None if episode.truth is None else episode.truth.succeeded,
        "curves": pack_curves(rows, episode, names, points),
    }
    return {key: value for key, value in entry.items() if value not in (None, "")}


def _number(value: float | int | None) -> float | int | None:
    """A score to four decimals; NaN is no score."""
    if value is None or not np.isfinite(value):
        return None
    return value if isinstance(value, int) else round(value, 4)


def clipped(text: str, longest: int = LONGEST_TEXT) -> str:
    """At most `longest` characters, the last an ellipsis where some were left out, and valid Unicode."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return text.encode("utf-8", "replace").decode()


def for_script(content: Any) -> str:
    """JSON that may stand inside a script element: it cannot close the element or open a comment."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
