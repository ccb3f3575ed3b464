"""An evaluation as one self-contained HTML page, without scripts."""

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from headway.episodes import Array
from headway.evaluation.breakdown import by_kind, episode_error, gain_shares, reliabilities, worst
from headway.evaluation.figures import FIGURES, GROUPS
from headway.evaluation.judge import Judged, Verdict
from headway.evaluation.language import Confusion
from headway.evaluation.outputs import standing, unknown, verdicts
from headway.evaluation.reference import MARKS, TRUTH, judged_by
from headway.evaluation.run import Evaluation, provenance
from headway.evaluation.stressed import STRESS_WORDS, Stressful
from headway.files import replacing

PAGE = "evaluation.html"
WORST = 8
DRAWN = 5
# more points than this are not told apart in a small drawing
POINTS = 200
WIDTH, HEIGHT = 300, 100


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, its number (by which it is coloured) and its points for SVG."""

    name: str
    number: int
    points: tuple[str, ...]


def write_page(
    out: Path, evaluation: Evaluation, confusions: Mapping[str, Confusion], stresses: Mapping[str, list[Stressful]]
) -> Path:
    """Write the page to `out`, which is replaced when it is there. It needs no network and no script to be read."""
    style = (files("headway.evaluation") / "page.css").read_text(encoding="utf-8")
    template = (files("headway.evaluation") / "template.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["number"] = number
    judged = sorted(evaluation.judged, key=lambda each: each.is_control)
    numbered = {each.estimator: place for place, each in enumerate(judged)}
    main = next((each for each in judged if not each.is_control), judged[0])
    content = {
        "style": Markup(style),
        "style_hash": "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        "evaluation": evaluation,
        "judged_by": judged_by(evaluation.known),
        "standings": [standing(evaluation, each) for each in judged if not each.is_control],
        "provenance": provenance(),
        "judged": judged,
        "main": main.estimator,
        "groups": _groups(evaluation, judged),
        "unknown": {reason: [FIGURES[name].words for name in names] for reason, names in unknown(evaluation).items()},
        "figures": FIGURES,
        "kinds": {each.estimator: by_kind(evaluation, each.estimator) for each in judged},
        "has_truth": all(each.origin == TRUTH for each in evaluation.known),
        "reliability": _reliability(evaluation, numbered),
        "gains": _gains(evaluation, numbered, main.estimator),
        "worst": [_episode(evaluation, place, numbered, judged) for place in worst(evaluation, main.estimator, WORST)],
        "confusions": confusions,
        "stresses": _by_change(stresses),
        "stressed": list(stresses),
        "marks": any(each.origin == MARKS for each in evaluation.known),
        "stress_words": STRESS_WORDS,
        "width": WIDTH,
        "height": HEIGHT,
    }
    with replacing(out) as beside, beside.open("w", encoding="utf-8") as file:
        file.writelines(environment.from_string(template).generate(**content))
    return out


def number(value: float, digits: int = 3) -> str:
    """A figure for a table; a dash where it is not known."""
    return "–" if value is None or math.isnan(value) else f"{round(float(value), digits) + 0.0:.{digits}f}"


@dataclass(frozen=True)
class Cell:
    """One figure of one estimator, and how it stands against the controls."""

    found: Any
    verdict: Verdict | None


def _groups(evaluation: Evaluation, judged: Sequence[Judged]) -> dict[str, dict[str, list[Cell]]]:
    """Group -> figure -> a cell an estimator; without figures that are known of none."""
    held = {each.estimator: {} if each.is_control else verdicts(evaluation, each) for each in judged}
    groups = {}
    for group, names in GROUPS.items():
        rows = {}
        for name in names:
            if any(not math.isnan(each[name].value) for each in judged):
                rows[name] = [Cell(each.figures[name], held[each.estimator].get(name)) for each in judged]
        if rows:
            groups[group] = rows
    return groups


def _reliability(evaluation: Evaluation, numbered: Mapping[str, int]) -> list[dict[str, Any]]:
    charts = []
    for name, found in reliabilities(evaluation).items():
        filled = found.episodes > 0
        said, happened, count = found.said[filled], found.succeeded[filled], found.episodes[filled]
        points = [
            {"x": 100 * x, "y": 100 - 100 * y, "r": 2 + 5 * math.sqrt(c / count.max()), "said": x, "was": y, "count": c}
            for x, y, c in zip(said.tolist(), happened.tolist(), count.tolist(), strict=True)
        ]
        charts.append({"name": name, "number": numbered[name], "points": points})
    return charts


def _gains(evaluation: Evaluation, numbered: Mapping[str, int], main: str) -> dict[str, Any] | None:
    """The chart of look-aheads, and the shares by stage of the truth and of the estimator looked at."""
    shares = gain_shares(evaluation)
    if not shares:
        return None
    ahead = next(iter(shares.values())).look_aheads
    seconds = np.array(ahead) / evaluation.known[0].fps
    lines = []
    for name, share in shares.items():
        points = _polyline(WIDTH * seconds / seconds.max(), HEIGHT * (1 - share.overall))
        lines.append(Line(name, numbered.get(name, -1), points))
    stages = evaluation.known[0].stage_names
    return {
        "lines": lines,
        "seconds": seconds.tolist(),
        "overall": {name: share.overall.tolist() for name, share in shares.items()},
        "by_stage": {
            f"{name}, {stage}": row.tolist()
            for name, share in shares.items()
            if name in ("true", main)
            for stage, row in zip(stages, share.by_stage, strict=False)
        },
    }


def _episode(
    evaluation: Evaluation, place: int, numbered: Mapping[str, int], judged: Sequence[Judged]
) -> dict[str, Any]:
    """The curves of one episode, true progress first."""
    reference = evaluation.known[place]
    curves = {each.estimator: evaluation.curves[each.estimator][place].values for each in judged}
    main = next((name for name in curves if numbered[name] == 0), "")
    lines = [Line("true", -1, _curve(reference.progress))] if reference.progress is not None else []
    # the scribble of random numbers would bury the rest
    drawn = [each for each in judged if each.estimator not in ("constant", "random")][:DRAWN]
    lines += [Line(each.estimator, numbered[each.estimator], _curve(curves[each.estimator])) for each in drawn]
    return {
        "index": reference.index,
        "kind": reference.kind,
        "success": reference.success,
        "seconds": reference.length / reference.fps,
        "error": episode_error(reference, curves[main]),
        "lines": lines,
    }


def _curve(values: Array) -> tuple[str, ...]:
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), POINTS)).round().astype(int))
    x = WIDTH * places / max(len(values) - 1, 1)
    return _polyline(x, HEIGHT * (1 - np.asarray(values, float)[places]))


def _by_change(stresses: Mapping[str, list[Stressful]]) -> dict[str, list[Stressful]]:
    """Change -> what each estimator makes of it."""
    changes = [row.stress for row in next(iter(stresses.values()), [])]
    return {change: [rows[place] for rows in stresses.values()] for place, change in enumerate(changes)}


def _polyline(x: Array, y: Array) -> tuple[str, ...]:
    """Points of SVG polylines, one for each stretch without a NaN."""
    stretches: list[list[str]] = [[]]
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if math.isnan(b):
            stretches.append([])
        else:
            stretches[-1].append(f"{a:.1f},{b:.1f}")
    return tuple(" ".join(stretch) for stretch in stretches if stretch)
