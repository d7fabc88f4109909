"""Parts of the video DiT: norms, 3D rotary positions, attention, modulation per latent frame. Names follow diffusers' Wan."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn


class RMSNorm(nn.Module):
    """Root mean square norm over the last dimension (all heads together), in float32."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape and type."""
        return F.rms_norm(x.float(), (x.shape[-1],), self.weight.float(), self.eps).to(x.dtype)


def rotary_table(head_dim: int, frames: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines (L, head_dim / 2) for L = frames * height * width tokens.

    Of the head's pairs, height and width get floor(head_dim / 6) each and time the rest; angle = position / 10000^(2i/d).
    """
    side = 2 * (head_dim // 6)
    parts = []
    for dim, count, axis in ((head_dim - 2 * side, frames, 0), (side, height, 1), (side, width, 2)):
        rate = 1.0 / 10000.0 ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        angle = torch.outer(torch.arange(count, dtype=torch.float64), rate)
        shape = [1, 1, 1, angle.shape[1]]
        shape[axis] = count
        parts.append(angle.view(shape).expand(frames, height, width, -1))
    angles = torch.cat(parts, dim=-1).flatten(0, 2)
    return angles.cos().float(), angles.sin().float()


def rotate(x_BLHD: torch.Tensor, table: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Turn interleaved pairs of each head (B, L, heads, head_dim) by their position's angles."""
    cos, sin = (t[None, :, None, :] for t in table)
    even, odd = x_BLHD.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2).to(x_BLHD.dtype)


class Attention(nn.Module):
    """Multi-head attention with norms on queries and keys; self-attention with rotary positions, or cross-attention to text."""

    def __init__(self, width: int, heads: int, eps: float) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.norm_q, self.norm_k = RMSNorm(width, eps), RMSNorm(width, eps)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def keys_values(self, source_BLD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values (B, L, heads, head_dim) of a source; those of a text need computing only once per prompt."""
        k, v = self.norm_k(self.to_k(source_BLD)), self.to_v(source_BLD)
        return k.unflatten(-1, (self.heads, -1)), v.unflatten(-1, (self.heads, -1))

    def forward(
        self,
        x_BLD: torch.Tensor,
        keys_values: tuple[torch.Tensor, torch.Tensor],
        table: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Same shape as x."""
        q = self.norm_q(self.to_q(x_BLD)).unflatten(-1, (self.heads, -1))
        k, v = keys_values
        if table is not None:
            q, k = rotate(q, table), rotate(k, table)
        mixed = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2).to(q.dtype), v.transpose(1, 2).to(q.dtype))
        return self.to_out[0](mixed.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Linear, GELU (tanh form), linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        first = nn.Module()
        first.proj = nn.Linear(width, hidden)
        self.net = nn.ModuleList([first, nn.Identity(), nn.Linear(hidden, width)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        return self.net[2](F.gelu(self.net[0].proj(x), approximate="tanh"))  # type: ignore[operator]


class TwoLayer(nn.Module):
    """Linear, activation, linear, with the names that Wan's time and text embedders have."""

    def __init__(self, inputs: int, width: int, activation: str) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, width), nn.Linear(width, width)
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(…, inputs) to (…, width)."""
        hidden = self.linear_1(x)
        hidden = F.silu(hidden) if self.activation == "silu" else F.gelu(hidden, approximate="tanh")
        return self.linear_2(hidden)


def sinusoid(time: torch.Tensor, dim: int) -> torch.Tensor:
    """Cosines, then sines, of a time in [0, 1000] at dim / 2 rates (…, dim), float32."""
    rate = torch.exp(-math.log(10000.0) * torch.arange(dim // 2, dtype=torch.float32, device=time.device) / (dim // 2))
    angle = time.float()[..., None] * rate
    return torch.cat([angle.cos(), angle.sin()], -1)


def modulate(x_BLD: torch.Tensor, shift_BFD: torch.Tensor, scale_BFD: torch.Tensor) -> torch.Tensor:
    """x * (1 + scale) + shift, one scale and shift per latent frame: never spread over its tokens in memory."""
    x_BFPD = x_BLD.unflatten(1, (shift_BFD.shape[1], -1))
    return torch.addcmul(shift_BFD[:, :, None], x_BFPD, 1.0 + scale_BFD[:, :, None]).flatten(1, 2)


def gated(x_BLD: torch.Tensor, change_BLD: torch.Tensor, gate_BFD: torch.Tensor) -> torch.Tensor:
    """x + gate * change, one gate per latent frame."""
    frames = gate_BFD.shape[1]
    return torch.addcmul(x_BLD.unflatten(1, (frames, -1)), change_BLD.unflatten(1, (frames, -1)), gate_BFD[:, :, None]).flatten(1, 2)
