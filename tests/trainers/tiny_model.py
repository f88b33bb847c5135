"""A model of random weights and a tokenizer with a token per byte, so that every text comes back
unchanged and every span of characters is a span of tokens. Runs in the environments of trainers.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>"]
UNTRAINED = -100
PACKAGED = Path(__file__).parents[2] / "src/tacos/models/data/tokenizer.json"
"""The tokenizer that tacos ships."""
MARKS = ("⟦", "⟧")


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each byte, and the special tokens of Llama and ChatML."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<unk>",
        model_max_length=100_000,
        clean_up_tokenization_spaces=False,
    )


def save_model(folder: Path) -> None:
    """Write the tokenizer and a model of one small layer."""
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def save_llama(folder: Path) -> None:
    """Write a Llama of 1.6 million random parameters, with the tokenizer that tacos ships and the
    tokens of ChatML beside.
    """
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(PACKAGED),
        unk_token="[UNK]",
        pad_token="[PAD]",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=2_048,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=2_048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    print(f"{sum(part.numel() for part in model.parameters()):,} parameters")


def mark_row(tokenizer: Any, tokens: list[int], labels: list[int]) -> str:
    """The text of a row, with marks around each span that is trained on."""
    parts: list[str] = []
    start = 0
    for place in range(1, len(tokens) + 1):
        is_trained = labels[start] != UNTRAINED
        if place < len(tokens) and (labels[place] != UNTRAINED) == is_trained:
            continue
        text = tokenizer.decode(tokens[start:place], skip_special_tokens=False)
        parts.append(f"{MARKS[0]}{text}{MARKS[1]}" if is_trained else text)
        start = place
    return "".join(parts)
