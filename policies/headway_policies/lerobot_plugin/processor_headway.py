"""The processors that lerobot asks for. They change nothing: the models take lerobot's pictures as they are."""

from typing import Any

from lerobot.processor import IdentityProcessorStep, PolicyProcessorPipeline
from lerobot.processor.converters import policy_action_to_transition, transition_to_policy_action
from lerobot.utils.constants import POLICY_POSTPROCESSOR_DEFAULT_NAME, POLICY_PREPROCESSOR_DEFAULT_NAME

from headway_policies.lerobot_plugin.configuration_headway import HeadwayConfig

Pipelines = tuple[PolicyProcessorPipeline, PolicyProcessorPipeline]


def make_headway_sarm_pre_post_processors(
    config: HeadwayConfig, dataset_stats: dict[str, dict[str, Any]] | None = None
) -> Pipelines:
    """Both pipelines. No statistics are used: a network of ours measures the robot's state on its own episodes."""
    return (
        PolicyProcessorPipeline(steps=[IdentityProcessorStep()], name=POLICY_PREPROCESSOR_DEFAULT_NAME),
        PolicyProcessorPipeline(
            steps=[IdentityProcessorStep()],
            name=POLICY_POSTPROCESSOR_DEFAULT_NAME,
            to_transition=policy_action_to_transition,
            to_output=transition_to_policy_action,
        ),
    )


make_headway_heads_pre_post_processors = make_headway_sarm_pre_post_processors
make_headway_vip_pre_post_processors = make_headway_sarm_pre_post_processors
make_headway_classifier_pre_post_processors = make_headway_sarm_pre_post_processors
