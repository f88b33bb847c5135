"""Let a language model tag and judge under a hard budget, then continue without paying twice.

The "model" is the fake server that the tests use, so this runs without a key. For a real one, leave
out `base_url` and name its model; the key comes from OPENAI_API_KEY.
"""

import json
import os
import sys
import tempfile
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # for the tests' server

from tests.server.fault_server import FaultServer

import tacos
from tacos.errors import BudgetReachedError


def main() -> None:
    """Run into the budget, raise it, finish."""
    with (ROOT / "demo" / "sample.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in islice(file, 40)]
    with FaultServer() as server, tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_DATA_HOME"] = (
            folder  # a ledger of its own, for this example only
        )
        settings = {
            "tag": {"model": "llm"},
            "judge": {"model": "llm"},
            "llm": {"base_url": server.url, "model": "tiny-1", "proxy": "none"},
        }
        run = Path(folder) / "pool.run"
        for budget in ("25requests", "2000requests"):
            settings["llm"]["budget"] = budget
            try:
                selection = tacos.select(rows, n=8, run=run, settings=settings)
            except BudgetReachedError as error:
                print(f"stopped: {error}")
            else:
                print(f"selected {len(selection.rows)} rows")
            print(f"requests so far: {server.asked.total()}")
        repeated = [count for count in server.asked.values() if count > 1]
        print(f"questions asked twice: {len(repeated)}")


if __name__ == "__main__":
    main()
