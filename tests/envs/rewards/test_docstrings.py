import doctest
import re
import runpy
import sys
from pathlib import Path

import pytest

from headway.learned.checkpoint import save_learned
from headway_envs.rewards import single, success, vector

EXAMPLE = Path(__file__).parents[3] / "examples" / "shaped_reward.py"


def numbers(line):
    return [float(number) for number in re.findall(r"[+-]?\d+\.?\d*", line.replace("s_0", ""))]


@pytest.fixture
def trained(make_sarm, tmp_path, monkeypatch):
    """The working directory of somebody who trained a SARM, but for the training."""
    sarm = make_sarm("front", size=96)
    save_learned(tmp_path / "runs" / "tidy", sarm.method, sarm.members)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("module", [single, success, vector])
def test_the_examples_in_the_docstrings_run(module, trained, can_draw):
    assert doctest.testmod(module) == (0, doctest.testmod(module).attempted)
    assert doctest.testmod(module).attempted > 5


@pytest.mark.parametrize("arguments", [[], ["sarm:runs/tidy"]])
def test_the_example_script_prints_what_the_shaping_adds_up_to(arguments, trained, can_draw, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["shaped_reward.py", *arguments])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    original, shaped, ends = capsys.readouterr().out.splitlines()
    difference = numbers(shaped)[0] - numbers(original)[0]
    assert difference == pytest.approx(numbers(ends)[0], abs=2e-4)
    assert numbers(original)[1:] == [0, 100]
    assert numbers(shaped)[1] > 10
