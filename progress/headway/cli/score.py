"""`headway score`."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tyro

from headway.cli.options import (
    Bar,
    CamerasOption,
    DatasetArgument,
    DeviceOption,
    EpisodesOption,
    RenameOption,
    check_device,
    default_out,
    open_source,
    parse_episodes,
    parse_shard,
)
from headway.cli.score_engine import EngineName, EngineOptions, show_deviation
from headway.cli.vlm_options import VlmOptions, show_order, show_plan, show_spent
from headway.errors import InvalidValue, OutputError, Unsupported
from headway.estimator import Estimator
from headway.files import replacing
from headway.source import Source
from headway.tables import FRAMES, OURS, RUN, Scores, read_scores

if TYPE_CHECKING:
    from headway.scoring import Engine, ScoreOptions

LEROBOT_FILE = "sarm_progress.parquet"
# from this share of frames without progress on it is no use to weight a policy by
MOSTLY_MISSING = 0.5


def score(
    dataset: DatasetArgument,
    /,
    *,
    estimator: Annotated[str, tyro.conf.arg(metavar="SPEC")] = "",
    out: Annotated[Path | None, tyro.conf.arg(metavar="SCORES")] = None,
    task: str = "",
    cameras: CamerasOption = "",
    rename: RenameOption = "",
    episodes: EpisodesOption = "",
    stride: int = 1,
    device: DeviceOption = "cpu",
    shard: Annotated[str, tyro.conf.arg(metavar="I/N")] = "",
    engine: EngineName = "local",
    ray_address: Annotated[str, tyro.conf.arg(metavar="HOST:PORT")] = "",
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None,
    fast: bool = False,
    false_positive_rate: float = 0.0,
    examples: Annotated[str, tyro.conf.arg(metavar="DATASET:EPISODES")] = "",
    goal: Annotated[Path | None, tyro.conf.arg(metavar="PICTURE")] = None,
    price: Annotated[str, tyro.conf.arg(metavar="IN,OUT")] = "",
    dry_run: bool = False,
    install: bool = False,
) -> int:
    """Score a dataset into tables: progress, stage and success of every frame. It is only read, but for --install.

    Without --estimator one is trained on the dataset itself, in folds, so that no episode is scored by a network that
    was trained on it: sarm where stages are marked, else vip. It is kept in SCORES.estimator. Where its curves do not
    beat clock and pixels on what can be checked, the tables carry no progress, and the exit status is 1. For example:

        headway score demos/tidy
        headway score demos/tidy --estimator sarm:runs/tidy --out scores/tidy
        headway score demos/tidy --estimator gvl:MODEL@http://localhost:8000/v1 --dry-run
        headway score demos/tidy --estimator none

    Args:
        estimator: what judges: sarm:RUN, vip:RUN, gvl:MODEL@URL, topreward:FOLDER, untrained:sarm:RUN, clock, oracle;
            none checks the data alone, for defects and risks
        out: folder for the tables; default: scores/DATASET, with -ESTIMATOR where one is given
        task: instruction for every episode, in place of the dataset's own
        stride: look at every N-th frame and interpolate between; a vision-language model chooses its own frames
        shard: score the I-th of N parts of the episodes, on any machine; headway merge puts them together
        engine: local: this process; ray: Ray Data on this machine, or on a cluster. The tables are the same
        ray_address: of a running Ray cluster; every machine of it needs the dataset and the estimator at the same place
        workers: processes that decode ahead; default: some beside a GPU or on many cores
        fast: run a frozen encoder in 8-bit integers on this CPU; by how much progress differs is measured and printed
        false_positive_rate: also say which episodes succeed, with at most this share of failed ones among them
        examples: episodes that gvl is shown with their completion first, such as other/demos:0,3
        goal: a picture of the task done, which gvl is shown too
        price: dollars for a million prompt and completion tokens of a vision-language model, such as 0.15,0.60
        dry_run: only say what it would take; nothing is sent or written
        install: also copy the progress table to the dataset's root, where lerobot finds it by itself
    """
    from headway.checks import NONE
    from headway.scoring import ScoreOptions

    if stride < 1:
        raise InvalidValue(f"--stride must be at least 1, got {stride}")
    source = open_source(dataset, cameras, rename)
    wanted, part = parse_episodes(episodes, source.episode_indices), parse_shard(shard)
    options = ScoreOptions(wanted, stride, task.strip() or None, rename, part)
    where = EngineOptions(engine, workers, ray_address, fast)
    names = [name for name in (estimator, shard.replace("/", "-of-")) if name]
    folder = out or default_out("scores", dataset, *names)
    if estimator == NONE:
        if dry_run or examples or goal or price or install or false_positive_rate or stride > 1:
            raise InvalidValue("--estimator none checks the data alone; leave the options of estimators out")
        if where != EngineOptions():
            raise InvalidValue("--estimator none runs in this process; leave --engine, --workers and --fast out")
        return _check_alone(source, folder, options)
    # what trains and judges takes seconds to import
    from headway.cli.score_default import score_default
    from headway.specs import make_estimator
    from headway.vlm.estimator import VlmEstimator

    if estimator:
        vlm = VlmOptions(examples, goal, price)
        judge = vlm.apply(make_estimator(estimator, check_device(device)), options.task, source.cameras[0])
        judge = where.hasten(judge)
        if dry_run:
            show_plan(source, judge, options, price)
            return 0
        if fast:
            show_deviation(estimator, device, judge, source, options)
        made = where.make(estimator, device, dataset, cameras, rename)
        scores = _score_with(judge, source, folder, options, false_positive_rate, made)
        if isinstance(judge, VlmEstimator):
            show_spent(judge, price)
            show_order(scores)
            judge.close()
    elif part is not None or engine != "local" or fast:
        raise InvalidValue("--shard, --engine ray and --fast need an --estimator; train one first (headway train)")
    elif dry_run or examples or goal or price:
        raise InvalidValue("--dry-run, --examples, --goal and --price need an --estimator")
    else:
        scores = score_default(source, folder, options, check_device(device), false_positive_rate)
    if install:
        install_table(scores, source)
        print(f"{source.root / LEROBOT_FILE} is installed; lerobot finds it by itself")
    return _tell(scores, source)


def _score_with(
    judge: Estimator,
    source: Source,
    folder: Path,
    options: "ScoreOptions",
    false_positive_rate: float,
    engine: "Engine",
) -> Scores:
    from headway.cli.show_success import check_rate, tell_successes

    threshold = check_rate(false_positive_rate, judge) if false_positive_rate else None
    scores = _write(judge, source, folder, options, "scoring", engine)
    if threshold is not None:
        tell_successes(scores, false_positive_rate, threshold)
    return scores


def _check_alone(source: Source, folder: Path, options: "ScoreOptions") -> int:
    from headway.checks import ChecksAlone
    from headway.cli.show_checks import tell_checks
    from headway.scoring.local import score_here

    tell_checks(_write(ChecksAlone(), source, folder, options, "checking", score_here))
    return 0


def _write(
    judge: Estimator, source: Source, folder: Path, options: "ScoreOptions", doing: str, engine: "Engine"
) -> Scores:
    from headway.scoring import score as write_scores

    finished = (folder / RUN).exists()
    with Bar(doing, "episode") as bar:
        write_scores(source, judge, folder, options, bar.at, engine)
    print(f"{folder} was finished before and is left as it is" if finished else f"scores are in {folder}")
    return read_scores(folder)


def install_table(scores: Scores, source: Source) -> None:
    """Copy the frames table to the root of a LeRobot dataset, atomically.

    Raises Unsupported for other layouts and for scores of some episodes only, on which lerobot would train with its
    fallback weight, and OutputError when the file there is not one of ours.
    """
    if source.format != "lerobot-v3":
        raise Unsupported(f"--install is for LeRobot v3 datasets; {source.root} is a {source.format}")
    if len(scores.episodes) < len(source):
        raise Unsupported(f"--install needs scores of all {len(source)} episodes, got {len(scores.episodes)}")
    place = source.root / LEROBOT_FILE
    if place.exists() and not _is_ours(place):
        raise OutputError(f"{place} was written by another program and is not replaced; move it away first")
    with replacing(place) as beside:
        shutil.copyfile(scores.root / FRAMES, beside)


def _is_ours(path: Path) -> bool:
    try:
        return OURS in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException):
        return False


def _tell(scores: Scores, source: Source) -> int:
    """Print what must be known about the scores and what to do next; the exit status."""
    if scores.run["in_sample"]:
        print(
            f"in-sample: {scores.run['in_sample']} of {scores.run['episodes']} episodes were scored by an estimator "
            "that was trained on them or shown them, which flatters it; for held-out scores train with --folds 2, and "
            "take --examples from other episodes"
        )
    if scores.run["episodes"] == 1:
        print("one episode proves nothing about accuracy")
    missing = float(np.isnan(scores.frames["progress_sparse"].to_numpy()).mean())
    if 0 < missing < 1:
        print(f"{missing:.0%} of the frames have no progress; episodes.parquet says why in `reason`")
    if source.format.startswith("lerobot") and missing < MOSTLY_MISSING:
        print("to weight a lerobot policy (pi0, pi05, smolvla) with it, add to lerobot-train:")
        print(f"  --sample_weighting.type=rabc --sample_weighting.progress_path={scores.root / FRAMES}")
    shard = scores.run["identity"]["options"].get("shard")
    following = f"headway report {scores.root}" if shard is None else "headway merge, when all shards are scored"
    print(f"next: {following}")
    unscored = scores.run["unscored"]
    if unscored:
        table = scores.episodes.to_pylist()
        reason = next(row["reason"] for row in table if row["episode_index"] == unscored[0])
        raise Unsupported(f"{len(unscored)} of {len(scores.episodes)} episodes have no score; {unscored[0]}: {reason}")
    return 0
