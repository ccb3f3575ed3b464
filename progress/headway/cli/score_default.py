"""`headway score` without --estimator: train on the dataset itself, check on what was held out, then score or abstain.

Beside the tables in SCORES this keeps the folder SCORES.estimator: what is going to be done (`plan.json`), the trained
estimator, which is a spec like any other (`sarm:SCORES.estimator`), its held-out scores until they become SCORES, and
`check.json`, of which SCORES gets a copy. A run cut short goes on from there.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headway.cli.options import Bar
from headway.cli.show import show_trust
from headway.cli.show_success import check_rate, tell_successes
from headway.cli.training import run_training
from headway.controls import Control
from headway.encoders.cache import default_cache
from headway.episodes import Episode
from headway.errors import OutputError, Unsupported
from headway.estimator import Needs
from headway.files import make_folder, write_json
from headway.learned.checkpoint import load_learned
from headway.learned.method import Method
from headway.learned.sarm import Sarm
from headway.learned.targets import fit_scale
from headway.scoring import ScoreOptions, score
from headway.self_trained import Plan, make_plan
from headway.source import Source
from headway.tables import RUN, Scores, read_scores
from headway.trust import HeldOut, Trust, check_held_out, pixel_curves

CHECK = "check.json"


def score_default(
    source: Source, out: Path, options: ScoreOptions, device: str, false_positive_rate: float = 0.0
) -> Scores:
    """Write SCORES with an estimator trained in folds on the very episodes that are scored.

    Raises Unsupported, in one line, when no progress can be trusted, after writing tables without any; OutputError
    where `out` or the folder beside it holds something else.
    """
    episodes = [options.told(source.episode(number)) for number in options.episodes or source.episode_indices]
    plan = make_plan(source, episodes)
    settings = _settings(source, plan, options)
    run = out.parent / f"{out.name}.estimator"
    if (out / RUN).exists():
        _check_same(out, settings, out / CHECK)
        print(f"{out} was finished before and is left as it is")
    else:
        _claim(out, run, settings)
        trust = None if plan.method is None else _train_and_check(source, episodes, plan, run, options, device)
        _finish(source, plan, trust, run, out, options, settings)
    content = json.loads((out / CHECK).read_text())
    _tell(plan, content, out, run, episodes)
    scores = read_scores(out)
    if false_positive_rate and plan.method is not None:
        threshold = check_rate(false_positive_rate, load_learned(plan.method.name, run, device))
        tell_successes(scores, false_positive_rate, threshold)
    return scores


def _settings(source: Source, plan: Plan, options: ScoreOptions) -> dict[str, Any]:
    """All that training and scores depend on, as JSON gives it back."""
    method = None if plan.method is None else asdict(plan.method)  # type: ignore[call-overload]
    settings = {
        "dataset": source.fingerprint,
        "cameras": source.cameras,
        "options": options.identity(),
        "method": method,
        "folds": plan.folds,
    }
    content: dict[str, Any] = json.loads(json.dumps(settings))
    return content


def _claim(out: Path, run: Path, settings: dict[str, Any]) -> None:
    """Take both folders for this run. Raises OutputError when either holds something else."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(f"{out} is not empty and holds no scores of Headway; choose another folder with --out")
    make_folder(run)
    if (run / "plan.json").exists():
        _check_same(run, settings, run / "plan.json")
    elif any(run.iterdir()):
        raise OutputError(f"{run} is not empty; an estimator would be trained there: choose another --out")
    else:
        write_json(run / "plan.json", {"settings": settings})


def _check_same(folder: Path, settings: dict[str, Any], known: Path) -> None:
    try:
        before = json.loads(known.read_text())["settings"]
    except (OSError, ValueError, LookupError, TypeError):
        before = None
    if not isinstance(before, dict):
        raise OutputError(f"{folder} holds another run, or a damaged one; choose another folder with --out")
    differing = [name for name in settings if before.get(name) != settings[name]]
    if differing:
        raise OutputError(
            f"{folder} holds another run (other {', '.join(differing)}); choose another folder with --out, or delete it"
        )


def _train_and_check(
    source: Source, episodes: Sequence[Episode], plan: Plan, run: Path, options: ScoreOptions, device: str
) -> Trust:
    """Train unless it is done, score every episode held out, and check these curves."""
    assert plan.method is not None
    if not (run / "config.json").exists():
        print(_intention(plan, plan.method), flush=True)
        run_training(plan.method, [plan.task], [source], run, plan.folds, device)
    learned = load_learned(plan.method.name, run, device)
    with Bar("scoring", "episode") as bar:
        score(source, learned, run / "held-out", options, bar.at)
    scores = read_scores(run / "held-out")
    print("checking the held-out curves", flush=True)
    return _check(episodes, plan, scores)


