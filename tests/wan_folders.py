"""Small random models of every kind of Wan, as diffusers writes them, and diffusers' own takes of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

KINDS = ("t2v", "ti2v", "i2v", "flf2v", "t2v-a14b", "i2v-a14b")
LETTERS = "abcdefghijklmnopqrstuvwxyz,."
TEXT = 24  # width of the text features
IMAGE = 32  # width of the image features


def write(kind: str, path: Path) -> Path:
    """A whole folder of one kind, about 1 MB."""
    diffusers = pytest.importorskip("diffusers", reason="folders are written with kinowatt[diffusers]")
    transformers = pytest.importorskip("transformers", reason="the text encoder needs kinowatt[wan]")
    channels = 48 if kind == "ti2v" else 16
    image = kind in ("i2v", "flf2v", "i2v-a14b")
    sees = kind in ("i2v", "flf2v")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        sizes: dict[str, Any] = {"num_attention_heads": 2, "attention_head_dim": 32, "num_layers": 3, "ffn_dim": 96, "text_dim": TEXT}
        sizes |= {"in_channels": 2 * channels + 4 if image else channels, "out_channels": channels}
        if sees:
            sizes |= {"image_dim": IMAGE, "added_kv_proj_dim": 64, "pos_embed_seq_len": 10 if kind == "flf2v" else None}
        networks = [_busy(diffusers.WanTransformer3DModel(**sizes)) for _ in range(1 + kind.endswith("a14b"))]
        parts: dict[str, Any] = {"tokenizer": _tokenizer(transformers), "text_encoder": _encoder(transformers)}
        parts |= {"vae": _codec(diffusers, channels), "transformer": networks[0]}
        parts["scheduler"] = diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
        if len(networks) > 1:
            parts |= {"transformer_2": networks[1], "boundary_ratio": 0.9 if image else 0.875}
        if kind == "ti2v":
            parts["expand_timesteps"] = True
        if image:
            parts |= {"image_encoder": _vision(transformers) if sees else None}
            parts["image_processor"] = transformers.CLIPImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
        pipe = diffusers.WanImageToVideoPipeline(**parts) if image else diffusers.WanPipeline(**parts)
        pipe.save_pretrained(path)
    return path


def _busy(network: Any) -> Any:
    """Nothing in it zero, and an output of the size of a velocity."""
    for parameter in network.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.03)
    network.proj_out.weight.mul_(3.0)
    return network.eval()


def _codec(diffusers: Any, channels: int) -> Any:
    shape: dict[str, Any] = {"base_dim": 4, "z_dim": channels, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
    shape |= {"latents_mean": (0.1 * torch.randn(channels)).tolist(), "latents_std": (0.8 + 0.4 * torch.rand(channels)).tolist()}
    if channels == 48:
        shape |= {"is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2, "decoder_base_dim": 4}
        shape |= {"scale_factor_spatial": 16, "dim_mult": [1, 2, 4, 4]}
    return diffusers.AutoencoderKLWan(**shape).eval()


def _tokenizer(transformers: Any) -> Any:
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((letter, -3.0) for letter in LETTERS)]
    return transformers.T5Tokenizer(vocab=vocab)


def _encoder(transformers: Any) -> Any:
    sizes: dict[str, Any] = {"vocab_size": len(LETTERS) + 104, "d_model": TEXT, "d_kv": 4, "d_ff": 32, "num_layers": 2, "num_heads": 4}
    return transformers.UMT5EncoderModel(transformers.UMT5Config(feed_forward_proj="gated-gelu", **sizes)).eval()


def _vision(transformers: Any) -> Any:
    sizes = {"hidden_size": IMAGE, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(image_size=28, patch_size=14, **sizes)).eval()


def theirs(path: Path, noise_1CFHW: torch.Tensor, image: Any = None, last: Any = None, **call: Any) -> np.ndarray:
    """Diffusers' frames (T, H, W, 3) in 0..1 from a noise, in float32."""
    import diffusers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = diffusers.DiffusionPipeline.from_pretrained(path, torch_dtype=torch.float32)
        if image is not None and type(pipe).__name__ == "WanPipeline":
            pipe = diffusers.WanImageToVideoPipeline(**pipe.components, expand_timesteps=pipe.config.expand_timesteps)
        pipe.set_progress_bar_config(disable=True)
        more = {} if image is None else {"image": image} if last is None else {"image": image, "last_image": last}
        return np.asarray(pipe(latents=noise_1CFHW.clone(), output_type="np", **more, **call).frames[0])
