"""What can be wrong with a frame from the other side."""

from headway.errors import HeadwayError


class WireError(HeadwayError):
    """A frame that is not rosbridge's protocol.

    Attributes:
        reason: what is wrong with it, in few words out of a fixed set, to count by.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self._made_from = (reason, detail)

    def __reduce__(self) -> tuple[type["WireError"], tuple[str, str]]:
        return type(self), self._made_from
