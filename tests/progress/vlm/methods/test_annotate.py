"""Stages with boundaries that are exact to the frame, found with few pictures."""

import json
import re

import anyio
import pytest

from headway.episodes import Stage
from headway.errors import InvalidValue
from headway.vlm.annotate import Annotator, annotate, propose
from headway.vlm.chat import Abilities, NoReply, Picture, Reply
from headway.vlm.client import OpenAIModel
from headway.vlm.clip import encode_frames, evenly
from headway.vlm.judgement import Outcome
from headway_envs.vlm_server import Fault, Kind, Script, serving

SUBTASKS = ("right", "down")
LABELS = re.compile(r"For each of the frames ([\d, ]+) say")


def annotated(annotator, episode, model, decoded=None):
    camera = next(iter(episode.cameras.values()))

    async def look(frames):
        if decoded is not None:
            decoded.extend(frames.tolist())
        return encode_frames(camera, frames)

    return anyio.run(annotate, annotator, episode.instruction, len(episode), look, model)


def by_frame(stage_of, spelling=str, tail=""):
    """A planted reply that names the stage of each frame by its label."""

    def say(question):
        labels = LABELS.search(question.parts[-1].text)[1].split(", ")
        entries = [{"frame": int(label), "stage": spelling(stage_of(int(label)))} for label in labels]
        return json.dumps({"stages": entries}) + tail

    return say


def planted_stages(annotator, length, model):
    async def look(frames):
        return tuple(Picture(b"%d" % frame, 1, 1) for frame in frames)

    return anyio.run(annotate, annotator, "move it", length, look, model)


@pytest.mark.parametrize("between", [3, 12])
def test_boundaries_are_exact_to_the_frame_though_few_frames_are_looked_at(slow, between):
    with serving() as server:
        decoded: list[int] = []
        found = annotated(
            Annotator(SUBTASKS, frames=11, between=between),
            slow,
            OpenAIModel("slider", server.base_url),
            decoded,
        )
        asked = [request for request in server.requests if request.number is not None]
    assert slow.stages == (Stage("right", 0, 96), Stage("down", 96, 192))
    assert found.stages == slow.stages
    assert set(found.outcomes) == {Outcome.READ}
    assert len(set(decoded)) < 80 < len(slow)
    assert {request.kind for request in asked} == {Kind.STAGES}
    assert asked[0].labels == (None, *evenly(216, 11))
    closer = [request.labels for request in asked[1:]]
    # the boundaries lie between frames 86 and 108, and 172 and 194
    assert len(closer) >= 3
    assert all(labels[0] is None and 1 <= len(labels) - 1 <= between for labels in closer)
    looked_at = {label for labels in closer for label in labels[1:]}
    assert looked_at <= {*range(87, 108), *range(173, 194)}
    assert looked_at >= {95, 96, 191, 192}


def test_a_reply_that_is_cut_off_is_mended_by_asking_for_the_rest(slow):
    with serving(Script(faults=[Fault.TRUNCATED])) as server:
        found = annotated(Annotator(SUBTASKS), slow, OpenAIModel("slider", server.base_url))
        asked = [request for request in server.requests if request.number is not None]
    assert found.stages == slow.stages
    assert set(found.outcomes) == {Outcome.READ}
    again = asked[1].labels[1:]
    assert 1 <= len(again) < 30
    assert set(again) < set(asked[0].labels[1:]), "of the first look's frames, those that the reply left out"


def test_one_frame_at_a_time_is_enough(planted):
    model = planted(by_frame(lambda frame: "right" if frame < 33 else "down"))
    found = planted_stages(Annotator(SUBTASKS, frames=4, between=1), 60, model)
    assert found.stages == (Stage("right", 0, 33), Stage("down", 33, 60))


def test_a_server_s_limit_of_pictures_costs_looks_and_not_frames(slow):
    with serving(Script(pictures=8)) as server:
        found = annotated(Annotator(SUBTASKS), slow, OpenAIModel("slider", server.base_url))
        asked = [request for request in server.requests if request.number is not None]
    assert found.stages == slow.stages
    assert max(len(request.labels) for request in asked) == 8


