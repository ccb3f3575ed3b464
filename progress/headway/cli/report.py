"""`headway report`."""

from pathlib import Path
from typing import Annotated

import tyro

from headway.cli.options import Bar, open_source
from headway.tables import read_scores


def report(
    scores: Annotated[Path, tyro.conf.arg(metavar="SCORES", help="a folder that headway score wrote")],
    /,
    *,
    weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE.parquet")] = None,
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html")] = None,
) -> int:
    """Write one self-contained page: every episode ranked, with its pictures, its curve and its video.

    For example:

        headway report scores/tidy --out tidy.html

    Args:
        weights: what headway weights made from these scores; shown under each curve, with a histogram
        out: the page; default: report.html in SCORES
    """
    from headway.cli.show_checks import check_tables
    from headway.report import write_report
    from headway.report.weights import with_weights
    from headway.signals.weights import read_weights

    read = read_scores(scores)
    if weights is not None:
        read = with_weights(read, *read_weights(weights))
    identity = read.run["identity"]
    source = open_source(read.run["dataset"]["path"], ",".join(identity["cameras"]), identity["options"]["rename"])
    with Bar("report", "episode") as bar:
        place = out or scores / "report.html"
        page = write_report(read, source, place, tables=check_tables(read), on_episode=bar.at)
    print(f"next: open {page} in a browser")
    return 0
