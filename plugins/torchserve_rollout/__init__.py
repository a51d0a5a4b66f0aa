"""torchserve-rollout: package, serve, shift, watch and roll back model versions on TorchServe."""

__version__ = "0.1.0"
