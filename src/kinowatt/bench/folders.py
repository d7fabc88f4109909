"""Folders in diffusers' layout with random weights: the shapes of Wan without its files, for speed does not depend on values.

Weights are as diffusers begins them, but the transformer's output, which is scaled to the spread that a trained velocity has: a network
that says nearly nothing would leave the noise as it is, and two runs of anything would look alike.
"""

from __future__ import annotations

import io
import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from kinowatt.errors import MissingDependency, OutputError

LETTERS = "abcdefghijklmnopqrstuvwxyz,."
VELOCITY_SPREAD = 1.0  # of noise minus clean latents, both of about unit spread
# A codec of Wan 2.1 (16 channels) and 2.2 (48), by the entries in which their config.json differs from diffusers' defaults.
CODEC_2_1: dict[str, Any] = {}
CODEC_2_2: dict[str, Any] = {
    "base_dim": 160,
    "decoder_base_dim": 256,
    "z_dim": 48,
    "latents_mean": [0.0] * 48,
    "latents_std": [1.0] * 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
}


@dataclass(frozen=True)
class Preset:
    """A network's shape, a clip's, and how it is sampled. `transformer`, `codec`: entries of diffusers' config.json files."""

    width: int  # pixels
    height: int
    frames: int  # 4k + 1
    steps: int
    guidance: float
    shift: float
    transformer: Mapping[str, Any]
    codec: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float32"  # of the transformer's file
    per_frame: bool = False  # TI2V: a noise level per latent frame
    says: str = ""


def _sizes(heads: int, head_dim: int, layers: int, ffn_dim: int, text_dim: int, channels: int = 16) -> dict[str, Any]:
    return {
        "num_attention_heads": heads,
        "attention_head_dim": head_dim,
        "num_layers": layers,
        "ffn_dim": ffn_dim,
        "text_dim": text_dim,
        "in_channels": channels,
        "out_channels": channels,
    }


PRESETS = {
    "smoke": Preset(
        48, 32, 9, 2, 5.0, 3.0, _sizes(2, 32, 2, 96, 32), {"base_dim": 8, "num_res_blocks": 1}, says="a check that all of it runs"
    ),
    # The codec is narrow: at full size decoding takes a hundredth of the time, not a half.
    "tiny": Preset(
        256, 192, 25, 10, 5.0, 3.0, _sizes(6, 64, 12, 1536, 256), {"base_dim": 8}, says="width 384, 12 layers, 1344 tokens, text 512"
    ),
    "wan2.1-1.3b-480p": Preset(
        832, 480, 81, 50, 6.0, 8.0, _sizes(12, 128, 30, 8960, 4096), CODEC_2_1, "bfloat16", says="Wan 2.1 T2V 1.3B, 32,760 tokens"
    ),
    "wan2.2-ti2v-5b-704p": Preset(
        1280,
        704,
        121,
        50,
        5.0,
        5.0,
        _sizes(24, 128, 30, 14336, 4096, 48),
        CODEC_2_2,
        "bfloat16",
        per_frame=True,
        says="Wan 2.2 TI2V 5B, 27,280 tokens",
    ),
}


def write(preset: Preset, folder: Path, device: str = "cpu", seed: int = 0) -> None:
    """Write a folder of a whole pipeline, with the scheduler UniPC. MissingDependency, OutputError.

    The text encoder is a very small UMT5 of the right width: encoding takes no part in what is compared.
    """
    try:
        import diffusers
        import transformers
    except ImportError as error:
        raise MissingDependency("bench needs diffusers and transformers; pip install 'kinowatt[diffusers,wan]'") from error
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with _quiet(), torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(seed)
            tokenizer, encoder = _text(transformers, preset.transformer["text_dim"])
            scheduler = diffusers.UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=preset.shift
            )
            with torch.device(device):  # large networks are drawn far faster on an accelerator
                network, codec = _transformer(diffusers, preset), diffusers.AutoencoderKLWan(**preset.codec)
            pipe = diffusers.WanPipeline(tokenizer, encoder, codec, scheduler, network, expand_timesteps=preset.per_frame)
            pipe.save_pretrained(aside, max_shard_size="5GB")
        shutil.rmtree(folder, ignore_errors=True)
        aside.replace(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """diffusers and transformers tell of their own parts when they write a folder; none of it concerns the user."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _text(transformers: Any, width: int) -> tuple[Any, Any]:
    """A tokenizer of single letters and a UMT5 of two thin layers."""
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("\u2581", -2.0), *((letter, -3.0) for letter in LETTERS)]
    config = transformers.UMT5Config(
        vocab_size=len(vocab) + 100, d_model=width, d_kv=16, d_ff=64, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    encoder = transformers.UMT5EncoderModel(config).eval()
    return transformers.T5Tokenizer(vocab=vocab), encoder


def _transformer(diffusers: Any, preset: Preset) -> Any:
    """As diffusers begins it, with the output scaled to the spread of a velocity."""
    network = diffusers.WanTransformer3DModel(**preset.transformer).eval()
    channels = preset.transformer["in_channels"]
    x, text = torch.randn(1, channels, 2, 8, 8), torch.randn(1, 8, preset.transformer["text_dim"])
    out = network(x, torch.full((1,), 500.0), text, return_dict=False)[0]
    for parameter in network.proj_out.parameters():
        parameter.mul_(VELOCITY_SPREAD / out.std())
    return network.to(getattr(torch, preset.dtype))
