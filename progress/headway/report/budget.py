"""Keeping the page under its limit: who may take how many bytes of it."""

from collections.abc import Callable, Sequence


class Allowance:
    """A number of bytes shared fairly among those that still have to be served.

    What one leaves over, the later ones may have.
    """

    def __init__(self, total: int, among: int):
        self.left = max(total, 0)
        self.waiting = among

    def fitting(self, first: bytes, smaller: Sequence[Callable[[bytes], bytes]]) -> bytes | None:
        """The first of ever smaller versions that fits the fair share of whoever is next, or None.

        Where not even the smallest fits the fair share it is still taken while it fits what is left at all:
        then fewer are served, and who asks first is served first.

        Args:
            first: the version one would like best.
            smaller: what makes each next version out of the one before.
        """
        share = self.left // max(self.waiting, 1)
        self.waiting -= 1
        version = first
        for shrink in smaller:
            if embedded_size(version) <= share:
                break
            version = shrink(version)
        if embedded_size(version) > self.left:
            return None
        self.left -= embedded_size(version)
        return version


def embedded_size(content: bytes) -> int:
    """The bytes that `content` takes in the page: base64 and the element around it."""
    return (len(content) + 2) // 3 * 4 + ELEMENT


ELEMENT = 64  # <script type="text/plain" id="clip-1234567890"></script> and its line end


def worst_and_best(ranked: Sequence[int]) -> list[int]:
    """Reorder from the ends inwards: `ranked`, worst first, becomes worst, best, second worst, second best, ..."""
    order: list[int] = []
    low, high = 0, len(ranked) - 1
    while low <= high:
        order.append(ranked[low])
        if high > low:
            order.append(ranked[high])
        low, high = low + 1, high - 1
    return order
