"""Pipelines of diffusers behind a Shot: the same frames as when they are called directly, with bills, progress and an end when asked."""

from __future__ import annotations

import inspect
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kinowatt.clip import Clip
from kinowatt.energy.meter import Meter
from kinowatt.energy.predict import Prediction
from kinowatt.engine import cost
from kinowatt.engine import foreign as engines
from kinowatt.engine.budget import Pace
from kinowatt.engine.engine import Progress, State
from kinowatt.engine.foreign import ForeignEngine
from kinowatt.errors import BudgetError, DeviceError, ShotError, WeightsError
from kinowatt.models import foreign, foreign_model
from kinowatt.shot import END, OUTSIDE, START, Anchor, Budget, Camera, Shot

diffusers = pytest.importorskip("diffusers", reason="needs kinowatt[diffusers]")
transformers = pytest.importorskip("transformers", reason="needs kinowatt[diffusers]")
# Of torch, about Mochi on a CPU.
pytestmark = pytest.mark.filterwarnings("ignore:In CPU autocast")

pytestmark = pytest.mark.usefixtures("quietly", "one_thread")


def t5() -> tuple[Any, Any]:
    """A tokenizer of letters and a text encoder of one layer."""
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -2.0), *((chr(c), -3.0) for c in range(97, 123))]
    config = transformers.T5Config(vocab_size=len(vocab) + 100, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return transformers.T5Tokenizer(vocab=vocab), transformers.T5EncoderModel(config)


def ltx() -> Any:
    tokenizer, encoder = t5()
    four, five = (8, 8, 8, 8), (1, 1, 1, 1, 1)
    heads = {"num_attention_heads": 4, "attention_head_dim": 8, "cross_attention_dim": 32, "caption_channels": 32}
    network = diffusers.LTXVideoTransformer3DModel(in_channels=8, out_channels=8, num_layers=1, **heads)
    blocks = {"block_out_channels": four, "decoder_block_out_channels": four, "layers_per_block": five, "decoder_layers_per_block": five}
    codec = diffusers.AutoencoderKLLTXVideo(latent_channels=8, **blocks)
    return diffusers.LTXPipeline(diffusers.FlowMatchEulerDiscreteScheduler(), codec, encoder, tokenizer, network)


def cog(*, image: bool = False) -> Any:
    tokenizer, encoder = t5()
    heads = {"num_attention_heads": 4, "attention_head_dim": 8, "text_embed_dim": 32, "time_embed_dim": 2, "max_text_seq_length": 226}
    sample = {"sample_width": 8, "sample_height": 4, "sample_frames": 9}
    network = diffusers.CogVideoXTransformer3DModel(in_channels=8 if image else 4, out_channels=4, num_layers=1, **heads, **sample)
    codec = diffusers.AutoencoderKLCogVideoX(block_out_channels=(8, 8, 8, 8), latent_channels=4, layers_per_block=1, norm_num_groups=2)
    kind = diffusers.CogVideoXImageToVideoPipeline if image else diffusers.CogVideoXPipeline
    return kind(tokenizer, encoder, codec, network, diffusers.CogVideoXDDIMScheduler())


def cog_from_image() -> Any:
    return cog(image=True)


def mochi() -> Any:
    tokenizer, encoder = t5()
    heads = {"num_attention_heads": 2, "attention_head_dim": 8, "text_embed_dim": 32, "time_embed_dim": 4, "pooled_projection_dim": 16}
    network = diffusers.MochiTransformer3DModel(num_layers=2, in_channels=12, max_sequence_length=16, **heads)
    four = (32, 32, 32, 32)
    blocks = {"encoder_block_out_channels": four, "decoder_block_out_channels": four, "layers_per_block": (1, 1, 1, 1, 1)}
    codec = diffusers.AutoencoderKLMochi(latent_channels=12, out_channels=3, **blocks)
    return diffusers.MochiPipeline(diffusers.FlowMatchEulerDiscreteScheduler(), codec, encoder, tokenizer, network)


def sana() -> Any:
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", *map(chr, range(32, 127)), "▁"]
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8}
    encoder = transformers.Gemma2Model(transformers.Gemma2Config(vocab_size=128, num_hidden_layers=1, **sizes))
    heads = {"num_attention_heads": 2, "attention_head_dim": 12, "num_cross_attention_heads": 2, "cross_attention_head_dim": 12}
    widths = {"cross_attention_dim": 24, "caption_channels": 8, "rope_max_seq_len": 32}
    network = diffusers.SanaVideoTransformer3DModel(in_channels=16, out_channels=16, num_layers=1, patch_size=(1, 2, 2), **heads, **widths)
    codec = diffusers.AutoencoderKLWan(base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    tokenizer = transformers.GemmaTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[])
    return diffusers.SanaVideoPipeline(tokenizer, encoder, codec, network, diffusers.FlowMatchEulerDiscreteScheduler())


