"""Tags on the command line: what overrides and a vocabulary did is said where the run is made, not
only on asking.
"""

import json
import tomllib
from pathlib import Path

import pytest
from tests.unit.cli.test_select import tacos

from tacos.methods.tags.overrides import parse_overrides

TAGS = ("Poetry Writing", "Geometry", "Cooking", "Cook\ning")
UNTIL = (
    "--until",
    "canonicalise",
    "--set",
    "ingest.tags=tags",
    "--set",
    "normalise.alpha=1",
    "--set",
    "normalise.semantic=distance",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve rows that bring their tags."""
    file = tmp_path_factory.mktemp("tagged") / "data.jsonl"
    rows = [
        {"instruction": f"Do {k}.", "output": f"Done {k}.", "tags": [TAGS[k % 4]]}
        for k in range(12)
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    out = data.with_name("out.jsonl")
    code, printed = tacos("select", data, "-n", 3, "-o", out, *UNTIL)
    assert code == 0, printed
    return Path(f"{out}.run")


def test_names_in_an_override_file_that_no_tag_has_are_told_by_select_and_analyse(
    data: Path, tmp_path: Path
) -> None:
    names = {"drop": [f"Typo {k}" for k in range(7)]}
    (tmp_path / "by-hand.json").write_text(json.dumps(names))
    overrides = ("--overrides", tmp_path / "by-hand.json")
    code, printed = tacos(
        "select", data, "-n", 3, "-o", tmp_path / "out.jsonl", *UNTIL, *overrides
    )
    assert (code, printed.count("no tag is called 'Typo")) == (0, 5)
    assert "and 2 more" in printed
    code, printed = tacos(
        "analyse",
        f"{tmp_path / 'out.jsonl'}.run",
        "--set",
        "normalise.alpha=1",
        *overrides,
    )
    assert (code, printed.count("no tag is called 'Typo")) == (0, 7)


def test_select_says_how_far_a_vocabulary_has_the_tags(
    data: Path, run: Path, tmp_path: Path
) -> None:
    vocabulary = tmp_path / "vocabulary.json"
    assert tacos("tags", run, "--publish", vocabulary)[0] == 0
    known = json.loads(vocabulary.read_text())
    known["tags"] = {"Cooking": {"Cooking": 3}, "Geometry": {"Geometry": 3}}
    vocabulary.write_text(json.dumps(known | {"encoder": "static"}))
    code, printed = tacos(
        "select",
        data,
        "-n",
        3,
        "-o",
        tmp_path / "out.jsonl",
        *UNTIL,
        "--vocabulary",
        vocabulary,
    )
    told = " ".join(printed.replace("│", " ").split())
    assert code == 0, printed
    assert (
        "has 50.0% of 12 tag occurrences; 50.0% are new and left out, most often Cook"
        in told
    )
    assert "made with the encoder static, and tags are looked up with minilm" in told


def test_a_tag_that_is_not_there_is_answered_with_those_that_have_its_words(
    run: Path,
) -> None:
    code, printed = tacos("tags", run, "--tag", "poetry")
    assert (code, "similar tags: 'Poetry Writing', 'Geometry'" in printed) == (2, True)


def test_a_tag_with_a_line_break_stays_on_its_line(run: Path) -> None:
    assert "Cook�ing" in tacos("tags", run)[1]
    assert (
        "Cook�ing: seen 3 times, kept as it is"
        in tacos("tags", run, "--tag", "Cook\ning")[1]
    )
    assert "most frequent" not in tacos("tags", run, "--top", 0)[1]


def test_the_written_rows_given_for_the_run_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("{}")
    _, unknown = tacos("tags", tmp_path / "out.jsonl")
    assert "name the folder of the run" in unknown
    (tmp_path / "out.jsonl.run").mkdir()
    code, printed = tacos("tags", tmp_path / "out.jsonl")
    assert (code, printed) == (
        2,
        f"{tmp_path}/out.jsonl is a file; a run is a folder, such as {tmp_path}/out.jsonl.run",
    )


def test_more_tags_than_can_be_clustered_are_refused_before_they_are_embedded(
    data: Path, tmp_path: Path
) -> None:
    sets = (
        "--set",
        "ingest.tags=tags",
        "--set",
        "normalise.alpha=1",
        "--set",
        "cluster.max_tags=2",
        "--set",
        "normalise.semantic=off",
    )
    by_tags = ("--set", "cluster.by=tags")
    output = tmp_path / "out.jsonl"
    code, printed = tacos("select", data, "-n", 3, "-o", output, *sets, *by_tags)
    assert (code, "4 distinct tags are to be clustered, more than 2" in printed) == (
        2,
        True,
    )
    code, printed = tacos(
        "select",
        data,
        "-n",
        3,
        "-o",
        tmp_path / "out.jsonl",
        *sets,
        "--set",
        "cluster.by=embedding",
    )
    assert code == 0, printed


def test_the_override_file_of_the_guide_is_one() -> None:
    text = (
        (Path(__file__).parents[3] / "docs" / "how-to" / "tags.md")
        .read_text("utf-8")
        .partition("```toml\n")[2]
        .partition("```")[0]
    )
    found = parse_overrides(tomllib.loads(text))
    assert found.drop
    assert found.keep_apart
    assert found.merge
    assert found.rename


def test_a_vocabulary_is_never_written_over_one_that_somebody_edited(
    run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "vocabulary.json"
    assert [tacos("tags", run, "--publish", file)[0] for _ in range(2)] == [0, 0]
    file.write_text("{}")
    code, printed = tacos("tags", run, "--publish", file)
    assert (code, "somebody may have edited it" in printed, file.read_text()) == (
        2,
        True,
        "{}",
    )
