"""A folder in diffusers' layout, read and put on a device: safetensors only, and no code but that of diffusers and transformers."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from kinowatt.errors import KinowattError, MissingDependency, WeightsError
from kinowatt.models import foreign, weights
from kinowatt.models.foreign import ForeignSpec
from kinowatt.models.quiet import quiet

ROOM = 0.7  # of an accelerator's free memory may hold weights; the rest is for what is computed
FLOAT32 = ("AutoencoderKLWan",)  # codecs that diffusers' examples keep in float32


@dataclass(frozen=True, eq=False)
class ForeignModel:
    """A pipeline of diffusers with its weights in memory; `sha256` of all weight files; `diffusers` the version that runs it."""

    spec: ForeignSpec
    pipe: Any
    dtype: torch.dtype
    sha256: str
    diffusers: str

    def sibling(self, pipeline: str) -> Any:
        """Another pipeline with the same weights."""
        import diffusers

        return getattr(diffusers, pipeline)(**self.pipe.components)


def load(spec: ForeignSpec, dtype: torch.dtype) -> ForeignModel:
    """Read and check the files of a model. WeightsError if one is missing, damaged or does not fit; MissingDependency."""
    pipe = _pipeline(spec, dtype)
    import diffusers

    return ForeignModel(spec, pipe, dtype, _sha256(spec), str(diffusers.__version__))


def _pipeline(spec: ForeignSpec, dtype: torch.dtype) -> Any:
    """The pipeline with its weights, in memory. Each network is read by itself, so that absent tensors are seen: diffusers draws them."""
    try:
        import diffusers
        import transformers
    except ImportError as error:
        raise MissingDependency(f"{spec.name} needs diffusers and transformers; pip install 'kinowatt[diffusers]'") from error
    with quiet("diffusers", "transformers"), _readable(spec):
        networks = {}
        parts = foreign.components(spec.folder)
        for name in foreign.weight_files(spec.folder):
            library, kind = parts[name]
            homes = {"diffusers": diffusers, "transformers": transformers}
            cls = getattr(homes[library] if library in homes else getattr(diffusers.pipelines, library), kind)
            kept = torch.float32 if kind in FLOAT32 else dtype
            networks[name], told = cls.from_pretrained(
                spec.folder / name,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **{"dtype" if library == "transformers" else "torch_dtype": kept},
            )
            if absent := sorted(told["missing_keys"]):
                raise WeightsError(f"{spec.folder / name} lacks {len(absent)} tensors, first {absent[0]}; download the folder again")
            networks[name].eval().requires_grad_(False)
        cls = getattr(diffusers, spec.pipeline)
        pipe = cls.from_pretrained(spec.folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, **networks)
    if hasattr(getattr(pipe, "vae", None), "use_tiling"):
        pipe.vae.enable_tiling()
    return pipe


@contextlib.contextmanager
def _readable(spec: ForeignSpec) -> Iterator[None]:
    """Whatever diffusers or transformers raise while they read becomes one sentence; they have no error of their own for it."""
    try:
        yield
    except (KinowattError, torch.OutOfMemoryError, MemoryError):
        raise
    except ImportError as error:
        raise MissingDependency(f"{spec.name} needs more: {first_line(error)}") from error
    except Exception as error:
        raise WeightsError(f"{spec.folder} cannot be read by diffusers ({first_line(error)}); download it again") from error


def place(pipe: Any, device: torch.device) -> None:
    """Onto the device; where the weights do not fit, each network comes when it is needed and goes after."""
    if device.type == "cpu":
        return
    pipe.remove_all_hooks()
    networks = [c for c in pipe.components.values() if isinstance(c, torch.nn.Module)]
    size = sum(p.numel() * p.element_size() for n in networks for p in n.parameters() if p.device.type == "cpu")
    if size <= ROOM * torch.cuda.mem_get_info(device)[0]:
        pipe.to(device)
        return
    try:
        pipe.enable_model_cpu_offload(device=device)
    except ImportError as error:
        raise MissingDependency("its weights do not fit into the device at once; pip install accelerate to move them in parts") from error


def _sha256(spec: ForeignSpec) -> str:
    """Of the lines "file, hash" of all weight files, in the order of their names."""
    files = sorted(file for group in foreign.weight_files(spec.folder).values() for file in group)
    lines = [f"{file.relative_to(spec.folder).as_posix()} {weights.sha256(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def first_line(error: BaseException) -> str:
    """What an error of another library says, as part of a sentence."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300].rstrip(".")
