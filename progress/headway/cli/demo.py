"""`headway demo`."""

from pathlib import Path


def demo(*, fast: bool = False, seed: int = 0, out: Path = Path("demo")) -> int:
    """Run the main job on simulated demonstrations: collect, train, score, judge, train policies, report.

    For example:

        headway demo --fast

    Args:
        fast: a small one that shows every step in under 90 seconds; its figures mean little
        seed: of layouts, demonstrators and training; the same seed gives the same numbers
        out: folder for all of it; a demo cut short goes on from there
    """
    from headway.cli.demo_run import FAST, FULL, run

    return run(FAST if fast else FULL, seed, out)
