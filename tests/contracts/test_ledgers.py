"""The contract of a ledger: what is put is there, once, and leases keep two processes off one
question, whichever database keeps it.
"""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
import pytest

from tacos.errors import TacosError
from tacos.llm.ledger import lease_holders
from tacos.llm.ledger.ledger import Ledger, open_ledger
from tacos.llm.ledger.removal import ReplyFilter
from tacos.llm.ledger.schema import LedgerEntry, Submission

HERE = "http://here/v1"
THERE = "http://there/v1"
DAY = 86_400

pytestmark = pytest.mark.timeout(120)


def entry(
    key: str,
    raw: str = "{}",
    model: str = "m",
    at: float = 1.8e9,
    endpoint: str = HERE,
) -> LedgerEntry:
    return LedgerEntry(
        *(key, model, f"{model}-1", "tag", "stop", 10, 5, 0.2),
        *(at, "online", raw, endpoint),
    )


@pytest.fixture
def other(book: Ledger, location: str) -> Iterator[Ledger]:
    """The same ledger, opened once more, as another process has it."""
    with open_ledger(location) as opened:
        yield opened


def put(book: Ledger, *entries: LedgerEntry) -> None:
    """Write entries as a client does, and wait until they are on disk."""
    for each in entries:
        book.put(each, lambda written, error: None)
    book.flush()


# Replies


def test_what_is_put_is_there_when_its_receiver_is_told(
    book: Ledger, other: Ledger
) -> None:
    told, done = [], threading.Event()

    def receiver(entries: list[LedgerEntry], failure: TacosError | None) -> None:
        told.append((entries, failure, other.size().n_replies))
        done.set()

    book.put(entry("a"), receiver)
    assert done.wait(20)
    assert told == [([entry("a")], None, 1)]
    assert book.get(["a", "b"]) == {"a": entry("a")}


def test_replies_are_committed_in_groups(book: Ledger) -> None:
    groups: list[int] = []

    def receiver(entries: list[LedgerEntry], failure: TacosError | None) -> None:
        groups.append(len(entries))

    for number in range(2000):
        book.put(entry(str(number)), receiver)
    book.flush()
    assert sum(groups) == 2000
    assert len(groups) < 500
    assert len(book.get([str(number) for number in range(2000)])) == 2000


def test_the_first_reply_stays(book: Ledger) -> None:
    assert book.put_all([entry("a", "first"), entry("b")]) == 2
    assert book.put_all([entry("a", "second"), entry("c"), entry("c")]) == 1
    assert book.get(["a"])["a"].raw == "first"


@pytest.mark.parametrize(
    "raw",
    ["", "ü\n\t😀", "a\x00b", "x" * 3_000_000, '{"a": "\\u0000"}'],
    ids=["empty", "signs", "character 0", "3 MB", "escape"],
)
def test_a_reply_comes_back_as_it_was(book: Ledger, raw: str) -> None:
    given = entry("a", raw)._replace(latency=1, at=1.5e9 + 1 / 3, prompt_tokens=2**40)
    book.put_all([given])
    assert book.get(["a"])["a"] == given
    assert list(book.entries()) == [given]


def test_a_name_that_no_database_can_hold_loses_no_reply(book: Ledger) -> None:
    given = entry("a", "kept")._replace(model="m\x00", finish="stop\x00")
    put(book, given)
    kept = book.get(["a"])["a"]
    assert (kept.raw, kept.model[0], kept.finish[:4]) == ("kept", "m", "stop")


def test_any_number_of_keys_is_looked_up_at_once(book: Ledger) -> None:
    keys = [f"{number:05}" for number in range(40_000)]
    book.put_all([entry(key) for key in keys[::100]])
    assert book.get(keys).keys() == set(keys[::100])
    assert book.get([]) == {}
    assert book.put_all([]) == 0
    assert book.take([]) == ({}, set(), set())


def test_replies_are_told_in_the_order_of_the_bytes_of_their_keys(book: Ledger) -> None:
    keys = ["b", "B", "a~1", "a", "é", "10", "9", "a-", "_"]
    book.put_all([entry(key) for key in keys])
    assert [each.key for each in book.entries()] == sorted(keys)


def test_replies_that_others_count_count_nothing(book: Ledger) -> None:
    book.put_all([entry("group"), entry("else")])
    assert book.put_all([entry("one"), entry("two")], ["group"]) == 2
    tokens = {each.key: each.prompt_tokens for each in book.entries()}
    assert tokens == {"group": 0, "else": 10, "one": 10, "two": 10}


