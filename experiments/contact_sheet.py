"""A contact sheet for each task: one row a demonstrator, pictures evenly over the episode, true progress below them.

.venv/bin/python experiments/contact_sheet.py --out runs/sheets
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tyro
from tqdm import tqdm

from headway.episodes import Array
from headway_envs.demonstrators import kinds_of
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.seeds import unseen_seeds
from headway_envs.tasks import TASKS
from headway_envs.trajectory import Trajectory
from headway_envs.variation import LEVELS, look

PICTURES, SIZE, CURVE, MARGIN = 9, 96, 30, 144
"""Pictures a row, their pixels, the height of the curve below them, and the width of the text before them."""
SEED = unseen_seeds(1, start=900)[0]
INK, GOOD, BAD, WRONG = (40, 40, 40), (40, 140, 60), (190, 40, 40), (250, 205, 190)


@dataclass
class Args:
    """What to draw."""

    out: Path = Path("runs/sheets")
    """Folder for one picture a task."""
    robot: str = "arm"
    """`arm` or `gripper`."""


def draw_sheets(out: Path, robot: str, task_ids: list[str]) -> Path:
    """Write `<task>.jpg` for each task, `overview.jpg` with every task's expert and `variation.jpg`; the folder."""
    out.mkdir(parents=True, exist_ok=True)
    experts = []
    for task_id in tqdm(task_ids, desc="contact sheets", unit="task"):
        recorder = Recorder(task_id, RecordingOptions(robot=robot, size=SIZE))
        made = [recorder.record(SEED, kind) for kind in kinds_of(TASKS[task_id])]
        recorder.close()
        save(out / f"{task_id}.jpg", [title(task_id), *(row_of(each, each.kind) for each in made)])
        experts.append(row_of(made[0], task_id))
    save(out / "overview.jpg", experts)
    save(out / "variation.jpg", [variation_row(level, robot) for level in LEVELS])
    return out


def save(path: Path, rows: list[Array]) -> None:
    """Write rows below one another."""
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 72])


def variation_row(level: str, robot: str) -> Array:
    """How the same task looks in a few episodes of a level."""
    recorder = Recorder("tidy-drawer", RecordingOptions(robot=robot, size=SIZE, variation=level))
    pictures = []
    for seed in range(SEED, SEED + PICTURES):
        dressed = look(level, seed)
        recorder.simulator.reset(recorder.task.layout(seed, dressed.edge), dressed)
        pictures.append(recorder.simulator.frame("front", SIZE, SIZE))
    recorder.close()
    text = np.full((SIZE, MARGIN, 3), 255, np.uint8)
    write(text, level, 24, INK)
    return np.hstack([text, *pictures])


def row_of(made: Trajectory, name: str) -> Array:
    """One episode: its name and end, its pictures, its true progress; steps with an imperfection at work are tinted."""
    picked = np.linspace(0, len(made) - 1, PICTURES).round().astype(int)
    pictures = np.hstack([made.frames["front"][number] for number in picked])
    pictures[:, SIZE - 1 :: SIZE] = 255
    row = np.vstack([pictures, curve(made, pictures.shape[1])])
    text = np.full((len(row), MARGIN, 3), 255, np.uint8)
    write(text, name, 24, INK)
    write(text, "succeeds" if made.truth.succeeded else "fails", 44, GOOD if made.truth.succeeded else BAD)
    write(text, f"{len(made) / made.fps:.1f} s", 64, INK)
    write(text, f"ends at {made.truth.progress[-1]:.2f}", 84, INK)
    return np.hstack([text, row])


def curve(made: Trajectory, width: int) -> Array:
    """True progress over time, 0 at the bottom and 1 at the top."""
    strip = np.full((CURVE, width, 3), 255, np.uint8)
    at = np.minimum(np.arange(width) * len(made) // width, len(made) - 1)
    strip[:, made.truth.imperfection.any(axis=1)[at]] = WRONG
    height = (CURVE - 3 - made.truth.progress[at] * (CURVE - 6)).astype(np.int32)
    cv2.polylines(strip, [np.stack([np.arange(width, dtype=np.int32), height], axis=1)], False, INK, 1, cv2.LINE_AA)
    return strip


def title(task_id: str) -> Array:
    """The sheet's first line."""
    line = np.full((30, MARGIN + PICTURES * SIZE, 3), 255, np.uint8)
    write(line, f"{task_id}: {TASKS[task_id].instructions[0]}    (tinted: an imperfection is at work)", 20, INK)
    return line


def write(picture: Array, text: str, y: int, colour: tuple[int, int, int]) -> None:
    """Put small text into a picture, in place."""
    cv2.putText(picture, text, (6, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


if __name__ == "__main__":
    args = tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,))
    print(f"contact sheets are in {draw_sheets(args.out, args.robot, list(TASKS))}")
