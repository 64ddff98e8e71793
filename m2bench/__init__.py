"""m2bench: which optimizations of a reinforcement-learning trainer pay, on the machine in front of you."""

__version__ = "0.1.0"
