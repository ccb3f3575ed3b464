"""GVL: examples, the goal, the median over orders, and what a bad reply leads to."""

import json
import re

import cv2
import numpy as np
import pytest

from headway.errors import DatasetError, InvalidValue, Unsupported
from headway.vlm.chat import Abilities, Text
from headway.vlm.estimator import VlmEstimator
from headway.vlm.examples import with_examples
from headway.vlm.gvl import Example, Gvl
from headway.vlm.judgement import Outcome
from headway.vlm.parsing import FRAMES_SCHEMA
from headway.vlm.rubric import Rubric
from headway_envs.vlm_server import READERS

LABELS = re.compile(r"For each of the frames ([\d, ]+) say")


def labels_of(question) -> list[int]:
    """Labels of the frames that a question asks about."""
    return [int(label) for label in LABELS.search(question.parts[-1].text)[1].split(", ")]


def all_at(percent: int, question) -> str:
    return json.dumps({"frames": [{"frame": label, "completion": percent} for label in labels_of(question)]})


def by_label(question) -> dict[int, object]:
    """Label -> picture, of the pictures with one."""
    found = {}
    for before, part in zip(question.parts, question.parts[1:], strict=False):
        label = re.search(r"Frame (\d+):$", before.text) if isinstance(before, Text) else None
        if label:
            found[int(label[1])] = part
    return found


def estimated(method, model, examples=(), goal=None):
    return with_examples(VlmEstimator("gvl:planted", method, model), examples, goal)


def test_on_the_wire_each_picture_of_an_example_is_followed_by_its_own_percentage(watched, make_slider, exact):
    examples = [make_slider(7, seconds=4.8, hold=1), make_slider(8, seconds=2.4, hold=1)]
    estimator = estimated(Gvl(10, permutations=1), watched.model(), examples)
    (curve,) = estimator.estimate([exact])
    estimator.close()
    (asked,) = watched.asked
    said = [int(percent) for percent in re.findall(r"Frame \d+:\nCompletion: (\d+) %", asked.text)]
    shown = [round(100 * READERS["slider"](each.pixels)) for each in asked.shown[:20]]
    assert len(said) == 20
    assert said == pytest.approx(shown, abs=2)
    for one in (said[:10], said[10:]):
        assert set(one) >= {0, 100}
        assert one != sorted(one), "their order is not that of time"
        assert one != sorted(one, reverse=True)
    # the first example is not an excuse for the second
    assert said[:10] != said[10:]
    assert curve.values == pytest.approx(exact.truth.progress, abs=0.02)


def test_an_example_needs_a_percentage_for_each_picture(clip_of, exact):
    with pytest.raises(InvalidValue, match="an example has 3 pictures but 2 percentages"):
        Example(clip_of(exact, 3).pictures, (0, 100), "move it")


def test_the_goal_is_shown_in_its_own_colours_and_labelled_before_the_anchor(watched, exact, tmp_path):
    picture = np.full((30, 40, 3), 70, np.uint8)
    picture[5:15, 20:30] = (220, 30, 10)
    cv2.imwrite(str(tmp_path / "goal.png"), picture[:, :, ::-1])
    estimator = estimated(Gvl(5, permutations=1), watched.model(), goal=tmp_path / "goal.png")
    (curve,) = estimator.estimate([exact])
    estimator.close()
    (asked,) = watched.asked
    assert [shown.label for shown in asked.shown] == [1, None, 2, 3, 4, 5, 6]
    assert (asked.shown[0].pixels == picture).all(), "red is still red"
    assert "This is what the scene looks like when the task is done, at 100 %.\nFrame 1:" in asked.text
    assert "the frames 2, 3, 4, 5, 6 say" in asked.text
    assert curve.values == pytest.approx(exact.truth.progress, abs=0.02)


def test_what_is_no_example_is_one_clear_line(planted, make_slider, tmp_path):
    model = planted(lambda question: "")
    with pytest.raises(InvalidValue, match="episode 3 failed, and an example is shown as done at its end"):
        estimated(Gvl(), model, [make_slider(3, stop_at=0.5)])
    with pytest.raises(Unsupported, match="examples and a goal are for gvl; gvl:planted takes none"):
        estimated(Rubric(), model)
    (tmp_path / "goal.png").write_text("no picture")
    with pytest.raises(DatasetError, match=r"goal.png is not a picture that can be read; give a PNG or JPEG file"):
        estimated(Gvl(), model, goal=tmp_path / "goal.png")


def test_the_median_of_the_orders_is_taken_and_their_spread_told(planted, judged, clip_of, exact):
    said = iter([10, 20, 90])
    judgement = judged(Gvl(6, 3), clip_of(exact, 6), planted(lambda question: all_at(next(said), question)))
    assert judgement.progress == pytest.approx([0.2] * 6)
    assert judgement.raw == pytest.approx([20] * 6)
    assert judgement.uncertainty == pytest.approx([np.std([10, 20, 90]) / 100] * 6)
    assert judgement.outcomes == {Outcome.READ: 18}


