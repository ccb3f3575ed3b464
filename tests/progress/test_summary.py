import numpy as np
import pytest

from headway.controls import missing_curve
from headway.episodes import ProgressCurve
from headway.scoring import ranked
from headway.signals.summary import final, summarise, why


def curve_of(values, **parts) -> ProgressCurve:
    values = np.asarray(values, np.float32)
    return ProgressCurve(values, np.ones(len(values), bool), "test", **parts)


def test_the_final_value_is_the_mean_of_the_last_five_frames():
    assert final(np.array([9, 9, 1, 2, 3, 4, 5.0])) == 3
    assert final(np.array([1.0, 2.0])) == 1.5


def test_a_row_tells_what_a_person_would_rank_by(make_slider):
    episode = make_slider()
    time = len(episode)
    values = np.concatenate([np.linspace(0, 0.8, time // 2), np.linspace(0.8, 0.5, time - time // 2)])
    row = summarise(episode, curve_of(values, stage=np.ones(time, int), stage_names=("right", "down")))
    assert row["maximum"] == pytest.approx(0.8)
    assert row["drawdown"] == pytest.approx(0.3)
    assert row["stage"] == "down"
    assert row["truth_final"] == pytest.approx(1)
    assert row["truth_mae"] == pytest.approx(np.abs(values - episode.truth.progress).mean(), abs=1e-6)
    assert row["why"].startswith("ends at 0.53 in stage down, falls back by 0.30 until 4.5 s")


def test_a_steady_rise_to_the_end_has_nothing_to_explain(make_slider):
    episode = make_slider()
    assert why(episode, curve_of(np.linspace(0, 1, len(episode)))) == ""


def test_a_pause_is_told_with_its_place_but_holding_still_when_done_is_not(make_slider):
    episode = make_slider(seconds=8, hold=20)  # 10 frames a second
    rise, pause, hold = np.linspace(0, 0.5, 30), np.full(30, 0.5), np.ones(30)
    values = np.concatenate([rise, pause, np.linspace(0.5, 1, len(episode) - 90), hold])
    words = why(episode, curve_of(values))
    assert words.startswith("stands still for 2.")
    assert "from 3." in words


def test_without_values_there_is_a_reason_and_no_made_up_number(make_slider):
    row = summarise(make_slider(), missing_curve(len(make_slider()), "x", "the video is broken"))
    assert row["reason"] == "the video is broken"
    assert not {"final", "mean", "drawdown", "success", "truth_mae"} & {k for k, v in row.items() if v is not None}


def test_a_curve_known_for_the_most_part_is_summed_up_by_that_part(make_slider):
    episode = make_slider()
    values = np.linspace(0, 1, len(episode))
    values[:5] = np.nan
    row = summarise(episode, curve_of(values, reason="the model did not say"))
    assert row["mean"] == pytest.approx(values[5:].mean())
    assert row["drawdown"] == 0
    assert row["truth_mae"] == pytest.approx(np.abs(values - episode.truth.progress)[5:].mean(), abs=1e-6)
    assert row["reason"] == "the model did not say"


def test_a_curve_known_at_its_end_alone_is_ranked_after_its_equals(make_slider):
    episode = make_slider()
    end = np.full(len(episode), np.nan)
    end[-1] = 1.0
    alone = summarise(episode, curve_of(end, reason="judged by the end"))
    assert alone["final"] == 1
    assert not {"mean", "maximum", "drawdown", "idle", "truth_mae"} & alone.keys()
    whole = summarise(episode, curve_of(np.linspace(0.99, 1, len(episode))))
    less = summarise(episode, curve_of(np.linspace(0, 0.5, len(episode))))
    rows = ranked([{**row, "episode_index": index} for index, row in enumerate((alone, less, whole))])
    assert [row["rank"] for row in rows] == [2, 3, 1]
