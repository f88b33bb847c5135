"""How near the client comes to the limit concurrency / latency, ledger on, beside the plain openai
SDK in the same run.

    python benchmarks/bench_client.py [--n 20000] [--seconds 10] [--sdk 2000]

For each concurrency C: at least `--n` requests (more where they would take less than `--seconds`),
asked in batches of 1,000 from several threads, as the engine does, every reply in a fresh ledger on
disk. `ratio` = requests per second / (C / latency); `cpu_ms` = CPU of the whole client process per
request, its threads and SQLite included. Each measurement is a process of its own.
"""

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LATENCY = 0.2
BATCH = 1000


def ours(port: int, concurrency: int, n: int) -> dict[str, float]:
    """Our client, ledger on."""
    from tacos import llm
    from tacos.config import LLMSettings
    from tacos.llm.ledger import ledger
    from tacos.methods.tags.open_tags import SCHEMA
    from tacos.records import Request

    gc.set_threshold(20_000, 20, 20)  # as `tacos` on the command line does
    settings = LLMSettings(
        base_url=f"http://127.0.0.1:{port}/v1", concurrency=concurrency
    )
    sampling = {"temperature": 0.6, "top_p": 1.0, "max_tokens": 1024}
    text = (
        "Please check the spelling of the following email and correct it where needed. "
        * 3
    )

    def batch(start: int) -> list[Request]:
        rows = range(start, min(start + BATCH, n))
        return [
            Request(
                "tag", {"instruction": f"{row} {text}"}, "tag", "", SCHEMA, sampling
            )
            for row in rows
        ]

    def answered(start: int) -> int:
        return sum(reply.text is not None for reply in client.answer(batch(start)))

    n_threads = 4 + -(-4 * concurrency // BATCH)
    with (
        tempfile.TemporaryDirectory() as folder,
        ledger.open_ledger(Path(folder) / "ledger.sqlite") as book,
    ):
        with (
            llm.connect(settings, "fast-1", book) as client,
            ThreadPoolExecutor(n_threads) as threads,
        ):
            began, cpu = time.perf_counter(), time.process_time()
            n_good = sum(threads.map(answered, range(0, n, BATCH)))
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert n_good == n
        assert book.size().n_replies == n
    return figures(n, wall, cpu, concurrency)


def sdk(port: int, concurrency: int, n: int) -> dict[str, float]:
    """The openai SDK as its documentation shows it, `concurrency` workers, nothing kept."""
    from openai import AsyncOpenAI

    system = "You label instructions. " * 80
    user = (
        "Please check the spelling of the following email and correct it where needed. "
        * 3
    )

    async def run() -> tuple[float, float]:
        client = AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none")
        rows = iter(range(n))

        async def worker() -> None:
            for row in rows:
                reply = await client.chat.completions.create(
                    model="fast-1",
                    temperature=0.6,
                    max_tokens=1024,
                    messages=[
                        {"role": "system", "content": system},
                        {"role": "user", "content": f"{row} {user}"},
                    ],
                )
                json.loads(reply.choices[0].message.content or "")

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(worker() for _ in range(concurrency)))
        return time.perf_counter() - began, time.process_time() - cpu

    return figures(n, *asyncio.run(run()), concurrency)


def figures(n: int, wall: float, cpu: float, concurrency: int) -> dict[str, float]:
    """Ratio to the limit and CPU per request."""
    return {
        "n": n,
        "ratio": round(n / wall / (concurrency / LATENCY), 3),
        "cpu_ms": round(1000 * cpu / n, 4),
        "per_s": round(n / wall),
    }


def apart(which: str, port: int, concurrency: int, n: int) -> dict[str, float]:
    """The figures of one measurement in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--only",
        which,
        str(port),
        str(concurrency),
        str(n),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure, print one line of JSON last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--sdk", type=int, default=3_000)
    parser.add_argument("--concurrency", type=int, nargs="*", default=[64, 256, 1024])
    parser.add_argument("--only", nargs=4)
    args = parser.parse_args()
    if args.only:
        which, *numbers = args.only
        print(json.dumps({"ours": ours, "sdk": sdk}[which](*map(int, numbers))))
        return
    server = Path(__file__).with_name("fast_server.py")
    with subprocess.Popen(
        [sys.executable, server, str(LATENCY)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        port = int(process.stdout.readline())
        out = {}
        for concurrency in args.concurrency:
            n = max(args.n, int(args.seconds * concurrency / LATENCY))
            out[str(concurrency)] = {"tacos": apart("ours", port, concurrency, n)}
            if args.sdk:
                out[str(concurrency)]["openai_sdk"] = apart(
                    "sdk", port, concurrency, args.sdk
                )
            print(concurrency, out[str(concurrency)], file=sys.stderr)
        process.kill()
    print(
        json.dumps(
            {
                "benchmark": "client",
                "latency_s": LATENCY,
                "cores": os.cpu_count(),
                "by_concurrency": out,
            }
        )
    )


if __name__ == "__main__":
    main()
