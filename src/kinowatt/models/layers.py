"""Parts of the video DiT: norms, 3D rotary positions, attention, modulation per latent frame. Names follow diffusers' Wan."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

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


def normed(norm: nn.LayerNorm, x: torch.Tensor) -> torch.Tensor:
    """Layer norm, in float32 where the weights have that type and x a shorter one; autocast sees to that itself."""
    if x.dtype == norm.weight.dtype or torch.is_autocast_enabled(x.device.type):
        return norm(x)
    return norm(x.float()).to(x.dtype)


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


def rotate(x_BLHD: torch.Tensor, cos_LD: torch.Tensor, sin_LD: torch.Tensor) -> torch.Tensor:
    """Turn interleaved pairs of each head (B, L, heads, head_dim) by their position's angles.

    The quarter turn (a, b) -> (-b, a) of all pairs is a matrix of zeros and ones: exact in every type, and far faster than taking
    the pairs apart (LOG.md).
    """
    cos, sin = (table.repeat_interleave(2, -1)[None, :, None, :] for table in (cos_LD, sin_LD))
    one = torch.eye(x_BLHD.shape[-1], dtype=x_BLHD.dtype, device=x_BLHD.device)
    turned = x_BLHD @ torch.stack([-one[:, 1::2], one[:, ::2]], -1).flatten(1)
    return (x_BLHD.float() * cos + turned.float() * sin).to(x_BLHD.dtype)


@dataclass(frozen=True, eq=False)
class Places:
    """Where tokens stand: the token grid (frames, rows, columns) and the rotary table of the tokens at hand (L, head_dim / 2).

    Tokens are ordered by frame, then row, then column.
    """

    size: tuple[int, int, int]
    cos: torch.Tensor
    sin: torch.Tensor


@dataclass(frozen=True, eq=False)
class Context:
    """What tokens attend to, ready for use: keys and values (B, L, heads, head_dim).

    `bias_B11L` is added to the attention scores; None: nothing is. `image`: keys and values with a softmax of their own (Wan 2.1 I2V).
    `summary` (B, 1, D): what the text says in all, for networks that hear it in the time.
    """

    k: torch.Tensor
    v: torch.Tensor
    bias_B11L: torch.Tensor | None = None
    image: tuple[torch.Tensor, torch.Tensor] | None = None
    summary: torch.Tensor | None = None


# Self-attention in another way than `attend`: over several devices, or in windows. (q, k, v, places) to the shape of q.
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Places], torch.Tensor]


class Attention(nn.Module):
    """Multi-head attention with norms on queries and keys: self-attention with rotary positions, or cross-attention to text and image."""

    def __init__(self, width: int, heads: int, eps: float, image_dim: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.norm_q, self.norm_k = RMSNorm(width, eps), RMSNorm(width, eps)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.attend: Attend | None = None
        if image_dim is not None:
            self.add_k_proj, self.add_v_proj = nn.Linear(image_dim, width), nn.Linear(image_dim, width)
            self.norm_added_k = RMSNorm(width, eps)

    def keys_values(self, source_BLD: torch.Tensor, bias_BL: torch.Tensor | None = None, image_BLD: torch.Tensor | None = None) -> Context:
        """Keys and values of a source; those of a text and an image need computing only once per prompt."""
        k, v = self._heads(self.norm_k(self.to_k(source_BLD))), self._heads(self.to_v(source_BLD))
        image = None
        if image_BLD is not None:
            image = self._heads(self.norm_added_k(self.add_k_proj(image_BLD))), self._heads(self.add_v_proj(image_BLD))
        return Context(k, v, None if bias_BL is None else bias_BL[:, None, None, :].to(k.dtype), image)

    def _heads(self, x_BLD: torch.Tensor) -> torch.Tensor:
        return x_BLD.unflatten(-1, (self.heads, -1))

    def forward(self, x_BLD: torch.Tensor, context: Context, places: Places | None = None) -> torch.Tensor:
        """Same shape as x. With places it is self-attention, which may be done in another way than `attend` (see `Attend`)."""
        q, k = self._heads(self.norm_q(self.to_q(x_BLD))), context.k
        if places is not None:
            q, k = rotate(q, places.cos, places.sin), rotate(k, places.cos, places.sin)
            mixed = attend(q, k, context.v) if self.attend is None else self.attend(q, k, context.v, places)
        else:
            mixed = attend(q, k, context.v, context.bias_B11L)
        if context.image is not None:
            mixed = mixed + attend(q, *context.image)
        return self.to_out[0](mixed.flatten(2))


def attend(q_BLHD: torch.Tensor, k_BLHD: torch.Tensor, v_BLHD: torch.Tensor, bias_B11L: torch.Tensor | None = None) -> torch.Tensor:
    """Softmax attention of queries, keys and values (B, L, heads, head_dim), exact. Same shape as q."""
    if bias_B11L is not None:
        bias_B11L = bias_B11L.to(q_BLHD.dtype)
    q, k, v = (t.transpose(1, 2).to(q_BLHD.dtype) for t in (q_BLHD, k_BLHD, v_BLHD))
    mixed = products(q, k, v, bias_B11L) if _learns_short(q) else F.scaled_dot_product_attention(q, k, v, attn_mask=bias_B11L)
    return mixed.transpose(1, 2)


PART = 128  # queries whose scores are held at once


def products(q_BHLD: torch.Tensor, k_BHLD: torch.Tensor, v_BHLD: torch.Tensor, bias_B11L: torch.Tensor | None = None) -> torch.Tensor:
    """The same by plain products, some queries at a time; heads before tokens, same shape as q."""
    scaled = k_BHLD.transpose(2, 3) * q_BHLD.shape[3] ** -0.5
    bias = 0.0 if bias_B11L is None else bias_B11L
    return torch.cat([(part @ scaled + bias).softmax(-1) @ v_BHLD for part in q_BHLD.split(PART, 2)], 2)


def _learns_short(x: torch.Tensor) -> bool:
    """Whether gradients will be taken on a CPU in bfloat16: the fused attention's backward pass takes twice to five times as long there as
    plain products do (LOG.md)."""
    if x.device.type != "cpu" or not x.requires_grad:
        return False
    return x.dtype == torch.bfloat16 or (torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16)


STAND_INS = 4  # rows of zeros that stand for all of a text


def merged(text_BLD: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A shorter text that attention cannot tell from the given one, and the bias (B, L) of its rows' scores (None: none is needed).

    Wan pads every prompt to 512 rows with zeros and does not mask them, so most keys are one and the same: n equal keys weigh as much
    as one with log(n) added to its score. Rows beyond the longest text and its stand-ins are cut.
    """
    length = text_BLD.shape[1]
    used = text_BLD.ne(0).any(-1)
    real = [int(row.nonzero().max()) + 1 if bool(row.any()) else 0 for row in used.cpu()]
    keep = math.ceil((max(real) + STAND_INS) / 8) * 8  # a multiple of 8, as fused attention with a bias wants it
    if keep >= length:
        return text_BLD, None
    bias = torch.full((len(real), keep), -math.inf)
    for b, count in enumerate(real):
        bias[b, :count] = 0.0
        bias[b, count : count + STAND_INS] = torch.tensor(log_shares(length - count))
    return text_BLD[:, :keep], bias.to(text_BLD.device)


