"""Offline RL with progress as the reward: from recorded episodes to a weight for every frame, and so to a policy.

    rewards.py      rewards of recorded frames: the outcome, alone or shaped by progress
    transitions.py  what a learner of values needs of episodes, with terminations and truncations told apart
    values.py       the networks of Q and V
    iql.py          implicit Q-learning
    awr.py          advantage-weighted regression

Both learners end in a weight for every frame, and `headway_policies.behaviour_cloning.clone` makes a policy of those.
"""
