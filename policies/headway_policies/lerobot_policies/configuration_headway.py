"""The configs: lerobot's own, and where the weights of frames come from."""

from dataclasses import dataclass
from pathlib import Path

from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig

from headway.errors import InvalidValue


@PreTrainedConfig.register_subclass("headway_act")
@dataclass
class HeadwayActConfig(ACTConfig):
    """lerobot's ACT, trained with a weight for every frame.

    `chunk_size` is both the actions that the network predicts and the look-ahead of
    `--sample_weighting.type=rabc`; lerobot reads the one field for both.

    Attributes:
        weights_path: the table of `headway weights`; None for plain cloning, or for lerobot's own weighting. Only
            training reads it.
        fallback_weight: of frames to which the table gives no weight (null), in [0, 1]; 0 leaves them out.
    """

    weights_path: Path | None = None
    fallback_weight: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fallback(self.fallback_weight)


@PreTrainedConfig.register_subclass("headway_diffusion")
@dataclass
class HeadwayDiffusionConfig(DiffusionConfig):
    """lerobot's Diffusion, trained with a weight for every frame.

    Attributes:
        weights_path, fallback_weight: as in `HeadwayActConfig`.
        look_ahead: frames over which `--sample_weighting.type=rabc` compares progress; None for `horizon`.
    """

    weights_path: Path | None = None
    fallback_weight: float = 0.0
    look_ahead: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_fallback(self.fallback_weight)
        if self.look_ahead is not None and self.look_ahead < 1:
            raise InvalidValue(f"look_ahead is {self.look_ahead}; needs at least 1 frame, or none for the horizon")

    @property
    def chunk_size(self) -> int:
        """The look-ahead of RA-BC, in frames: lerobot's weighting reads it by this name, and nothing else does."""
        return self.horizon if self.look_ahead is None else self.look_ahead


def _check_fallback(weight: float) -> None:
    if not 0 <= weight <= 1:
        raise InvalidValue(f"fallback_weight is {weight}; needs a number in [0, 1], 0 to leave such frames out")
