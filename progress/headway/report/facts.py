"""What the head of the page says: what was scored by what, how it came out, and what it cannot tell."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.compute as pc

from headway.checks import NONE
from headway.errors import InvalidValue
from headway.source import Source
from headway.tables import RUN, Scores

BINS = 10  # of the histogram of final progress
FEW = 10  # below this many episodes a rank says little
LONGEST_RUN = 20_000  # characters of run.json that the page shows
CONTROLS = {  # estimators whose scores judge nothing, by the first word of their spec
    "clock": "it counts frames and sees no picture",
    "constant": "it says the same of every frame",
    "random": "it draws numbers",
    "untrained": "its network learned nothing",
    "oracle": "it repeats the simulator's truth",
}


@dataclass(frozen=True)
class ReportTable:
    """A table of results for the top of the page.

    Attributes:
        title: what it compares.
        columns: their headings.
        rows: (row, column) of text or numbers; None and NaN are shown as "n/a".
        note: how it came about, below it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise InvalidValue(
                    f"table {self.title!r} has {len(self.columns)} columns and a row of {len(row)}: {list(row)}"
                )


@dataclass(frozen=True)
class Fact:
    """One number of the summary: `value` as it is read, and what it is."""

    value: str
    label: str


@dataclass(frozen=True)
class Caution:
    """What a reader must know before believing a number; `loud` where it makes numbers look better than they are."""

    text: str
    loud: bool


@dataclass(frozen=True)
class Bar:
    """One bin of the histogram: how many episodes ended between `low` and `high`, by what became of them."""

    low: float
    high: float
    succeeded: int
    failed: int
    unknown: int

    @property
    def count(self) -> int:
        return self.succeeded + self.failed + self.unknown


# what is known of an episode's end: True or False from the simulator or an annotator, None where nobody says
Outcomes = Mapping[int, bool | None]


def cautions(scores: Scores, source: Source, truths: int) -> list[Caution]:
    """What a reader must know before believing a number, loudest first; `truths` counts episodes with truth."""
    episodes = scores.episodes
    found = []
    control = CONTROLS.get(str(scores.run.get("estimator")).partition(":")[0])
    if control:
        found.append(Caution(f"A CONTROL, NOT A JUDGEMENT: {control}. Others are held against it.", loud=True))
    in_sample = sum(bool(value) for value in episodes["in_sample"].to_pylist())
    if in_sample:
        text = (
            f"IN-SAMPLE: {in_sample:,} of {_episodes(len(episodes))} trained the estimator that scored them. "
            "Their scores look better than they would on episodes it never saw."
        )
        found.append(Caution(text, loud=True))
    scored_on = scores.run.get("identity", {}).get("dataset", source.fingerprint)
    if scored_on != source.fingerprint:
        text = "The dataset has changed since it was scored: pictures and scores may not belong together."
        found.append(Caution(text, loud=True))
    unscored = episodes["final"].null_count
    if scores.run.get("estimator") == NONE:
        found.append(Caution("Checks alone: no estimator was asked. See the defects and the risks.", loud=False))
    elif unscored:
        text = f"No score for {unscored:,} of {_episodes(len(episodes))}; their cards say why."
        found.append(Caution(text, loud=False))
    if truths == 0:
        found.append(Caution("No truth: how accurate these scores are is unknown.", loud=False))
    else:
        found.append(Caution(f"Truth known for {_episodes(truths)}, from a simulator.", loud=False))
    return found


def cannot_tell(scores: Scores, outcomes: Outcomes, truths: int) -> list[str]:
    """Sentences on what the evidence in this report leaves open."""
    episodes = scores.episodes
    count = len(episodes)
    labels = sum(outcome is not None for outcome in outcomes.values())
    told = ["Pictures show neither force nor what is hidden or out of view."]
    if truths:
        told.append(
            f"Truth is known for {_episodes(truths)}, from a simulator: it says how right the scores are there, "
            "not on a real robot."
        )
    else:
        told.append("Without truth nothing here shows that a curve is right, however smooth it looks.")
    if labels == 0:
        told.append("Nobody labelled success: whether a task was really done is not known, only estimated.")
    elif labels < count:
        told.append(f"Only {labels} of {_episodes(count)} have a known outcome; the others are estimates.")
    if any(episodes["in_sample"].to_pylist()):
        told.append("In-sample scores say nothing about new episodes.")
    if count == 1:
        told.append("One episode proves nothing: there is nothing to rank it against.")
    elif count < FEW:
        told.append(f"Among {count} episodes a rank moves with every episode added.")
    if len(set(episodes["instruction"].to_pylist())) > 1:
        told.append("The ranking runs across several instructions, and 0.5 of one task is not 0.5 of another.")
    if interpolated(scores) and scores.run.get("estimator") != NONE:
        told.append("Between the frames that were looked at, the curve is interpolated.")
    return told


