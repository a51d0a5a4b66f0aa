"""Two ways of turning a model's linear layers into int8 while it loads; both for the CPU."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Int8Linear(nn.Module):
    """A linear layer with int8 weights, one scale per output row; computes in bfloat16.

    Input (…, in_features) and output (…, out_features) are bfloat16.
    """

    weight: torch.Tensor
    scale: torch.Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp(min=1e-8) / 127.0
        self.register_buffer("weight", (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8))
        self.register_buffer("scale", scale.to(torch.bfloat16))
        self.bias = linear.bias if linear.bias is None else nn.Parameter(linear.bias.to(torch.bfloat16), False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        rows = values.reshape(-1, values.shape[-1])
        result = torch._weight_int8pack_mm(rows, self.weight, self.scale).view(*values.shape[:-1], -1)
        return result if self.bias is None else result + self.bias


def quantize(model: nn.Module, how: str) -> nn.Module:
    """``model`` with int8 linear layers.

    Args:
        how: ``none``, ``dynamic_int8`` (weights and activations: faster, and less exact than it looks) or
            ``weight_only_int8`` (weights only: faster, and as exact as bfloat16).

    Raises:
        ValueError: ``how`` is none of these.
    """
    if how == "none":
        return model
    if how == "dynamic_int8":
        quantize_dynamic: Callable[..., nn.Module] = torch.ao.quantization.quantize_dynamic
        return quantize_dynamic(model.float(), {nn.Linear}, dtype=torch.qint8)
    if how == "weight_only_int8":
        _swap_linear_layers(model.to(torch.bfloat16))
        return model
    raise ValueError(f"unknown quantization {how!r}")


def _swap_linear_layers(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, Int8Linear(child))
        else:
            _swap_linear_layers(child)
