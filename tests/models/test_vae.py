"""The codec: the encoder equals Wan 2.2's, chunks equal the whole, and the future changes nothing before it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kinowatt.errors import WeightsError
from kinowatt.models import weights
from kinowatt.models.vae import CodecConfig, VideoCodec

SMALL = CodecConfig(latent_channels=8, dim=8, decoder_widths=(24, 16, 16, 8), decoder_blocks=(1, 1, 1, 1))


@pytest.fixture(scope="module")
def codec() -> VideoCodec:
    torch.manual_seed(0)
    made = VideoCodec(SMALL).eval().requires_grad_(False)
    for parameter in made.parameters():  # biases and gains off their neutral start
        parameter.add_(0.05 * torch.randn_like(parameter))
    made.latent_mean.normal_()
    made.latent_std.uniform_(0.5, 2.0)
    return made


@pytest.mark.parametrize(("frames", "height", "width"), [(1, 32, 48), (5, 32, 32), (17, 48, 32)])
def test_encoder_equals_diffusers_wan_2_2(codec: VideoCodec, frames: int, height: int, width: int) -> None:
    diffusers = pytest.importorskip("diffusers")
    c = SMALL.latent_channels
    theirs = diffusers.AutoencoderKLWan(
        base_dim=SMALL.dim,
        decoder_base_dim=8,
        z_dim=c,
        dim_mult=list(SMALL.dim_mult),
        num_res_blocks=SMALL.res_blocks,
        temperal_downsample=list(SMALL.temporal_downsample),
        latents_mean=[0.0] * c,
        latents_std=[1.0] * c,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
    ).eval()
    wanted = {k for k in theirs.state_dict() if k.startswith(("encoder.", "quant_conv."))}
    ours = {k: v for k, v in codec.state_dict().items() if k in wanted}
    assert set(ours) == wanted, "every name of theirs is one of ours"
    theirs.load_state_dict(ours, strict=False)
    clip = torch.randn(1, 3, frames, height, width).clamp(-1, 1)
    with torch.no_grad():
        expected = theirs.encode(clip).latent_dist.mean
    mean, _ = codec.moments(clip)
    assert mean.shape == (1, c, (frames - 1) // 4 + 1, height // 16, width // 16)
    torch.testing.assert_close(mean, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_chunks_equal_the_whole(codec: VideoCodec, chunk: int) -> None:
    clip = torch.rand(1, 3, 21, 32, 48) * 2 - 1
    latents = codec.encode(clip)
    torch.testing.assert_close(torch.cat(list(codec.encode_stream(clip, chunk)), 2), latents, atol=1e-5, rtol=1e-5)
    frames = codec.decode(latents)
    assert frames.shape == clip.shape
    torch.testing.assert_close(torch.cat(list(codec.decode_stream(latents, chunk)), 2), frames, atol=1e-5, rtol=1e-5)


def test_the_future_changes_nothing_before_it(codec: VideoCodec) -> None:
    clip = torch.rand(1, 3, 17, 32, 32) * 2 - 1
    other = clip.clone()
    other[:, :, 9:] = 0.0
    same, changed = codec.encode(clip), codec.encode(other)
    torch.testing.assert_close(same[:, :, :3], changed[:, :, :3])
    assert not torch.allclose(same[:, :, 3:], changed[:, :, 3:])


def test_latents_are_measured_to_unit_spread() -> None:
    torch.manual_seed(1)
    made = VideoCodec(SMALL).eval().requires_grad_(False)
    clips = [torch.rand(1, 3, 9, 64, 64) * 2 - 1 for _ in range(4)]
    made.measure_latents(clips)
    latents = torch.cat([made.encode(c) for c in clips]).transpose(0, 1).flatten(1)
    torch.testing.assert_close(latents.mean(1), torch.zeros(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(latents.std(1, correction=0), torch.ones(8), atol=1e-2, rtol=0)


def test_a_file_without_codec_is_refused(tmp_path: Path) -> None:
    weights.save(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(WeightsError, match="holds no codec"):
        VideoCodec.from_file(tmp_path / "x.safetensors")
