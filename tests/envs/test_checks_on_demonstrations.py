"""Demonstrations that are imperfect but technically sound have no defect; what they do badly shows among the risks."""

import pytest

from headway.checks import check_row, defect_words, read_numbers
from headway.encoders.cache import default_cache
from headway_datasets.opening import open_dataset
from headway_envs.collect import collect
from headway_envs.recording import RecordingOptions

MIX = "expert=3,hesitate=2,jitter=1,abandon=1,detour=1"


@pytest.mark.parametrize("task", ["push-to-goal", "lift"])
def test_simulated_demonstrations_have_no_defect(task, tmp_path, can_draw):
    options = RecordingOptions(robot="gripper", size=32)
    collect(task, 8, tmp_path / "demos", mix=MIX, seed=3, options=options, workers=1, show_progress=False)
    source = open_dataset(tmp_path / "demos")
    numbers = read_numbers(source)
    assert numbers.pairs == ((0, 0), (1, 1), (2, 2))
    rows = {episode.index: check_row(episode, numbers, default_cache()) for episode in source}
    assert [defect_words(row) for row in rows.values()] == [""] * 8
    known = {name for row in rows.values() for name, value in row.items() if value is not None}
    assert known == {name for row in rows.values() for name in row}, "the suite lets everything be known"
    kinds = {episode.index: episode.kind for episode in source}
    idle = {kind: [rows[i]["risk_idle"] for i in rows if kinds[i] == kind] for kind in set(kinds.values())}
    assert min(idle["hesitate"]) > max(idle["expert"])
