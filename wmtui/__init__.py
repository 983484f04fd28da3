"""wmtui: map the parameters of one PyTorch checkpoint or model onto another."""

__version__ = "0.1.0"
