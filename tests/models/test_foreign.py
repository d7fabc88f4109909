"""What a folder of diffusers says of its model, without torch: figures of real repositories, and folders that are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from kinowatt.errors import MissingDependency, WeightsError
from kinowatt.models import foreign

pytest.importorskip("diffusers", reason="reading pipelines needs kinowatt[diffusers]")

LTX_CODEC = {
    "_class_name": "AutoencoderKLLTXVideo",
    "block_out_channels": [128, 256, 512, 512],
    "patch_size": 4,
    "patch_size_t": 1,
    "spatio_temporal_scaling": [True, True, True, False],
}
HUNYUAN15_CODEC = {"block_out_channels": [128, 256, 512, 1024, 1024], "spatial_compression_ratio": 16, "temporal_compression_ratio": 4}
WAN_CODEC = {"_class_name": "AutoencoderKLWan", "dim_mult": [1, 2, 4, 4], "scale_factor_spatial": 8, "scale_factor_temporal": 4}
COG_CODEC = {"_class_name": "AutoencoderKLCogVideoX", "block_out_channels": [128, 256, 256, 512], "temporal_compression_ratio": 4}
COG = {"num_attention_heads": 30, "attention_head_dim": 64, "num_layers": 30, "patch_size": 2, "sample_height": 60, "sample_width": 90}
COG |= {"sample_frames": 49, "patch_size_t": None}
COG15 = COG | {
    "num_attention_heads": 48,
    "num_layers": 42,
    "patch_size_t": 2,
    "sample_height": 96,
    "sample_width": 170,
    "sample_frames": 81,
}
MOCHI_CODEC = {"temporal_expansions": [1, 2, 3], "spatial_expansions": [2, 2, 2], "encoder_block_out_channels": [64, 128, 256, 384]}
HUNYUAN = {
    "num_attention_heads": 24,
    "attention_head_dim": 128,
    "num_layers": 20,
    "num_single_layers": 40,
    "patch_size": 2,
    "patch_size_t": 1,
}

# Pipeline, transformer, codec as in the repositories; then size, frames, rate, steps, guidance, rule of frames, grid, modes, and of the
# transformer width, layers, passes.
REAL = {
    "LTX-Video": (
        (
            "LTXPipeline",
            {"num_attention_heads": 32, "attention_head_dim": 64, "num_layers": 28, "patch_size": 1, "patch_size_t": 1},
            LTX_CODEC,
        ),
        ((704, 512), 161, 25.0, 50, 3.0, 8, 32, {"text", "start"}, 2048, 28, 2),
    ),
    "CogVideoX-2b": (("CogVideoXPipeline", COG, COG_CODEC), ((720, 480), 49, 8.0, 50, 6.0, 8, 16, {"text"}, 1920, 30, 2)),
    "CogVideoX1.5-5B-I2V": (
        ("CogVideoXImageToVideoPipeline", COG15, COG_CODEC),
        ((1360, 768), 81, 16.0, 50, 6.0, 8, 16, {"start"}, 3072, 42, 2),
    ),
    "HunyuanVideo": (
        ("HunyuanVideoPipeline", HUNYUAN, HUNYUAN15_CODEC | {"spatial_compression_ratio": 8}),
        ((1280, 720), 129, 24.0, 50, 6.0, 4, 16, {"text"}, 3072, 60, 1),
    ),
    "HunyuanVideo-1.5-480p_t2v": (
        (
            "HunyuanVideo15Pipeline",
            {
                "num_attention_heads": 16,
                "attention_head_dim": 128,
                "num_layers": 54,
                "patch_size": 1,
                "patch_size_t": 1,
                "target_size": 640,
            },
            HUNYUAN15_CODEC,
        ),
        ((848, 480), 121, 24.0, 50, 6.0, 4, 16, {"text"}, 2048, 54, 2),
    ),
    "mochi-1-preview": (
        ("MochiPipeline", {"num_attention_heads": 24, "attention_head_dim": 128, "num_layers": 48, "patch_size": 2}, MOCHI_CODEC),
        ((848, 480), 163, 30.0, 64, 4.5, 6, 16, {"text"}, 3072, 48, 2),
    ),
    "SANA-Video_2B_480p": (
        (
            "SanaVideoPipeline",
            {
                "_class_name": "SanaVideoTransformer3DModel",
                "num_attention_heads": 20,
                "attention_head_dim": 112,
                "num_layers": 20,
                "patch_size": [1, 2, 2],
            },
            WAN_CODEC,
        ),
        ((832, 480), 81, 16.0, 50, 6.0, 4, 32, {"text", "start"}, 2240, 0, 2),
    ),
}


def write(path: Path, pipeline: Any, transformer: dict[str, Any], codec: dict[str, Any]) -> Path:
    """A folder with such configs and weights of a few numbers."""
    parts = {"transformer": transformer, "vae": codec}
    for name, config in parts.items():
        (path / name).mkdir(parents=True, exist_ok=True)
        (path / name / "config.json").write_text(json.dumps(config))
        save_file({"a": np.zeros((3, 5), np.float32), "b": np.zeros(7, np.float32)}, path / name / "diffusion_pytorch_model.safetensors")
    index = {"_class_name": pipeline, "_diffusers_version": "0.36.0", "safety_checker": [None, None], "flag": True}
    index |= {"transformer": ["diffusers", "Transformer"], "vae": ["diffusers", "Codec"], "tokenizer": ["transformers", "T5Tokenizer"]}
    (path / foreign.INDEX).write_text(json.dumps(index))
    return path


@pytest.mark.parametrize("name", REAL)
def test_real_repositories_are_understood(name: str, tmp_path: Path) -> None:
    (pipeline, transformer, codec), want = REAL[name]
    folder = write(tmp_path / name, pipeline, transformer, codec)
    if "1.5-480p" in name:
        (folder / "guider").mkdir()
        (folder / "guider" / "guider_config.json").write_text('{"guidance_scale": 6.0}')
    spec = foreign.read(folder)
    found = (spec.size, spec.trained_frames, spec.fps, spec.steps, spec.guidance, spec.frame_stride, spec.grid, spec.trained_modes)
    assert (*found, spec.width, spec.layers, spec.passes) == want
    assert (spec.name, spec.weakness, spec.parameters) == (name, "", 22.0)
    assert spec.needs_image == (spec.trained_modes == {"start"})
    assert spec.licence == "see the model's own licence"


def test_the_default_length_keeps_the_rule_of_frames() -> None:
    from kinowatt.engine.plan import frames_of

    for frames, fps, rule in ((161, 25.0, 8), (49, 8.0, 8), (81, 16.0, 8), (129, 24.0, 4), (121, 24.0, 4), (163, 30.0, 6), (81, 16.0, 4)):
        assert frames_of(frames / fps, fps, rule) == frames


def test_what_nobody_says_is_said_to_be_a_guess(tmp_path: Path) -> None:
    spec = foreign.read(write(tmp_path / "odd", "CogVideoXPipeline", {"patch_size": 2}, COG_CODEC))
    assert spec.weakness.endswith("frames 81, width 832, height 480 are a guess")
    assert (spec.size, spec.trained_frames, spec.width, spec.parameters) == ((832, 480), 81, 0, 0.0)


def test_a_snapshot_is_named_after_its_repository(tmp_path: Path) -> None:
    folder = tmp_path / "models--Lightricks--LTX-Video" / "snapshots" / "0123abcd"
    assert foreign.read(write(folder, *REAL["LTX-Video"][0])).name == "Lightricks/LTX-Video"


def test_torch_is_not_imported(tmp_path: Path) -> None:
    folder = write(tmp_path / "ltx", *REAL["LTX-Video"][0])
    code = "import sys; from pathlib import Path; from kinowatt.models import foreign; foreign.read(Path(sys.argv[1])); "
    code += "print(sorted({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def _edit(name: str, **changes: Any) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def _pickled(folder: Path) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))


def _cut(folder: Path) -> None:
    weights = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])


def _shards(*names: str) -> Callable[[Path], object]:
    def shards(folder: Path) -> None:
        told = {"weight_map": {str(i): name for i, name in enumerate(names)}}
        (folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(told))

    return shards


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / foreign.INDEX).unlink(), r"model_index.json is missing; download"),
        (lambda f: (f / foreign.INDEX).write_text("{"), "is not readable JSON"),
        (lambda f: (f / foreign.INDEX).write_text("[]"), "is not a JSON object"),
        (_edit(foreign.INDEX, _class_name=["mine", "MyPipeline"]), "kinowatt runs no code of a model's own"),
        (_edit(foreign.INDEX, _class_name="MyPipeline"), "made for MyPipeline, which the diffusers here does not have"),
        (_edit(foreign.INDEX, _class_name="StableVideoDiffusionPipeline"), "has no prompt; kinowatt runs those"),
        (_edit(foreign.INDEX, _class_name="CogVideoXVideoToVideoPipeline"), "has no num_frames"),
        (_edit(foreign.INDEX, _class_name="LucyEditPipeline"), "needs video"),
        (_edit(foreign.INDEX, vae=["my_module", "Codec"]), "needs my_module.Codec; kinowatt runs classes of diffusers"),
        (_edit(foreign.INDEX, vae=[None, None]), "names no codec in model_index.json"),
        (_edit(foreign.INDEX, transformer=[None, None]), "names no transformer"),
        (_edit(foreign.INDEX, _class_name="HeliosPyramidPipeline"), "has no num_inference_steps"),
        (_edit(foreign.INDEX, vae=["..", "Codec"]), "needs ...Codec"),
        (lambda f: (f / "vae" / "diffusers.py").write_text("raise SystemExit"), "holds code of its own, diffusers.py"),
        (_pickled, "are pickles, which may run code when opened; take a folder with safetensors"),
        (_cut, "is not a readable safetensors file"),
        (lambda f: (f / "vae" / "diffusion_pytorch_model.safetensors").unlink(), "is missing; download the folder again"),
        (_shards("a-of-2.safetensors"), "a-of-2.safetensors is missing"),
        (_shards("../../secret.safetensors"), "does not list files beside it"),
        (lambda f: (f / "transformer" / "config.json").write_text("nonsense"), "is not readable JSON"),
        (lambda f: (f / "vae" / "config.json").write_text('{"_class_name": "Odd"}'), "cannot tell the stride of the codec Odd"),
    ],
)
def test_other_folders_are_refused(damage: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "ltx", *REAL["LTX-Video"][0])
    damage(folder)
    with pytest.raises(WeightsError, match=said):
        foreign.read(folder)


def test_pickles_beside_safetensors_do_not_matter(tmp_path: Path) -> None:
    folder = write(tmp_path / "ltx", *REAL["LTX-Video"][0])
    (folder / "transformer" / "diffusion_pytorch_model.bin").write_bytes(b"never opened")
    assert foreign.weight_files(folder)["transformer"] == (folder / "transformer" / "diffusion_pytorch_model.safetensors",)
    assert foreign.read(folder).parameters == 22.0


def test_without_diffusers_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "ltx", *REAL["LTX-Video"][0])
    foreign.call_of.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"kinowatt\[diffusers\]"):
        foreign.read(folder)


def test_calls_of_other_families_are_read_too() -> None:
    names = {"AllegroPipeline": 8, "CosmosTextToWorldPipeline": 16, "EasyAnimatePipeline": 16, "Kandinsky5T2VPipeline": 16}
    for name, multiple in names.items():
        call = foreign.call_of(name)
        assert call is not None
        assert {"prompt", "num_frames", "guidance_scale"} <= set(call.defaults)
        assert not call.required
        assert f"height % {multiple} " in call.source
    assert foreign.call_of("NoSuchPipeline") is None
