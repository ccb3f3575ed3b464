"""Rewards from progress, as Gymnasium wrappers: estimate, decide, shape.

    EstimateProgress     shows rendered frames to a streaming estimator and puts what it says into `info`
    TerminateOnSuccess   ends the episode once the estimator has called it a success for some frames
    ShapeReward          adds scale * (gamma * Phi(s') - Phi(s)), Phi being any function of observation and info
    ProgressReward       the first and the third in one, which is what is mostly wanted
    DifferenceReward     adds scale * (Phi(s') - Phi(s)); changes which policy is best, kept to be compared with

`VectorEstimateProgress`, `VectorShapeReward` and `VectorProgressReward` do the same to vector environments.
`headway_envs.rewards.keys` lists what they put into `info`.
"""

from headway_envs.rewards.potentials import Potential, estimated_progress, true_progress
from headway_envs.rewards.single import DifferenceReward, EstimateProgress, ProgressReward, ShapeReward
from headway_envs.rewards.success import TerminateOnSuccess
from headway_envs.rewards.vector import VectorEstimateProgress, VectorProgressReward, VectorShapeReward

__all__ = [
    "DifferenceReward",
    "EstimateProgress",
    "Potential",
    "ProgressReward",
    "ShapeReward",
    "TerminateOnSuccess",
    "VectorEstimateProgress",
    "VectorProgressReward",
    "VectorShapeReward",
    "estimated_progress",
    "true_progress",
]