def test_of_one_reading_the_spread_is_unknown(planted, judged, clip_of, exact):
    model = planted(lambda question: all_at(40, question))
    judgement = judged(Gvl(6, 1), clip_of(exact, 6), model)
    assert judgement.progress == pytest.approx([0.4] * 6)
    assert np.isnan(judgement.uncertainty).all()


def test_orders_differ_by_count_seed_and_episode_and_are_the_same_again(clip_of, make_slider):
    one, two = (clip_of(make_slider(number, seconds=4.8, hold=1), 20) for number in (1, 2))
    orders = [
        tuple(order.tolist())
        for clip, seed in ((one, 0), (two, 0), (one, 1))
        for order in Gvl(20, 3, seed=seed).orders(clip)
    ]
    assert len(set(orders)) == 9
    assert all(sorted(order) == list(range(20)) and list(order) != sorted(order) for order in orders)
    assert [tuple(order.tolist()) for order in Gvl(20, 3).orders(one)] == orders[:3]


def test_three_orders_are_shown_and_a_frame_has_another_label_in_each(planted, honest, judged, clip_of, exact):
    clip = clip_of(exact, 12)
    model = planted(honest)
    judgement = judged(Gvl(12, 3), clip, model)
    shown = {question.pictures[1:] for question in model.asked}
    assert len(shown) == 3
    assert all(set(pictures) == set(clip.pictures) and pictures != clip.pictures for pictures in shown)
    assert {question.pictures[0] for question in model.asked} == {clip.pictures[0]}
    assert judgement.progress == pytest.approx(exact.truth.progress[clip.frames], abs=0.006)


def test_two_bad_replies_are_mended_by_a_third_with_another_seed(planted, honest, judged, clip_of, exact):
    clip = clip_of(exact, 8)
    bad = iter(["Hm.", "The scene is dark."])
    model = planted(lambda question: next(bad, None) or honest(question))
    judgement = judged(Gvl(8, 1, seed=5), clip, model)
    assert [question.seed for question in model.asked] == [5, 6, 7]
    assert judgement.progress == pytest.approx(exact.truth.progress[clip.frames], abs=0.006)
    assert judgement.outcomes == {Outcome.READ: 8}
    assert judgement.reason == ""


def test_three_bad_replies_are_the_end_of_it(planted, judged, clip_of, exact):
    model = planted(lambda question: "Hm.")
    judgement = judged(Gvl(8, 1), clip_of(exact, 8), model)
    assert len(model.asked) == 3
    assert np.isnan(judgement.progress).all()
    assert judgement.reason == "no completion for 8 of 8 frames (prose 8)"


def test_frames_that_are_asked_for_again_keep_their_labels(planted, honest, judged, clip_of, exact):
    clip = clip_of(exact, 8)

    def all_but_two(question):
        said = json.loads(honest(question).text)["frames"]
        kept = [entry for entry in said if len(said) <= 2 or entry["frame"] not in (3, 6)]
        return json.dumps({"frames": kept})

    model = planted(all_but_two)
    judgement = judged(Gvl(8, 1), clip, model)
    first, again = model.asked
    assert labels_of(again) == [3, 6]
    assert by_label(again) == {label: by_label(first)[label] for label in (3, 6)}
    assert judgement.progress == pytest.approx(exact.truth.progress[clip.frames], abs=0.006)


def test_examples_and_a_limit_of_pictures_part_the_frames_and_show_the_examples_each_time(
    planted, honest, make_slider, exact, tmp_path
):
    cv2.imwrite(str(tmp_path / "goal.png"), np.full((30, 40, 3), 200, np.uint8))
    model = planted(honest, Abilities(logprobs=False, schema=False, pictures=11))
    examples = [make_slider(7, seconds=4.8, hold=1)]
    estimator = estimated(Gvl(6, permutations=1), model, examples, tmp_path / "goal.png")
    (curve,) = estimator.estimate([exact])
    # 6 of the example, the goal and the anchor leave room for 3
    assert [len(question.pictures) for question in model.asked] == [11, 11]
    assert [labels_of(question) for question in model.asked] == [[8, 9, 10]] * 2
    assert model.asked[0].pictures[:8] == model.asked[1].pictures[:8]
    assert curve.looked_at.sum() == 6
    assert curve.values == pytest.approx(exact.truth.progress, abs=0.02)

    full = planted(honest, Abilities(logprobs=False, schema=False, pictures=8))
    with pytest.raises(InvalidValue, match="the server takes 8 pictures a request, but the examples, the goal and the"):
        list(estimated(Gvl(6, 1), full, examples, tmp_path / "goal.png").estimate([exact]))
    estimator.close()


def test_a_server_that_takes_the_schema_gets_it_with_the_description_before_the_number(watched, curves_of, exact):
    curves_of(Gvl(5, permutations=1), watched.model(), exact)
    (body,) = watched.bodies
    sent = body["response_format"]["json_schema"]
    assert sent["schema"] == FRAMES_SCHEMA
    assert sent["strict"] is True
    entry = sent["schema"]["properties"]["frames"]["items"]
    assert list(entry["properties"]) == ["frame", "description", "completion"]
    assert entry["required"] == ["frame", "description", "completion"]