def _intention(plan: Plan, method: Method) -> str:
    words = f"training {method.name} on {len(plan.task.episodes)} episodes in {plan.folds} folds"
    because = "stages are marked" if isinstance(method, Sarm) else plan.remark or "no stages are marked"
    return f"{words}, at most {method.training.epochs} epochs, with the encoder {method.inputs.encoder}: {because}"


def _check(episodes: Sequence[Episode], plan: Plan, scores: Scores) -> Trust:
    assert plan.method is not None
    folds = {row["episode_index"]: row["fold"] for row in scores.episodes.to_pylist() if not row["in_sample"]}
    seen = [episode for episode in episodes if folds.get(episode.index) is not None]
    pixels = pixel_curves(seen, plan.method.inputs, default_cache())
    held = [
        HeldOut(episode, scores.curve(episode.index), curve, folds[episode.index])
        for episode, curve in zip(seen, pixels, strict=True)
    ]
    marked = isinstance(plan.method, Sarm) and plan.task.stages
    return check_held_out(held, fit_scale(plan.task.episodes, plan.task.stages or ()) if marked else None)


def _finish(
    source: Source,
    plan: Plan,
    trust: Trust | None,
    run: Path,
    out: Path,
    options: ScoreOptions,
    settings: dict[str, Any],
) -> None:
    """Make SCORES: the held-out scores where they are trusted, else tables without progress that say why."""
    obstacle = plan.obstacle if trust is None else trust.reason
    content = {"settings": settings, "obstacle": obstacle, "trust": None if trust is None else trust.to_json()}
    if obstacle:
        reason = f"no trustworthy progress: {obstacle}"
        abstaining = Control("abstaining", Needs(pictures=False), lambda episode: None, reason)
        made = score(source, abstaining, run / "abstained", options)
    else:
        made = run / "held-out"
    write_json(made / CHECK, content)
    # into place as a whole: a folder of scores is either finished or not there
    if out.exists():
        out.rmdir()
    made.replace(out)


def _tell(plan: Plan, content: dict[str, Any], out: Path, run: Path, episodes: Sequence[Episode]) -> None:
    """Say what was done and what cannot be known; raises Unsupported where no progress is trusted."""
    if content["trust"] is not None:
        show_trust(Trust.from_json(content["trust"]))
    if content["obstacle"]:
        raise Unsupported(
            f"no trustworthy progress: {content['obstacle']}; {out} holds tables without it; what would help: "
            + ", ".join(helpful(plan, episodes))
        )
    assert plan.method is not None
    print(f"scores are in {out}, the estimator in {run} ({plan.method.name}:{run} is its spec)")
    print(
        f"{plan.method.name} was trained on {len(plan.task.episodes)} episodes in {plan.folds} folds with the encoder "
        f"{plan.method.inputs.encoder}; every episode was scored by a network that never saw it"
    )
    for line in unknowable(episodes, isinstance(plan.method, Sarm)):
        print(f"not known: {line}")


def helpful(plan: Plan, episodes: Sequence[Episode]) -> list[str]:
    """What could lead to progress that can be trusted, of what is not there yet."""
    help_with = ["more episodes"]
    if not isinstance(plan.method, Sarm):
        help_with.append("stage marks (sparse_subtask_* columns, or `stages` in episodes.csv)")
    if any(episode.success is None for episode in episodes):
        help_with.append("success labels")
    if plan.method is None or plan.method.inputs.encoder == "tiny":
        help_with.append("a pretrained encoder (headway fetch facebook/dinov2-small)")
    return [*help_with, "or an estimator trained elsewhere (--estimator SPEC)"]


def unknowable(episodes: Sequence[Episode], marked: bool) -> list[str]:
    """What these episodes cannot teach, one line each."""
    lines = []
    labels = {episode.success for episode in episodes}
    if not labels & {True, False}:
        lines.append("which episodes succeeded: there are no success labels")
    elif False not in labels:
        lines.append("how a failure looks: no episode is labelled one, so scores of failures are extrapolated")
    if not marked:
        lines.append("the task's own scale: without stage marks progress is the share of time in a demonstration")
    return lines
