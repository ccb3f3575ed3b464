"""Headway's trained estimators as reward models of lerobot 0.6: importing this package registers them.

lerobot imports by itself only distributions whose names begin with `lerobot_policy_` and the like, so it has to be
told: `--reward_model.discover_packages_path=headway_policies.lerobot_plugin` on its command line, or an import in
Python. lerobot finds a model by its names: `HeadwaySarmConfig` in `configuration_headway` belongs to
`HeadwaySarmRewardModel` in `modeling_headway` and to `make_headway_sarm_pre_post_processors` in `processor_headway`.
"""

from headway_policies.lerobot_plugin.configuration_headway import HeadwayConfig, HeadwaySarmConfig

__all__ = ["HeadwayConfig", "HeadwaySarmConfig"]
