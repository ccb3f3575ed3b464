"""`headway merge`."""

from pathlib import Path
from typing import Annotated

import tyro

from headway.cli.options import Bar


def merge(
    shards: Annotated[list[Path], tyro.conf.arg(metavar="SCORES_PART")],
    /,
    *,
    out: Annotated[Path, tyro.conf.arg(metavar="SCORES")],
) -> int:
    """Put the shards of one run of headway score together, into the tables that one run alone would have written.

    For example:

        headway score demos/tidy --estimator sarm:runs/tidy --shard 1/2 --out scores/tidy-1
        headway score demos/tidy --estimator sarm:runs/tidy --shard 2/2 --out scores/tidy-2
        headway merge scores/tidy-1 scores/tidy-2 --out scores/tidy

    Args:
        shards: folders that headway score --shard i/n wrote, one for every i
        out: folder for the tables
    """
    from headway.scoring.shards import merge_shards
    from headway.tables import RUN

    finished = (out / RUN).exists()
    with Bar("merging", "shard") as bar:
        merge_shards(shards, out, bar.at)
    print(f"{out} was finished before and is left as it is" if finished else f"scores are in {out}")
    print(f"next: headway report {out}")
    return 0