def log_shares(count: int) -> list[float]:
    """Biases of STAND_INS rows that weigh as much as `count` rows: the sum of their exp is count (to 1e-6 of it).

    One bias would do in float32; in bfloat16, log(400) is off by up to 1.6 %. So each row takes what its bias can say exactly
    (32nds, rounded down) and leaves the rest to the next.
    """
    if count <= STAND_INS:
        return [0.0] * count + [-math.inf] * (STAND_INS - count)
    out, rest = [], float(count)
    for _ in range(STAND_INS):
        out.append(math.floor(32.0 * math.log(rest)) / 32.0)
        rest = max(rest - math.exp(out[-1]), 1e-9)
    return out


class FeedForward(nn.Module):
    """Linear, GELU (tanh form unless said), linear."""

    def __init__(self, width: int, hidden: int, outputs: int | None = None, approximate: str = "tanh") -> None:
        super().__init__()
        first = nn.Module()
        first.proj = nn.Linear(width, hidden)
        self.net = nn.ModuleList([first, nn.Identity(), nn.Linear(hidden, outputs or width)])
        self.approximate = approximate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        return self.net[2](gelu(self.net[0].proj(x), self.approximate))  # type: ignore[operator]


def gelu(x: torch.Tensor, approximate: str) -> torch.Tensor:
    """GELU. Where inductor writes the code, the tanh form is written as x * sigmoid(2 u), which is the same and cheaper than its tanh."""
    if approximate != "tanh" or not torch.compiler.is_dynamo_compiling():
        return F.gelu(x, approximate=approximate)
    wide = x.float()
    return (wide * torch.sigmoid(2.0 * (2.0 / math.pi) ** 0.5 * (wide + 0.044715 * wide * wide * wide))).to(x.dtype)


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
