"""What is answered to each kind of question, from pictures alone."""

import json
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from headway_envs.vlm_server import Script, serving
from headway_envs.vlm_server.readers import slider

LETTERS = "ABCDEFGHIJKLMNOPQRST"
TRUE = "The robot has completed the task. Decide whether that statement is True or not. The answer is:"
YES = "Has the whole task been done? Answer with Yes or No and nothing else."
SCALE = "Judge the last picture on a scale of 20 letters from A to T. Answer with one letter."
PAIR = 'Which is further? Answer with JSON only: {"further": 1, 2 or 0, "percent": 0-100}'
SCORE = "End your reply with a line of the form ANSWER: and the score."


def test_frames_are_judged_by_their_pixels_whatever_their_order(asker, slide, say):
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(len(slide))
        with serving(Script(seed=seed)) as server:
            said = say["completions"](asker(server).frames([slide[place] for place in order], anchor=slide[0]))
        values = [said[label] for label in range(1, len(slide) + 1)]
        assert spearmanr(values, order).statistic == pytest.approx(1)
        assert (min(values), max(values)) == (0, 100)


def test_the_reply_does_not_keep_the_order_of_the_request(asker, shuffled, say):
    pictures, _ = shuffled
    with serving() as server:
        labels = [entry["frame"] for entry in say["entries"](asker(server).frames(pictures, anchor=pictures[0]))]
        two = [entry["frame"] for entry in say["entries"](asker(server).frames(pictures[:2], anchor=pictures[0]))]
    assert sorted(labels) == list(range(1, len(pictures) + 1))
    assert labels != sorted(labels)
    assert two == [2, 1]


def test_labels_are_anything_and_only_those_asked_for_are_answered(asker, slide, say):
    with serving() as server:
        all_shown = asker(server).frames(slide[:4], anchor=slide[0], labels=(12, 3, 40, 7))
        two_wanted = asker(server).frames(slide[:4], anchor=slide[0], labels=(12, 3, 40, 7), wanted=(3, 7))
    said = say["completions"](all_shown)
    assert said[12] < said[3] < said[40] < said[7]
    assert say["completions"](two_wanted) == {label: said[label] for label in (3, 7)}


def test_without_a_list_those_after_the_anchor_are_answered(asker, slide, say):
    ask = 'Say how far each one is. JSON only: {"frames": [{"frame": N, "completion": 0-100}]}'
    with serving() as server:
        here = asker(server)
        example = [{"type": "text", "text": "Frame 1:"}, here.image(slide[2]), {"type": "text", "text": "20 %"}]
        question = [here.image(slide[0]), {"type": "text", "text": "Frame 2:"}, here.image(slide[4])]
        response = here.ask([*example, *question, {"type": "text", "text": ask}])
        assert server.requests[0].labels == (1, None, 2)
    assert say["completions"](response) == {2: round(100 * slider(slide[4]))}


def test_a_label_is_of_the_one_picture_that_follows_it(asker, slide):
    with serving() as server:
        here = asker(server)
        words = {"type": "text", "text": "Frame 3:"}
        here.ask(
            [words, here.image(slide[0]), here.image(slide[1]), words | {"text": "Frame 4: is"}, here.image(slide[2])]
        )
        assert server.requests[0].labels == (3, None, None)