def hunyuan15() -> Any:
    """The one without `callback_on_step_end` and with a guider."""
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet())]
    tokenizer = transformers.Qwen2Tokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=[])
    tokenizer.chat_template = "{% for m in messages %}<|im_start|>{{ m['role'] }} {{ m['content'] }}<|im_end|>{% endfor %}"
    kind = transformers.models.qwen2_5_vl.configuration_qwen2_5_vl.Qwen2_5_VLTextConfig
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2}
    qwen = transformers.Qwen2_5_VLTextModel(
        kind(vocab_size=300, rope_parameters=rope, pad_token_id=0, bos_token_id=1, eos_token_id=2, **sizes)
    )
    glyphs = transformers.T5EncoderModel(transformers.T5Config(vocab_size=384, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2))
    heads = {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 1, "num_refiner_layers": 1, "rope_axes_dim": (2, 2, 4)}
    widths = {"text_embed_dim": 16, "text_embed_2_dim": 32, "image_embed_dim": 12, "mlp_ratio": 2.0}
    network = diffusers.HunyuanVideo15Transformer3DModel(in_channels=9, out_channels=4, target_size=64, **heads, **widths)
    shape = {"block_out_channels": (16,) * 5, "layers_per_block": 1, "downsample_match_channel": False, "upsample_match_channel": False}
    codec = diffusers.AutoencoderKLHunyuanVideo15(latent_channels=4, **shape)
    guider = diffusers.ClassifierFreeGuidance(guidance_scale=6.0)
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=7.0)
    return diffusers.HunyuanVideo15Pipeline(qwen, tokenizer, network, codec, scheduler, glyphs, transformers.ByT5Tokenizer(), guider)


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[], Any]], Path]:
    """A builder's pipeline, with random weights, saved once."""
    root, made = tmp_path_factory.mktemp("foreign"), dict[str, Path]()

    def folder(build: Callable[[], Any]) -> Path:
        name = build.__name__
        if name not in made:
            torch.manual_seed(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                build().save_pretrained(root / name)
            made[name] = root / name
        return made[name]

    return folder


@pytest.fixture(scope="session")
def loaded(folders: Callable[[Callable[[], Any]], Path]) -> Callable[[Callable[[], Any]], ForeignEngine]:
    """The engine of a builder's pipeline, loaded once."""
    made = dict[str, ForeignEngine]()

    def load(build: Callable[[], Any]) -> ForeignEngine:
        if build.__name__ not in made:
            made[build.__name__] = engines.load(foreign.read(folders(build)), torch.device("cpu"))
        return made[build.__name__]

    return load


@pytest.fixture
def camera(loaded: Callable[[Callable[[], Any]], ForeignEngine]) -> ForeignEngine:
    return loaded(ltx)


@pytest.fixture(autouse=True)
def clean(camera: ForeignEngine) -> Iterator[None]:
    """Nothing of ours stays on a pipeline after a take."""
    yield
    for pipe in camera._pipes.values():
        assert not {"progress_bar", "encode_prompt"} & set(vars(pipe))


def shot(**fields: Any) -> Shot:
    return Shot("a red ball", **({"size": (64, 32), "steps": 2, "seed": 3, "seconds": 0.3} | fields))


def photo(width: int = 64, height: int = 32, frames: int = 1) -> Clip:
    return Clip(np.random.default_rng(0).integers(0, 255, (frames, 3, height, width), dtype=np.uint8), fps=16.0)


def direct(engine: ForeignEngine, pipeline: str, **call: Any) -> np.ndarray:
    """Frames (T, 3, H, W) of a pipeline loaded and called without kinowatt."""
    kind = getattr(diffusers, pipeline)
    wide = {"vae": torch.float32} if "Sana" in pipeline else {}
    pipe = kind.from_pretrained(engine.model.spec.folder, dtype={"default": engine.model.dtype, **wide})
    pipe.set_progress_bar_config(disable=True)
    known = inspect.signature(kind.__call__).parameters
    usual = {"width": 64, "height": 32, "num_inference_steps": 2, "output_type": "np", "generator": torch.Generator().manual_seed(3)}
    frames = pipe("a red ball", **usual, **call) if "image" not in known else pipe(prompt="a red ball", **usual, **call)
    return np.round(np.asarray(frames.frames[0]).transpose(0, 3, 1, 2) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("build", "seconds", "call", "guidance"),
    [
        (ltx, 0.3, {"num_frames": 9, "guidance_scale": 4.0}, 4.0),
        (cog, 1.1, {"num_frames": 9, "guidance_scale": 6.0}, None),
        (mochi, 0.2, {"num_frames": 7, "guidance_scale": 1.0}, 1.0),
        (sana, 0.3, {"frames": 5, "guidance_scale": 6.0, "use_resolution_binning": False}, None),
        (hunyuan15, 0.2, {"num_frames": 5}, None),
    ],
)
def test_frames_are_those_of_diffusers(loaded: Any, build: Any, seconds: float, call: dict[str, Any], guidance: float | None) -> None:
    engine = loaded(build)
    negative = "blur" if build in (ltx, cog) else ""
    take = engine.generate(shot(seconds=seconds, guidance=guidance, negative=negative))
    want = direct(engine, engine.model.spec.pipeline, **call, **({"negative_prompt": negative} if negative else {}))
    np.testing.assert_array_equal(take.clip.frames_TCHW, want)
    assert want.std() > 5, "not a flat picture"
    assert take.clip.frames == next(v for k, v in call.items() if "frames" in k)
    assert take.clip.fps == engine.model.spec.fps
    assert not any("instead of" in w or "not used" in w for w in take.warnings)
    assert take.runtime == engine.runtime.name == f"diffusers {diffusers.__version__} {str(engine.model.dtype).removeprefix('torch.')}"


def test_an_image_at_the_start_goes_to_the_pipeline_for_images(camera: ForeignEngine) -> None:
    from PIL import Image

    clip = photo()
    take = camera.generate(shot(anchors=(Anchor(clip),)))
    picture = Image.fromarray(clip.frames_TCHW[0].transpose(1, 2, 0))
    want = direct(camera, "LTXImageToVideoPipeline", num_frames=9, guidance_scale=3.0, image=picture)
    np.testing.assert_array_equal(take.clip.frames_TCHW, want)
    assert not np.array_equal(take.clip.frames_TCHW, camera.generate(shot()).clip.frames_TCHW)
    assert not any("trained on the mode" in w for w in take.warnings)
    text, image = (camera._pipes[name] for name in ("LTXPipeline", "LTXImageToVideoPipeline"))
    assert text.transformer is image.transformer, "one set of weights"


def test_a_pipeline_from_images_needs_one(loaded: Any) -> None:
    engine = loaded(cog_from_image)
    take = engine.generate(shot(seconds=1.1, anchors=(Anchor(photo(96, 96)),)))
    assert take.clip.frames_TCHW.shape == (9, 3, 32, 64)
    assert any("was cut to 64x32" in w for w in take.warnings)
    with pytest.raises(ShotError, match="cog_from_image goes on from an image"):
        engine.generate(shot())


@pytest.mark.parametrize(
    ("anchors", "said"),
    [
        ((Anchor(photo(), END),), "footage at end"),
        ((Anchor(photo(), 0.2),), r"footage at 0.2 s"),
        ((Anchor(photo(), OUTSIDE),), "a reference"),
        ((Anchor(photo(frames=5), START),), "a video"),
        ((Anchor(photo(), START, 0.5),), "strength below 1"),
        ((Anchor(photo()), Anchor(photo())), "more than one image"),
    ],
)
def test_other_anchors_are_refused(camera: ForeignEngine, anchors: tuple[Anchor, ...], said: str) -> None:
    with pytest.raises(
        ShotError, match=f"ltx makes videos from words or from words and one image at the start, and knows no use for .*{said}"
    ):
        camera.generate(shot(anchors=anchors))


def test_images_are_refused_where_there_is_no_pipeline_for_them(loaded: Any) -> None:
    with pytest.raises(ShotError, match="cog makes videos from words, and knows no use for an image; leave it out"):
        loaded(cog).generate(shot(anchors=(Anchor(photo()),)))


def test_progress_and_the_bill_have_their_phases(camera: ForeignEngine) -> None:
    seen: list[Progress] = []
    take = camera.generate(shot(steps=3), seen.append)
    assert [(p.phase, p.done, p.of) for p in seen if p.phase == "denoise"] == [("denoise", i, 3) for i in range(4)]
    assert [(p.phase, p.done, p.of) for p in seen[4:]] == [("decode", 0, 9), ("decode", 9, 9)]
    assert all(p.state is None for p in seen)
    walls = [p.bill.energy.wall_s for p in seen]
    assert walls == sorted(walls)
    assert {"encode", "text", "denoise", "decode"} <= set(take.bill.phases)
    assert take.bill.energy.wall_s == pytest.approx(sum(p.wall_s for p in take.bill.phases.values()))
    assert min(take.bill.phases[name].wall_s for name in ("text", "denoise", "decode")) > 1e-4
    assert seen[3].bill.phases["denoise"].wall_s == pytest.approx(take.bill.phases["denoise"].wall_s, abs=0.05)


@pytest.mark.parametrize(
    ("build", "error"),
    [(ltx, KeyError("stop")), (ltx, ValueError("stop")), (ltx, BudgetError("stop")), (hunyuan15, ValueError("stop"))],
)
def test_what_on_step_raises_ends_the_take_at_once(loaded: Any, build: Any, error: Exception) -> None:
    engine, seen = loaded(build), []

    def stop(progress: Progress) -> None:
        seen.append(progress.done)
        if progress.done == 2:
            raise error

    meter = Meter()
    with pytest.raises(type(error)) as raised:
        engine.generate(shot(steps=50, seconds=0.2), stop, meter)
    assert raised.value is error
    assert seen == [0, 1, 2]
    assert meter.bill.phases["denoise"].wall_s > 0
    assert "decode" not in meter.bill.phases


def test_controls_become_words_and_a_refusal_one_sentence(camera: ForeignEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def refuse(self: Any, prompt: str, *rest: Any, **named: Any) -> None:
        given.append(prompt)
        raise ValueError("`height` has to be divisible by 7.\nSo it is.")

    monkeypatch.setattr(type(camera._pipes["LTXPipeline"]), "check_inputs", refuse)
    with pytest.raises(ShotError, match=r"^ltx cannot make this: `height` has to be divisible by 7$"):
        camera.generate(shot(camera=Camera("orbit-left"), light="dusk"))
    assert given == ["a red ball, camera: orbit left, at dusk"]
    with pytest.raises(ShotError, match="camera move 'sideways' is unknown"):
        camera.generate(shot(camera=Camera("sideways")))


def test_what_a_pipeline_has_no_use_for_is_said(loaded: Any, camera: ForeignEngine) -> None:
    take = camera.generate(shot(cache=3, guidance=1.0, negative="blur"))
    assert any("cache 3 was not used" in w for w in take.warnings)
    assert any("no use for a negative prompt at guidance 1" in w for w in take.warnings)
    assert take.shot.cache == 1
    engine = loaded(hunyuan15)
    plain, again = engine.model.pipe, engine.plan(shot(guidance=9.0, negative="x"))
    call, notes = engine._call(plain, again)
    assert (plain.guider.config.guidance_scale, call["negative_prompt"], notes) == (9.0, "x", [])
    call, _ = engine._call(plain, engine.plan(shot()))
    assert (plain.guider.config.guidance_scale, "negative_prompt" in call) == (6.0, False)
    rigid = diffusers.HunyuanVideoPipeline(None, None, None, None, None, None, None)
    call, notes = engine._call(rigid, again)
    assert (call["guidance_scale"], "negative_prompt" in call) == (9.0, False)
    assert any("no use for a negative prompt" in note for note in notes)
    loose = diffusers.MotifVideoPipeline.__new__(diffusers.MotifVideoPipeline)
    assert any("has no guidance to set: 9 was not used" in note for note in engine._call(loose, again)[1])


def test_large_and_odd_sizes(camera: ForeignEngine) -> None:
    take = camera.generate(shot(size=(70, 40), anchors=(Anchor(photo(70, 40)),)))
    assert take.clip.frames_TCHW.shape == (9, 3, 40, 70), "the middle of a canvas of 96x64"


def test_a_seed_means_the_same_again(camera: ForeignEngine) -> None:
    one, same, other = (camera.generate(shot(seed=seed)).clip.frames_TCHW for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_no_state_no_openvino(camera: ForeignEngine) -> None:
    state = State(1, np.zeros((1, 8, 2, 1, 2), np.float32), np.zeros((3, 2), np.float32), {})
    with pytest.raises(ShotError, match="cannot go on from a saved state; begin anew"):
        camera.generate(shot(), resume=state)
    with pytest.raises(ShotError, match="runs through diffusers, not on openvino; use --runtime auto"):
        engines.load(camera.model.spec, torch.device("cpu"), "openvino")


def test_the_device_fails_in_our_words(camera: ForeignEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any, **named: Any) -> Any:
        raise torch.OutOfMemoryError("oom")

    with monkeypatch.context() as patch:
        patch.setattr(camera._pipes["LTXPipeline"].transformer, "forward", fail)
        with pytest.raises(DeviceError, match="64x32 with 9 frames does not fit into memory; ask for less"):
            camera.generate(shot())
    monkeypatch.setattr(camera._pipes["LTXPipeline"].transformer, "forward", lambda hidden_states, **_: (hidden_states * float("nan"),))
    with pytest.raises(DeviceError, match="values that are no numbers"):
        camera.generate(shot())


def test_costs_are_predicted_from_its_own_files(camera: ForeignEngine, loaded: Any) -> None:
    network = camera._pipes["LTXPipeline"].transformer
    assert camera.anatomy is not None
    assert camera.anatomy.parameters == sum(p.numel() for p in network.parameters())
    plan = camera.plan(shot())
    assert camera.anatomy.tokens(plan.frames, 64, 32) == 2 * 1 * 2
    assert isinstance(camera.predict(plan), Prediction)
    assert cost.work(plan, camera.anatomy).steps == 2
    assert cost.of(replace(camera.model.spec, width=0)) is None
    linear = loaded(sana).anatomy
    assert linear.pass_FLOP(200) == 2 * linear.pass_FLOP(100), "attention that is linear in the tokens"


def test_budgets(camera: ForeignEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BudgetError, match="too small"):
        camera.generate(shot(budget=Budget(Wh=1e-12)))

    def by_steps(wh: float) -> None:
        monkeypatch.setattr(camera, "_predictor", lambda: lambda plan: Prediction(wh * plan.shot.steps, 0, 0, 1.0, "a test"))

    by_steps(100.0)
    take = camera.generate(shot(steps=None, budget=Budget(Wh=601.0)))
    assert take.shot.steps == 6
    assert any("for the budget of" in w and "6 steps at 64x32" in w for w in take.warnings)
    asked: list[int] = []

    def left(pace: Pace, done: int) -> int:
        asked.append(done)
        if done == 2:
            raise BudgetError("stopped at 2")
        return pace.most_steps - done

    monkeypatch.setattr(Pace, "left", left)
    with pytest.raises(BudgetError, match="stopped at 2"):
        camera.generate(shot(steps=50, budget=Budget(Wh=1e6)))
    assert asked == [0, 1, 2]
    monkeypatch.setattr(camera, "anatomy", None)
    with pytest.raises(BudgetError, match="leave the budget out"):
        camera.generate(shot(budget=Budget(Wh=1.0)))


def _drop(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    del tensors["proj_out.bias"]
    save_file(tensors, file, metadata={"format": "pt"})


def _reshape(folder: Path) -> None:
    config = folder / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"num_attention_heads": 4', '"num_attention_heads": 2'))


def _unweight(folder: Path) -> None:
    file = folder / "text_encoder" / "model.safetensors"
    torch.save({"shared.weight": torch.zeros(1)}, file.with_name("pytorch_model.bin"))
    file.unlink()


def _blank(folder: Path) -> None:
    for file in (folder / "tokenizer").iterdir():
        file.write_text("{")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_drop, "transformer lacks 1 tensors, first proj_out.bias"),
        (_reshape, "cannot be read by diffusers"),
        (_unweight, "are pickles, which may run code"),
        (_blank, "cannot be read by diffusers"),
        (lambda f: (f / "scheduler" / "scheduler_config.json").write_text("{"), "cannot be read by diffusers"),
    ],
)
def test_damaged_folders_are_refused(folders: Any, tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    spec = foreign.read(folders(ltx))
    copy = shutil.copytree(spec.folder, tmp_path / "copy")
    damage(copy)
    with pytest.raises(WeightsError, match=said):
        engines.load(replace(spec, folder=copy), torch.device("cpu"))


def test_the_hash_is_that_of_all_weights(folders: Any, camera: ForeignEngine, tmp_path: Path) -> None:
    copy = shutil.copytree(folders(ltx), tmp_path / "copy")
    again = foreign_model._sha256(foreign.read(copy))
    assert again == camera.model.sha256
    assert len(again) == 64
    from safetensors.torch import load_file, save_file

    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    assert foreign_model._sha256(foreign.read(copy)) != again
