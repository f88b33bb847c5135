"""A real server to try the LLM layer on: llama.cpp's `llama-server` with a tiny model of random
weights.

    make test-llm-server     (builds once: 10 to 20 minutes on two cores; needs a C++ compiler)

What it does: fetch the source package of llama-cpp-python (it contains llama.cpp), build
`llama-server`, write a GGUF file, serve it on this machine, and ask questions of tagging and
judging with schemas on. Everything lies in `.llm-server/`.

The model knows nothing. Its weights are random but for one dimension of the embedding, which is
constant, so that the logits of control tokens, byte tokens and the backslash can be kept low and
those of a closing quote and bracket high, whatever it reads. Within the grammar that the server
makes of a schema it then writes short, valid JSON: what is tested is the way from the schema to a
parsed reply, not what it says.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

VERSION = "0.3.36"
HOME = Path(__file__).resolve().parents[1] / ".llm-server"
PORT = 8129
N_LAYERS, N_EMBD, N_HEADS, N_FF, N_CONTEXT = 2, 64, 4, 128, 8192
FLAGS = (
    *(
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_CXX_FLAGS_RELEASE=-O1",
        "-DCMAKE_C_FLAGS_RELEASE=-O2",
    ),
    *(
        "-DBUILD_SHARED_LIBS=OFF",
        "-DGGML_OPENMP=OFF",
        "-DLLAMA_OPENSSL=OFF",
        "-DLLAMA_BUILD_UI=OFF",
    ),
    *(
        "-DLLAMA_USE_PREBUILT_UI=OFF",
        "-DLLAMA_BUILD_APP=OFF",
        "-DLLAMA_BUILD_TESTS=OFF",
        "-DLLAMA_BUILD_EXAMPLES=OFF",
    ),
)
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def source() -> Path:
    """llama.cpp's source, fetched once."""
    folder = HOME / f"llama_cpp_python-{VERSION}" / "vendor" / "llama.cpp"
    if not folder.is_dir():
        HOME.mkdir(exist_ok=True)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            "llama-cpp-python",
        ]
        subprocess.run(
            [*pip, f"llama-cpp-python=={VERSION}", "--dest", HOME], check=True
        )
        with tarfile.open(HOME / f"llama_cpp_python-{VERSION}.tar.gz") as package:
            package.extractall(HOME, filter="data")
    return folder


def build() -> Path:
    """The server's binary, built once."""
    binary = HOME / "build" / "bin" / "llama-server"
    if not binary.is_file():
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        subprocess.run(
            ["cmake", "-S", source(), "-B", HOME / "build", *generator, *FLAGS],
            check=True,
        )
        jobs = str(os.cpu_count() or 1)
        subprocess.run(
            [
                "cmake",
                "--build",
                HOME / "build",
                "--target",
                "llama-server",
                "-j",
                jobs,
            ],
            check=True,
        )
    return binary


def model() -> Path:
    """The GGUF file, written once."""
    path = HOME / "random.gguf"
    if not path.is_file():
        write_model(path)
    return path


def vocabulary() -> tuple[list[bytes], list[int]]:
    """Tokens and their kinds: three control tokens, a byte token per byte, one token per printable
    character.
    """
    from gguf import TokenType

    tokens = [
        b"<unk>",
        b"<s>",
        b"</s>",
        *(f"<0x{byte:02X}>".encode() for byte in range(256)),
    ]
    kinds = [
        TokenType.UNKNOWN,
        TokenType.CONTROL,
        TokenType.CONTROL,
        *[TokenType.BYTE] * 256,
    ]
    characters = ["\n", "▁", *(chr(code) for code in range(33, 127))]
    return tokens + [each.encode() for each in characters], kinds + [
        TokenType.NORMAL
    ] * len(characters)


