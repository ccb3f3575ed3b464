"""`headway filter`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from headway.cli.options import Bar, DatasetArgument, open_source
from headway.cli.show_filter import lost_ends, show_selection, totals
from headway.errors import DatasetError, InvalidValue, OutputError, UnknownName
from headway.files import replacing, write_json
from headway.signals.segments import KINDS
from headway.signals.selection import Selection, select
from headway.signals.weights import write_weights
from headway.source import Source
from headway.tables import Scores, read_scores

# what a person might take for the format of a dataset written
FILES = (".hdf5", ".h5", ".parquet", ".json", ".mp4")

Format = Literal["dataset", "keep-list", "weights"]


def filter_dataset(
    dataset: DatasetArgument,
    /,
    *,
    scores: Annotated[Path, tyro.conf.arg(name="from", metavar="SCORES")],
    keep: Annotated[str, tyro.conf.arg(metavar="EXPRESSION")] = "",
    top: Annotated[str, tyro.conf.arg(metavar="70%|40")] = "",
    drop_segments: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="[KIND,...]")] = None,
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None,
    format: Format = "dataset",
    dry_run: bool = False,
) -> int:
    """Keep the episodes, and the parts of them, that the scores speak for; the dataset itself is left alone.

    For example:

        headway filter demos/tidy --from scores/tidy --keep "success > 0.5 and drawdown < 0.3" --out demos/good

    A dataset is written with its scores (DIR/scores) and its cut points (DIR/cuts.json). A cut inside an episode makes
    two of it, and is weight 0 among weights. Half a second after success, as the scores see it, is never cut.

    It believes the scores: headway evaluate tells whether to.

    Args:
        scores: a folder that headway score wrote
        keep: a condition on the columns of SCORES/episodes.parquet (final, success, drawdown, idle, rank, length, kind,
            success_label, defects, risk_jerk, ...; texts in quotes); where a value is missing the episode goes
        top: the best by rank among those that --keep leaves, as a share or a number
        drop_segments: cut out idle, regressing and after-success stretches; name some to cut only these
        out: what to write; a new folder, or for the other formats a new file
        format: dataset: LeRobot v3; keep-list: a JSON list for lerobot's --dataset.episodes; weights: 0 or 1 a frame
        dry_run: show what would go and why, and write nothing
    """
    segments = _segments(drop_segments)
    if not (keep or top or segments):
        raise InvalidValue("nothing to filter by; give --keep, --top or --drop-segments")
    if out is None and not dry_run:
        raise InvalidValue("say where to write with --out, or give --dry-run")
    if format == "keep-list" and segments:
        raise InvalidValue("a keep-list names whole episodes and cannot say cuts; take --format weights, or dataset")
    source = open_source(dataset)
    if out is not None:
        _check_out(out, source, format)
    read = read_scores(scores)
    if read.run["identity"]["dataset"] != source.fingerprint:
        raise DatasetError(
            f"{scores} holds the scores of another dataset ({read.run['dataset']['path']}), or this one has changed "
            "since; score it again"
        )
    if (top or segments) and read.episodes["final"].null_count == len(read.episodes):
        raise InvalidValue(
            f"{scores} has no progress of any episode, which --top and --drop-segments go by; its checks suit --keep"
        )
    lengths, fps = _lengths(source, read)
    selection = select(read, lengths, fps, keep, top, segments)
    if dry_run or out is None:
        show_selection(selection)
        print("\n".join([*totals(selection), *lost_ends(selection, read)]))
        following = "next: the same without --dry-run" + (" and with --out" if out is None else "")
        print(f"nothing was written; {following if selection.pieces else 'nothing would be: choose another filter'}")
        return 0
    print("\n".join([*totals(selection), *lost_ends(selection, read)]))
    if not selection.pieces:
        raise InvalidValue(f"nothing is left, so {out} was not made; --dry-run says why each episode goes")
    how: dict[str, object] = {
        "scores": str(scores.resolve()),
        "keep": keep,
        "top": top,
        "drop_segments": list(segments),
    }
    if format == "dataset":
        _write_dataset(source, read, selection, out, how)
    elif format == "keep-list":
        _write_keep_list(selection, out)
    else:
        _write_zero_weights(source, selection, out, how)
    return 0


def _segments(given: Sequence[str] | None) -> tuple[str, ...]:
    """The kinds that `--drop-segments` names; all when it names none."""
    if given is None:
        return ()
    named = [name.strip() for part in given for name in part.split(",") if name.strip()]
    for name in named:
        if name not in KINDS:
            raise UnknownName("kind of segment", name, KINDS)
    return tuple(dict.fromkeys(named)) or KINDS


def _check_out(out: Path, source: Source, format: Format) -> None:
    from headway_datasets.filtered import check_free

    check_free(out, source)
    if format == "dataset" and out.suffix in FILES:
        raise InvalidValue(f"a filtered dataset is a LeRobot v3 folder, not a file such as {out.name}; name a folder")
    if format == "weights" and _cuts_beside(out).exists():
        raise OutputError(f"{_cuts_beside(out)} already exists; name another --out, or remove it")


def _lengths(source: Source, scores: Scores) -> tuple[dict[int, int], dict[int, float]]:
    """Frames, and frames per second, of every episode; those that are scored need not be opened for it."""
    rows = {row["episode_index"]: row for row in scores.episodes.to_pylist()}
    lengths, fps = {}, {}
    for index in source.episode_indices:
        if index in rows:
            length, seconds = rows[index]["length"], rows[index]["seconds"]
            # 14.999999999999998 would make half a second a frame shorter in one episode than in the next
            lengths[index], fps[index] = length, round(length / seconds, 6)
        else:
            episode = source.episode(index)
            lengths[index], fps[index] = len(episode), episode.fps
    return lengths, fps


def _write_dataset(source: Source, scores: Scores, selection: Selection, out: Path, how: dict[str, object]) -> None:
    from headway_datasets.filtered import write_filtered

    with Bar("filter", "part") as bar:
        written = write_filtered(source, scores, selection, out, how, bar.at)
    parts = {
        "in files copied whole": written.whole_files,
        "copied without decoding": written.copied,
        "encoded anew": written.encoded,
    }
    print("video of episodes: " + ", ".join(f"{count} {word}" for word, count in parts.items() if count))
    print(f"next: headway report {out}/scores; the cut points are in {out}/cuts.json")


def _write_keep_list(selection: Selection, out: Path) -> None:
    with replacing(out) as beside:
        beside.write_text(json.dumps([each.episode for each in selection.decisions if each.kept]) + "\n")
    print(f'next: lerobot-train ... --dataset.episodes="$(cat {out})"')


def _write_zero_weights(source: Source, selection: Selection, out: Path, how: dict[str, object]) -> None:
    """Weight 1 for every frame that stays and 0 for every other; the cut points beside."""
    from headway_datasets.filtered import cuts_record

    index, weight = [], []
    for each in selection.decisions:
        first = source.episode(each.episode).first_frame
        index.append(np.arange(first, first + each.length))
        weight.append(np.zeros(each.length, np.float32))
        for piece in selection.pieces:
            if piece.episode == each.episode:
                weight[-1][piece.start : piece.end] = 1
    write_weights(out, np.concatenate(index), np.concatenate(weight))
    write_json(_cuts_beside(out), cuts_record(source, selection, how))
    print(f"next: give {out} to your training; its columns are index and weight; the cuts are in {_cuts_beside(out)}")


def _cuts_beside(out: Path) -> Path:
    return out.with_name(f"{out.stem}.cuts.json")
