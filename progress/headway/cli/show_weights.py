"""What a table of weights holds, for the terminal, and the commands that train with it."""

import shlex
from pathlib import Path

import numpy as np

from headway.errors import DatasetError, InvalidValue
from headway.signals.weights.diagnostics import Diagnosis
from headway.source import Source

BLOCKS = " ▁▂▃▄▅▆▇█"


def bars(histogram: np.ndarray) -> str:
    """Counts (bins,) as one line of blocks, the tallest a full one; whatever is there at all shows."""
    heights = np.ceil(histogram / max(histogram.max(), 1) * (len(BLOCKS) - 1)).astype(int)
    return "".join(BLOCKS[height] for height in heights)


def tell_weights(diagnosis: Diagnosis) -> None:
    """Print what came out, and what to look into before training."""
    print(diagnosis)
    print(f"frames by weight: 0 |{bars(diagnosis.histogram)}| 1")
    for warning in diagnosis.warnings:
        print(f"warning: {warning}")


def training_commands(source: Source, table: Path, whole: bool, pseudo: tuple[Path, int] | None) -> list[str]:
    """How to train with the table on this dataset, a line each.

    Args:
        source: the dataset.
        table: what was written.
        whole: whether every frame has a weight.
        pseudo: the file of pseudo-progress and the chunk size it is for, where one was written.
    """
    from headway_policies.lerobot_weighting import KAPPA, takes_static_weights

    root, file = shlex.quote(str(source.root)), shlex.quote(str(table))
    lines = []
    if _is_collected(source):
        lines.append(f"  headway policy train {root} --weights {file} --out runs/weighted")
    if source.format == "lerobot-v3":
        dataset = f"--dataset.repo_id={shlex.quote('local/' + source.root.resolve().name)} --dataset.root={root}"
        ours = "--policy.type=headway_act --policy.discover_packages_path=headway_policies.lerobot_policies"
        lines.append(
            f"  lerobot-train {ours} --policy.weights_path={file} --policy.fallback_weight=0 "
            f"--policy.push_to_hub=false {dataset}   # or headway_diffusion"
        )
        if takes_static_weights() and whole:
            weighting = f"--sample_weighting.type=static --sample_weighting.weights_path={file}"
            lines.append(f"  lerobot-train --policy.path=POLICY {weighting} {dataset}")
        elif pseudo is not None:
            weighting = (
                f"--sample_weighting.type=rabc --sample_weighting.progress_path={shlex.quote(str(pseudo[0]))} "
                f"--sample_weighting.kappa={KAPPA:g} --sample_weighting.extra_params='{{\"fallback_weight\": 0.0}}'"
            )
            chunk = f"its chunk_size must be {pseudo[1]}"
            lines.append(f"  lerobot-train --policy.path=POLICY {weighting} {dataset}   # {chunk}")
        else:
            lines.append("  for SmolVLA, pi0 and others that lerobot weights: the same with --for-lerobot CHUNK_SIZE")
    if not lines:
        return [f"next: give {file} to your training; its columns are index and weight"]
    return [f"next: headway report SCORES --weights {file}, or train with one of", *lines]


def _is_collected(source: Source) -> bool:
    """Whether it was recorded in a task of ours, where a policy of ours can act."""
    from headway_policies.recorded import read_recorded

    try:
        read_recorded(Path(source.root))
    except DatasetError:
        return False
    return True


def beside(table: Path, chunk: int) -> Path:
    """Where the pseudo-progress for a chunk size goes. Raises InvalidValue for no chunk size."""
    if chunk < 1:
        raise InvalidValue(f"--for-lerobot needs the policy's chunk_size, at least 1, got {chunk}")
    return table.with_name(f"{table.stem}.chunk-{chunk}.parquet")
