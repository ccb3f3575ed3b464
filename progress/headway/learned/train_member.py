"""Training one network from beginning to end: choose what is held out, read, train, calibrate."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import torch

from headway.encoders.make import make_frame_encoder, make_text_encoder
from headway.episodes import Episode
from headway.errors import DatasetError
from headway.learned.calibrating import calibrate
from headway.learned.diary import Diary, diary_path, tracker
from headway.learned.estimator import Eyes, judge_episode
from headway.learned.inputs import states_of
from headway.learned.lessons import Reader, negatives_of, split
from headway.learned.members import Member, Workshop, recordings
from headway.learned.method import Knowledge, Lesson, Method, TaskEpisodes
from headway.learned.team import Team
from headway.learned.training import Course, OnStep
from headway.learned.trunk import Sizes
from headway.learned.wrong_text import Texts
from headway.pictures import frames_to_look_at


def train_member(
    method: Method, tasks: Sequence[TaskEpisodes], workshop: Workshop, on_step: OnStep, number: int = 0
) -> Member:
    """Train one network. Same seed, same episodes, one thread: same weights.

    Args:
        method: what is trained, and how.
        tasks: what it is trained on, one entry a task.
        workshop: where things are kept.
        on_step: called after every step with the steps done, all steps, and the loss.
        number: of the network within its run.

    Raises DatasetError when there is nothing to learn from.
    """
    knowledge = method.study(tasks)
    reader = make_reader(method, workshop)
    lessons, held_out, held_out_episodes = _lessons(method, tasks, reader, knowledge)
    state = lessons[0].clip.state
    sizes = Sizes(
        reader.encoder.shape,
        len(method.inputs.cameras),
        reader.texts.encoder.dimension,
        0 if state is None else state.shape[1],
        method.inputs.history,
    )
    torch.manual_seed(method.training.seed)
    network = method.network(sizes, knowledge)
    network.tower.fit_state(states_of([lesson.clip for lesson in lessons]))
    team = Team(workshop.device)
    folder = workshop.folder if team.leads else None
    listener = tracker(workshop.track if team.leads else "", f"{method.name}-{number}", asdict(method))  # type: ignore[call-overload]
    course = Course(
        method,
        network,
        lessons,
        held_out,
        negatives_of(tasks, reader.texts, method.wrong_text),
        knowledge,
        team,
        None if workshop.folder is None else workshop.folder / f"member-{number}.state",
        Diary(None if folder is None else diary_path(folder, number), listener),
    )
    course.run(on_step)
    everything = [episode for task in tasks for episode in task.episodes]
    member = Member(network, sizes, knowledge, recordings(everything))
    return _calibrated(method, member, reader, held_out_episodes, workshop.device)


def make_reader(method: Method, workshop: Workshop) -> Reader:
    """What reads episodes for a method; raises CheckpointError when a pretrained encoder is missing."""
    inputs = method.inputs
    frames = make_frame_encoder(inputs.encoder, inputs.image_size, workshop.device)
    return Reader(method, frames, Texts(make_text_encoder(inputs.text_encoder, workshop.device)), workshop.cache)


def _lessons(
    method: Method, tasks: Sequence[TaskEpisodes], reader: Reader, knowledge: Knowledge
) -> tuple[list[Lesson], list[Lesson], list[Episode]]:
    """What is learned from, what is held out, and the episodes of the latter."""
    every = [(episode, number) for number, task in enumerate(tasks) for episode in task.episodes]
    training = method.training
    out = split([episode for episode, _ in every], training.validation, training.seed, method.needs_map)
    learned: list[Lesson] = []
    held_out: list[Lesson] = []
    for number, ((episode, task), is_out) in enumerate(zip(every, out, strict=True)):
        lesson = reader.read(episode, number, task, knowledge)
        if lesson is not None:
            (held_out if is_out else learned).append(lesson)
    if not learned:
        raise DatasetError(f"none of the {len(every)} training episodes is labelled in a way {method.name} learns from")
    return learned, held_out, [episode for (episode, _), is_out in zip(every, out, strict=True) if is_out]


def _calibrated(method: Method, member: Member, reader: Reader, episodes: Sequence[Episode], device: str) -> Member:
    """The member with maps fitted on the held-out episodes."""
    eyes = Eyes(method.inputs, reader.encoder, reader.texts, device)
    member.network.to(device)
    verdicts = []
    for episode in episodes:
        looked_at = frames_to_look_at(len(episode), method.inputs.keep(episode.fps))
        verdicts.append(judge_episode(method, member, eyes, episode, looked_at))
    return replace(member, calibration=calibrate(episodes, verdicts))
