"""A random policy on a task whose sparse reward is shaped by progress.

python examples/shaped_reward.py                     by the simulator's own progress
python examples/shaped_reward.py sarm:runs/tidy      by a trained estimator, from rendered frames
"""

import sys

import gymnasium

import headway_envs  # noqa: F401, registers the tasks
from headway.specs import make_estimator
from headway_envs.rewards import ProgressReward, ShapeReward, true_progress

GAMMA = 0.99

env = gymnasium.make("headway/TidyDrawer-v0", render_mode="rgb_array")
if len(sys.argv) > 1:
    env = ProgressReward(env, make_estimator(sys.argv[1]), gamma=GAMMA)
else:
    env = ShapeReward(env, true_progress, gamma=GAMMA)

observation, info = env.reset(seed=0)
env.action_space.seed(0)
first, steps = info["reward/potential"], []
for _ in range(100):
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    steps.append((info["reward/original"], reward))
    if terminated or truncated:
        break
env.close()

for name, rewards in zip(("original", "shaped"), zip(*steps, strict=True), strict=True):
    discounted = sum(GAMMA**t * reward for t, reward in enumerate(rewards))
    print(f"{name:9}return {discounted:+.4f}, steps with a reward {sum(map(bool, rewards))} of {len(rewards)}")
ends = GAMMA ** len(steps) * info["reward/potential"] - first
print(f"their difference is gamma^T Phi(s_T) - Phi(s_0) = {ends:+.4f}, whatever is done in between")
