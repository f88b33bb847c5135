"""Answers questions with a model, and scores given answers. Runs in the training environment.

    python worker.py MODEL TEMPLATE [DTYPE]

TEMPLATE is a file with a chat template; DTYPE is float32, bfloat16 or auto. The worker writes a
line of JSON about itself, then reads lines of JSON and writes one for each:

    {"task": "answer", "items": [{"messages": [...], "max_tokens": 512, "temperature": 0.7,
                                  "seed": 1}, ...]}
    {"task": "score", "items": [{"messages": [...], "max_length": 1024}, ...]}

and in return

    {"results": [{"text": "...", "finish": "stop" or "length", "n_tokens": 17},
                 or {"failure": "..."}, ...]}
    {"results": [{"log_probability": -41.2, "n_tokens": 17, "is_cut": false}, ...]}

or {"error": "..."}. What is scored is what training trains on: the last answer and the token that
ends it. Random numbers belong to the question: with the same seed it draws the same ones, whatever
stands beside it in a batch.
"""

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

Item = dict[str, Any]
BATCH_TOKENS = 4_096
"""Tokens that are read at once, padding included."""
BATCH_ANSWERS = 16
"""Questions that are answered at once on a CPU; on a GPU eight times as many."""
HEAD_TOKENS = 256
"""Tokens whose scores over the whole vocabulary are held at once."""
SPARE_SHARE = 0.5
"""Share of the places of a batch that may be idle before it is made smaller."""


class WorkerError(Exception):
    """Why the model cannot be asked; the message says what to do."""


def main(model: str, template: str, dtype: str = "auto") -> None:
    """Load the model, then work off lines until there are no more."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # Names that a later release will change: the environment pins this one.
    warnings.simplefilter("ignore", FutureWarning)
    # Whatever a library prints must not stand among the replies.
    replies = sys.stdout
    sys.stdout = sys.stderr
    try:
        reader = load_reader(model, Path(template).read_text("utf-8"), dtype)
    except (OSError, ValueError, KeyError, RuntimeError, WorkerError) as error:
        send(replies, {"error": describe_error(error)})
        return
    send(replies, reader.describe())
    tasks: dict[str, Callable[[Sequence[Item]], list[Item]]] = {
        "answer": reader.answer,
        "score": reader.score,
    }
    for line in sys.stdin:
        job = json.loads(line)
        try:
            results = tasks[job["task"]](job["items"])
        except (RuntimeError, ValueError, WorkerError) as error:
            send(replies, {"error": describe_error(error)})
        else:
            send(replies, {"results": results})


def load_reader(model: str, template: str, dtype: str) -> "Reader":
    """The model and its tokenizer, on the GPU if there is one."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = template
    if tokenizer.eos_token_id is None:
        raise WorkerError("its tokenizer has no token that ends an answer")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = choose_dtype(device) if dtype == "auto" else getattr(torch, dtype)
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=chosen)
    # Deterministic sums, at some cost of speed on a GPU.
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    return Reader(loaded.to(device).eval(), tokenizer)


def choose_dtype(device: str) -> torch.dtype:
    """bfloat16 on a GPU that has it, else 32-bit floats.

    On a CPU bfloat16 takes two thirds of the time, but an answer then depends on those beside it in
    its batch, which set the order of sums.
    """
    if device == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float32


