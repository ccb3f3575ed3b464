"""How fast the simulation steps, draws and collects. Results: simulation.md

Claims: 1,000 control steps with an 84-pixel frame each per second of one core on our own scenes, and 100 tidy-drawer
demonstrations with video in 40 s on 2 cores. In the same run, for comparison: MuJoCo's own rendering settings (shadows
and multisampling), and the floor, steps without any picture. Seconds are of one core (process time) or, where it says
so, by the clock on the wall.

    .venv/bin/python benchmarks/simulation.py             # some three minutes
    .venv/bin/python benchmarks/simulation.py --fast      # seconds, its figures mean little
"""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from claims import Claim, write_claims

from headway_envs.collect import collect
from headway_envs.rendering import mujoco
from headway_envs.robots import ROBOTS
from headway_envs.simulator import Simulator
from headway_envs.tasks import TASKS
from headway_envs.variation import LEVELS, look

PICTURE = 84


@dataclass
class Args:
    """What to run."""

    steps: int = 300
    """Control steps of each measurement."""
    repeats: int = 3
    """Of each; the median counts."""
    episodes: int = 100
    """To collect."""
    fast: bool = False
    """A few of everything, to see that it runs."""
    out: Path = Path("runs/simulation-benchmark")
    """Folder for the results."""


def per_second(step: Callable[[], object], args: Args) -> float:
    """How often `step` runs in a second of one core, the median of the repeats."""
    found = []
    for _ in range(args.repeats):
        begun = time.process_time()
        for _ in range(args.steps):
            step()
        found.append(args.steps / (time.process_time() - begun))
    return float(np.median(found))


def measure(task_id: str, robot: str, level: str, args: Args) -> dict[str, float]:
    """Steps per second: under an expert's commands, with a frame each, and the floor, the same command again."""
    task = TASKS[task_id]
    simulator = Simulator(task, robot)
    dressed = look(level, 0)
    situation = simulator.reset(task.layout(0, dressed.edge), dressed)
    simulator.frame("front", PICTURE, PICTURE)
    action = simulator.command(task.act(situation))

    def step_and_draw() -> None:
        simulator.step(action)
        simulator.frame("front", PICTURE, PICTURE)

    rates = {
        "step": per_second(lambda: simulator.step(action), args),
        "step with frame": per_second(step_and_draw, args),
        "expert's step with frame": per_second(
            lambda: (
                simulator.step(simulator.command(task.act(simulator.situation()))),
                simulator.frame("front", PICTURE, PICTURE),
            ),
            args,
        ),
    }
    simulator.close()
    return rates


def mujocos_own(task_id: str, robot: str, args: Args) -> float:
    """Steps with a frame per second under the rendering settings that MuJoCo has by itself."""
    simulator = Simulator(TASKS[task_id], robot)
    simulator.reset(TASKS[task_id].layout(0))
    usual = mujoco.MjModel.from_xml_string("<mujoco/>").vis.quality
    simulator.model.vis.quality.shadowsize = usual.shadowsize
    simulator.model.vis.quality.offsamples = usual.offsamples
    renderer = mujoco.Renderer(simulator.model, PICTURE, PICTURE)
    action = simulator.command(TASKS[task_id].act(simulator.situation()))

    def step_and_draw() -> None:
        simulator.step(action)
        renderer.update_scene(simulator.data, "front")
        renderer.render()

    few = Args(steps=max(5, args.steps // 15), repeats=1)
    rate = per_second(step_and_draw, few)
    renderer.close()
    simulator.close()
    return rate


def collecting(episodes: int) -> dict[str, float]:
    """Wall seconds for that many tidy-drawer demonstrations with video, one worker a core, start-up included."""
    folder = Path(tempfile.mkdtemp())
    begun = time.monotonic()
    made = collect("tidy-drawer", episodes, folder / "demos")
    seconds = time.monotonic() - begun
    shutil.rmtree(folder)
    return {"episodes": episodes, "frames": made.frames, "wall seconds": round(seconds, 1)}


def main(args: Args) -> None:
    if args.fast:
        args.steps, args.repeats, args.episodes = 20, 1, 4
    rows = {}
    for robot in ROBOTS:
        for task_id in TASKS:
            rows[f"{task_id}, {robot}"] = measure(task_id, robot, "none", args)
    for level in LEVELS:
        rows[f"tidy-drawer, arm, {level}"] = measure("tidy-drawer", "arm", level, args)
    own = mujocos_own("tidy-drawer", "arm", args)
    heads = list(next(iter(rows.values())))
    lines = [f"| per second of one core | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(f'{rates[head]:,.0f}' for head in heads)} |" for name, rates in rows.items()]
    lines.append(f"| tidy-drawer, arm, MuJoCo's own settings | | {own:,.0f} | |")
    collected = collecting(args.episodes)
    what = f"{collected['episodes']} tidy-drawer demonstrations ({collected['frames']} frames) with video"
    lines += ["", f"{what} on {os.cpu_count()} cores: {collected['wall seconds']} s (wall)"]
    print("\n".join(lines))
    if args.fast:
        print("\n--fast: the figures mean nothing")
    slowest = min(rows, key=lambda name: rows[name]["step with frame"])
    claims = [
        Claim(
            f"control steps with a frame of {PICTURE} pixels, the slowest scene, one core",
            rows[slowest]["step with frame"],
            "steps/s",
            1000.0,
            note=slowest,
        ),
        Claim(
            f"{collected['episodes']} tidy-drawer demonstrations with video",
            collected["wall seconds"],
            "s",
            40.0,
            at_least=False,
        ),
    ]
    about = {"mujoco": mujoco.__version__, "mujoco's own": own}
    write_claims(args.out / "simulation.json", claims, {"rates": rows, "collect": collected, **about})


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,)))
