"""`headway weights`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from headway.cli.options import DatasetArgument, open_source
from headway.episodes import Array
from headway.errors import DatasetError
from headway.signals.weights import LOOK_AHEAD, at_ceiling, awr, gains, rabc, topreward, write_weights
from headway.tables import read_scores

# from this share of equal weights on, a person is warned
SATURATED = 0.5
# with a smaller share of frames weighted, a training would see next to nothing of the dataset
FEWEST = 0.1


def weights(
    dataset: DatasetArgument,
    /,
    *,
    scores: Annotated[Path, tyro.conf.arg(name="from", metavar="SCORES")],
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.parquet")],
    scheme: Literal["rabc", "awr", "topreward"] = "rabc",
    look_ahead: int = LOOK_AHEAD,
) -> int:
    """Turn scores into a weight for every frame, for behaviour cloning: columns index and weight, in [0, 1].

    For example:

        headway weights demos/tidy --from scores/tidy --out tidy-weights.parquet

    Args:
        scores: a folder that headway score wrote
        out: the table of weights
        scheme: rabc: reward-aligned behaviour cloning (SARM); awr: exponential in the gain (GVL); topreward
        look_ahead: frames over which progress is compared
    """
    source = open_source(dataset)
    read = read_scores(scores)
    if read.run["identity"]["dataset"] != source.fingerprint:
        raise DatasetError(f"{scores} holds the scores of another dataset ({read.run['dataset']['path']})")
    column = {name: read.frames[name].to_numpy() for name in ("index", "episode_index", "progress_sparse")}
    gain = gains(column["progress_sparse"], column["episode_index"], look_ahead)
    schemes: dict[str, Callable[[Array], Array]] = {"rabc": rabc, "awr": awr, "topreward": topreward}
    weight = schemes[scheme](gain)
    known = weight[~np.isnan(weight)]
    if not known.size:
        raise DatasetError(f"{scores} holds no progress to weight by; its episodes.parquet says why in `reason`")
    if len(known) < FEWEST * len(weight):
        raise DatasetError(
            f"{scores} gives progress for {len(known)} of {len(weight)} frames, too few to weight by; score with an "
            "estimator that gives it everywhere"
        )
    write_weights(out, column["index"], weight)
    print(
        f"{len(known)} of {len(weight)} frames have a weight; mean {known.mean():.3f}, zero {np.mean(known == 0):.1%}"
    )
    if len(known) < len(weight):
        print("the others have no progress and no weight (null): leave them out of the training")
    saturated = at_ceiling(weight)
    if scheme != "rabc" and saturated > SATURATED:
        print(
            f"warning: {saturated:.0%} of the weights are at their ceiling, so that {scheme} hardly tells frames "
            "apart; take --scheme rabc, or a longer --look-ahead"
        )
    print(f"next: give {out} to your training; its columns are index and weight")
    return 0
