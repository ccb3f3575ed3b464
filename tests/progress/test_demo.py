"""The demo with next to nothing of everything: every real step runs, and its figures mean nothing."""

import json

import numpy as np
import pytest

from headway.cli.demo_run import Size, run, verdict
from headway.errors import OutputError
from headway.evaluation.figures import FIGURES
from headway.evaluation.judge import Found, Judged
from headway.metrics.intervals import Estimate

TINY = Size(episodes=4, epochs=1, policy_seeds=1, policy_steps=20, layouts=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "one"
    assert run(TINY, 3, out) == 0
    return out


def figures(out):
    return {name: value for name, value in json.loads((out / "results.json").read_text()).items() if name != "seconds"}


def test_it_leaves_a_dataset_a_run_scores_figures_and_a_page(finished):
    assert {"tidy-drawer", "sarm", "scores", "results.json", "report.html"} <= {
        path.name for path in finished.iterdir()
    }
    page = (finished / "report.html").read_text()
    assert "How right it is" in page
    assert "Policies cloned" in page
    told = figures(finished)
    assert set(told["accuracy"]) == {"sarm", "untrained", "pixels", "clock", "constant", "random", "oracle"}
    assert set(told["policies"]) == {"all", "success-filtered", "weighted"}
    assert told["accuracy"]["oracle"]["mae_imperfect"]["value"] == 0


def test_the_same_seed_gives_the_same_numbers(finished, tmp_path):
    assert run(TINY, 3, tmp_path / "two") == 0
    assert figures(tmp_path / "two") == figures(finished)


def test_a_finished_demo_says_so_and_an_unfinished_one_keeps_what_it_has(finished, capsys):
    assert run(TINY, 3, finished) == 0
    assert "was finished before" in capsys.readouterr().out
    weights = finished / "sarm" / "member-0.safetensors"
    before, told = weights.stat().st_mtime_ns, figures(finished)
    (finished / "results.json").unlink()
    assert run(TINY, 3, finished) == 0
    assert weights.stat().st_mtime_ns == before
    assert figures(finished) == told


def test_another_demos_folder_and_other_peoples_folders_are_refused(finished, tmp_path):
    with pytest.raises(OutputError, match="holds a demo with other settings"):
        run(TINY, 4, finished)
    (tmp_path / "thesis.tex").write_text("important")
    with pytest.raises(OutputError, match="is not empty and holds no demo"):
        run(TINY, 3, tmp_path)


def test_the_verdict_says_when_the_method_does_not_beat_a_control():
    def row(name, **figures):
        values = dict.fromkeys(FIGURES, Found(Estimate(0.5, 0.4, 0.6), np.zeros(0)))
        known = {figure: Found(Estimate(value, value, value), np.zeros(0)) for figure, value in figures.items()}
        return Judged(name, values | known, unscored=0)

    sarm = row("sarm", mae_expert=0.1, mae_imperfect=0.2, tau_failed=0.4)
    clock = row("clock", mae_expert=0.05, mae_imperfect=0.3, tau_failed=0.4)
    oracle = row("oracle", mae_expert=0.0, mae_imperfect=0.0, tau_failed=1.0)
    lines = verdict([sarm, clock, oracle])
    assert lines[0].startswith("SARM DOES NOT BEAT every blind control on mean absolute error on expert episodes")
    assert lines[1].startswith("SARM beats every blind control on mean absolute error on imperfect episodes")
    assert lines[2].startswith("SARM DOES NOT BEAT every blind control on ranking among failed"), "a tie is no win"
