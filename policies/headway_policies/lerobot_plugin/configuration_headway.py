"""What lerobot has to know of each estimator before it is made: its name, its window and how it is trained."""

from dataclasses import dataclass, field
from typing import Any

from lerobot.configs.rewards import RewardModelConfig
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.optim.optimizers import AdamWConfig
from lerobot.utils.constants import OBS_STATE

# lerobot takes a frame before the episode's start for the episode's first, so from so far back the first always comes
FIRST_FRAME = -1_000_000


@dataclass
class HeadwayConfig(RewardModelConfig):
    """What all types share.

    Attributes:
        fps: frames per second of the data; lerobot asks for the window in frames before it opens a dataset.
        gap_seconds: time between the frames of a window.
        history: frames in a window besides the episode's first.
        image_keys: the cameras as lerobot names them, in the estimator's order; empty for all of the dataset's.
        use_state: whether the robot's state is shown too.
        checkpoint: what a Headway run's config.json says of one network; empty for one that is not trained yet.
    """

    fps: float = 30.0
    gap_seconds: float = 0.4
    history: int = 8
    image_keys: list[str] = field(default_factory=list)
    use_state: bool = False
    checkpoint: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.declare_features()

    def declare_features(self) -> None:
        """Say what goes in and what comes out. Pictures may have any size; the shape is a stand-in."""
        for key in self.image_keys:
            self.input_features.setdefault(key, PolicyFeature(type=FeatureType.VISUAL, shape=(3, 224, 224)))
        if self.use_state:
            self.input_features.setdefault(OBS_STATE, PolicyFeature(type=FeatureType.STATE, shape=(1,)))
        self.output_features.setdefault("progress", PolicyFeature(type=FeatureType.REWARD, shape=(1,)))

    @property
    def observation_delta_indices(self) -> list[int]:
        """The episode's first frame, then `history` frames that end at the present: never one from the future."""
        gap = self.gap_seconds * self.fps
        return [FIRST_FRAME, *(-round(place * gap) for place in range(self.history - 1, -1, -1))]


@RewardModelConfig.register_subclass("headway_sarm")
@dataclass
class HeadwaySarmConfig(HeadwayConfig):
    """SARM (`headway.learned.sarm`), which lerobot can also train.

    Attributes:
        encoder, text_encoder, image_size: as in `headway train`.
        rewind: share of windows that run forward and then back.
        wrong_text: share of windows shown with an instruction that is not theirs.
        learning_rate, weight_decay, grad_clip_norm: of AdamW.
    """

    encoder: str = "tiny"
    text_encoder: str = "ngrams"
    image_size: int = 64
    rewind: float = 0.4
    wrong_text: float = 0.1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    grad_clip_norm: float = 1.0

    def get_optimizer_preset(self) -> AdamWConfig:
        return AdamWConfig(lr=self.learning_rate, weight_decay=self.weight_decay, grad_clip_norm=self.grad_clip_norm)


@RewardModelConfig.register_subclass("headway_heads")
@dataclass
class HeadwayHeadsConfig(HeadwayConfig):
    """A run of `headway train heads`; loaded, not trained, by lerobot."""


@RewardModelConfig.register_subclass("headway_vip")
@dataclass
class HeadwayVipConfig(HeadwayConfig):
    """A run of `headway train vip`; loaded, not trained, by lerobot."""


@RewardModelConfig.register_subclass("headway_classifier")
@dataclass
class HeadwayClassifierConfig(HeadwayConfig):
    """A run of `headway train classifier`; loaded, not trained, by lerobot."""