def test_progress_is_counted_from_the_anchor(asker, slide, say):
    half = slide[len(slide) // 2]
    with serving() as server:
        from_start = say["completions"](asker(server).frames(slide, anchor=slide[0]))
        from_half = say["completions"](asker(server).frames(slide, anchor=half))
    assert from_half[len(slide)] == 100
    start = slider(half)
    for label, picture in enumerate(slide, start=1):
        assert from_start[label] == round(100 * slider(picture))
        assert from_half[label] == round(100 * max(0, (slider(picture) - start) / (1 - start)))


def test_without_an_anchor_it_has_lost_its_bearings(asker, slide, say):
    found = []
    with serving() as server:
        for count in range(8):
            said = say["completions"](asker(server).frames(slide[count:]))
            values = [said[label] for label in sorted(said)]
            found.append(spearmanr(values, np.arange(len(values))).statistic)
            assert values != [round(100 * slider(picture)) for picture in slide[count:]]
    assert min(found) < -0.9
    assert max(found) > 0.9


@pytest.mark.parametrize("words", ["frames", TRUE, SCALE, SCORE])
def test_with_red_and_blue_swapped_it_says_that_it_cannot_see(asker, slide, say, words):
    swapped = [picture[:, :, ::-1] for picture in slide]
    with serving() as server:
        ask = asker(server)
        response = ask.frames(swapped, anchor=swapped[0]) if words == "frames" else ask.prefix(swapped, words)
    assert "cannot see" in say["content"](response)
    assert "{" not in say["content"](response)


def test_a_frame_that_shows_nothing_is_left_out(asker, slide, say):
    pictures = [slide[1], np.zeros_like(slide[0]), slide[5]]
    with serving() as server:
        assert sorted(say["completions"](asker(server).frames(pictures, anchor=slide[0]))) == [1, 3]


@pytest.mark.parametrize(("words", "yes"), [(TRUE, "True"), (YES, "Yes")])
def test_the_probability_of_yes_rises_with_the_last_picture(asker, slide, words, yes, say):
    found = []
    with serving() as server:
        for end in range(1, len(slide) + 1):
            response = asker(server).prefix(slide[:end], words, logprobs=True, top_logprobs=20, max_tokens=1)
            found.append(alternatives(say["choice"](response))[yes])
        assert say["content"](response) == yes
    assert (np.diff(found) > 0).all()
    assert found[0] < -4
    assert found[-1] > -0.2


def test_letters_have_the_expectation_that_was_read(asker, slide, say):
    with serving() as server:
        for end in (1, 4, 8, len(slide)):
            response = asker(server).prefix(slide[:end], SCALE, logprobs=True, top_logprobs=20, max_tokens=1)
            listed = alternatives(say["choice"](response))
            chances = {letter: math.exp(listed[letter]) for letter in LETTERS if letter in listed}
            expected = sum(LETTERS.index(letter) * chance for letter, chance in chances.items()) / 19
            assert expected / sum(chances.values()) == pytest.approx(slider(slide[end - 1]), abs=1e-6)
            assert say["content"](response) == max(chances, key=chances.get)


def alternatives(choice):
    first = choice["logprobs"]["content"][0]
    return {other["token"]: other["logprob"] for other in first["top_logprobs"]}


@pytest.mark.parametrize("words", [TRUE, YES, SCALE, SCORE, PAIR])
@pytest.mark.parametrize("top", [0, 3, 20])
def test_log_probabilities_are_well_formed(asker, slide, say, words, top):
    with serving() as server:
        response = asker(server).prefix(slide[:6], words, logprobs=True, top_logprobs=top)
    choice = say["choice"](response)
    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
    for token in tokens:
        logs = [other["logprob"] for other in token["top_logprobs"]]
        assert len(logs) <= top
        assert logs == sorted(logs, reverse=True)
        assert sum(math.exp(value) for value in logs) <= 1 + 1e-9
        assert token["logprob"] <= 0
        assert bytes(token["bytes"]).decode() == token["token"]
        if top:
            assert (token["token"], token["logprob"]) == (token["top_logprobs"][0]["token"], logs[0])


def test_a_server_that_ignores_log_probabilities_answers_without(asker, slide, say):
    with serving(Script(logprobs="ignored")) as server:
        response = asker(server).prefix(slide, YES, logprobs=True, top_logprobs=5)
    assert say["choice"](response)["logprobs"] is None
    assert say["content"](response) == "Yes"


def test_a_score_from_1_to_5_by_the_last_picture(asker, slide, say):
    with serving() as server:
        ends = [say["content"](asker(server).prefix(slide[:end], SCORE)).split("ANSWER: ")[1] for end in (1, 6, 11)]
        last = say["content"](asker(server).prefix(slide, SCORE))
    assert ends == sorted(ends)
    assert ends[0] == "1"
    assert last.endswith("\nANSWER: 5")


def test_pairs_are_told_apart_in_both_orders(asker, slide, say):
    early, late = slider(slide[3]), slider(slide[7])
    share = round(100 * (late - early) / (1 - early), 1)
    with serving() as server:
        for first, second, further in ((3, 7, 2), (7, 3, 1)):
            response = asker(server).pair(slide[0], slide[first], slide[second], PAIR)
            assert json.loads(say["content"](response)) == {"further": further, "percent": share}
        alike = asker(server).pair(slide[0], slide[3], slide[3], PAIR)
    assert json.loads(say["content"](alike))["further"] == 0


def test_a_pixel_short_of_the_end_is_still_a_5_and_three_are_not(asker, make_slider, say):
    frames = list(make_slider(seconds=10).camera("top"))
    with serving() as server:
        for pixels, score in ((1, 5), (3, 4)):
            short = next(frame for frame in frames if round(48 * slider(frame)) == 48 - pixels)
            assert say["content"](asker(server).prefix([frames[0], short], SCORE)).endswith(f"ANSWER: {score}")


def test_a_score_counts_from_the_first_picture(asker, slide, say):
    half = len(slide) // 2
    with serving() as server:
        assert say["content"](asker(server).prefix([slide[half], slide[half]], SCORE)).endswith("ANSWER: 1")
        assert say["content"](asker(server).prefix([slide[0], slide[half]], SCORE)).endswith("ANSWER: 3")


def stages(response, say):
    """Frame -> stage."""
    return {entry["frame"]: entry["stage"] for entry in json.loads(say["content"](response))["stages"]}


def test_stages_begin_where_the_pixels_show_it(asker, make_slider, say):
    episode = make_slider(2)
    with serving() as server:
        said = stages(asker(server).stages(list(episode.camera("top")), ["right", "down"]), say)
    first, second = episode.stages
    for frame in range(len(episode)):
        expected = "right" if frame < first.end else "down" if frame < second.end else "none"
        assert said[frame] == expected, frame


def test_stages_of_other_names_part_the_task_evenly(asker, slide, say):
    with serving() as server:
        said = stages(asker(server).stages(slide, ["a", "b", "c", "d"]), say)
    assert [said[frame] for frame in range(len(slide))] == [
        "none" if value == 1 else "abcd"[int(4 * value)] for value in map(slider, slide)
    ]


def test_the_stages_that_it_proposes_are_the_tasks(asker, slide, say):
    words = 'Into which subtasks does it part? Answer with JSON only: {"subtasks": ["...", "..."]}'
    with serving() as server:
        assert json.loads(say["content"](asker(server).prefix(slide, words))) == {"subtasks": ["right", "down"]}


def test_a_pair_of_which_one_frame_shows_nothing_is_not_compared(asker, slide, say):
    with serving() as server:
        response = asker(server).pair(slide[0], slide[3], np.zeros_like(slide[0]), PAIR)
    assert "cannot see" in say["content"](response)


def test_jpeg_is_read_too(asker, slide, say):
    with serving() as server:
        said = say["completions"](asker(server, form="jpeg").frames(slide, anchor=slide[0]))
    for label, picture in enumerate(slide, start=1):
        assert said[label] == pytest.approx(100 * slider(picture), abs=5)