def write_model(path: Path) -> None:
    """A Llama of random weights that writes short JSON inside a grammar."""
    from gguf import GGUFWriter

    tokens, kinds = vocabulary()
    writer = GGUFWriter(path, "llama")
    writer.add_name("random")
    writer.add_context_length(N_CONTEXT)
    writer.add_embedding_length(N_EMBD)
    writer.add_block_count(N_LAYERS)
    writer.add_feed_forward_length(N_FF)
    writer.add_head_count(N_HEADS)
    writer.add_head_count_kv(N_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(N_EMBD // N_HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    for name, weights in tensors(tokens).items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensors(tokens: list[bytes]) -> dict[str, np.ndarray]:
    """Weights by name, each of shape (outputs, inputs); dimension 0 of the residual stream is 8
    everywhere.
    """
    random = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return random.normal(0, 0.1, shape).astype(np.float32)

    embedding, output = draw(len(tokens), N_EMBD), draw(len(tokens), N_EMBD)
    embedding[:, 0], output[:, 0] = 8.0, [bias(token) for token in tokens]
    found = {
        "token_embd.weight": embedding,
        "output.weight": output,
        "output_norm.weight": np.ones(N_EMBD, np.float32),
    }
    for layer in range(N_LAYERS):
        block = {
            f"attn_{part}": draw(N_EMBD, N_EMBD) for part in ("q", "k", "v", "output")
        }
        block |= {
            "ffn_gate": draw(N_FF, N_EMBD),
            "ffn_up": draw(N_FF, N_EMBD),
            "ffn_down": draw(N_EMBD, N_FF),
        }
        block["attn_output"][0] = block["ffn_down"][0] = 0.0
        block |= {
            "attn_norm": np.ones(N_EMBD, np.float32),
            "ffn_norm": np.ones(N_EMBD, np.float32),
        }
        found |= {
            f"blk.{layer}.{name}.weight": weights for name, weights in block.items()
        }
    return found


def bias(token: bytes) -> float:
    """The weight of the constant dimension on a token's logit."""
    if token.startswith((b"<unk", b"<s>", b"<0x")) or token in (b"\\", b"\n"):
        return -10.0
    return {b'"': 0.6, b"{": 0.5, b"]": 0.4, b"}": 0.4}.get(token, 0.0)


@contextmanager
def serving(port: int = PORT, weights: Path | None = None, *more: str) -> Iterator[str]:
    """The base URL of a running server, of the random model unless `weights` names another GGUF
    file.
    """
    command: list[str | Path] = [build(), "-m", weights or model()]
    command += [
        "--port",
        str(port),
        "--no-webui",
        "-c",
        str(4 * N_CONTEXT),
        "--parallel",
        "4",
        "--threads",
        "1",
        "--poll",
        "0",
        *more,
    ]
    with (
        (HOME / "server.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Return once the server answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit(f"the server did not start; see {HOME / 'server.log'}")


def check(url: str, n: int) -> dict[str, object]:
    """Ask n questions of tagging and n of judging; how many were parsed, and how the server was
    asked.
    """
    from tacos import llm, prompts
    from tacos.config import LLMSettings
    from tacos.llm.ledger import ledger
    from tacos.methods.judging import comparisons
    from tacos.methods.tags import open_tags
    from tacos.records import Request

    sampling: dict[str, float | int] = {"temperature": 0.6, "max_tokens": 1024}
    words = [
        "Fix the spelling of my letter",
        "Write a poem about tides",
        "Name three prime numbers",
        "Plan a week of meals",
    ]
    pairs = [
        (f"{words[row % 4]} ({row}).", f"Here it is, number {row}.") for row in range(n)
    ]
    tag = [
        Request(
            "tag",
            {"instruction": i},
            "tag",
            prompts.hash_template("tag"),
            open_tags.SCHEMA,
            sampling,
        )
        for i, _ in pairs
    ]
    judge = [
        Request(
            "judge",
            {
                "instruction_a": a[0],
                "response_a": a[1],
                "instruction_b": b[0],
                "response_b": b[1],
            },
            "judge",
            prompts.hash_template("judge"),
            comparisons.SCHEMA,
            sampling,
        )
        for a, b in zip(pairs, pairs[1:] + pairs[:1], strict=True)
    ]
    settings = LLMSettings(
        base_url=url, auth="none", concurrency=4, proxy="none", total_timeout=600
    )
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        book = stack.enter_context(ledger.open_ledger(folder / "ledger.sqlite"))
        client = stack.enter_context(llm.connect(settings, "random", book))
        replies = {"tag": client.answer(tag), "judge": client.answer(judge)}
        level, tally = client.form.level, client.tally
    parsed = {
        task: sum(reply.text is not None for reply in found)
        for task, found in replies.items()
    }
    failures = [
        reply.failure
        for found in replies.values()
        for reply in found
        if reply.text is None
    ][:3]
    return {
        "n_asked": n,
        "n_parsed": parsed,
        "asked_as": level,
        "n_asked_again": tally.n_asked_again,
        "failures": failures,
        "example": {task: found[0].text for task, found in replies.items()},
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> None:
    """Build what is missing, then serve, or check and say what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("build", "serve", "check"))
    parser.add_argument("-n", type=int, default=20, help="questions per task")
    args = parser.parse_args()
    if args.what == "build":
        print(build(), model())
        return
    with serving() as url:
        if args.what == "serve":
            print(url, flush=True)
            while True:
                time.sleep(60)
        found = check(url, args.n)
    print(json.dumps(found))
    if found["n_parsed"] != {"tag": args.n, "judge": args.n} or found["n_asked_again"]:
        raise SystemExit("not every reply was parsed")


if __name__ == "__main__":
    main()
