"""What asking a vision-language model costs, whether its pipeline's faults would show, and what a cache saves: vlm.md

There is no model in this: a server on this machine answers from the pixels that it is sent, as a model with perfect
sight would (headway_envs.vlm_server), over OpenAI's protocol. So the tables judge the way from video to curve and back,
not any model. Speed is that of a random Qwen3-VL of two layers.

    .venv/bin/python experiments/vlm.py              # 2 minutes on 2 cores
    .venv/bin/python experiments/vlm.py --fast       # half a minute, its figures mean little
"""

import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import numpy as np
import torch
import tyro
from scipy import stats
from tqdm import tqdm

from headway import controls
from headway.episodes import Episode, ProgressCurve
from headway.estimator import Estimator
from headway.files import write_json
from headway.metrics.order import OrderSummary, summarise_order
from headway.metrics.ranking import ordered_pair_tau
from headway.scoring import score
from headway.signals.summary import final
from headway.source import Source
from headway.tables import read_scores
from headway.vlm.annotate import Annotator, annotate
from headway.vlm.chat import ChatModel, Picture, Usage
from headway.vlm.client import OpenAIModel
from headway.vlm.clip import Clip, encode_frames, take_clip
from headway.vlm.estimator import VlmEstimator
from headway.vlm.gvl import Gvl
from headway.vlm.local import LocalModel
from headway.vlm.reply_cache import ReplyCache
from headway.vlm.specs import VLM_METHODS
from headway.vlm.topreward import AFTER, BEFORE
from headway_datasets.opening import open_dataset
from headway_envs.collect import collect
from headway_envs.tiny_vlms import save_tiny_vlm
from headway_envs.vlm_server import READERS, serving
from headway_envs.vlm_server.broken_gvl import BROKEN
from headway_envs.vlm_server.script import Manner, Script

TASK = "push-to-goal"
PREFIXES = 15


@dataclass
class Args:
    """What to run."""

    episodes: int = 20
    """Simulated episodes to judge, half expert, half imperfect."""
    repeats: int = 5
    """Timings of each form of prefix scoring."""
    fast: bool = False
    """A few episodes, to see that it runs."""
    out: Path = Path("runs/vlm")
    """Folder for the episodes, scores and tables."""


