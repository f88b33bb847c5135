"""First occurrences of hashes across a stream."""

import numpy as np

from tacos.store.seen_hashes import FirstOccurrences, hash_keys


def check(seen: FirstOccurrences, hashes: list[int], first_row: int) -> list[int]:
    rows = np.arange(first_row, first_row + len(hashes), dtype=np.int64)
    return seen.check(np.array(hashes, np.uint64), rows).tolist()


def test_a_later_row_is_told_the_first_one() -> None:
    seen = FirstOccurrences()
    assert check(seen, [7, 8, 7, 9, 7], 0) == [-1, -1, 0, -1, 0]
    assert check(seen, [9, 1, 1, 7], 5) == [3, -1, 6, 0]
    assert check(seen, [], 9) == []
    assert check(seen, [(1 << 64) - 1, 0, (1 << 64) - 1], 9) == [-1, -1, 9]
    assert len(seen) == 6


def test_memory_is_16_bytes_per_distinct_hash_in_few_runs() -> None:
    seen = FirstOccurrences()
    rng = np.random.default_rng(1)
    for start in range(0, 200_000, 1_000):
        seen.check(
            rng.integers(0, 1 << 63, 1_000, dtype=np.uint64),
            np.arange(start, start + 1_000),
        )
    assert sum(keys.nbytes + rows.nbytes for keys, rows in seen._runs) == 16 * len(seen)
    assert len(seen._runs) <= 4


def test_no_merge_takes_a_copy_of_all_hashes() -> None:
    seen = FirstOccurrences(longest_run=5_000)
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 1 << 63, 300_000, dtype=np.uint64)
    most_at_once = 0
    for start in range(0, len(hashes), 1_000):
        # Held, so that no new run stands at the address of one that is gone.
        held = [keys for keys, _ in seen._runs]
        before = {id(keys) for keys in held}
        rows = np.arange(start, start + 1_000)
        seen.check(hashes[start : start + 1_000], rows)
        made = [len(keys) for keys, _ in seen._runs if id(keys) not in before]
        share = max(5_000, len(seen) / 4)
        assert max(made) <= share
        most_at_once = max(most_at_once, *made)
    # Runs are merged all the same, and every hash is found in one of them.
    assert most_at_once > 50_000
    assert len(seen._runs) <= 20
    found = seen.check(hashes, np.arange(len(hashes)) + len(hashes))
    assert found.tolist() == list(range(len(hashes)))


def test_keys_are_the_first_64_bits() -> None:
    assert hash_keys(["0" * 15 + "1" + "f" * 16, "f" * 32]).tolist() == [
        1,
        (1 << 64) - 1,
    ]
    assert hash_keys([]).tolist() == []