def test_an_old_reply_makes_room_for_a_new_one_and_stays(book: Ledger) -> None:
    book.put_all([entry(key, at=100.0) for key in "ab"])
    book.put_all([entry("new", at=book.opened_at + 1)])
    # Whoever asks anew finds nothing older than the command; the old replies are still there.
    assert book.take(["a", "b", "new"], True).ours == {"a", "b"}
    assert book.take(["a", "b", "new"]).known.keys() == {"a", "b", "new"}
    book.release(["b"])
    put(book, entry("a", at=book.opened_at + 2), entry("new", at=book.opened_at + 3))
    assert book.get(["a"])["a"].at == book.opened_at + 2
    assert book.get(["new"])["new"].at == book.opened_at + 1  # of this command
    assert book.take(["a", "b", "new"], True).ours == {"b"}
    assert book.size().n_replies == 4
    assert sum(row.n_replies for row in book.spend()) == 4
    assert book.put_better([entry("a", at=500.0)], lambda new, known: True) == 1
    assert book.get(["a"])["a"].at == 500.0
    assert book.size().n_replies == 5


def test_replies_are_found_by_every_criterion_and_only_these_are_removed(
    book: Ledger, other: Ledger
) -> None:
    book.put_all([entry("a", at=100.0), entry("b", at=200.0)])
    book.put_all([entry("c", at=100.0, endpoint=THERE)])
    keys = {
        wanted: [reply.entry.key for reply in book.find(wanted)]
        for wanted in (
            ReplyFilter(),
            ReplyFilter(model="m", endpoint=THERE),
            ReplyFilter(since=200.0),
            ReplyFilter(until=200.0),
            ReplyFilter(model="x"),
            ReplyFilter(endpoint=""),
        )
    }
    assert list(keys.values()) == [["a", "c", "b"], ["c"], ["b"], ["a", "c"], [], []]
    found = list(book.find(ReplyFilter(endpoint=THERE)))
    # A question that is asked anew meanwhile: the reply that was found goes, the new one stays.
    put(book, entry("c", at=book.opened_at + 1))
    book.take(["leased"])
    assert book.remove(found) == 1
    assert book.remove(found) == 0
    assert [each.key for each in book.entries()] == ["a", "b", "c"]
    assert other.take(["leased"]).theirs == {"leased"}


def test_others_write_while_all_replies_are_read(book: Ledger, other: Ledger) -> None:
    book.put_all([entry(f"{number:04}") for number in range(2000)])
    reading = book.entries()
    first = next(reading)
    assert other.put_all([entry("9999")]) == 1
    rest = [each.key for each in reading]
    assert first.key == "0000"
    assert rest[:1999] == [f"{number:04}" for number in range(1, 2000)]


# Leases


def test_a_lease_keeps_others_off_until_it_is_given_up(
    book: Ledger, other: Ledger
) -> None:
    assert book.take(["a", "b"]).ours == {"a", "b"}
    assert book.take(["a"]).ours == {"a"}
    assert other.take(["b", "c"]) == ({}, {"c"}, {"b"})
    other.release(["b"])  # it is not theirs to give up
    assert other.take(["b"]).theirs == {"b"}
    book.release(["b"])
    assert other.take(["b"]).ours == {"b"}
    book.put_all([entry("a")])
    assert other.take(["a"]).known == {"a": entry("a")}
    # Who has answered has no lease any more.
    book.remove(list(book.find(ReplyFilter())))
    assert other.take(["a"]).ours == {"a"}


def test_leases_end_with_their_ledger(book: Ledger, location: str) -> None:
    with open_ledger(location) as other:
        other.take(["a"])
        assert book.take(["a"]).theirs == {"a"}
    assert book.take(["a"]).ours == {"a"}


