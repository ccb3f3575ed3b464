"""Whether curves can be trusted, from what can be checked without a simulator's truth, beside controls that see little.

Every curve has to be held out: made by a network that was not trained on its episode. Up to two checks:

marks    where stages are marked: the mean absolute error to the annotated progress (`headway.learned.targets`), on
         the frames whose progress the marks tell
edits    where none are: Spearman's correlation of the estimate with the true phase over the frames of all edited
         clips (`headway.edited_clips`), of successes only where anybody said which are
success  where both kinds are labelled: the area under the ROC curve of the final progress

The controls are `clock` (time over duration), `seconds` (time since the start, which does not know the end; against
marks the median annotated progress of other folds' episodes at that second, the best that time alone can tell), and
`pixels` (distance to the mean last frame of the others).

Curves are trusted when on the first check that applies, marks or edits, every control is worse with 95 % of a
bootstrap over episodes, paired, and when on `success` no control is better.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from headway.edited_clips import edited_clip, phase
from headway.encoders.cache import FeatureCache
from headway.encoders.small import Pictures
from headway.episodes import Array, ArrayFrames, Episode
from headway.learned.inputs import InputConfig
from headway.learned.pixels import SIZE, PixelDistance
from headway.learned.targets import StageScale, label, progress_of
from headway.metrics.intervals import Estimate, bootstrap
from headway.metrics.pairs import PairSums, pair_sums
from headway.metrics.success import auroc
from headway.pictures import take_frames
from headway.signals.summary import final

# what each check measures, as it is told
WORDS = {
    "marks": "error to the marked stages",
    "edits": "order in edited clips",
    "success": "telling successes from failures",
}
CONTROLS = ("clock", "seconds", "pixels")
CLIPS = 2
# an area under the curve from fewer successes, or failures, says nothing
FEWEST_OF_A_KIND = 3


@dataclass(frozen=True, repr=False)
class HeldOut:
    """One episode, its held-out curve, and what the pixel control makes of it.

    Attributes:
        episode: the episode.
        values: estimated progress, float (time,).
        pixels: the pixel control's progress, float (time,).
        fold: which network made the curve.
    """

    episode: Episode
    values: Array
    pixels: Array
    fold: int


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: `marks`, `edits` or `success`.
        ours: the figure of the curves; of `marks` the lower is better, of the others the higher.
        controls: the figure of each control.
        lead: by how much the curves are better than each control, with its 95 % interval.
        episodes: how many entered it.
    """

    name: str
    ours: float
    controls: Mapping[str, float]
    lead: Mapping[str, Estimate]
    episodes: int

    @property
    def unbeaten(self) -> tuple[str, ...]:
        """The controls that the curves do not beat; on `success` it is enough not to be behind."""
        if self.name == "success":
            return tuple(name for name, lead in self.lead.items() if not lead.value >= 0)
        return tuple(name for name, lead in self.lead.items() if not lead.low > 0)


