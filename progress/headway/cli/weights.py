"""`headway weights`."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from headway.cli.options import DatasetArgument, open_source
from headway.cli.show_weights import beside, tell_weights, training_commands
from headway.episodes import Array
from headway.errors import DatasetError, InvalidValue
from headway.signals.weights import write_weights
from headway.signals.weights.diagnostics import diagnose
from headway.signals.weights.from_scores import scored_frames
from headway.signals.weights.look_ahead import choose_look_ahead
from headway.signals.weights.schemes import BY_EPISODE, SCHEMES, choose_scheme
from headway.signals.weights.scored import ScoredFrames
from headway.source import Source
from headway.tables import read_scores

FEWEST = 0.1
"""With a smaller share of frames weighted, a training would see next to nothing of the dataset."""

SchemeName = Literal[
    "auto",
    "rabc",
    "rabc-paper",
    "rabc-auto",
    "rabc-awr",
    "filter",
    "rwr",
    "awr",
    "aw-bc",
    "advantage",
    "softmin",
    "ensemble",
    "gvl",
    "topreward",
]


def weights(
    dataset: DatasetArgument,
    /,
    *,
    scores: Annotated[Path, tyro.conf.arg(name="from", metavar="SCORES")],
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.parquet")],
    scheme: SchemeName = "auto",
    look_ahead: Annotated[int, tyro.conf.arg(metavar="FRAMES")] = 0,
    for_lerobot: Annotated[int, tyro.conf.arg(metavar="CHUNK_SIZE")] = 0,
) -> int:
    """Turn scores into a weight for every frame, for behaviour cloning: columns index and weight, in [0, 1].

    For example:

        headway weights demos/tidy --from scores/tidy --out tidy-weights.parquet

    Args:
        scores: a folder that headway score wrote
        out: the table of weights
        scheme: auto: rabc-awr, or a coarser one where progress is too noisy for it; rabc: reward-aligned behaviour
            cloning as lerobot has it; filter: successes alone; docs/weights.md has them all
        look_ahead: frames over which progress is compared; default: chosen from the data
        for_lerobot: also write FILE.chunk-N.parquet, from which lerobot's own --sample_weighting.type=rabc computes
            these weights for SmolVLA, pi0 and others, N being the policy's chunk_size
    """
    if look_ahead < 0:
        raise InvalidValue(f"--look-ahead must be at least 1 frame, got {look_ahead}")
    pseudo = (beside(out, for_lerobot), for_lerobot) if for_lerobot else None
    source = open_source(dataset)
    read = read_scores(scores)
    if read.run["identity"]["dataset"] != source.fingerprint:
        raise DatasetError(f"{scores} holds the scores of another dataset ({read.run['dataset']['path']})")
    frames, outcomes = scored_frames(read)
    if scheme != "filter":
        _check_enough(~np.isnan(frames.progress), scores)
    print(outcomes)
    weight = _weigh(frames, scheme, look_ahead)
    tell_weights(diagnose(weight))
    index, episode, weight = _whole(source, read.frames["index"].to_numpy(), frames.episode, weight)
    write_weights(out, index, weight)
    if pseudo is not None:
        from headway_policies.lerobot_weighting import write_pseudo_progress

        write_pseudo_progress(pseudo[0], index, episode, weight, pseudo[1])
        print(f"{pseudo[0]} is for lerobot, for policies whose chunk_size is {pseudo[1]}, and nothing else")
    following = training_commands(source, out, not np.isnan(weight).any(), pseudo)
    print("\n".join(following).replace("report SCORES", f"report {scores}"))
    return 0


def _check_enough(known: Array, scores: Path) -> None:
    if not known.any():
        raise DatasetError(f"{scores} holds no progress to weight by; its episodes.parquet says why in `reason`")
    if known.mean() < FEWEST:
        raise DatasetError(
            f"{scores} gives progress for {known.sum()} of {len(known)} frames, too few to weight by; score with an "
            "estimator that gives it everywhere, or take --scheme filter"
        )


def _weigh(frames: ScoredFrames, scheme: str, look_ahead: int) -> Array:
    """The weights, float64 (frames,); tells what was chosen on the way."""
    if scheme not in BY_EPISODE and not look_ahead:
        chosen = choose_look_ahead(frames)
        print(chosen)
        if not chosen.met:
            print(
                "warning: over no look-ahead do all good frames gain; weights may throw away parts that the task needs."
                " Look at the curves (headway report), or take --scheme filter"
            )
        look_ahead = chosen.frames
    if scheme == "auto":
        choice = choose_scheme(frames, look_ahead)
        scheme = choice.scheme
        print(f"scheme {scheme}: {choice.reason}")
    return SCHEMES[scheme](frames, look_ahead)


def _whole(source: Source, index: Array, episode: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Index, episode and weight of every frame of the dataset; those of episodes that were not scored have none."""
    missing = [source.episode(number) for number in np.setdiff1d(source.episode_indices, episode)]
    for one in missing:
        index = np.r_[index, np.arange(one.first_frame, one.first_frame + len(one))]
        episode = np.r_[episode, np.full(len(one), one.index)]
        weight = np.r_[weight, np.full(len(one), np.nan)]
    order = np.argsort(index, kind="stable")
    return index[order], episode[order], weight[order]
