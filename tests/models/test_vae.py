"""The codec: what it holds, chunks equal the whole, the future changes nothing before it, and it begins as an interpolation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from kinowatt.errors import WeightsError
from kinowatt.models import vae, weights
from kinowatt.models.vae import CODECS, CodecConfig, VideoCodec

SMALL = CodecConfig(width=8, blocks=1)


@pytest.fixture(scope="module", params=[SMALL, CODECS["plain"]], ids=["network", "plain"])
def codec(request: pytest.FixtureRequest) -> VideoCodec:
    torch.manual_seed(0)
    made = VideoCodec(request.param).eval().requires_grad_(False)
    for parameter in made.parameters():  # all that begins at nothing does something
        parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def test_latents_are_every_fourth_frame_made_small() -> None:
    clip = torch.rand(2, 3, 9, 32, 48) * 2 - 1
    latents = vae.encode(clip)
    assert latents.shape == (2, 48, 3, 2, 3)
    wanted = (F.avg_pool2d(clip[1, :, 4], 4) - vae.MEAN) / vae.SPREAD
    torch.testing.assert_close(vae.unfold(latents)[1, 1], wanted, atol=1e-5, rtol=1e-5)
    assert torch.equal(vae.fold(vae.unfold(latents).transpose(1, 2)), latents)


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
    before, after = codec.decode(same), codec.decode(changed)
    torch.testing.assert_close(before[:, :, :9], after[:, :, :9])
    assert not torch.allclose(before[:, :, 9:], after[:, :, 9:])


@pytest.mark.parametrize("config", [SMALL, CODECS["plain"]], ids=["network", "plain"])
def test_a_decoder_begins_as_an_interpolation(config: CodecConfig) -> None:
    codec = VideoCodec(config).eval().requires_grad_(False)
    smooth = F.interpolate(torch.rand(1, 3, 2, 4, 4), size=(5, 32, 32), mode="trilinear", align_corners=True) * 2 - 1
    latents = codec.encode(smooth)
    small = vae.unfold(codec.raw(latents))[0]
    wanted = [F.interpolate(small[None, k], scale_factor=4, mode="bicubic", align_corners=False)[0] for k in (0, 1)]
    made = codec.decode_raw(codec.raw(latents))[0].transpose(0, 1)
    for frame, share in enumerate((0.0, 0.25, 0.5, 0.75, 1.0)):
        inside = torch.lerp(*wanted, share)[:, 8:-8, 8:-8]
        torch.testing.assert_close(made[frame][:, 8:-8, 8:-8], inside, atol=1e-4, rtol=1e-4)


def test_files_without_a_codec_or_with_another_kind_are_refused(tmp_path: Path) -> None:
    weights.save(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(WeightsError, match="holds no codec"):
        VideoCodec.from_file(tmp_path / "x.safetensors")
    weights.save(tmp_path / "old.safetensors", {"a": torch.zeros(1)}, {"codec": {"dim": 24}})
    with pytest.raises(WeightsError, match="a codec of another kind; train one with kinowatt train codec"):
        VideoCodec.from_file(tmp_path / "old.safetensors")


def test_a_network_draws_what_interpolation_cannot(one_thread: None) -> None:
    """Sharp edges at random places: a network of a few weights learns in moments that edges are sharp."""
    torch.manual_seed(0)
    decoder = vae.Decoder(CodecConfig(width=16, blocks=2))
    optimiser = torch.optim.AdamW(decoder.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)

    def pictures() -> torch.Tensor:
        edge = torch.rand(8, 1, 1, 1, generator=generator) * 40 + 12
        return torch.where(torch.arange(64) < edge, -0.8, 0.8).expand(8, 3, 64, 64)

    def error(true: torch.Tensor) -> torch.Tensor:
        return (decoder.drawn(F.avg_pool2d(true, 4)) - true).square().mean()

    before = error(pictures()).item()
    for _ in range(60):
        optimiser.zero_grad()
        error(pictures()).backward()
        optimiser.step()
    assert error(pictures()).item() < 0.5 * before