@dataclass(frozen=True)
class Trust:
    """What the checks say; without one nothing is trusted."""

    checks: tuple[Check, ...]

    @property
    def deserved(self) -> bool:
        return bool(self.checks) and not any(check.unbeaten for check in self.checks)

    @property
    def reason(self) -> str:
        """Why the curves are not trusted; empty when they are."""
        if not self.checks:
            return "there is nothing to check it on"
        failed = [f"{', '.join(check.unbeaten)} by {WORDS[check.name]}" for check in self.checks if check.unbeaten]
        return f"on held-out episodes it does not beat {'; nor '.join(failed)}" if failed else ""

    def to_json(self) -> dict[str, Any]:
        return {"deserved": self.deserved, "reason": self.reason, "checks": [asdict(check) for check in self.checks]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Trust":
        checks = []
        for check in content["checks"]:
            lead = {name: Estimate(**part) for name, part in check["lead"].items()}
            checks.append(Check(**dict(check, lead=lead)))
        return cls(tuple(checks))


def check_held_out(held: Sequence[HeldOut], scale: StageScale | None) -> Trust:
    """Hold curves against the marks where a `scale` of stages is given, else against edited clips; then success."""
    known = [one for one in held if not np.isnan(one.values).any()]
    found = [check_edits(known) if scale is None else check_marks(known, scale), check_success(known)]
    return Trust(tuple(check for check in found if check is not None))


def check_marks(held: Sequence[HeldOut], scale: StageScale) -> Check | None:
    """Mean absolute error to the annotated progress, mean of the episodes' own; None where no episode has any."""
    annotated = [progress_of(label(one.episode, scale), scale) for one in held]
    kept = [number for number, progress in enumerate(annotated) if not np.isnan(progress).all()]
    if not kept:
        return None
    held, annotated = [held[number] for number in kept], [annotated[number] for number in kept]
    usual = _usual_progress(held, annotated)
    curves = {
        "ours": [one.values for one in held],
        "clock": [phase(np.arange(len(one.values)), len(one.values)) for one in held],
        "seconds": [usual[one.fold][: len(one.values)] for one in held],
        "pixels": [one.pixels for one in held],
    }
    errors = {
        name: np.array([np.nanmean(np.abs(c - a)) for c, a in zip(each, annotated, strict=True)])
        for name, each in curves.items()
    }
    lead = {name: bootstrap(_mean_of(errors[name] - errors["ours"]), len(held)) for name in CONTROLS}
    figures = {name: float(each.mean()) for name, each in errors.items()}
    return Check("marks", figures.pop("ours"), figures, lead, len(held))


def check_edits(held: Sequence[HeldOut], seed: int = 0) -> Check | None:
    """Spearman's correlation with the phase over all edited clips, ranks taken once; None where there is no episode."""
    labelled = any(one.episode.success is not None for one in held)
    held = [one for one in held if one.episode.success or not labelled]
    if not held:
        return None
    names = ("phase", "ours", *CONTROLS)
    shown: dict[str, list[Array]] = {name: [] for name in names}
    for one in held:
        rng = np.random.default_rng([seed, one.episode.index])
        clips = [_shown(one, edited_clip(len(one.values), rng)) for _ in range(CLIPS)]
        for name in names:
            shown[name].append(np.concatenate([clip[name] for clip in clips]))
    ranks = {name: _ranks(each) for name, each in shown.items()}
    sums = {name: pair_sums(ranks[name], ranks["phase"]) for name in ("ours", *CONTROLS)}
    lead = {name: bootstrap(_lead_of(sums["ours"], sums[name]), len(held)) for name in CONTROLS}
    figures = {name: _or_zero(each.correlation()) for name, each in sums.items()}
    return Check("edits", figures.pop("ours"), figures, lead, len(held))


def check_success(held: Sequence[HeldOut]) -> Check | None:
    """Area under the ROC curve of the final progress; None where too few of either kind are labelled."""
    held = [one for one in held if one.episode.success is not None]
    succeeded = np.array([bool(one.episode.success) for one in held], bool)
    if min(succeeded.sum(), (~succeeded).sum()) < FEWEST_OF_A_KIND:
        return None
    finals = {
        "ours": np.array([final(one.values) for one in held]),
        "clock": np.ones(len(held)),
        "seconds": np.array([len(one.values) / one.episode.fps for one in held]),
        "pixels": np.array([final(one.pixels) for one in held]),
    }

    def lead_over(name: str) -> Estimate:
        def lead(picked: Array) -> float:
            return auroc(finals["ours"][picked], succeeded[picked]) - auroc(finals[name][picked], succeeded[picked])

        return bootstrap(lead, len(held))

    figures = {name: auroc(each, succeeded) for name, each in finals.items()}
    return Check("success", figures.pop("ours"), figures, {name: lead_over(name) for name in CONTROLS}, len(held))


def _usual_progress(held: Sequence[HeldOut], annotated: Sequence[Array]) -> dict[int, Array]:
    """For each fold, the median annotated progress of the other folds' episodes at each frame since the start.

    Past the last frame that any of them knows, the last median stays.
    """
    longest = max(len(progress) for progress in annotated)
    table = np.full((len(held), longest), np.nan)
    for row, progress in zip(table, annotated, strict=True):
        row[: len(progress)] = progress
    fold_of = np.array([one.fold for one in held])
    usual = {}
    for fold in np.unique(fold_of):
        others = table[fold_of != fold] if (fold_of != fold).any() else table
        known = np.flatnonzero(~np.isnan(others).all(axis=0))
        usual[int(fold)] = np.interp(np.arange(longest), known, np.nanmedian(others[:, known], axis=0))
    return usual


def _shown(one: HeldOut, clip: Array) -> dict[str, Array]:
    """What is true of the shown frames, what is said of them, and what clocks say that run while they are shown."""
    passed = np.arange(len(clip))
    return {
        "phase": phase(clip, len(one.values)),
        "ours": one.values[clip],
        "clock": phase(passed, len(clip)),
        "seconds": passed / one.episode.fps,
        "pixels": one.pixels[clip],
    }


def _ranks(parts: Sequence[Array]) -> list[Array]:
    """The ranks of all values among each other, ties averaged, in the parts they came in."""
    ranks = rankdata(np.concatenate(parts).round(6))
    return np.split(ranks, np.cumsum([len(part) for part in parts])[:-1])


def _lead_of(ours: PairSums, theirs: PairSums) -> Callable[[Array], float]:
    return lambda picked: _or_zero(ours.correlation(picked)) - _or_zero(theirs.correlation(picked))


def _mean_of(values: Array) -> Callable[[Array], float]:
    return lambda picked: float(values[picked].mean())


def _or_zero(correlation: float) -> float:
    """A constant has no correlation, and tells no order either."""
    return 0.0 if np.isnan(correlation) else correlation


def pixel_curves(episodes: Sequence[Episode], inputs: InputConfig, cache: FeatureCache) -> list[Array]:
    """What the pixel control (`headway.learned.pixels`) makes of the first camera, progress (time,) of each episode.

    Its goal is the mean last frame of the other successes or, where fewer than two are labelled so, of all others that
    are not called failures. It sees the frames that training sees, and in between is interpolated.
    """
    camera = inputs.cameras[0]
    small = [_small(episode, camera, inputs, cache) for episode in episodes]
    successes = [one for one in small if one.success]
    shown = successes if len(successes) > 1 else [one for one in small if one.success is not False]
    goals = np.stack([take_frames(one.camera(camera), [len(one) - 1], SIZE)[0] for one in shown]).astype(np.float32)
    control = PixelDistance("pixels", "pixels", goals, [one.recording for one in shown], camera)
    return [
        np.interp(np.arange(len(whole)), np.arange(len(one)) * inputs.keep(whole.fps), curve.values)
        for whole, one, curve in zip(episodes, small, control.estimate(small), strict=True)
    ]


def _small(episode: Episode, camera: str, inputs: InputConfig, cache: FeatureCache) -> Episode:
    """The frames of one camera that training sees, in memory."""
    pictures = cache.features(Pictures(inputs.image_size), episode.camera(camera), inputs.keep(episode.fps))
    frames = {camera: ArrayFrames(pictures)}
    return Episode(episode.index, 0, episode.fps, frames, success=episode.success, recording=episode.recording)
