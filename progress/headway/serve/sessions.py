"""Running episodes: a stream each, and the reward between its frames."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from headway.errors import HeadwayError
from headway.estimator import Reading, Stream, StreamingEstimator
from headway.serve.desk import UNKNOWN, Desk, decoded, none_of, share, spread
from headway.serve.messages import FrameJudged, FrameSent, SessionSent, SessionTold
from headway.serve.problems import Problem

# nothing sees faster, and a stream remembers a frame for seconds
LEAST_STEP = 0.001
SLACK = 1e-9


@dataclass
class Session:
    """One running episode.

    Attributes:
        id: cannot be guessed.
        asked: how it was opened.
        stream: of the estimator.
        used: when it was last, by the clock of `Sessions`.
        busy: whether a frame of it is being judged.
        ended: whether its last frame came, or its stream failed.
        first: the first frame's time, as it was sent.
        last: the last answer.
    """

    id: str
    asked: SessionSent
    stream: Stream
    used: float
    busy: bool = False
    ended: bool = False
    frames: int = 0
    first: float = 0.0
    last: FrameJudged | None = None

    def judge(self, desk: Desk, sent: FrameSent, started: float) -> FrameJudged:
        """Take a frame, in the worker's thread. One that cannot be used changes nothing.

        Raises Problem or InvalidValue; whatever the stream itself raises ends the session, for some of its parts may
        have seen the frame and others not.
        """
        moment = self._moment(sent)
        desk.check(self.asked.instruction, sent.cameras, sent.state)
        pictures = decoded(sent.cameras, desk.limits.pixels)
        state = None if sent.state is None else np.array(sent.state, np.float32)
        seconds = moment - (self.first if self.frames else moment)
        try:
            reading = self.stream.push(pictures, seconds, state)
        except HeadwayError as error:
            self.ended = True
            raise Problem(422, f"{error}; the session is over, open another") from error
        except Exception:
            self.ended = True
            raise
        if not self.frames:
            self.first = moment
        self.last = self._answer(desk.estimator.name, reading, seconds, sent.terminated, started)
        self.frames += 1
        self.ended = sent.terminated
        return self.last

    def _moment(self, sent: FrameSent) -> float:
        """The frame's time in seconds, from the moment the client counts from. Raises Problem where it cannot be."""
        if self.ended:
            raise Problem(409, "the session is over; open another")
        if sent.time is None and self.asked.fps is None:
            raise Problem(422, "send the frame's time in seconds, or open the session with fps")
        moment = sent.time
        if moment is None:
            moment = self.first + self.frames / self.asked.fps  # type: ignore[operator]
        before = None if self.last is None else self.first + self.last.time
        if before is not None and moment - before < LEAST_STEP - SLACK:
            raise Problem(422, f"the time {moment:.3f} s does not come {LEAST_STEP} s after the last, {before:.3f} s")
        return moment

    def _answer(self, name: str, reading: Reading, seconds: float, terminated: bool, started: float) -> FrameJudged:
        given = {"progress": reading.progress, "success": reading.success, "uncertainty": reading.uncertainty}
        parts = {
            part: None if value is None else (spread if part == "uncertainty" else share)(value)
            for part, value in given.items()
        }
        reasons = {part: none_of(name) if given[part] is None else UNKNOWN for part in parts if parts[part] is None}
        if reading.stage is None:
            reasons["stage"] = none_of(name)
        reward, why = self._reward(parts["progress"], seconds, terminated)
        if why:
            reasons["reward"] = why
        return FrameJudged(
            frame=self.frames,
            time=seconds,
            stage=reading.stage,
            reward=reward,
            reasons=reasons,
            latency_ms=1000 * (time.perf_counter() - started),
            **parts,
        )

    def _reward(self, progress: float | None, seconds: float, terminated: bool) -> tuple[float, str]:
        """gamma * Phi(s') - Phi(s), and why it is 0 where the two cannot be joined (Ng, Harada, Russell, ICML 1999).

        Phi is the progress, and 0 where the episode terminates (Grzes, AAMAS 2017).
        """
        potential = 0.0 if terminated else progress
        if self.last is None:
            return 0.0, "the first frame has none before it"
        if self.last.progress is None:
            return 0.0, "the frame before has no progress"
        if potential is None:
            return 0.0, "the frame has no progress"
        gap = seconds - self.last.time
        if self.asked.max_gap is not None and gap > self.asked.max_gap + SLACK:
            return 0.0, f"the frame before was {gap:.3f} s ago, more than max_gap"
        return self.asked.gamma * potential - self.last.progress, ""


@dataclass
class Sessions:
    """Those that are open. Used from the server's own thread alone.

    Attributes:
        desk: what judges.
        clock: seconds that only rise.
    """

    desk: Desk
    clock: Callable[[], float] = time.monotonic
    _open: dict[str, Session] = field(default_factory=dict)

    def __len__(self) -> int:
        self._expire()
        return len(self._open)

    def check(self, asked: SessionSent) -> StreamingEstimator:
        """What will judge it. Raises Problem or InvalidValue where no session can be opened."""
        streaming = self.desk.streaming
        if streaming is None:
            name = self.desk.estimator.name
            raise Problem(409, f"{name} does not judge running episodes; send whole ones to POST /v1/estimate")
        self.desk.check_instruction(asked.instruction)
        if len(self) >= self.desk.limits.sessions:
            idle = self.desk.limits.idle_seconds
            raise Problem(
                429,
                f"{len(self._open)} sessions are open, as many as may be; DELETE one, or wait until one is idle for "
                f"{idle:g} s",
                {"Retry-After": str(max(1, round(idle)))},
            )
        return streaming

    def open(self, asked: SessionSent, stream: Stream) -> SessionTold:
        """Raises Problem where no session can be opened."""
        self.check(asked)
        session = Session(secrets.token_urlsafe(16), asked, stream, self.clock())
        self._open[session.id] = session
        return self.told(session)

    def find(self, id: str) -> Session:
        """Raises Problem for one that is not open."""
        self._expire()
        if id not in self._open:
            idle = self.desk.limits.idle_seconds
            raise Problem(404, f"no session has this id; one that nobody uses for {idle:g} s is closed. Open another")
        return self._open[id]

    def take(self, id: str) -> Session:
        """One to judge a frame of; `give_back` it. Raises Problem for one that is not open, or is busy."""
        session = self.find(id)
        if session.busy:
            raise Problem(409, "a frame of this session is being judged; send the next one after its answer")
        session.busy, session.used = True, self.clock()
        return session

    def give_back(self, session: Session) -> None:
        session.busy, session.used = False, self.clock()

    def close(self, id: str) -> None:
        """Raises Problem for one that is not open."""
        self.find(id)
        del self._open[id]

    def told(self, session: Session) -> SessionTold:
        left = self.desk.limits.idle_seconds - (self.clock() - session.used)
        return SessionTold(
            id=session.id,
            frames=session.frames,
            ended=session.ended,
            expires_in=max(0.0, left),
            last=session.last,
            **session.asked.model_dump(),
        )

    def _expire(self) -> None:
        oldest = self.clock() - self.desk.limits.idle_seconds
        idle = [id for id, session in self._open.items() if session.used <= oldest and not session.busy]
        for id in idle:
            del self._open[id]