def test_fewer_than_three_pictures_a_request_are_one_clear_line(planted):
    model = planted(lambda question: "", Abilities(logprobs=False, schema=False, pictures=2))
    with pytest.raises(InvalidValue, match="annotating needs 3 pictures a request, and this model takes 2"):
        planted_stages(Annotator(SUBTASKS), 50, model)


def test_a_stage_may_come_again_and_what_is_none_belongs_to_no_stage(planted):
    def stage_of(frame):
        names = ((7, "none"), (61, "right"), (93, "down"), (140, "right"), (150, "none"), (187, "right"))
        return next((name for end, name in names if frame < end), "none")

    found = planted_stages(Annotator(SUBTASKS, frames=30, between=3), 200, planted(by_frame(stage_of)))
    assert found.stages == (
        Stage("right", 7, 61),
        Stage("down", 61, 93),
        Stage("right", 93, 140),
        Stage("right", 150, 187),
    )


@pytest.mark.parametrize("spelling", [str.title, str.upper, lambda name: f" {name}\n"])
def test_another_spelling_of_a_name_is_that_name(planted, spelling):
    model = planted(by_frame(lambda frame: "right" if frame < 33 else "down", spelling))
    found = planted_stages(Annotator(SUBTASKS), 60, model)
    assert found.stages == (Stage("right", 0, 33), Stage("down", 33, 60))


def test_a_name_that_is_none_of_the_subtasks_is_asked_for_again_and_then_left_out(planted):
    model = planted(by_frame(lambda frame: "up" if frame == 20 else "right"))
    found = planted_stages(Annotator(SUBTASKS, frames=4), 61, model)
    assert [len(question.pictures) - 1 for question in model.asked] == [4, 1, 1]
    assert [question.seed for question in model.asked] == [0, 1, 2]
    assert {question.pictures[0].data for question in model.asked} == {b"0"}, "the anchor is the first frame"
    assert found.stages == (Stage("right", 0, 61),)
    assert found.outcomes == {Outcome.READ: 3, Outcome.PROSE: 1}


def test_a_refusal_is_not_asked_again_and_gives_no_stage(planted):
    model = planted(lambda question: Reply("", finish="refusal"))
    found = planted_stages(Annotator(SUBTASKS, frames=5), 50, model)
    assert (found.stages, found.outcomes) == ((), {Outcome.READ: 0, Outcome.REFUSED: 5})
    assert len(model.asked) == 1


def test_the_schema_knows_the_names_and_the_description_comes_first(watched, slow):
    annotated(Annotator(SUBTASKS), slow, watched.model())
    (schema,) = {json.dumps(body["response_format"]["json_schema"]["schema"]) for body in watched.bodies}
    entry = json.loads(schema)["properties"]["stages"]["items"]["properties"]
    assert list(entry) == ["frame", "description", "stage"]
    assert entry["stage"]["enum"] == ["right", "down", "none"]


def test_proposed_subtasks_come_from_the_pictures_of_a_success(slow, planted):
    pictures = encode_frames(slow.cameras["top"], evenly(len(slow), 5))
    with serving() as server:
        names = anyio.run(propose, slow.instruction, pictures, OpenAIModel("slider", server.base_url))
        (asked,) = [request for request in server.requests if request.number is not None]
    assert names == SUBTASKS
    assert (asked.kind, asked.labels) == (Kind.PROPOSE, (None, 1, 2, 3, 4, 5))
    twice = planted(lambda question: 'Well: {"subtasks": [" reach", "lift ", "reach"]}')
    assert anyio.run(propose, "lift it", pictures, twice) == ("reach", "lift")


@pytest.mark.parametrize("reply", ["I cannot tell.", '{"subtasks": []}', '{"subtasks": ["reach", 2]}', '{"steps": 1}'])
def test_no_subtasks_proposed_is_one_clear_line(slow, planted, reply):
    pictures = encode_frames(slow.cameras["top"], [0, 215])
    with pytest.raises(NoReply, match=r"planted proposed no subtasks \(.*\); name them with --subtasks"):
        anyio.run(propose, "lift it", pictures, planted(lambda question: reply))
