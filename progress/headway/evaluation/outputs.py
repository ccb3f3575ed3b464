"""An evaluation as files: evaluation.json and evaluation.csv."""

import csv
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headway.evaluation.breakdown import by_kind
from headway.evaluation.figures import FIGURES
from headway.evaluation.judge import UNINFORMATIVE, WORSE, Judged, Verdict, to_json, verdict
from headway.evaluation.language import Confusion
from headway.evaluation.reference import judged_by
from headway.evaluation.run import Evaluation, provenance
from headway.evaluation.stressed import Stressful
from headway.files import replacing, write_json

JSON = "evaluation.json"
CSV = "evaluation.csv"
COLUMNS = (
    "estimator",
    "control",
    "figure",
    "better",
    "value",
    "low",
    "high",
    "best_control",
    "lead",
    "lead_low",
    "lead_high",
    "informative",
    "reason",
)


def verdicts(evaluation: Evaluation, judged: Judged) -> dict[str, Verdict]:
    """Figure -> how it stands against the controls; of the figures that can be held against one."""
    found = {name: verdict(judged, evaluation.controls, name) for name in FIGURES}
    return {name: each for name, each in found.items() if each is not None}


def standing(evaluation: Evaluation, judged: Judged) -> str:
    """In how many figures an estimator is better than every control, in a sentence."""
    held = verdicts(evaluation, judged)
    better = sum(each.told for each in held.values())
    worse = [FIGURES[name].words for name, each in held.items() if each.worse]
    text = f"{judged.estimator} is better than every control in {better} of {len(held)} figures that can be compared"
    level = len(held) - better - len(worse)
    text += f", no better than one in {level} ({UNINFORMATIVE})" if level else ""
    return text + (f", worse than one in {len(worse)} ({WORSE}): {', '.join(worse)}" if worse else "")


def unknown(evaluation: Evaluation) -> dict[str, list[str]]:
    """Reason -> the figures that are not known of any estimator, for it; where there are only controls, of them."""
    reasons: dict[str, list[str]] = {}
    asked = [judged for judged in evaluation.judged if not judged.is_control] or evaluation.judged
    for name in FIGURES:
        found = [judged.figures[name] for judged in asked]
        if all(math.isnan(each.estimate.value) for each in found):
            reasons.setdefault(found[0].reason, []).append(name)
    return reasons


def write_evaluation(
    out: Path,
    evaluation: Evaluation,
    specs: Mapping[str, str],
    confusions: Mapping[str, Confusion],
    stresses: Mapping[str, list[Stressful]],
) -> None:
    """Write evaluation.json and evaluation.csv into the folder `out`; each is replaced whole.

    Args:
        out: the folder.
        evaluation: what was found.
        specs: name in tables -> the spec in full.
        confusions: estimator -> its matrix of videos and texts.
        stresses: estimator -> what it makes of changed episodes.
    """
    _write_csv(out / CSV, evaluation)
    write_json(
        out / JSON,
        {
            "dataset": evaluation.dataset,
            "fingerprint": evaluation.fingerprint,
            "episodes": [reference.index for reference in evaluation.known],
            "judged_by": judged_by(evaluation.known),
            "look_ahead": evaluation.look_ahead,
            **provenance(),
            "estimators": {
                judged.estimator: {"spec": specs[judged.estimator]} | _estimator(evaluation, judged)
                for judged in evaluation.judged
            },
            "unknown": unknown(evaluation),
            "language": {
                name: {"instructions": each.instructions, "matrix": _plain(each.matrix.tolist()), "margin": each.margin}
                for name, each in confusions.items()
            },
            "stress": {name: [_plain(asdict(row)) for row in rows] for name, rows in stresses.items()},
        },
    )


def _estimator(evaluation: Evaluation, judged: Judged) -> dict[str, Any]:
    kinds = [_plain(asdict(row)) for row in by_kind(evaluation, judged.estimator)]
    content = {"control": judged.is_control, "figures": to_json(judged), "kinds": kinds}
    if judged.is_control:
        return content
    held = {
        name: {
            "control": each.control,
            "lead": asdict(each.lead),
            "informative": each.told,
            "worse": each.worse,
            "few": each.few,
        }
        for name, each in verdicts(evaluation, judged).items()
    }
    return content | {"against_controls": held}


def _write_csv(path: Path, evaluation: Evaluation) -> None:
    with replacing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for judged in evaluation.judged:
            held = {} if judged.is_control else verdicts(evaluation, judged)
            for name, found in judged.figures.items():
                row: dict[str, Any] = {
                    "estimator": judged.estimator,
                    "control": judged.is_control,
                    "figure": name,
                    "better": {1: "higher", -1: "lower", 0: ""}[FIGURES[name].better],
                    "reason": found.reason,
                }
                if not math.isnan(found.estimate.value):
                    row |= asdict(found.estimate)
                if name in held:
                    lead = held[name].lead
                    row |= {"best_control": held[name].control, "informative": held[name].told}
                    row |= {"lead": lead.value, "lead_low": lead.low, "lead_high": lead.high}
                writer.writerow(row)


def _plain(content: Any) -> Any:
    """NaN, which JSON does not have, as None, at any depth of lists and dicts."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content
