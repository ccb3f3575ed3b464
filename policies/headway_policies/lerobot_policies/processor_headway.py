"""The processors that lerobot asks for: its own. They hand a batch's `index` on, by which weights are looked up."""

from lerobot.policies.act.processor_act import make_act_pre_post_processors
from lerobot.policies.diffusion.processor_diffusion import make_diffusion_pre_post_processors

make_headway_act_pre_post_processors = make_act_pre_post_processors
make_headway_diffusion_pre_post_processors = make_diffusion_pre_post_processors
