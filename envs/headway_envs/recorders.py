"""Which recorder records a task: our own, or Meta-World's."""

from headway_envs.metaworld.catalogue import METAWORLD_TASKS
from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.trajectory import EpisodeRecorder


def make_recorder(task_id: str, options: RecordingOptions) -> EpisodeRecorder:
    """The recorder of a task by its id. Raises what the recorders raise."""
    if task_id not in METAWORLD_TASKS:
        return Recorder(task_id, options)
    from headway_envs.metaworld.recorder import recorder_with

    return recorder_with(task_id, options)


def usual_camera(task_id: str) -> str:
    """The camera from which a task is recorded unless told otherwise."""
    return "corner2" if task_id in METAWORLD_TASKS else "front"
