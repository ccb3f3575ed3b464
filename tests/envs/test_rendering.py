import os
import subprocess
import sys

import numpy as np

from headway_envs.simulator import Simulator
from headway_envs.tasks import TASKS

PROGRAM = """
import sys
from headway.errors import Unsupported
from headway_envs.recording import Recorder, RecordingOptions
assert Recorder("tidy-drawer", RecordingOptions(cameras=())).record(0).truth.succeeded
try:
    Recorder("tidy-drawer")
except Unsupported as error:
    print(error)
"""


def colours(frame):
    """How many pixels are clearly red, green, blue, violet (the handle) and orange (the fingers)."""
    red, green, blue = frame.astype(int).transpose(2, 0, 1)
    return {
        "red": ((red > 130) & (green < 80) & (blue < 80)).sum(),
        "green": ((green > 90) & (red < 80) & (blue < 90)).sum(),
        "blue": ((blue > 120) & (red < 80) & (green < 110)).sum(),
        "violet": ((red > 80) & (blue > 80) & (green < 70)).sum(),
        "orange": ((red > 140) & (green > 80) & (blue < 70)).sum(),
    }


def test_a_machine_without_gl_can_record_states_and_says_what_to_install_for_pictures():
    without_gl = {
        **os.environ,
        "MUJOCO_GL": "egl",
        "__EGL_VENDOR_LIBRARY_FILENAMES": "/nonexistent",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=without_gl, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cannot draw frames: no OpenGL context")
    assert done.stdout.strip().endswith("sudo apt-get install -y libegl1 libegl-mesa0 libgl1-mesa-dri libgl1")
    assert done.stdout.count("\n") == 1


def test_what_matters_is_visible_in_a_small_frame(can_draw):
    needed = dict.fromkeys(TASKS, ("red", "blue", "orange"))
    needed |= {"tidy-drawer": ("red", "blue", "violet", "orange"), "stack-three": ("red", "green", "blue", "orange")}
    for task_id, names in needed.items():
        task = TASKS[task_id]
        simulator = Simulator(task)
        simulator.reset(task.layout(3))
        seen = colours(simulator.frame())
        for name in names:
            assert seen[name] >= 25, (task_id, name, seen)
        simulator.close()


def test_frames_are_copies_that_later_frames_do_not_change(can_draw):
    task = TASKS["stack-three"]
    simulator = Simulator(task)
    simulator.reset(task.layout(0))
    first = simulator.frame()
    kept = first.copy()
    simulator.reset(task.layout(1))
    second = simulator.frame()
    assert np.array_equal(first, kept)
    assert not np.array_equal(first, second)
    simulator.close()
