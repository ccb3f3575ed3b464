"""What a filter takes away and leaves, for the terminal."""

from collections import Counter, defaultdict

from rich.console import Console
from rich.table import Table

from headway.signals.segments import Cut
from headway.signals.selection import CUTS, Decision, Selection
from headway.tables import Scores


def show_selection(selection: Selection) -> None:
    """Print every episode that goes or is cut, and why."""
    cuts: dict[int, list[Cut]] = defaultdict(list)
    for cut in selection.cuts:
        cuts[cut.episode].append(cut)
    table = Table(title="What goes, and why", title_justify="left", title_style="bold", box=None, padding=(0, 1, 0, 0))
    table.add_column("episode", justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("goes", justify="right")
    table.add_column("by", no_wrap=True)
    table.add_column("why")
    for each in selection.decisions:
        if each.kept and each.episode not in cuts:
            continue
        gone = each.length if not each.kept else sum(cut.end - cut.start for cut in cuts[each.episode])
        seconds = (f"{frames / each.fps:.1f}" for frames in (each.length, gone))
        table.add_row(str(each.episode), *seconds, each.rule or "--drop-segments", _why(each, cuts[each.episode]))
    if table.row_count:
        Console().print(table)


def totals(selection: Selection) -> list[str]:
    """The same in sums, one line each."""
    fps = {each.episode: each.fps for each in selection.decisions}
    kept = [each for each in selection.decisions if each.kept]
    minutes = sum(each.length / each.fps for each in selection.decisions) / 60
    left = sum(len(piece) / fps[piece.episode] for piece in selection.pieces) / 60
    lines = [f"{len(kept)} of {len(selection.decisions)} episodes stay, {left:.1f} of {minutes:.1f} minutes"]
    if len(selection.pieces) != len(kept):
        lines[0] += f", as {len(selection.pieces)} episodes: a cut within one makes two"
    gone = Counter(each.rule for each in selection.decisions if not each.kept)
    if gone:
        lines.append(f"{gone.total()} go: " + ", ".join(f"{count} {rule}" for rule, count in gone.most_common()))
    staying = {each.episode for each in kept}
    seconds: dict[str, float] = defaultdict(float)
    for cut in selection.cuts:
        if cut.episode in staying:
            seconds[cut.why] += (cut.end - cut.start) / fps[cut.episode]
    if seconds:
        words = (f"{value:.1f} s {why}" for why, value in sorted(seconds.items()))
        lines.append("cut from those that stay: " + ", ".join(words))
    return lines


def lost_ends(selection: Selection, scores: Scores) -> list[str]:
    """A warning where labelled successes lose their end: the scores and whoever labelled them disagree."""
    rows = scores.episodes.select(["episode_index", "success_label"]).to_pylist()
    succeeded = {row["episode_index"] for row in rows if row["success_label"]}
    cut = {each.episode for each in selection.decisions if each.kept or each.rule == CUTS} & succeeded
    lost = cut - {piece.episode for piece in selection.pieces if piece.to_the_end}
    if not lost:
        return []
    return [
        f"{len(lost)} of {len(cut)} episodes labelled successes lose their end, where these scores see no success; "
        "headway evaluate tells whether to believe them"
    ]


def _why(decision: Decision, cuts: list[Cut]) -> str:
    if decision.why:
        return decision.why
    fps = decision.fps
    return ", ".join(f"{cut.why} {cut.start / fps:.1f}-{cut.end / fps:.1f} s" for cut in cuts)
