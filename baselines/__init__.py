"""The reinforcement-learning trading system under test and its plain trainer.

Installed as ``m2bench.baselines``. It knows nothing of the harness: markets,
episodes, environments, policy and REINFORCE only.
"""
