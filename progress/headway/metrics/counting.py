"""Counting pairs that are in order, without looking at each pair."""

from typing import Any

import numpy as np

from headway.episodes import Array


def key_type(time: int) -> tuple[Any, int]:
    """A type that holds two numbers below `time` (above 0), and by how many bits the upper one is shifted."""
    return (np.uint32, 16) if time <= 1 << 16 else (np.uint64, 32)


def inversions(ranks: Array) -> Array:
    """How many pairs of each row are out of order: the earlier one STRICTLY above the later. O(T log^2 T) a row.

    Merge sort, all rows at once (Knight 1966, JASA 61(314), counts for Kendall's tau so): when two sorted halves of
    blocks are merged, the places at which those of the right half come to lie tell how many of the left are above.

    Args:
        ranks: int (rows, time), each in [0, time).

    Returns:
        int64 (rows,).
    """
    rows, time = ranks.shape
    width = 1 << max(time - 1, 0).bit_length()
    # rank and place in one number: sorting by it is by rank, ties in order of place
    kind, shift = key_type(width)
    place = np.arange(width, dtype=kind)
    keys = np.empty((rows, width), kind)
    keys[:, :time] = (ranks.astype(kind) << shift) | place[:time]
    # filled up with what is above everything and in order
    keys[:, time:] = (place[time:] << shift) | place[time:]
    found = np.zeros(rows, np.int64)
    for bit in range(width.bit_length() - 1):
        half = 1 << bit
        if bit == 0:
            # what sorting pairs would do, faster
            first, second = keys[:, 0::2], keys[:, 1::2]
            found += (first > second).sum(axis=1)
            low, high = np.minimum(first, second), np.maximum(first, second)
            keys[:, 0::2], keys[:, 1::2] = low, high
            continue
        keys.reshape(rows, -1, 2 * half).sort(axis=-1)
        right = (keys >> bit) & 1
        places = (right * (place & (2 * half - 1))).sum(axis=1, dtype=kind).astype(np.int64)
        blocks = width // (2 * half)
        # were no pair of a block out of order, its right half would lie at the places from `half` on
        found += blocks * (half * half + half * (half - 1) // 2) - places
    return found


def tie_order(values: Array) -> tuple[Array, Array]:
    """How each row is sorted.

    Args:
        values: float (rows, time) without NaN.

    Returns:
        Two of (rows, time): int, the places of the values in rising order, not settled among ties; and bool, whether a
        value of that order differs from the one before it, True for the first.
    """
    order = np.argsort(values, axis=1)
    rising = np.take_along_axis(values, order, axis=1)
    new = np.ones(values.shape, bool)
    np.not_equal(rising[:, 1:], rising[:, :-1], out=new[:, 1:])
    return order, new


def below_in_prefix(ranks: Array, prefix: Array, bound: Array) -> Array:
    """How many of the first `prefix` of some ranks lie below `bound`, for many such questions at once.

    A wavelet matrix (Claude, Navarro and Ordonez 2015) walked for all questions together: O((n + q) log n).

    Args:
        ranks: int (values,), at least 0.
        prefix: int (questions,), in [0, values].
        bound: int (questions,), at least 0.

    Returns:
        int64 (questions,).
    """
    low, high = np.zeros_like(prefix), prefix
    found = np.zeros(len(prefix), np.int64)
    largest = max(int(ranks.max(initial=0)), int(bound.max(initial=0)))
    for bit in reversed(range(largest.bit_length())):
        is_zero = (ranks >> bit) & 1 == 0
        zeros_before = np.concatenate([[0], np.cumsum(is_zero)])
        low_zeros, high_zeros = zeros_before[low], zeros_before[high]
        up = (bound >> bit) & 1 == 1
        found += np.where(up, high_zeros - low_zeros, 0)
        low = np.where(up, zeros_before[-1] + low - low_zeros, low_zeros)
        high = np.where(up, zeros_before[-1] + high - high_zeros, high_zeros)
        ranks = np.concatenate([ranks[is_zero], ranks[~is_zero]])
    return found
