"""How much the server takes."""

from dataclasses import dataclass, fields

from headway.errors import InvalidValue


@dataclass(frozen=True)
class Limits:
    """What a request, and all of them together, may take. Beyond it they are refused, by status 413, 429 or 503.

    Attributes:
        request_bytes: of a request's body.
        frames: pictures in a request, of all its episodes and cameras.
        pixels: of a picture.
        requests: at once, that being sent, waiting or judged; a body of each is held in memory.
        sessions: open at once.
        idle_seconds: after which a session that nobody used is closed.
        sending_seconds: within which a request's body has to arrive.
    """

    request_bytes: int = 32 * 2**20
    frames: int = 2000
    pixels: int = 2048 * 2048
    requests: int = 16
    sessions: int = 64
    idle_seconds: float = 600.0
    sending_seconds: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 < value < float("inf"):
                raise InvalidValue(f"the limit {field.name.replace('_', ' ')} must be above 0 and finite, got {value}")
