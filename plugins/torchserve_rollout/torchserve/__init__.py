"""TorchServe's own APIs and the gateway's. Nothing above this layer knows HTTP."""
