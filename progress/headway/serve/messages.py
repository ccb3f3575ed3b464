"""What is sent and answered, as it stands in the OpenAPI document."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Picture = Annotated[
    str,
    Field(
        min_length=4,
        description="a JPEG, PNG or WebP picture in base64 (RFC 4648, section 4), without a data: in front",
        json_schema_extra={"contentEncoding": "base64"},
    ),
]
Camera = Annotated[str, Field(min_length=1, max_length=200)]
State = Annotated[list[Finite], Field(min_length=1, max_length=4096)]
Instruction = Annotated[str | None, Field(max_length=2000, description="what the robot was told to do")]
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False, description="frames per second")]
Reasons = Annotated[dict[str, str], Field(description="why there is no value, by the part that has none")]
Progress = Annotated[float | None, Field(description="how far along, in [0, 1]")]


class Sent(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class EpisodeSent(Sent):
    """One episode, whole or as far as it has come."""

    fps: Rate
    cameras: Annotated[
        dict[Camera, Annotated[list[Picture], Field(min_length=1)]],
        Field(min_length=1, max_length=16, description="name of a camera -> its frames in order, as many for each"),
    ]
    instruction: Instruction = None
    state: Annotated[
        list[State] | None, Field(min_length=1, description="what the robot senses of itself, a row a frame")
    ] = None


class EstimateSent(Sent):
    episodes: Annotated[list[EpisodeSent], Field(min_length=1, max_length=1000)]


class EpisodeJudged(BaseModel):
    """What the estimator says of an episode, a value a frame; null where it says nothing, and why in `reasons`."""

    frames: int
    progress: list[float | None]
    success: Annotated[list[float | None] | None, Field(description="probability that the task is done")]
    stage: Annotated[list[str | None] | None, Field(description="name of the stage under way")]
    uncertainty: Annotated[list[float | None] | None, Field(description="in units of progress")]
    reasons: Reasons


class EstimateJudged(BaseModel):
    estimator: str
    fingerprint: Annotated[str, Field(description="changes whenever the estimator's output could")]
    episodes: list[EpisodeJudged]
    latency_ms: Annotated[float, Field(description="from the body's arrival to the answer")]


class SessionSent(Sent):
    """A running episode."""

    instruction: Instruction = None
    fps: Annotated[Rate | None, Field(description="frames per second, where frames come without their time")] = None
    gamma: Annotated[float, Field(ge=0, le=1, description="the learner's own discount")] = 0.99
    max_gap: Annotated[
        float | None, Field(gt=0, description="seconds between two frames beyond which no reward joins them")
    ] = None


class FrameSent(Sent):
    """The newest picture of each camera."""

    cameras: Annotated[dict[Camera, Picture], Field(min_length=1, max_length=16)]
    time: Annotated[
        Finite | None,
        Field(
            ge=-1e10, le=1e10, description="seconds, from any moment on, at least 0.001 more each; needed without fps"
        ),
    ] = None
    state: Annotated[State | None, Field(description="what the robot senses of itself")] = None
    terminated: Annotated[
        bool, Field(description="whether the episode ends here for good: the potential is 0 then, the session over")
    ] = False


class FrameJudged(BaseModel):
    """What the estimator says of a frame; null where it says nothing, and why in `reasons`."""

    frame: Annotated[int, Field(description="its number in the session, from 0")]
    time: Annotated[float, Field(description="seconds since the session's first frame")]
    progress: Progress
    success: Annotated[float | None, Field(description="probability that the task is done")]
    stage: Annotated[str | None, Field(description="name of the stage under way")]
    uncertainty: Annotated[float | None, Field(description="in units of progress")]
    reward: Annotated[
        float, Field(description="gamma * progress - progress of the frame before; 0 where one is missing")
    ]
    reasons: Reasons
    latency_ms: Annotated[float, Field(description="from the body's arrival to the answer")]


class SessionTold(BaseModel):
    id: str
    instruction: str | None
    fps: float | None
    gamma: float
    max_gap: float | None
    frames: Annotated[int, Field(description="judged so far")]
    ended: Annotated[bool, Field(description="whether a frame came that was the last")]
    expires_in: Annotated[float, Field(description="seconds after which it is closed, unless it is used before")]
    last: Annotated[FrameJudged | None, Field(description="the last answer, for one that was lost on the way")]


class Health(BaseModel):
    status: str


class NeedsTold(BaseModel):
    pictures: bool
    instruction: bool
    state: bool
    goal_image: bool
    whole_episode: bool
    truth: bool


class LimitsTold(BaseModel):
    request_bytes: int
    frames: int
    pixels: int
    requests: int
    sessions: int
    idle_seconds: float
    sending_seconds: float


class Info(BaseModel):
    """What is served."""

    estimator: str
    fingerprint: str
    streams: Annotated[bool, Field(description="whether it can judge a running episode, in a session")]
    needs: NeedsTold
    cameras: Annotated[list[str] | None, Field(description="those it looks at; null where it takes any")]
    state_dim: Annotated[int | None, Field(description="values of the state that it takes; null where it takes any")]
    stages: list[str] | None
    limits: LimitsTold
    versions: dict[str, str]
