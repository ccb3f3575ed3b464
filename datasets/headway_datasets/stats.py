"""The statistics that LeRobot keeps of every feature: min, max, mean, std, count and five quantiles.

They are kept for each episode and merged over episodes as `lerobot.datasets.compute_stats.aggregate_stats` does
(quantiles by their weighted mean); `lerobot-train` normalises by them.
"""

from collections.abc import Mapping

import numpy as np

from headway.episodes import Array

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
NAMES = ("min", "max", "mean", "std", "count", *QUANTILES)

Stats = Mapping[str, Array]


def column_stats(values: Array) -> Stats:
    """Statistics over time of `values`, numbers or booleans (time,) or (time, dim): each (dim,), `count` (1,).

    Frames with a NaN, which says that there is no value, are left out; where no frame is left all are 0, `count` too.
    """
    numbers = values.reshape(len(values), -1).astype(np.float64)
    rows: Array = numbers[~np.isnan(numbers).any(axis=1)]
    if not len(rows):
        return dict.fromkeys(NAMES, np.zeros(rows.shape[1])) | {"count": np.array([0])}
    quantiles = np.quantile(rows, list(QUANTILES.values()), axis=0)
    return {
        "min": rows.min(axis=0),
        "max": rows.max(axis=0),
        "mean": rows.mean(axis=0),
        "std": rows.std(axis=0),
        "count": np.array([len(rows)]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


class PictureStats:
    """Statistics of pictures by channel, exact over the pixels looked at, from a count of each of the 256 values."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), dtype=np.int64)
        self._pictures = 0

    def add(self, picture: Array) -> None:
        """Take one picture, uint8 RGB (height, width, 3); large ones are looked at on a grid of some 150 points."""
        step = max(1, min(picture.shape[:2]) // 150)
        seen = picture[::step, ::step]
        for channel in range(3):
            self._counts[channel] += np.bincount(seen[..., channel].ravel(), minlength=256)
        self._pictures += 1

    def stats(self) -> Stats:
        """Values in [0, 1], each (3, 1, 1) as LeRobot has them; `count`, the number of pictures, is (1,)."""
        levels = np.arange(256) / 255
        share = self._counts / self._counts.sum(axis=1, keepdims=True)
        cumulated = share.cumsum(axis=1)
        mean = share @ levels
        present = self._counts > 0
        found = {
            "min": levels[present.argmax(axis=1)],
            "max": levels[255 - present[:, ::-1].argmax(axis=1)],
            "mean": mean,
            "std": np.sqrt((share * (levels - mean[:, None]) ** 2).sum(axis=1)),
        }
        for name, quantile in QUANTILES.items():
            found[name] = levels[(cumulated >= quantile - 1e-9).argmax(axis=1)]
        shaped = {name: value.reshape(3, 1, 1) for name, value in found.items()}
        return {**shaped, "count": np.array([self._pictures])}


def picture_sample(length: int) -> set[int]:
    """The frames to take picture statistics from, evenly spaced: all up to 100, then length^0.75 as LeRobot does."""
    count = max(min(length, 100), int(length**0.75))
    return set(np.linspace(0, length - 1, count).round().astype(int).tolist())


def merge_stats(one: Stats, other: Stats) -> Stats:
    """Statistics of two parts together, as LeRobot merges them."""
    count = one["count"] + other["count"]
    if not other["count"].all():
        return one
    if not one["count"].all():
        return other
    weight = other["count"] / count
    mean = one["mean"] + (other["mean"] - one["mean"]) * weight
    variances = [part["std"] ** 2 + (part["mean"] - mean) ** 2 for part in (one, other)]
    merged = {
        "min": np.minimum(one["min"], other["min"]),
        "max": np.maximum(one["max"], other["max"]),
        "mean": mean,
        "std": np.sqrt(variances[0] + (variances[1] - variances[0]) * weight),
        "count": count,
    }
    return merged | {name: one[name] + (other[name] - one[name]) * weight for name in QUANTILES}


def merge_stacked(parts: Stats) -> dict[str, Array]:
    """Statistics of many parts together, as `merge_stats` one after another, of the names that there are.

    Each has an axis more than otherwise, the parts, before all others: `count` is (parts, 1). Parts without
    a frame, whose `count` is 0, do not count.
    """
    counted = parts["count"].all(axis=-1)
    if not counted.any():
        return {name: value[0] for name, value in parts.items()}
    of = {name: value[counted].astype(np.float64) for name, value in parts.items()}
    share = of["count"].reshape(len(of["count"]), *[1] * (of["mean"].ndim - 1))
    share = share / share.sum()
    mean = (share * of["mean"]).sum(axis=0)
    variance = (share * (of["std"] ** 2 + (of["mean"] - mean) ** 2)).sum(axis=0)
    merged = {"min": of["min"].min(axis=0), "max": of["max"].max(axis=0), "mean": mean, "std": np.sqrt(variance)}
    merged |= {name: (share * of[name]).sum(axis=0) for name in QUANTILES if name in of}
    return merged | {"count": of["count"].sum(axis=0).astype(np.int64)}
