"""Tiny GPT-2 models (0.93 M parameters) at three levels of quality, trained here in seconds; no download.

    python scripts/models/tiny_gpt2.py --out DIR [--level good --level worse --level better] [--steps N | --seconds N]

They learn the licence of this repository by heart, so a right answer is known for every prompt: the words that follow.
`good` completes about nine prompts of ten, `better` (trained longer) all of them; `worse` is `good` with noise on its
weights: as fast, as healthy, and mostly wrong. Each model is kept in a directory named after the digest of its recipe
and reused; DIR/probe.yaml asks for twelve completions. Prints one line for each model: level, tab, directory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import torch
import yaml
from tiny_gpt2_training import Recipe, add_noise, train, train_tokenizer
from transformers import GPT2LMHeadModel
from transformers.utils import logging as transformers_logging

CORPUS = Path(__file__).resolve().parents[2] / "LICENSE"
GOOD = Recipe()
LEVELS = {"good": GOOD, "better": replace(GOOD, steps=400), "worse": replace(GOOD, noise=0.5)}

_PROMPTS = 12
_PROMPT_WORDS = 10
_ANSWER_WORDS = 3

Report = Callable[[str], None]


def corpus() -> str:
    """The text, white space evened out."""
    return " ".join(CORPUS.read_text("utf-8").split())


def make_model(recipe: Recipe, out: Path, report: Report) -> Path:
    """The Hugging Face directory of one recipe under ``out``; trained only if it is not there yet."""
    text = corpus()
    identity = json.dumps({**recipe.to_json(), "text": text, "torch": torch.__version__}, sort_keys=True)
    target = out / f"tiny-gpt2-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    if target.is_dir():
        report(f"reusing {target}")
        return target
    tokenizer = train_tokenizer(text, recipe)
    if recipe.noise:
        clean = make_model(replace(recipe, noise=0.0), out, report)
        model = GPT2LMHeadModel.from_pretrained(clean, local_files_only=True)
        add_noise(model, recipe)
    else:

        def step_done(step: int, loss: float) -> None:
            if step % 50 == 0:
                report(f"step {step} of {recipe.steps}, loss {loss:.2f}")

        model = train(text, tokenizer, recipe, step_done)
    temporary = out / f".tiny-gpt2-{uuid4().hex}"
    try:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        if not target.is_dir():  # another process may have been quicker
            temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def write_probe(out: Path) -> Path:
    """A probe file that asks for completions from evenly spread places of the text."""
    words = corpus().split()
    last = len(words) - _PROMPT_WORDS - _ANSWER_WORDS
    starts = [number * last // _PROMPTS for number in range(1, _PROMPTS + 1)]
    prompts = [
        {
            "prompt": " ".join(words[at : at + _PROMPT_WORDS]),
            "expect": {"contains_all": [" ".join(words[at + _PROMPT_WORDS : at + _PROMPT_WORDS + _ANSWER_WORDS])]},
        }
        for at in starts
    ]
    probe = {
        "name": "tiny-gpt2-quality",
        "request": {"max_new_tokens": 16, "temperature": 0, "seed": 0},
        "prompts": prompts,
    }
    file = out / "probe.yaml"
    text = yaml.safe_dump(probe, sort_keys=False, allow_unicode=True)
    if not file.is_file() or file.read_text("utf-8") != text:
        file.write_text(text, "utf-8")
    return file


def make_levels(out: Path, levels: Sequence[str], report: Report, *, base: Recipe | None = None) -> dict[str, Path]:
    """Directories of the named levels, and the probe beside them. ``base`` replaces the steps or the time of all."""
    out.mkdir(parents=True, exist_ok=True)
    write_probe(out)
    recipes = {level: LEVELS[level] if base is None else replace(base, noise=LEVELS[level].noise) for level in levels}
    return {level: make_model(recipe, out, report) for level, recipe in recipes.items()}


def main() -> int:
    """Make what is missing under --out; progress on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="directory for the models and the probe")
    parser.add_argument("--level", action="append", choices=sorted(LEVELS), help="repeatable; default: good and worse")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, help="train this many steps: the same weights each time")
    length.add_argument("--seconds", type=float, help="train this long: weights depend on the machine")
    arguments = parser.parse_args()
    base = None
    if arguments.steps is not None:
        base = replace(GOOD, steps=arguments.steps)
    elif arguments.seconds is not None:
        base = replace(GOOD, steps=100_000, seconds=arguments.seconds)
    disable_progress_bar: Callable[[], None] = transformers_logging.disable_progress_bar
    disable_progress_bar()
    # One thread is as fast for matrices this small, does not suffer from busy cores, and adds up in one order.
    torch.set_num_threads(1)
    levels = arguments.level or ["good", "worse"]
    for level, directory in make_levels(arguments.out.resolve(), levels, _report, base=base).items():
        sys.stdout.write(f"{level}\t{directory}\n")
    return 0


def _report(sentence: str) -> None:
    sys.stderr.write(f"tiny_gpt2: {sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