class Reader:
    """A model with its tokenizer and template."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.device = model.device
        self.pad = tokenizer.pad_token_id or 0
        self.ends = find_end_tokens(model, tokenizer)
        config = model.config
        self.max_length = int(getattr(config, "max_position_embeddings", 0) or 2_048)
        self.softcap = getattr(config, "final_logit_softcapping", None)

    def describe(self) -> Item:
        """What the answers rest on."""
        return {
            "device": torch.cuda.get_device_name() if self.is_on_gpu else "cpu",
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "n_parameters": sum(each.numel() for each in self.model.parameters()),
            "versions": {
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            },
        }

    @property
    def is_on_gpu(self) -> bool:
        """Whether the model lies on a GPU."""
        return bool(self.device.type == "cuda")

    # Answers

    def answer(self, items: Sequence[Item]) -> list[Item]:
        """An answer to each item, in order."""
        prompts = [self._encode_prompt(item) for item in items]
        size = BATCH_ANSWERS * (8 if self.is_on_gpu else 1)
        results: dict[int, Item] = {}
        fitting = []
        for place, (prompt, item) in enumerate(zip(prompts, items, strict=True)):
            if len(prompt) + item["max_tokens"] > self.max_length:
                results[place] = {"failure": self._describe_excess(prompt, item)}
            else:
                fitting.append(place)
        for batch in cut_batches([len(prompts[place]) for place in fitting], size):
            places = [fitting[number] for number in batch]
            answers = self._answer_batch(
                [prompts[place] for place in places],
                [items[place] for place in places],
            )
            results.update(zip(places, answers, strict=True))
        return [results[place] for place in range(len(items))]

    def _encode_prompt(self, item: Item) -> list[int]:
        """The tokens of a question."""
        ids = self.tokenizer.apply_chat_template(
            item["messages"],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
        )
        return list(ids)

    def _describe_excess(self, prompt: list[int], item: Item) -> str:
        """Why a question is too long to be answered."""
        return (
            f"the question ({len(prompt):,} tokens) and an answer ({item['max_tokens']:,}) do not "
            f"fit into the {self.max_length:,} of this model"
        )

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _answer_batch(
        self, prompts: Sequence[list[int]], items: Sequence[Item]
    ) -> list[Item]:
        """Answers to some questions at once, token by token."""
        numbers, mask = self._pad_left(prompts)
        draws = [draw_numbers(item, self.device) for item in items]
        temperatures = [float(item["temperature"]) for item in items]
        limits = [int(item["max_tokens"]) for item in items]
        written: list[list[int]] = [[] for _ in items]
        finishes = ["length"] * len(items)
        cache = DynamicCache(config=self.model.config)
        rows = list(range(len(items)))  # of the items that are still being answered
        places = list(rows)  # of these rows in the tensors
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        while rows:
            output = self.model(
                input_ids=numbers,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            logits = output.logits[:, -1].float()
            tokens = torch.full((len(logits),), self.pad, device=self.device)
            going = []
            for row, place in zip(rows, places, strict=True):
                step = len(written[row])
                token = pick_token(logits[place], temperatures[row], draws[row][step])
                tokens[place] = token
                if token in self.ends:
                    finishes[row] = "stop"
                    continue
                written[row].append(token)
                if len(written[row]) < limits[row]:
                    going.append((row, place))
            rows = [row for row, _ in going]
            places = [place for _, place in going]
            if not rows:
                break
            numbers = tokens[:, None]
            ones = torch.ones_like(mask[:, :1])
            mask = torch.cat([mask, ones], dim=1)
            positions = positions[:, -1:] + 1
            # Rows that are done cost as much as the others: leave them out now and then.
            if len(rows) <= SPARE_SHARE * len(numbers):
                kept = torch.tensor(places, device=self.device)
                cache.batch_select_indices(kept)
                numbers = numbers[kept]
                mask = mask[kept]
                positions = positions[kept]
                places = list(range(len(rows)))
        return [
            {
                "text": self.tokenizer.decode(ids, skip_special_tokens=True).strip(),
                "finish": finish,
                "n_tokens": len(ids),
            }
            for ids, finish in zip(written, finishes, strict=True)
        ]

    def _pad_left(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and mask, shape (rows, longest), the tokens at the right."""
        width = max(map(len, rows))
        numbers = torch.full((len(rows), width), self.pad)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for place, ids in enumerate(rows):
            numbers[place, width - len(ids) :] = torch.tensor(ids)
            mask[place, width - len(ids) :] = 1
        return numbers.to(self.device), mask.to(self.device)

    # Log-probabilities

    def score(self, items: Sequence[Item]) -> list[Item]:
        """The log-probability of the last answer of each item, in order."""
        encoded = [self._encode_answer(item) for item in items]
        lengths = [len(ids) for ids, _, _ in encoded]
        results: dict[int, Item] = {}
        for places in cut_batches(lengths, len(items)):
            sums = self._score_batch([encoded[place][:2] for place in places])
            for place, value in zip(places, sums, strict=True):
                _, start_and_end, is_cut = encoded[place]
                start, end = start_and_end
                results[place] = {
                    "log_probability": value,
                    "n_tokens": end - start,
                    "is_cut": is_cut,
                }
        return [results[place] for place in range(len(items))]

    def _encode_answer(self, item: Item) -> tuple[list[int], tuple[int, int], bool]:
        """The tokens of a chat, where its last answer starts and ends, and whether it was cut."""
        rendered = self.tokenizer.apply_chat_template(
            item["messages"],
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        ids = list(rendered["input_ids"])
        trained = rendered["assistant_masks"]
        if not any(trained):
            raise WorkerError(
                "the template does not mark what is trained on ({% generation %}): "
                "give one of tacos (--template)"
            )
        # The last run of trained tokens is the last answer.
        end = len(trained) - list(reversed(trained)).index(1)
        start = end
        while start > 0 and trained[start - 1]:
            start -= 1
        limit = min(int(item["max_length"]), self.max_length)
        is_cut = end > limit
        end = min(end, limit)
        # A question that fills the whole length leaves no token of its answer.
        return ids[:end], (min(start, end), end), is_cut

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _score_batch(
        self, rows: Sequence[tuple[list[int], tuple[int, int]]]
    ) -> list[float]:
        """Sums of log-probabilities over the answer's tokens, in nats."""
        width = max(len(ids) for ids, _ in rows)
        numbers = torch.full((len(rows), width), self.pad)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for place, (ids, _) in enumerate(rows):
            numbers[place, : len(ids)] = torch.tensor(ids)
            mask[place, : len(ids)] = 1
        numbers = numbers.to(self.device)
        states = self.model.get_decoder()(
            input_ids=numbers, attention_mask=mask.to(self.device), use_cache=False
        ).last_hidden_state
        sums = []
        for place, (_, (start, end)) in enumerate(rows):
            # The state before a token foretells it.
            total = 0.0
            for first in range(start, end, HEAD_TOKENS):
                last = min(first + HEAD_TOKENS, end)
                logits = self._read_logits(states[place, first - 1 : last - 1])
                chosen = numbers[place, first:last, None]
                scores = logits.log_softmax(-1).gather(-1, chosen)
                total += float(scores.double().sum())
            if not math.isfinite(total):
                raise WorkerError(
                    "its log-probabilities are no numbers, as after a training that went astray: "
                    "train it with a lower learning rate"
                )
            sums.append(total)
        return sums

    def _read_logits(self, states: torch.Tensor) -> torch.Tensor:
        """Scores over the vocabulary, shape (tokens, vocabulary), in 32 bits."""
        logits = self.model.get_output_embeddings()(states).float()
        if self.softcap:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits


def find_end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer."""
    named = getattr(model.generation_config, "eos_token_id", None)
    listed = named if isinstance(named, list) else [named]
    return frozenset(
        number for number in [*listed, tokenizer.eos_token_id] if number is not None
    )


def draw_numbers(item: Item, device: Any) -> torch.Tensor:
    """One random number between 0 and 1 for each token of an answer."""
    generator = torch.Generator().manual_seed(int(item["seed"]))
    count = int(item["max_tokens"]) + 1
    return torch.rand(count, generator=generator, dtype=torch.float64).to(device)


def pick_token(logits: torch.Tensor, temperature: float, number: torch.Tensor) -> int:
    """The likeliest token, or at a temperature the one that a random number falls on."""
    if temperature == 0:
        return int(logits.argmax())
    shares = (logits / temperature).softmax(-1, dtype=torch.float64)
    place = torch.searchsorted(shares.cumsum(-1), number)
    return min(int(place), len(logits) - 1)


def cut_batches(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Places of items of similar length, longest first, so that memory runs out at once or never.

    A batch has at most `most` items and `BATCH_TOKENS` tokens, padding included.
    """
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    batch: list[int] = []
    for place in order:
        width = lengths[batch[0]] if batch else lengths[place]
        if batch and (len(batch) >= most or width * (len(batch) + 1) > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def describe_error(error: Exception) -> str:
    """The first line of an error."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def send(replies: Any, value: Item) -> None:
    """Write a line of JSON."""
    replies.write(json.dumps(value) + "\n")
    replies.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
