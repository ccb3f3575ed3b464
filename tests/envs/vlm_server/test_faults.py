"""Each fault does what it says, to real replies."""

import json
import time

import pytest

from headway_envs.vlm_server import Fault, Kind, Script, serving
from headway_envs.vlm_server.readers import slider


@pytest.fixture
def damaged(asker, slide):
    """The reply to the same question about all pictures with a fault, and without it."""

    def ask(fault, seed=0):
        with serving(Script(faults=[None, fault], seed=seed, slow_s=0.3)) as server:
            whole, broken = (asker(server).frames(slide, anchor=slide[0]) for _ in range(2))
            assert [served.fault for served in server.requests] == [None, fault]
        return whole, broken

    return ask


def test_429_says_when_to_come_back_and_the_next_request_goes_well(asker, slide):
    with serving(Script(faults=[Fault.RATE_LIMIT], retry_after="7")) as server:
        limited, fine = (asker(server).frames(slide[:2]) for _ in range(2))
        assert [served.status for served in server.requests] == [429, 200]
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
    assert limited.json()["error"]["type"] == "rate_limit_error"
    assert fine.status_code == 200


def test_500(damaged):
    _, broken = damaged(Fault.SERVER_ERROR)
    assert broken.status_code == 500
    assert broken.json()["error"]["type"] == "server_error"


def test_a_timeout_is_answered_late(damaged, say):
    began = time.monotonic()
    whole, late = damaged(Fault.TIMEOUT)
    assert time.monotonic() - began > 0.3
    assert say["content"](late) == say["content"](whole)


def test_a_cut_off_reply_is_the_beginning_of_the_whole_one(damaged, say):
    whole, cut = damaged(Fault.TRUNCATED)
    assert say["choice"](cut)["finish_reason"] == "length"
    assert say["content"](whole).startswith(say["content"](cut))
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(say["content"](cut))


def test_refusals(damaged, say):
    message = say["choice"](damaged(Fault.REFUSAL)[1])["message"]
    assert (message["content"], message["refusal"][:9]) == (None, "I'm sorry")
    message = say["choice"](damaged(Fault.REFUSAL_IN_PROSE)[1])["message"]
    assert (message["content"][:9], message["refusal"]) == ("I'm sorry", None)


def test_an_empty_reply(damaged, say):
    assert say["content"](damaged(Fault.EMPTY)[1]) == ""


@pytest.mark.parametrize(("fault", "mark"), [(Fault.PROSE_AROUND, "%"), (Fault.FENCE, "```")])
def test_what_stands_around_the_json_leaves_it_whole(damaged, say, fault, mark):
    whole, broken = (say["content"](response) for response in damaged(fault))
    before, after = broken.split(whole)
    assert mark in before
    assert mark in after


def test_a_duplicate_is_one_entry_more_with_another_value(damaged, say):
    whole, broken = (say["entries"](response) for response in damaged(Fault.DUPLICATE))
    (extra,) = (entry for entry in broken if entry not in whole)
    assert len(broken) == len(whole) + 1
    assert extra["frame"] in {entry["frame"] for entry in whole}
    assert 0 <= extra["completion"] <= 100


def test_an_unknown_frame_is_one_entry_more(damaged, say):
    whole, broken = (say["entries"](response) for response in damaged(Fault.UNKNOWN_FRAME))
    (extra,) = (entry for entry in broken if entry not in whole)
    assert extra["frame"] not in {entry["frame"] for entry in whole}


def test_extra_percentages_are_in_the_descriptions_alone(damaged, say):
    whole, broken = damaged(Fault.EXTRA_PERCENTAGE)
    assert say["completions"](broken) == say["completions"](whole)
    assert say["content"](broken).count("%") >= len(say["entries"](whole))


def test_missing_frames(damaged, say):
    whole, broken = (say["completions"](response) for response in damaged(Fault.MISSING))
    assert 0 < len(broken) < len(whole)
    assert broken.items() < whole.items()


@pytest.mark.parametrize("seed", range(3))
def test_out_of_range_and_wrong_type_change_one_value(damaged, say, seed):
    whole, broken = (say["completions"](response) for response in damaged(Fault.OUT_OF_RANGE, seed))
    (changed,) = (value for label, value in broken.items() if value != whole[label])
    assert not 0 <= changed <= 100
    whole, broken = (say["completions"](response) for response in damaged(Fault.WRONG_TYPE, seed))
    (changed,) = (value for label, value in broken.items() if value != whole[label])
    assert isinstance(changed, list)


def test_every_fault_has_an_effect_and_is_the_same_each_time(asker, slide):
    faults = [fault for fault in Fault if fault is not Fault.TIMEOUT]
    with serving(Script(faults=[None, *faults, *faults])) as server:
        texts = [asker(server).frames(slide, anchor=slide[0]).text for _ in range(1 + 2 * len(faults))]
    assert texts[1 : 1 + len(faults)] == texts[1 + len(faults) :]
    assert len(set(texts)) == 1 + len(faults)
    assert texts[0] not in texts[1:]


def test_faults_of_a_list_of_stages(asker, slide, say):
    faults = (None, Fault.DUPLICATE, Fault.OUT_OF_RANGE, Fault.WRONG_TYPE, Fault.UNKNOWN_FRAME, Fault.MISSING)
    with serving(Script(faults=faults)) as server:
        said = [json.loads(say["content"](asker(server).stages(slide, ["right", "down"])))["stages"] for _ in faults]
    whole, duplicate, unknown_name, wrong_type, unknown_frame, missing = said
    (extra,) = (entry for entry in duplicate if entry not in whole)
    assert extra["stage"] in ("right", "down", "none")
    assert [entry["stage"] for entry in unknown_name if entry not in whole] == ["juggle"]
    assert [type(entry["stage"]) for entry in wrong_type if entry not in whole] == [list]
    assert [entry["frame"] >= 1000 for entry in unknown_frame if entry not in whole] == [True]
    assert 0 < len(missing) < len(whole)


def test_a_script_may_be_a_function_and_counts_no_probes(asker, slide, say):
    with serving(Script(faults=lambda number: Fault.EMPTY if number % 2 else None)) as server:
        ask = asker(server)
        ask.ask([{"type": "text", "text": "Reply with the letter A and nothing else."}])
        said = [bool(say["content"](ask.frames(slide[:2]))) for _ in range(4)]
        assert [served.number for served in server.requests] == [None, 0, 1, 2, 3]
        assert server.requests[0].kind is Kind.OTHER
    assert said == [True, False, True, False]


def test_a_fault_without_a_place_in_the_answer_leaves_it_as_it_is(asker, slide, say):
    words = "End your reply with a line of the form ANSWER: and the score."
    with serving(Script(faults=[None, Fault.MISSING])) as server:
        whole, same = (say["content"](asker(server).prefix(slide, words)) for _ in range(2))
    assert whole == same
    assert slider(slide[-1]) == 1