def test_leases_of_a_dead_process_are_void_at_once(book: Ledger, location: str) -> None:
    code = f"""
import os, signal
from tacos.llm.ledger.ledger import open_ledger
assert open_ledger({location!r}).take(["a", "b"]).ours
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert book.take(["a"]).ours == {"a"}


def test_leases_of_another_machine_hold_until_they_end(
    book: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.holder = "elsewhere/1/1/x"
    monkeypatch.setattr(lease_holders, "LEASE", 2.0)
    assert other.take(["a", "b"]).ours == {"a", "b"}
    assert book.take(["a"]).theirs == {"a"}
    time.sleep(2.2)  # it is not renewed in that time
    assert book.take(["a"]).ours == {"a"}
    # Whoever stood still has lost what others have taken meanwhile, and nothing else.
    assert other.take(["a", "c"]) == ({}, {"c"}, {"a"})
    assert book.take(["b"]).ours == {"b"}


def test_leases_hold_as_long_as_their_process_renews_them(
    book: Ledger, other: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.holder = "elsewhere/1/1/x"
    monkeypatch.setattr("tacos.llm.ledger.group_writer.LEASE", 0.3)
    monkeypatch.setattr(lease_holders, "LEASE", 1.0)
    other.take(["a"])
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        assert book.take(["a"]).theirs == {"a"}
        time.sleep(0.1)


def test_many_holders_never_get_the_same_question_nor_one_that_is_answered(
    book: Ledger, location: str
) -> None:
    """Eight holders take, answer and give up overlapping keys in any order, as fast as they can."""
    n_holders = 8
    keys = [f"{number:04}" for number in range(400)]
    bought: list[str] = []
    holding: dict[str, int] = {}
    faults: list[str] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        chance = random.Random(number)
        with open_ledger(location) as mine:
            left = set(keys)
            while left:
                wanted = chance.sample(sorted(left), min(40, len(left)))
                known, ours, theirs = mine.take(wanted)
                if set(wanted) != known.keys() | ours | theirs:
                    faults.append("a key is nowhere")
                left -= known.keys()
                given_up = {key for key in ours if chance.random() < 0.3}
                with lock:
                    faults.extend(key for key in ours if key in holding)
                    holding.update(dict.fromkeys(ours, number))
                    bought.extend(ours - given_up)
                time.sleep(0.002)
                with lock:
                    for key in ours:
                        del holding[key]
                put(mine, *[entry(key) for key in ours - given_up])
                mine.release(given_up)

    with ThreadPoolExecutor(n_holders) as threads:
        list(threads.map(work, range(n_holders)))
    assert not faults
    assert sorted(bought) == keys
    assert book.get(keys).keys() == set(keys)


def test_several_processes_make_a_new_ledger_at_once(location: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        opened = list(threads.map(open_ledger, [location] * 8))
    counts = [book.put_all([entry(f"{n}")]) for n, book in enumerate(opened)]
    assert counts == [1] * 8
    assert {book.size().n_replies for book in opened} == {8}
    for book in opened:
        book.close()


# Figures and notes


def test_spend_is_told_by_model_day_way_and_endpoint(book: Ledger) -> None:
    book.put_all(
        [
            *(entry("a", model="x"), entry("b", model="x"), entry("c", model="y")),
            *(entry("d", at=1.8e9 + DAY), entry("e", model="x", endpoint=THERE)),
            entry("f", model="Z", at=1.8e9 + DAY)._replace(way="batch"),
        ]
    )
    assert [tuple(row) for row in book.spend()] == [
        ("Z", "2027-01-16", "batch", 1, 10, 5, HERE),
        ("m", "2027-01-16", "online", 1, 10, 5, HERE),
        ("x", "2027-01-15", "online", 2, 20, 10, HERE),
        ("x", "2027-01-15", "online", 1, 10, 5, THERE),
        ("y", "2027-01-15", "online", 1, 10, 5, HERE),
    ]
    size = book.size()
    assert size.n_replies == 6
    assert size.n_bytes > 1000


def test_notes_are_forgotten_after_a_while(book: Ledger) -> None:
    book.note("server", "json_schema")
    book.note("server", "json_object")
    assert book.noted("server", 60) == "json_object"
    assert book.noted("server", 0) == ""
    assert book.noted("other", 60) == ""


def test_submissions_are_kept_until_they_are_deleted(
    book: Ledger, other: Ledger
) -> None:
    first = Submission("mark", "http://s", "file", "", ("a", "b"))
    book.put_submission(first)
    book.put_submission(Submission("mark 2", "http://else", "file", "batch", ()))
    assert other.list_submissions("http://s") == [first]
    named = Submission("mark", "http://s", "file", "batch-1", ("b",))
    other.put_submission(named)
    assert book.list_submissions("http://s") == [named]
    book.delete_submission("mark")
    assert book.list_submissions("http://s") == []


# Export and import


def test_export_and_import_give_the_same_ledger(book: Ledger, tmp_path: Path) -> None:
    book.put_all(
        [entry(str(number), raw=f'{{"text": "ü\\n{number}"}}') for number in range(700)]
    )
    assert book.export(tmp_path / "out.jsonl") == 700
    lines = [
        *(tmp_path / "out.jsonl").read_bytes().splitlines(),
        *(b"", b"nonsense", b'{"key": "x"}'),
    ]
    assert book.restore(lines) == (0, 700, 2)
    with open_ledger(tmp_path / "second.sqlite") as second:
        assert second.restore(lines) == (700, 0, 2)
        assert list(second.entries()) == list(book.entries())
        second.export(tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (
        tmp_path / "out.jsonl"
    ).read_bytes()


def test_lines_of_an_old_export_have_no_endpoint(book: Ledger) -> None:
    old = b'{"key":"k","asked":"m","model":"m","task":"tag","finish":"stop","prompt_tokens":1,'
    old += b'"answer_tokens":1,"latency":0.5,"at":1.0,"way":"online","raw":"{}"}'
    assert book.restore([old]) == (1, 0, 0)
    assert book.get(["k"])["k"].endpoint == ""


def test_lines_of_the_wrong_kinds_are_unreadable(book: Ledger) -> None:
    good = entry("k")._asdict()
    bad = [
        {"key": None},
        {"raw": {}},
        {"prompt_tokens": "many"},
        {"at": "today"},
    ]
    lines = [orjson.dumps({**good, **each}) for each in bad]
    tokens = b'"prompt_tokens":10'
    lines.append(orjson.dumps(good).replace(tokens, tokens + b"0" * 30))
    assert book.restore([*lines, orjson.dumps(good)]) == (1, 0, 5)
