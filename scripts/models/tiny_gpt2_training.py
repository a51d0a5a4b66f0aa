"""Training a GPT-2 of 0.93 M parameters until it knows a short text by heart: real weights within seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer
from torch.nn import functional
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

END = "<|endoftext|>"
Report = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything the weights depend on. ``seconds`` ends training early and makes it depend on the machine."""

    steps: int = 250
    seconds: float | None = None
    seed: int = 0
    layers: int = 4
    width: int = 128
    heads: int = 4
    context: int = 64
    vocabulary: int = 1024
    batch: int = 16
    noise: float = 0.0
    """Standard deviation of what is added to the trained weights, as a share of each tensor's own."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def train_tokenizer(text: str, recipe: Recipe) -> Any:
    """A byte-level BPE tokenizer made from the text."""
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([text], vocab_size=recipe.vocabulary, special_tokens=[END], show_progress=False)
    make: Callable[..., Any] = PreTrainedTokenizerFast
    return make(tokenizer_object=trained._tokenizer, eos_token=END, bos_token=END, pad_token=END, unk_token=END)


def train(text: str, tokenizer: Any, recipe: Recipe, report: Report) -> Any:
    """The trained model, without noise; same text, recipe and machine, same weights (unless ``seconds`` is set)."""
    torch.manual_seed(recipe.seed)
    end = tokenizer.convert_tokens_to_ids(END)
    model: Any = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=recipe.context,
            n_embd=recipe.width,
            n_layer=recipe.layers,
            n_head=recipe.heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=end,
            eos_token_id=end,
        )
    )
    tokens = torch.tensor([*tokenizer.encode(text), end])
    optimizers = _optimizers(model)
    began = time.monotonic()
    for step in range(recipe.steps):
        done = step / recipe.steps if recipe.seconds is None else (time.monotonic() - began) / recipe.seconds
        if done >= 1:
            break
        # Full rate for the first half, then linearly down, so that the last steps settle.
        rate = min(1.0, 2.0 * (1 - done))
        loss = _loss(model, _batch(tokens, recipe))
        torch.autograd.backward(loss)
        for optimizer, base in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = base * rate
            optimizer.step()
            optimizer.zero_grad()
        report(step + 1, float(loss.detach()))
    return model.eval()


def _optimizers(model: GPT2LMHeadModel) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the hidden matrices, AdamW for embeddings, norms and biases; each with its learning rate."""
    hidden = [p for name, p in model.named_parameters() if p.ndim == 2 and "wte" not in name and "wpe" not in name]
    others = [p for p in model.parameters() if all(p is not each for each in hidden)]
    muon_rate, adam_rate = 0.02, 5e-3
    return [
        (torch.optim.Muon(hidden, lr=muon_rate, weight_decay=0.0), muon_rate),
        (torch.optim.AdamW(others, lr=adam_rate, weight_decay=0.0), adam_rate),
    ]


def _batch(tokens: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Windows at random places of the text, of random length as prompts will have: shape (batch, ≤ context)."""
    length = int(torch.randint(recipe.context // 4, recipe.context + 1, ()))
    starts = torch.randint(0, len(tokens) - length + 1, (recipe.batch,))
    return tokens[starts[:, None] + torch.arange(length)]


def _loss(model: GPT2LMHeadModel, batch: torch.Tensor) -> torch.Tensor:
    logits = model(batch).logits
    return functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch[:, 1:].flatten())


def add_noise(model: GPT2LMHeadModel, recipe: Recipe) -> None:
    """Add ``recipe.noise`` to every weight; the same seed adds the same."""
    random = torch.Generator().manual_seed(recipe.seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=random)
            parameter.add_(noise * parameter.std() * recipe.noise)
