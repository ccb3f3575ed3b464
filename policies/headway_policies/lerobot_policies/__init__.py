"""lerobot's own ACT and Diffusion, made to take a weight for every frame: importing this package registers them.

`--policy.type=headway_act` and `--policy.type=headway_diffusion` with
`--policy.discover_packages_path=headway_policies.lerobot_policies`. Networks, parameters, processors and sampling are
lerobot's; only the training loss is ours. lerobot finds a policy by its names: `HeadwayActConfig` in
`configuration_headway` belongs to `HeadwayActPolicy` in `modeling_headway` and to
`make_headway_act_pre_post_processors` in `processor_headway`.
"""

from headway_policies.lerobot_policies.configuration_headway import HeadwayActConfig, HeadwayDiffusionConfig

__all__ = ["HeadwayActConfig", "HeadwayDiffusionConfig"]
