"""Which recorder records a task: our own, or Meta-World's."""

from headway_envs.recording import Recorder, RecordingOptions
from headway_envs.trajectory import EpisodeRecorder


def make_recorder(task_id: str, options: RecordingOptions) -> EpisodeRecorder:
    """The recorder of a task by its id. Raises what the recorders raise."""
    return Recorder(task_id, options)
