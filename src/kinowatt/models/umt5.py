"""The text encoder of Wan: UMT5-XXL (Chung et al. 2023, arXiv 2304.09151), run by transformers.

Legend: protocols.py.
"""

from __future__ import annotations

import html
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kinowatt.errors import MissingDependency, WeightsError
from kinowatt.models import weights
from kinowatt.models.quiet import quiet

WEIGHTS = "model.safetensors"
LENGTH = 512  # rows that Wan's network was trained to attend to, whatever the prompt
REMEMBERED = 8  # prompts; most takes share their negative one
NEEDED = "Wan's text encoder needs transformers, sentencepiece and ftfy; pip install 'kinowatt[wan]'"


@dataclass(frozen=True, eq=False)
class Features:
    """An encoded prompt: `features_LD` of its L tokens, and how many rows of zeros the network expects after them."""

    features_LD: torch.Tensor
    zeros: int

    def padded(self) -> torch.Tensor:
        """(L + zeros, D), as diffusers' pipelines hand it to the network."""
        return torch.nn.functional.pad(self.features_LD, (0, 0, 0, self.zeros))


def cleaned(prompt: str) -> str:
    """A prompt as it was cleaned for Wan's training: encoding mended, HTML entities read (twice), blanks made one."""
    try:
        import ftfy
    except ImportError as error:
        raise MissingDependency(NEEDED) from error
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(prompt))).split())


class UMT5:
    """Prompts to features. A prompt is encoded once, alone and at its own length; the last few are remembered."""

    def __init__(self, tokenizer: Any, encoder: Any) -> None:
        self._tokenizer, self._encoder = tokenizer, encoder
        self._known: OrderedDict[str, Features] = OrderedDict()

    @classmethod
    def from_folder(cls, path: Path, dtype: torch.dtype = torch.bfloat16, device: torch.device | str = "cpu") -> UMT5:
        """Of text_encoder/ and tokenizer/ in a diffusers folder of Wan. WeightsError if they cannot be read; MissingDependency."""
        with quiet("transformers"):
            return cls._read(path, dtype, device)

    @classmethod
    def _read(cls, path: Path, dtype: torch.dtype, device: torch.device | str) -> UMT5:
        try:
            from transformers import AutoTokenizer, UMT5Config, UMT5EncoderModel
        except ImportError as error:
            raise MissingDependency(NEEDED) from error
        for name in ("text_encoder/config.json", "tokenizer"):
            if not (path / name).exists():
                raise WeightsError(f"{path} lacks {name}; download the folder again")
        try:
            with weights.read_elsewhere(f"the text encoder in {path}"):
                tokenizer = AutoTokenizer.from_pretrained(path / "tokenizer", local_files_only=True, trust_remote_code=False)
                with torch.device("meta"):
                    shell = UMT5EncoderModel(UMT5Config.from_pretrained(path / "text_encoder", local_files_only=True))
                expected = {name: tuple(tensor.shape) for name, tensor in shell.state_dict().items()}
                # Not whole: its embedding has two names, of which one will do; what else is missing is told by the reading.
                files = weights.checked(path / "text_encoder", WEIGHTS, expected, whole=False)
                read: Any = UMT5EncoderModel.from_pretrained
                options = {"dtype": dtype, "local_files_only": True, "use_safetensors": True, "output_loading_info": True}
                encoder, info = read(path / "text_encoder", **options)
        except ImportError as error:  # raised when it is used, not when it is imported
            raise MissingDependency(NEEDED) from error
        if absent := sorted(info["missing_keys"]):
            where = files[0] if len(files) == 1 else path / "text_encoder"
            raise WeightsError(f"{where} lacks {len(absent)} tensors, first {absent[0]}; download the folder again")
        return cls(tokenizer, encoder.eval().requires_grad_(False).to(device))

    @property
    def width(self) -> int:
        """Width D of the features."""
        return int(self._encoder.config.d_model)

    def to(self, device: torch.device | str) -> UMT5:
        """Move the encoder: at 11 GB in bfloat16 it may have to leave an accelerator before the network comes. Returns itself."""
        self._encoder.to(device)
        return self

    @torch.inference_mode()
    def features(self, prompt: str) -> Features:
        """Features of a prompt, cut to LENGTH tokens. An empty one has one row, its end."""
        prompt = cleaned(prompt)
        if prompt in self._known:
            self._known.move_to_end(prompt)
            return self._known[prompt]
        tokens = self._tokenizer(prompt, max_length=LENGTH, truncation=True, add_special_tokens=True, return_tensors="pt")
        ids, mask = (tokens[name].to(self._encoder.device) for name in ("input_ids", "attention_mask"))
        rows = self._encoder(input_ids=ids, attention_mask=mask).last_hidden_state[0]
        self._known[prompt] = Features(rows, LENGTH - len(rows))
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._known[prompt]

    def encode(self, prompts: Sequence[str]) -> torch.Tensor:
        """Features (B, LENGTH, D) of prompts; rows past a prompt's end are zero. `VideoDiT.contexts` merges those."""
        return torch.stack([self.features(prompt).padded() for prompt in prompts])