def summary(scores: Scores, outcomes: Outcomes, truths: int) -> list[Fact]:
    """The numbers a reader looks for first."""
    column = {name: _known(scores, name) for name in ("final", "drawdown", "success", "truth_mae", "seconds")}
    known = [outcome for outcome in outcomes.values() if outcome is not None]
    facts = [
        Fact(f"{len(scores.episodes):,}", "episode" if len(scores.episodes) == 1 else "episodes"),
        Fact(f"{len(scores.frames):,}", "frames"),
        Fact(duration(float(column["seconds"].sum())), "of recording"),
        Fact(_median(column["final"]), "median final progress"),
        Fact(_median(column["drawdown"]), "median drawdown"),
    ]
    if known:
        facts.append(Fact(f"{sum(known):,} of {len(known):,}", "known outcomes are successes"))
    if column["success"].size:
        done = int((column["success"] >= 0.5).sum())
        facts.append(Fact(f"{done:,} of {column['success'].size:,}", "estimated done (at least 0.5)"))
    if truths:
        facts.append(Fact(_median(column["truth_mae"]), "median error to truth"))
    return facts


def histogram(scores: Scores, outcomes: Outcomes) -> list[Bar]:
    """How many episodes end at which estimated progress."""
    edges = np.linspace(0, 1, BINS + 1)
    counts = {outcome: np.zeros(BINS, dtype=int) for outcome in (True, False, None)}
    indices = scores.episodes["episode_index"].to_pylist()
    for index, final in zip(indices, scores.episodes["final"].to_pylist(), strict=True):
        if final is not None and np.isfinite(final):
            counts[outcomes.get(index)][min(int(final * BINS), BINS - 1)] += 1
    return [
        Bar(float(edges[i]), float(edges[i + 1]), *(int(counts[outcome][i]) for outcome in (True, False, None)))
        for i in range(BINS)
    ]


def origin(scores: Scores, source: Source) -> list[Fact]:
    """What was scored, by what, and when."""
    run = scores.run
    options = run.get("identity", {}).get("options", {})
    facts = [
        Fact(str(run.get("estimator", "not recorded")), "estimator"),
        Fact(f"{source.root.name} ({source.format})", "dataset"),
        Fact(", ".join(source.cameras), "cameras"),
    ]
    written = scores.root / RUN
    if written.is_file():
        moment = datetime.fromtimestamp(written.stat().st_mtime, UTC)
        facts.append(Fact(f"{moment:%Y-%m-%d %H:%M} UTC", "scored"))
    if options.get("task") is not None:
        facts.append(Fact(str(options["task"]), "instruction given for all"))
    if options.get("stride", 1) != 1:
        facts.append(Fact(f"one frame in {options['stride']}", "looked at"))
    return facts


def gaps(scores: Scores) -> bool:
    """Whether some frame has no progress."""
    return bool(pc.any(pc.is_null(scores.frames["progress_sparse"], nan_is_null=True)).as_py())


def run_text(run: Mapping[str, Any]) -> str:
    """run.json as it is, for whoever wants to know everything."""
    text = json.dumps(run, indent=2, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_RUN else text[:LONGEST_RUN] + "\n… (more in run.json)"


def cell(value: str | float | None) -> str:
    """A cell of a table as it is read."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "n/a"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _known(scores: Scores, name: str) -> np.ndarray:
    values = scores.episodes[name].to_numpy(zero_copy_only=False).astype(np.float64)
    return values[np.isfinite(values)]


def _median(values: np.ndarray) -> str:
    return f"{np.median(values):.2f}" if values.size else "n/a"


def interpolated(scores: Scores) -> bool:
    """Whether some frame was not looked at."""
    looked_at = scores.frames["looked_at"]
    return not all(chunk.true_count == len(chunk) for chunk in looked_at.chunks)


def _episodes(count: int) -> str:
    return f"{count:,} episode" + ("" if count == 1 else "s")
