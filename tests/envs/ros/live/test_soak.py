"""Pictures at 30 Hz, a model at 10 Hz, for twenty seconds; `make soak` takes two minutes."""

import os
import time
from pathlib import Path

import numpy as np

SECONDS = float(os.environ.get("HEADWAY_SOAK_SECONDS", "20"))
WARM_UP = 5.0


def resident():
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_memory_stays_flat_frames_stay_young_and_the_latch_holds(cell):
    cell.model.seconds = 0.1
    cell.move()
    cell.robot.pressed = True
    cell.until(lambda: cell.state == "STOPPED")
    cell.robot.pressed = False
    time.sleep(WARM_UP)
    begun, memory, since = time.monotonic(), [], time.monotonic()
    while time.monotonic() - begun < SECONDS:
        time.sleep(0.5)
        memory.append(resident())
        assert cell.node.core.estop.latched
        assert cell.state == "STOPPED"
    told = cell.results(since)
    age = np.percentile([one["frame_age_ms"] for one in told], 95)
    rise = np.polyfit(np.arange(len(memory)) * 0.5, memory, 1)[0] * 60
    print(f"{len(told)} readings in {SECONDS:.0f} s; age p95 {age:.0f} ms; memory {rise / 2**20:+.1f} MB a minute")
    assert len(told) > 0.5 * 10 * SECONDS
    # one period of the model and 40 ms, and as much again for a machine that does other things
    assert age < 100 + 40 + 100
    assert np.ptp(memory) < 40 * 2**20
    assert len(cell.node._pictures) <= 3
    assert not cell.robot.moving
