"""Make one run, then other selections from it, which ask no model, and set the strategies side by
side.
"""

import tempfile
from pathlib import Path

import tacos

SAMPLE = Path(__file__).resolve().parents[1] / "demo" / "sample.jsonl"


def main() -> None:
    """Print what two selections share, and a table of strategies."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "pool.run"
        selection = tacos.select(SAMPLE, n=30, run=run)

        other = tacos.reselect(
            run, n=30, strategy="mig", output=Path(folder) / "mig.jsonl"
        )
        shared = set(selection.scores["id"]) & set(other.scores["id"])
        print(f"tacos and mig share {len(shared)} of 30 rows")

        comparison = tacos.compare(run, n=30, strategies=["tacos", "mig", "deita"])
        columns = ["strategy", "coverage", "mean_score", "mean_length"]
        print(comparison.table.select(columns))


if __name__ == "__main__":
    main()
