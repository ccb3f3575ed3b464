import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest

from headway.errors import InvalidValue, OutputError, UnknownName
from headway_envs.collect import collect, default_mix, parse_mix, plan, record_all
from headway_envs.demonstrators import KINDS
from headway_envs.seeds import SPAN, UNSEEN, collection_seeds, unseen_seeds
from headway_envs.tasks import TASKS


def test_a_mix_is_scaled_to_one():
    assert parse_mix("expert=3, drop=1") == {"expert": 0.75, "drop": 0.25}
    assert sum(default_mix().values()) == pytest.approx(1)
    assert default_mix()["expert"] == 0.5


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("expert=.5,clumsy=.5", UnknownName, "unknown kind of demonstrator in --mix: 'clumsy'; available: abandon"),
        ("expert=-1", InvalidValue, "--mix has 'expert=-1'; write kind=share with a share from 0"),
        ("expert=half", InvalidValue, "--mix has 'expert=half'"),
        ("expert", InvalidValue, "--mix has 'expert'"),
        ("expert=inf", InvalidValue, "--mix has 'expert=inf'"),
        ("expert=0,drop=0", InvalidValue, "sum to 0"),
        ("", InvalidValue, "sum to 0"),
        ("expert=1,expert=1", InvalidValue, "names 'expert' twice"),
    ],
)
def test_an_impossible_mix_is_refused_with_one_line(text, error, message):
    with pytest.raises(error, match=message) as caught:
        parse_mix(text)
    assert "\n" not in str(caught.value)


def test_a_plan_has_the_shares_of_the_mix_spread_over_the_episodes():
    jobs = plan(60, default_mix(), seed=0)
    counts = Counter(kind for _, kind in jobs)
    assert counts["expert"] == 30
    assert sorted(counts[kind] for kind in KINDS if kind != "expert") == [4, 4, 4, 4, 4, 5, 5]
    assert 8 < sum(kind == "expert" for _, kind in jobs[:30]) < 22
    assert jobs == plan(60, default_mix(), seed=0)
    assert [kind for _, kind in jobs] != [kind for _, kind in plan(60, default_mix(), seed=1)]


@pytest.mark.parametrize("episodes", [1, 7, 13, 100])
def test_a_plan_has_exactly_the_episodes_asked_for(episodes):
    jobs = plan(episodes, parse_mix("expert=1,drop=1,detour=1"), seed=2)
    assert len(jobs) == len({seed for seed, _ in jobs}) == episodes


def test_collections_and_unseen_layouts_share_no_seed():
    spans = [set(collection_seeds(seed, SPAN)) for seed in (0, 1, 2)]
    assert not spans[0] & spans[1]
    assert not spans[1] & spans[2]
    assert collection_seeds(UNSEEN // SPAN - 1, SPAN)[-1] < unseen_seeds(1)[0]


@pytest.mark.parametrize("call", [lambda: collection_seeds(-1, 5), lambda: collection_seeds(UNSEEN // SPAN, 5)])
def test_a_seed_out_of_range_is_refused(call):
    with pytest.raises(InvalidValue, match="seed must be a whole number from 0 to"):
        call()


def test_a_collection_of_no_or_too_many_episodes_is_refused():
    for episodes in (0, SPAN + 1):
        with pytest.raises(InvalidValue, match="a collection has 1 to 100000 episodes"):
            collection_seeds(0, episodes)


@pytest.mark.parametrize("task_id", TASKS)
def test_layouts_differ_from_seed_to_seed_and_return_with_it(task_id):
    task = TASKS[task_id]
    places = np.array([task.layout(seed).cubes for seed in unseen_seeds(50)])
    assert task.layout(UNSEEN) == task.layout(UNSEEN)
    assert len({layout.tobytes() for layout in places}) == 50
    # an eye on every cube is needed: each lies over an area many times its own size
    assert (np.ptp(places, axis=0)[:, :2] > 0.06).all()
    assert (np.ptp(places, axis=0)[:, 1] > 0.15).all()


def test_a_collection_is_a_dataset_with_the_truth_beside_it(tmp_path, can_draw):
    out = tmp_path / "demos"
    made = collect("tidy-drawer", 3, out, mix="expert=2,drop=1", seed=5, workers=1, show_progress=False)
    assert made.episodes == {"expert": 2, "drop": 1}
    assert made.successes == {"expert": 2, "drop": 0}
    table = pq.read_table(out / "data")
    assert table.num_rows == made.frames
    assert {"observation.state", "observation.environment_state", "action"} <= set(table.column_names)
    assert {"truth.progress", "truth.stage", "truth.success"} <= set(table.column_names)
    notes = json.loads((out / "meta" / "headway.json").read_text())
    assert (notes["task_id"], notes["task_version"], notes["seed"]) == ("tidy-drawer", 1, 5)
    assert notes["proportions"] == list(TASKS["tidy-drawer"].proportions)
    assert notes["layout_seeds"] == list(collection_seeds(5, 3))


def test_worker_processes_record_the_same_as_this_one():
    jobs = plan(3, parse_mix("expert=1,regress=1"), seed=9)
    alone = list(record_all("stack-three", jobs, cameras=(), workers=1))
    together = list(record_all("stack-three", jobs, cameras=(), workers=2))
    assert [t.kind for t in alone] == [t.kind for t in together] == [kind for _, kind in jobs]
    for one, other in zip(alone, together, strict=True):
        assert one.state.tobytes() == other.state.tobytes()
        assert one.action.tobytes() == other.action.tobytes()


def test_a_taken_folder_is_refused_and_left_alone(tmp_path, can_draw):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        collect("tidy-drawer", 2, tmp_path, workers=1, show_progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_unwritable_place_is_refused(tmp_path, can_draw):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        collect("tidy-drawer", 2, tmp_path / "file" / "demos", workers=1, show_progress=False)


def test_an_unknown_task_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(UnknownName, match="available: stack-three, tidy-drawer"):
        collect("fold-shirt", 2, tmp_path / "demos")
    assert not (tmp_path / "demos").exists()
