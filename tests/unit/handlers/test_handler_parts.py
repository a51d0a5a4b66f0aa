"""The parts of the text generation handler: quantization, answer quality, stop strings."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from answer_quality import is_empty, repetition_ratio
from generation import AnswerStream
from quantization import Int8Linear, quantize


def test_weight_only_int8_is_close_to_the_layer_it_replaces() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(96, 64).to(torch.bfloat16)
    values = torch.randn(3, 5, 96, dtype=torch.bfloat16)
    exact, quantized = linear(values).float(), Int8Linear(linear)(values).float()
    assert quantized.shape == exact.shape
    assert ((quantized - exact).norm() / exact.norm()).item() < 0.02


def test_weight_only_int8_swaps_every_linear_layer_and_shrinks_the_weights() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.Sequential(nn.ReLU(), nn.Linear(64, 32, bias=False)))
    quantized = quantize(model, "weight_only_int8")
    assert [type(m).__name__ for m in quantized.modules()].count("Int8Linear") == 2
    assert not [m for m in quantized.modules() if isinstance(m, nn.Linear)]
    assert quantized(torch.randn(2, 64, dtype=torch.bfloat16)).shape == (2, 32)


def test_dynamic_int8_replaces_linear_layers() -> None:
    quantized = quantize(nn.Sequential(nn.Linear(64, 64)), "dynamic_int8")
    assert quantized(torch.randn(2, 64)).shape == (2, 64)
    assert not any(type(m) is nn.Linear for m in quantized.modules())


def test_an_unknown_quantization_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown quantization 'int3'"):
        quantize(nn.Linear(2, 2), "int3")


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("", 0.0, 0.0),
        ("yes, yes", 0.0, 0.0),
        ("The capital of France is Paris, a city on the river Seine in the north.", 0.0, 0.05),
        ("vast vast vast vast vast vast vast vast vast vast", 0.85, 1.0),
        ("I do not know. I do not know. I do not know. I do not know.", 0.5, 0.8),
    ],
)
def test_the_repetition_ratio_tells_fresh_text_from_a_loop(text: str, low: float, high: float) -> None:
    assert low <= repetition_ratio(text) <= high


@given(st.text())
def test_quality_checks_take_any_text(text: str) -> None:
    assert 0.0 <= repetition_ratio(text) < 1.0
    assert is_empty(text) == (not text.strip())


class Letters:
    """A tokenizer whose tokens are code points; 0 stands for the first byte of a character not yet complete."""

    def decode(self, tokens: list[int], skip_special_tokens: bool) -> str:
        return "".join(chr(token) if token else "\ufffd" for token in tokens)


@given(
    text=st.text("abc", max_size=30),
    stop=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3).map(tuple),
)
def test_streamed_pieces_are_the_text_before_the_first_stop_string(text: str, stop: tuple[str, ...]) -> None:
    pieces: list[str] = []
    stream = AnswerStream(Letters(), stop, pieces.append)
    stream.put(torch.tensor([[1, 2, 3]]))
    for letter in text:
        stream.put(torch.tensor([ord(letter)]))
        if stream.is_stopped:
            break
    stream.end()
    assert "".join(pieces) == stream.text
    assert not any(each in stream.text for each in stop)
    if not stream.is_stopped:
        assert stream.text == text


def test_half_a_character_is_never_sent() -> None:
    pieces: list[str] = []
    stream = AnswerStream(Letters(), (), pieces.append)
    stream.put(torch.tensor([[1]]))
    stream.put(torch.tensor([ord("a")]))
    stream.put(torch.tensor([0]))
    assert pieces == ["a"]
