"""Other people's tools for experiments/bad_episodes.py: each in an environment of its own, by its own command line.

They are given a copy of the dataset without what only a simulator knows and without labels. What they print is read;
none of their code is in this repository.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from headway.episodes import Array
from headway.files import write_json
from headway_datasets.opening import open_dataset

# columns that only a simulator, or an annotator, fills
HIDDEN = ("truth.", "observation.environment_state", "sparse_", "success", "kind")
MINUTES = 15


@dataclass(frozen=True)
class Tool:
    """A tool, and how to use it.

    Attributes:
        requirement: what pip is told.
        arguments: of its command, from dataset and report.
        read: from its report to scores by name, each float (episodes,), the higher the worse.
    """

    requirement: str
    arguments: Callable[[Path, Path], list[str]]
    read: Callable[[Any], dict[str, Array]]


def run_tools(dataset: Path, out: Path) -> tuple[dict[str, Array], list[str]]:
    """The scores (episodes,) of every tool by name, and what there is to say of each; what fails has no scores."""
    copy = without_truth(dataset, out / "plain")
    number = len(open_dataset(dataset))
    scores, notes = {}, []
    for name, tool in TOOLS.items():
        report = out / f"{name}.json"
        try:
            if not report.exists():
                use(name, tool, copy, report, out / "venvs")
            for row, values in tool.read(json.loads(report.read_text())).items():
                if len(values) != number:
                    raise ValueError(f"{len(values)} scores of {number} episodes")
                scores[row] = values
                notes.append(f"{row}: {len(np.unique(values))} different values in {number} episodes")
        except (OSError, ValueError, KeyError, TypeError, subprocess.SubprocessError) as error:
            notes.append(f"{name}: no row; {_message(error)}")
    return scores, notes


def use(name: str, tool: Tool, dataset: Path, report: Path, venvs: Path) -> None:
    """Install a tool in an environment of its own, where that is not done, and have it write its report."""
    distribution = tool.requirement.split("[")[0].split("==")[0]
    venv = venvs / distribution
    if not (venv / "installed").exists():
        shutil.rmtree(venv, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(venv)])
        _run([str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", tool.requirement])
        (venv / "installed").touch()
    beside = report.with_name(f"unfinished-{name}.json")
    beside.unlink(missing_ok=True)
    command, *arguments = tool.arguments(dataset.absolute(), beside.absolute())
    _run([str(venv.absolute() / "bin" / command), *arguments])
    beside.replace(report)


def without_truth(dataset: Path, out: Path) -> Path:
    """A copy of a LeRobot dataset as a real robot would give it: no truth, no state of things, no labels, no marks."""
    if out.exists():
        return out
    beside = out.with_name(f"unfinished-{out.name}")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(dataset.resolve(), beside)
    for own in ("headway.json", "temporal_proportions_sparse.json"):
        (beside / "meta" / own).unlink(missing_ok=True)
    for name in ("info.json", "stats.json"):
        content = json.loads((beside / "meta" / name).read_text())
        features = content["features"] if name == "info.json" else content
        for feature in [feature for feature in features if feature.startswith(HIDDEN)]:
            del features[feature]
        write_json(beside / "meta" / name, content)
    for path in [*beside.glob("data/**/*.parquet"), *beside.glob("meta/episodes/**/*.parquet")]:
        table = pq.read_table(path)
        hidden = [name for name in table.column_names if name.removeprefix("stats/").startswith(HIDDEN)]
        pq.write_table(table.drop_columns(hidden), path)
    beside.replace(out)
    return out


def _report_card(report: Any) -> dict[str, Array]:
    """`combined`, by which it flags: the largest robust z of its signals."""
    return {"robot-report-card": _numbers(report["episodes"], lambda row: row["combined"])}


def _deepen(report: Any) -> dict[str, Array]:
    """Its grade, and how many findings it has: a warning counts 1, a failure 2."""
    weight = {"warn": 1, "fail": 2}
    return {
        "deepen-grade, grade": _numbers(report["episodes"], lambda row: 100 - row["score"]),
        "deepen-grade, findings": _numbers(
            report["episodes"], lambda row: sum(weight.get(check["severity"], 0) for check in row["checks"])
        ),
    }


def _kalanos(name: str) -> Callable[[Any], dict[str, Array]]:
    """100 less the score of an episode."""
    return lambda report: {name: _numbers(report["episodes"], lambda row: 100 - row["score"]["score"])}


def _numbers(rows: list[Mapping[str, Any]], worth: Callable[[Mapping[str, Any]], float]) -> Array:
    """In the order of the report, which is that of the episodes."""
    return np.array([worth(row) for row in rows], float)


def _grade(dataset: Path, report: Path) -> list[str]:
    return ["kalanos", "grade", str(dataset), "--report", str(report), "--no-color", "--fail-on", "blocked"]


# the closest of its types; the state also holds speeds and the pose of the hand, for which it has one name a field
TYPES = ["--map", "observation.state=proprio.joint_position", "--map", "action=action.joint_position_command"]
TOOLS = {
    "robot-report-card": Tool(
        "robot-report-card[score]==0.1.0",
        lambda dataset, report: ["rrc", "score", str(dataset), "--json-out", str(report)],
        _report_card,
    ),
    "deepen-grade": Tool(
        "deepen-grade[lerobot]==0.4.1",
        lambda dataset, report: ["deepen", "grade", str(dataset), "--json", "--quiet", "-o", str(report)],
        _deepen,
    ),
    "kalanos": Tool("kalanos==0.8.2", _grade, _kalanos("kalanos")),
    "kalanos-map": Tool(
        "kalanos==0.8.2", lambda dataset, report: [*_grade(dataset, report), *TYPES], _kalanos("kalanos, fields mapped")
    ),
}


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=MINUTES * 60)


def _message(error: Exception) -> str:
    said = getattr(error, "stderr", None) or getattr(error, "stdout", None) or str(error)
    return " ".join(str(said).split())[-300:]
