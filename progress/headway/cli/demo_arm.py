"""`headway demo-arm`."""

from pathlib import Path


def demo_arm(*, fast: bool = False, seed: int = 0, out: Path = Path("demo-arm")) -> int:
    """Drive a simulated arm behind a ROS bridge under live progress, inject a fault, replay the recording.

    For example:

        headway demo-arm --fast

    Args:
        fast: with a policy and an estimator that have hardly learnt: it shows every step, and no success
        seed: of the demonstrations, the training and the layouts
        out: folder for all of it; what was trained there before is used again
    """
    from headway.cli.demo_arm_run import FAST, FULL, run

    return run(FAST if fast else FULL, seed, out)
