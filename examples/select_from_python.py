"""Select 20 rows of the bundled sample, and ask why one row was kept and another one dropped."""

from pathlib import Path

import tacos

SAMPLE = Path(__file__).resolve().parents[1] / "demo" / "sample.jsonl"


def main() -> None:
    """Select, and print what was selected."""
    selection = tacos.select(SAMPLE, n=20)

    best = selection.scores.sort("rank").head(5)
    for row in best.iter_rows(named=True):
        print(
            f"{row['rank']:>3}  {row['score']:5.1f}  {row['id']:<18} {', '.join(row['tags'])}"
        )

    all_ids = {f"sample.jsonl:{i}" for i in range(100)}
    dropped = min(all_ids - set(selection.scores["id"]))
    for row_id in (best["id"][0], dropped):
        reasons = selection.explain(row_id)
        print(f"{row_id}: {reasons['verdict']}")


if __name__ == "__main__":
    main()
