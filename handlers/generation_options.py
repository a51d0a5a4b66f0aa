"""How one version serves: the ``handler:`` section of its model-config.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from generation_request import SamplingParameters, Strict, explain


class Options(Strict):
    """The options of ``text_generation``.

    Attributes:
        dtype: the numbers the model computes with.
        quantization: applied while loading; ``dynamic_int8`` computes in int8 and costs quality, ``weight_only_int8``
            stores int8 and computes in bfloat16. Both run on the CPU only.
        torch_threads: CPU threads of one worker. Versions side by side share the cores, and threads that wait for a
            core they do not get slow everybody down badly; raise it only where every worker has cores of its own.
        max_new_tokens_limit: more than this is refused.
        defaults: sampling parameters for what a request leaves out.
        repetition_threshold: an answer counts as repeated from this share of repeated word triples on.
    """

    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    quantization: Literal["none", "dynamic_int8", "weight_only_int8"] = "none"
    torch_threads: Annotated[int, Field(ge=1)] = 1
    max_new_tokens_limit: Annotated[int, Field(ge=1)] = 512
    defaults: SamplingParameters = SamplingParameters()
    repetition_threshold: Annotated[float, Field(gt=0, le=1)] = 0.5


def read_options(config: Mapping[str, Any] | None) -> Options:
    """The options in a model-config.yaml.

    Raises:
        ValueError: names every problem; TorchServe then refuses the version.
    """
    try:
        options = Options.model_validate((config or {}).get("handler") or {})
    except ValidationError as error:
        problems = "; ".join(f"handler.{explain(detail)}" for detail in error.errors())
        raise ValueError(f"model-config.yaml: {problems}") from None
    if options.defaults.max_new_tokens > options.max_new_tokens_limit:
        raise ValueError("model-config.yaml: handler.defaults.max_new_tokens is over handler.max_new_tokens_limit")
    return options
