"""Putting the page together."""

import base64
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from headway.errors import DatasetError, InvalidValue, VideoError
from headway.files import replacing
from headway.report.budget import Allowance, worst_and_best
from headway.report.entries import Entries, clipped, for_script, read_entries
from headway.report.facts import ReportTable
from headway.report.page import describe, render
from headway.report.proxies import encode_strip, smaller_clips, smaller_strips, take_pictures
from headway.source import Source
from headway.tables import Scores

LIMIT = 50_000_000  # bytes of the whole page
CLIPS = 40  # the 20 worst and the 20 best episodes
PICTURED = 4_000  # episodes with stills; each has to be decoded
ENTRIES_SHARE = 0.45  # of the limit, for scores, words and curves
STRIPS_SHARE = 0.4  # of what those leave; the rest is for clips
NOTES = 4_096  # bytes kept back for what the page says about pictures it could not carry


def write_report(
    scores: Scores,
    source: Source,
    out: Path,
    *,
    tables: Sequence[ReportTable] = (),
    limit: int = LIMIT,
    pictured: int = PICTURED,
    on_episode: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write one self-contained HTML page that shows every scored episode. It needs no network to be read.

    Where the dataset is too large for `limit`, clips become smaller and then fewer, stills smaller and then fewer,
    and curves get fewer points; the page says what it leaves out.

    Args:
        scores: the finished scores.
        source: the dataset they were made from; the video of an episode is decoded once at most.
        out: the file to write; replaced when it is there.
        tables: results to show near the top.
        limit: the most bytes the page may have.
        pictured: how many episodes get stills, from both ends of the ranking; each has to be decoded.
        on_episode: called with the number of episodes done and their total; one that gets stills counts twice, for
            its words and for its pictures.

    Returns:
        `out`.

    Raises:
        DatasetError: scores and dataset do not belong together, or the scores list no episode.
        InvalidValue: not even the page without a picture fits `limit`.
        OutputError: `out` cannot be written.
    """
    if len(scores.episodes) == 0:
        raise DatasetError(f"the scores in {scores.root} list no episode; score a dataset that has some")
    out = Path(out)
    ranked, unscored = _ranking(scores)
    order = worst_and_best(ranked) + unscored
    clips = worst_and_best(ranked)[:CLIPS]
    shown = _in_order(clips, order[:pictured])
    total = len(order) + len(shown)
    with replacing(out) as beside, tempfile.TemporaryDirectory(prefix=".report-", dir=out.parent) as room:
        counted = _counting(order, 0, total, on_episode)
        entries = read_entries(scores, source, counted, int(limit * ENTRIES_SHARE))
        page = describe(scores, source, entries, tables)
        bare = sum(len(part.encode()) for part in render(page, {}, [])) + NOTES
        if bare > limit:
            raise InvalidValue(f"a report of these scores takes {bare:,} bytes and may take {limit:,}; allow more")
        shown = [index for index in shown if index in entries.outcomes]
        counted = _counting(shown, total - len(shown), total, on_episode)
        media = _take_pictures(source, clips, counted, len(shown), limit - bare, Path(room))
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(render(page, media, _left_out(scores, entries, clips, media)))
    return out


def _ranking(scores: Scores) -> tuple[list[int], list[int]]:
    """The episodes that have a rank, worst first, and those that have none."""
    table = scores.episodes.select(["episode_index", "rank"]).to_pylist()
    scored = sorted((row for row in table if row["rank"] is not None), key=lambda row: -row["rank"])
    unscored = [row["episode_index"] for row in table if row["rank"] is None]
    return [row["episode_index"] for row in scored], unscored


def _in_order(clips: Sequence[int], pictured: Sequence[int]) -> list[int]:
    """Those with a clip first, in their order, then the others as they lie in the dataset."""
    return [*clips, *sorted(set(pictured) - set(clips))]


def _counting(
    episodes: Iterable[int], before: int, total: int, on_episode: Callable[[int, int], None]
) -> Iterator[int]:
    for done, episode in enumerate(episodes, start=before + 1):
        yield episode
        on_episode(done, total)


def _take_pictures(
    source: Source, clips: Sequence[int], shown: Iterable[int], count: int, room: int, folder: Path
) -> dict[str, str]:
    """Stills and clips of `count` episodes within `room` bytes: id of an element -> its content, base64 or JSON."""
    strips_room = Allowance(int(room * STRIPS_SHARE), count)
    clips_room = Allowance(room - int(room * STRIPS_SHARE), len(clips))
    wanted = set(clips)
    path = folder / "clip.mp4"
    media: dict[str, str] = {}
    for index in shown:
        try:
            pictures = take_pictures(source.episode(index), path if index in wanted else None)
        except VideoError as error:
            trouble = for_script(clipped(str(error)))
            if strips_room.fitting(trouble.encode(), []) is not None:
                media[f"trouble-{index}"] = trouble
            continue
        first = encode_strip(pictures.strip)
        strip = strips_room.fitting(first, smaller_strips(pictures.strip))
        if strip is not None:
            media[f"strip-{index}"] = base64.b64encode(strip).decode()
        if pictures.clip is None:
            continue
        clip = clips_room.fitting(pictures.clip, smaller_clips(path))
        if clip is not None:
            media[f"clip-{index}"] = base64.b64encode(clip).decode()
    return media


def _left_out(scores: Scores, entries: Entries, clips: Sequence[int], media: dict[str, str]) -> list[str]:
    """Sentences on what the page does not show, so that nobody takes it for what the dataset lacks."""
    notes = []
    listed = len(entries.texts)
    missing = len(scores.episodes) - listed
    if missing:
        notes.append(f"{missing:,} episodes are not listed, from the middle of the ranking: they would not fit.")
    if entries.shortened:
        notes.append(f"Curves of more than {entries.points} frames are drawn from {entries.points} of them.")
    counts = {kind: sum(name.startswith(kind) for name in media) for kind in ("strip-", "clip-", "trouble-")}
    if counts["strip-"] + counts["trouble-"] < listed:
        notes.append(f"{counts['strip-']:,} of {listed:,} episodes have stills, those at the ends of the ranking.")
    if counts["clip-"] < len(clips):
        notes.append(f"{counts['clip-']} of {len(clips)} clips are here: the others would not fit or cannot be read.")
    if counts["trouble-"]:
        notes.append(f"The video of {counts['trouble-']:,} episodes cannot be read; their cards say why.")
    return notes
