"""lerobot's ACT and Diffusion with a loss for each sample, and with weights that they look up themselves.

`lerobot-train` weights losses through `forward(batch, reduction="none")`, which lerobot 0.6 gives neither of them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.utils.constants import ACTION, OBS_IMAGES
from torch import Tensor

from headway.errors import InvalidValue, Unsupported
from headway_policies.lerobot_policies.configuration_headway import HeadwayActConfig, HeadwayDiffusionConfig
from headway_policies.lerobot_policies.frame_weights import FrameWeights

Batch = dict[str, Any]
Told = dict[str, float]


class HeadwayActPolicy(ACTPolicy):
    """lerobot's ACT: same network, same parameters.

    Attributes:
        frame_weights: where the config names a table, the weights that training looks up; else None.
    """

    name = "headway_act"
    config_class = HeadwayActConfig

    def __init__(self, config: HeadwayActConfig, dataset_stats: Any = None, dataset_meta: Any = None):
        super().__init__(config)
        self.frame_weights = _frame_weights(config, dataset_meta)

    def forward(self, batch: Batch, reduction: Literal["mean", "none"] = "mean") -> tuple[Tensor, Told | None]:
        """The loss of a batch, and what to log.

        With `reduction="mean"` it is lerobot's own number: the absolute error over all actions of the batch that are
        no padding, so that a sample near an episode's end counts less, plus the divergence. With "none" it is
        `per_sample_loss`. In training with a table of weights it is the weighted mean of `per_sample_loss`.

        Raises Unsupported when lerobot would weight what the table weights already.
        """
        return _forward(self, batch, reduction, super().forward)

    def per_sample_loss(self, batch: Batch) -> tuple[Tensor, Told]:
        """Each sample's mean absolute error over its own actions that are no padding, plus its divergence: (batch,).

        Their mean is lerobot's loss where all samples have equally much padding.
        """
        if self.config.image_features:
            batch = batch | {OBS_IMAGES: [batch[key] for key in self.config.image_features]}
        predicted, (mean, log_variance) = self.model(batch)
        losses = _mean_of_real(F.l1_loss(batch[ACTION], predicted, reduction="none"), batch["action_is_pad"])
        told = {"l1_loss": float(losses.detach().mean())}
        if self.config.use_vae and log_variance is not None:
            divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(-1)
            told["kld_loss"] = float(divergence.detach().mean())
            losses = losses + self.config.kl_weight * divergence
        return losses, told


class HeadwayDiffusionPolicy(DiffusionPolicy):
    """lerobot's Diffusion: same network, same parameters.

    Attributes:
        frame_weights: as in `HeadwayActPolicy`.
    """

    name = "headway_diffusion"
    config_class = HeadwayDiffusionConfig

    def __init__(self, config: HeadwayDiffusionConfig, dataset_stats: Any = None, dataset_meta: Any = None):
        super().__init__(config)
        self.frame_weights = _frame_weights(config, dataset_meta)

    def forward(self, batch: Batch, reduction: Literal["mean", "none"] = "mean") -> tuple[Tensor, Told | None]:
        """The loss of a batch, and what to log.

        With `reduction="mean"` it is lerobot's own number, which counts padding (copies of the episode's first and
        last action) like any action unless `do_mask_loss_for_padding` is set. "none" and a table of weights never
        count padding; otherwise as `HeadwayActPolicy.forward`.
        """
        return _forward(self, batch, reduction, super().forward)

    def per_sample_loss(self, batch: Batch) -> tuple[Tensor, Told]:
        """Each sample's mean squared error over its own actions that are no padding: (batch,).

        One noise level and one noise are drawn for each sample, in lerobot's order. Their mean is lerobot's loss where
        there is no padding, and with `do_mask_loss_for_padding` where all samples have equally much.
        """
        if self.config.image_features:
            pictures = [batch[key] for key in self.config.image_features]
            if self.config.n_obs_steps == 1:
                pictures = [given.unsqueeze(1) if given.ndim == 4 else given for given in pictures]
            batch = batch | {OBS_IMAGES: torch.stack(pictures, dim=-4)}
        losses = _mean_of_real(self._squared_errors(batch), batch["action_is_pad"])
        return losses, {"mse_loss": float(losses.detach().mean())}

    def _squared_errors(self, batch: Batch) -> Tensor:
        """(batch, horizon, action_dim): lerobot's `DiffusionModel.compute_loss` before its mean."""
        model, actions = self.diffusion, batch[ACTION]
        if actions.shape[1] != self.config.horizon:
            raise InvalidValue(
                f"the batch has {actions.shape[1]} actions a sample, the horizon is {self.config.horizon}"
            )
        seen = model._prepare_global_conditioning(batch)
        noise = torch.randn(actions.shape, device=actions.device)
        levels = model.noise_scheduler.config.num_train_timesteps
        level = torch.randint(0, levels, (len(actions),), device=actions.device)
        predicted = model.unet(model.noise_scheduler.add_noise(actions, noise, level), level, global_cond=seen)
        target = noise if self.config.prediction_type == "epsilon" else actions
        return F.mse_loss(predicted, target, reduction="none")


def _frame_weights(config: HeadwayActConfig | HeadwayDiffusionConfig, dataset_meta: Any) -> FrameWeights | None:
    if config.weights_path is None:
        return None
    frames = None if dataset_meta is None else dataset_meta.total_frames
    return FrameWeights(Path(config.weights_path), config.fallback_weight, frames)


def _forward(
    policy: HeadwayActPolicy | HeadwayDiffusionPolicy,
    batch: Batch,
    reduction: str,
    lerobots_own: Callable[[Batch], tuple[Tensor, Told | None]],
) -> tuple[Tensor, Told | None]:
    if reduction not in ("mean", "none"):
        raise InvalidValue(f"reduction is {reduction!r}; needs 'mean' or 'none'")
    # lerobot's own weighting leaves the loss of evaluation alone too
    if policy.frame_weights is None or not policy.training:
        return lerobots_own(batch) if reduction == "mean" else policy.per_sample_loss(batch)
    if reduction == "none":
        raise Unsupported(
            f"--sample_weighting would weight the losses that {policy.frame_weights.path} weights already; give only "
            "one of --policy.weights_path and --sample_weighting.type"
        )
    weights = policy.frame_weights.of(batch)
    losses, told = policy.per_sample_loss(batch)
    loss, shares = policy.frame_weights.loss(losses, weights)
    return loss, told | shares


def _mean_of_real(errors: Tensor, is_pad: Tensor) -> Tensor:
    """Errors (batch, time, action_dim), padding (batch, time) -> each sample's mean where it has none (batch,)."""
    real = ~is_pad.unsqueeze(-1)
    count = real.sum(dim=(1, 2)) * errors.shape[-1]
    return (errors * real).sum(dim=(1, 2)) / count.clamp_min(1)