def main(args: Args) -> None:
    torch.set_num_threads(1)
    if args.fast:
        args.episodes, args.repeats, args.out = 4, 1, args.out / "fast"
    if not (args.out / "demos").exists():
        collect(TASK, args.episodes, args.out / "demos")
    if not (args.out / "experts").exists():
        collect(TASK, max(4, args.episodes // 2), args.out / "experts", "expert=1", seed=7)
    costs = [cost_row(name, open_dataset(args.out / "demos"), args.out) for name in tqdm([*VLM_METHODS, "clock"])]
    costs.append(annotate_row(list(open_dataset(args.out / "demos")), args.out))
    faults = fault_rows(list(open_dataset(args.out / "experts")))
    speeds = speed_rows(next(iter(open_dataset(args.out / "demos"))), args)
    for name, rows in (("costs", costs), ("faults", faults), ("speeds", speeds)):
        write_json(args.out / f"{name}.json", rows)
        print(f"\n### {name}\n\n{markdown(rows)}")
    print(f"\nthe tables are in {args.out}; next: look at {args.out}/scores-gvl with headway report")


def cost_row(name: str, source: Source, out: Path) -> dict[str, str]:
    """One estimator over all episodes, then once more, as a table's row. Each begins with an empty cache."""
    cache = fresh_cache(out / f"replies-{name}.sqlite")
    with serving() as server:
        first, seconds = scored(name, server.base_url, cache, source, out / f"scores-{name}")
        second, again = scored(name, server.base_url, cache, source, out / f"scores-{name}-again")
    episodes = list(source)
    curves = [read_scores(out / f"scores-{name}").progress_curve(episode.index) for episode in episodes]
    spent = first.model.spent if isinstance(first, VlmEstimator) else None
    hits = second.model.spent if isinstance(second, VlmEstimator) else None
    return {
        **cost_cells(name, spent, seconds, hits, again),
        **agreement(episodes, curves),
        "stages right, of marked frames": "-",
    }


def scored(name: str, url: str, cache: Path, source: Source, out: Path) -> tuple[Estimator, float]:
    """Score with an estimator that remembers replies in `cache`; the seconds it took."""
    shutil.rmtree(out, ignore_errors=True)
    estimator: Estimator = controls.clock()
    if name in VLM_METHODS:
        estimator = VlmEstimator(name, VLM_METHODS[name](), OpenAIModel(TASK, url, cache=ReplyCache(cache)))
    started = time.monotonic()
    score(source, estimator, out)
    return estimator, time.monotonic() - started


def annotate_row(episodes: Sequence[Episode], out: Path) -> dict[str, str]:
    """Stage annotation of all episodes, then once more; in place of an error, how many stages are right."""
    cache = fresh_cache(out / "replies-annotate.sqlite")
    names = next(episode.truth.stage_names for episode in episodes if episode.truth is not None)
    models, seconds, right = [], [], []
    with serving() as server:
        for _ in range(2):
            model = OpenAIModel(TASK, server.base_url, cache=ReplyCache(cache))
            started = time.monotonic()
            right = [anyio.run(stages_right, Annotator(names), episode, model) for episode in episodes]
            seconds.append(time.monotonic() - started)
            models.append(model)
    words = cost_cells("annotate", models[0].spent, seconds[0], models[1].spent, seconds[1])
    return {**words, "MAE to truth": "-", "tau of ends": "-", "stages right, of marked frames": f"{np.mean(right):.1%}"}


async def stages_right(annotator: Annotator, episode: Episode, model: ChatModel) -> float:
    """Of an episode's frames that get a stage at all, the share that get their true one; 0 where none does."""
    frames = next(iter(episode.cameras.values()))

    async def look(wanted: np.ndarray) -> tuple[Picture, ...]:
        return encode_frames(frames, wanted)

    found = await annotate(annotator, str(episode.instruction), len(episode), look, model)
    said = np.full(len(episode), -1)
    for stage in found.stages:
        said[stage.start : stage.end] = annotator.subtasks.index(stage.name)
    assert episode.truth is not None
    # what comes after the last stage is no subtask's
    counted = said >= 0
    return float(np.mean(said[counted] == episode.truth.stage[counted])) if counted.any() else 0.0


def cost_cells(name: str, spent: Usage | None, seconds: float, hits: Usage | None, again: float) -> dict[str, str]:
    """The cells of a row that tell what a run took, and what the same run took with its replies in the cache."""
    return {
        "estimator": name,
        "requests": f"{spent.requests:,}" if spent else "-",
        "prompt tokens": f"{spent.prompt_tokens:,}" if spent else "-",
        "completion tokens": f"{spent.completion_tokens:,}" if spent else "-",
        "seconds": f"{seconds:.1f}",
        "second run: requests": f"{hits.requests}" if hits else "-",
        "cache hits": f"{hits.cache_hits}" if hits else "-",
        "seconds again": f"{again:.1f}",
    }


def fresh_cache(path: Path) -> Path:
    """A place for replies where none are yet."""
    for old in path.parent.glob(f"{path.name}*"):
        old.unlink()
    return path


def agreement(episodes: Sequence[Episode], curves: Sequence[ProgressCurve]) -> dict[str, str]:
    """How the curves stand to the simulator's truth."""
    truths = [episode.truth.progress for episode in episodes if episode.truth is not None]
    whole = [(c.values, t) for c, t in zip(curves, truths, strict=True) if not np.isnan(c.values).any()]
    ends = [(final(c.values), final(t)) for c, t in zip(curves, truths, strict=True) if not np.isnan(c.values[-1])]
    errors = [float(np.abs(values - truth).mean()) for values, truth in whole]
    tau = ordered_pair_tau(*np.array(ends).T) if ends else float("nan")
    return {"MAE to truth": _number(np.mean(errors) if errors else np.nan), "tau of ends": _number(tau)}


def fault_rows(experts: Sequence[Episode]) -> list[dict[str, str]]:
    """The pipeline as it is, then with one fault each; and a model that does not look, with and without shuffling."""
    rows = []
    with serving() as server:
        for fault, make in {"none": Gvl, **BROKEN}.items():
            rows.append(fault_row(fault, make(permutations=1), experts, server.base_url))
    with serving(Script(manner=Manner.LAZY)) as server:
        for words, shuffled in (("lazy model, shuffled", True), ("lazy model, in order", False)):
            rows.append(fault_row(words, Gvl(permutations=1, shuffled=shuffled), experts, server.base_url))
    return rows


def fault_row(words: str, method: Gvl, experts: Sequence[Episode], url: str) -> dict[str, str]:
    estimator = VlmEstimator("gvl", method, OpenAIModel(TASK, url))
    curves = list(estimator.estimate(experts))
    found: OrderSummary = summarise_order([curve.values[curve.looked_at] for curve in curves])
    frames = len(experts) * method.frames
    against = [seen_order(episode, curve) for episode, curve in zip(experts, curves, strict=True)]
    return {
        "fault": words,
        "order, against what it saw": _number(float(np.mean(against))),
        "VOC of experts": _number(found.known),
        "refused as 0": _number(found.refused_as_zero),
        "refused as -1": _number(found.refused_as_minus_one),
        "frames read": f"{estimator.outcomes['read'] / frames:.0%}",
        "MAE to truth": agreement(experts, curves)["MAE to truth"],
    }


def seen_order(episode: Episode, curve: ProgressCurve) -> float:
    """Spearman correlation of a curve with what the server's reader sees in the same frames; NaN without a curve."""
    seen = np.array([READERS[TASK](picture) for picture in next(iter(episode.cameras.values()))], float)
    # it counts from the first frame, and in whole percent
    counted = np.round(100 * (seen - seen[0]) / (1 - seen[0])).clip(0, 100)
    both = curve.looked_at & ~np.isnan(counted)
    return float(stats.spearmanr(curve.values[both], counted[both]).statistic) if both.sum() > 1 else float("nan")


def speed_rows(episode: Episode, args: Args) -> list[dict[str, str]]:
    """TOPReward's prefixes on a model of this machine: each anew, and with what was computed before."""
    folder = args.out / "tiny-qwen3-vl"
    save_tiny_vlm("qwen3", folder)
    model = LocalModel(str(folder))
    clip: Clip = take_clip(episode, np.linspace(0, len(episode) - 1, PREFIXES).round().astype(np.int64))
    after = AFTER.format(instruction=clip.instruction)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    logs = {}
    for _ in range(args.repeats + 1):
        for reuse in (False, True):
            started = time.perf_counter()
            # one token on this tokenizer: several would run the whole form once for each
            logs[reuse] = model.score_prefixes(clip.pictures, BEFORE, after, ["True"], reuse)
            seconds[reuse].append(time.perf_counter() - started)
    # the first round is a warm-up
    medians = {reuse: statistics.median(times[1:]) for reuse, times in seconds.items()}
    return [
        {
            "prefixes": str(PREFIXES),
            "each anew, s": f"{medians[False]:.2f}",
            "reused, s": f"{medians[True]:.2f}",
            "ratio": f"{medians[False] / medians[True]:.2f}",
            "largest difference of log-probabilities": f"{np.abs(logs[True] - logs[False]).max():.1e}",
        }
    ]


def markdown(rows: Sequence[dict[str, str]]) -> str:
    heads = list(rows[0])
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row[head] for head in heads)} |" for row in rows)])


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
