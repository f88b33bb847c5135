"""From a language model's replies to small models and back: `tacos distill`, `--llm FOLDER`, and
the cascade.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import orjson
import pytest
from tests.server import fault_server as servers
from tests.server.answering import fields
from tests.server.fault_server import Behaviour, FaultServer
from typer.testing import CliRunner

import tacos
from tacos import config
from tacos.cli import app
from tacos.config import Settings
from tacos.errors import (
    BudgetReachedError,
    ConfigError,
    InputError,
    ModelError,
    OutputError,
    RunError,
)
from tacos.models import tagger
from tacos.models.training import cards
from tacos.workflows import distill, dry_run
from tacos.workflows.select import OutputTargets, run_selection

TASKS = {
    "Summary": "Summarise a text about",
    "Poetry": "Write a poem about",
    "Translation": "Translate a text about",
    "Quiz": "Make a quiz about",
}
TOPICS = [
    "volcanoes",
    "gardening",
    "chess",
    "violins",
    "taxes",
    "whales",
    "bicycles",
    "cheese",
    "rockets",
    "football",
]
ENDINGS = (
    "",
    " please",
    ", briefly",
    " for children",
    " in detail",
    " today",
    " in verse",
    " for experts",
    " again",
    " as a letter",
    " with humour",
    " in two lines",
    " for a friend",
)
ROWS = [
    {
        "instruction": f"{words} {topic}{ending}.",
        "output": f"This is about {topic}. " * (1 + number % 9),
    }
    for number, (words, topic, ending) in enumerate(
        product(TASKS.values(), TOPICS, ENDINGS)
    )
]


def answer(messages: list[dict[str, str]]) -> dict[str, object]:
    """Tags that the text tells, and the longer response as the better one."""
    given = fields(messages)
    if "response_a" in given:
        scores = {
            f"{number}_{side}": min(100, 1 + len(given[f"response_{side}"]) // 3)
            for number in ("correctness", "value")
            for side in "ab"
        }
        return {"analysis": "The longer one says more.", **scores}
    text = given["instruction"]
    tags = [tag for tag, words in TASKS.items() if words in text] + [
        topic.title() for topic in TOPICS if topic in text
    ]
    return {"tags": [{"tag": tag, "explanation": "it says so"} for tag in tags]}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            patch.delenv(name, raising=False)
        patch.setenv("OPENAI_API_KEY", "sk-none")
        patch.setattr(servers, "answer", answer)
        with FaultServer(Behaviour()) as running:
            yield running


def settings(server: FaultServer, *sets: str, n: int = 40) -> Settings:
    llm = {"base_url": server.url, "model": "tiny-1", "retries": 1}
    static = {"normalise": {"encoder": "static"}, "cluster": {"encoder": "static"}}
    return config.load_settings(
        "robust", None, sets, tag={"model": "llm"}, llm=llm, select={"n": n}, **static
    )


def select(
    folder: Path, chosen: Settings, ledger: Path, until: str | None = None
) -> tacos.Selection:
    return run_selection(
        ROWS,
        chosen,
        OutputTargets(run=folder / "run"),
        ledger=ledger,
        workers=1,
        until=until,
    )


@pytest.fixture(scope="module")
def taught(
    tmp_path_factory: pytest.TempPathFactory, server: FaultServer
) -> tacos.Selection:
    """A run whose tags and verdicts are by the language model."""
    folder = tmp_path_factory.mktemp("taught")
    return select(
        folder,
        settings(server, "judge.model=llm", "pair.rounds=2"),
        folder / "ledger.sqlite",
    )


@pytest.fixture(scope="module")
def made(
    taught: tacos.Selection, tmp_path_factory: pytest.TempPathFactory
) -> distill.Distillation:
    return distill.distill(taught.run, tmp_path_factory.mktemp("made") / "mymodel")


def test_distilled_models_agree_with_the_language_model_on_what_they_have_not_seen(
    made: distill.Distillation,
) -> None:
    tags, judge = made.figures["tagger"], made.figures["judge"]
    assert tags["n"] + tags["trained on"] == tags["learned from"] == len(ROWS)
    assert (
        tags["exact"]["micro"] > 0.8 > 2 * tags["most frequent tags"]["exact"]["micro"]
    )
    assert judge["agreement"]["value"] > 0.8
    assert (
        judge["agreement"]["interval"][0]
        <= judge["agreement"]["value"]
        <= judge["agreement"]["interval"][1]
    )
    assert judge["n"] == judge["learned from"]


def test_the_card_says_where_they_came_from_and_what_they_are_worth(
    made: distill.Distillation,
) -> None:
    card = (made.folder / "card.md").read_text("utf-8")
    assert card.startswith("# Distilled from tiny-1\n")
    assert f"{made.figures['tagger']['exact']['micro']:.3f}" in card
    assert card.count("**Known failures.**") == 2
    assert "Use it with `--llm FOLDER`" in card
    assert "| mean of both numbers | " in card


def test_the_card_of_a_tagger_alone_gives_commands_that_run(
    made: distill.Distillation,
) -> None:
    source = {
        "run": "a.run",
        "rows": 3,
        "preset": "robust",
        "seed": 1,
        "input": "f00",
        "unsure": 0,
    }
    alone = {"tagger": made.figures["tagger"] | {"encoder": "minilm"}}
    card = cards.render_card(source, alone, {"judge": "too few"})
    assert "Use it with `--set tag.model=FOLDER`." in card, (
        "--llm would ask it to judge"
    )
    assert "`tacos distill a.run -o FOLDER --encoder minilm`" in card


def test_a_folder_of_models_stands_for_an_endpoint(
    made: distill.Distillation, server: FaultServer, tmp_path: Path
) -> None:
    data, before = tmp_path / "rows.jsonl", server.asked.total()
    data.write_bytes(b"\n".join(map(orjson.dumps, ROWS)))
    words = [
        "select",
        data,
        "-n",
        20,
        "-o",
        tmp_path / "out.jsonl",
        "--llm",
        made.folder,
        "--json",
        "--workers",
        1,
    ]
    words += ["--set", "normalise.encoder=static", "--set", "cluster.encoder=static"]
    run = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    found = orjson.loads(run.stdout)
    assert (found["models"]["tag"], found["models"]["grade"]) == (
        "distilled from tiny-1",
        "mymodel",
    )
    assert server.asked.total() == before, "no question left this machine"
    explained = tacos.load(tmp_path / "out.jsonl.run").explain("rows.jsonl:0")
    assert explained["tagged_by"] == ["distilled from tiny-1"]


def test_what_a_folder_lacks_is_named_with_the_setting_that_helps(
    made: distill.Distillation, tmp_path: Path
) -> None:
    for name in ("tagger.json", "tagger.safetensors"):
        (tmp_path / name).write_bytes((made.folder / name).read_bytes())
    words = ["select", str(tmp_path / "rows.jsonl"), "--llm", str(tmp_path)]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, ROWS)))
    with pytest.raises(ModelError, match=r"holds no judge.*judge\.model"):
        CliRunner().invoke(app, words, catch_exceptions=False)
    with pytest.raises(ConfigError, match="leave out --model"):
        CliRunner().invoke(app, [*words, "--model", "x"], catch_exceptions=False)


@pytest.mark.parametrize(
    "setting", ["tag.model=./mymodle", "tag.model=mymodle/", "judge.model=~/mymodle"]
)
def test_a_folder_that_is_not_there_is_an_error_and_no_model_of_an_endpoint(
    setting: str, server: FaultServer, tmp_path: Path
) -> None:
    before = server.asked.total()
    chosen = config.load_settings(
        "robust", None, [setting], llm={"base_url": server.url, "model": "tiny-1"}
    )
    with pytest.raises(ModelError, match="no such folder"):
        select(tmp_path, chosen, tmp_path / "ledger.sqlite")
    assert server.asked.total() == before, "nothing left this machine"


@pytest.mark.slow
def test_two_trainings_give_identical_files_and_an_older_model_makes_way(
    taught: tacos.Selection, made: distill.Distillation, tmp_path: Path
) -> None:
    old = tmp_path / "again"
    old.mkdir()
    (old / "card.md").write_text("an older one of ours")
    again = distill.distill(taught.run, old)
    for name in distill.FILES:
        assert (again.folder / name).read_bytes() == (made.folder / name).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_folder_of_somebody_else_is_left_alone(
    taught: tacos.Selection, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        distill.distill(taught.run, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "ten years of work"


def test_a_run_without_enough_replies_is_refused_and_says_how_many_there_are(
    tmp_path: Path,
) -> None:
    run_selection(
        ROWS[:60],
        config.load_settings(select={"n": 5}),
        OutputTargets(run=tmp_path / "run"),
        until="tag",
    )
    with pytest.raises(
        RunError,
        match="tagger: 0 tagged instructions by a language model, but at least 200",
    ):
        distill.distill(tmp_path / "run", tmp_path / "model")
    assert not (tmp_path / "model").exists()


CASCADE = ("cascade.sample=200", "cascade.unsure=10")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of the cascades."""
    return tmp_path_factory.mktemp("book") / "ledger.sqlite"


@pytest.fixture(scope="module")
def calm(
    tmp_path_factory: pytest.TempPathFactory, server: FaultServer, book: Path
) -> tacos.Selection:
    """A cascade that nobody disturbed."""
    before = server.asked.total()
    done = select(
        tmp_path_factory.mktemp("calm"),
        settings(server, *CASCADE),
        book,
        until="normalise",
    )
    assert server.asked.total() - before == 200 + 10
    return done


def test_a_cascade_asks_about_the_sample_and_what_the_small_model_is_least_sure_of(
    calm: tacos.Selection,
) -> None:
    done = calm
    small = "distilled from tiny-1-2026-01-01"
    assert done.summary.tagged_by == {"tiny-1-2026-01-01": 210, small: 310}
    assert done.summary.models == {
        "tag-sample": "tiny-1",
        "tag": "tiny-1",
        "normalise": "static",
    }
    assert 20 < done.summary.distilled["n"] < 60
    tags, guesses = (
        done.artifacts[name].scan().collect() for name in ("tags", "guesses")
    )
    assert (
        tags["id"].to_list()
        == done.artifacts["samples"].scan().collect()["id"].to_list()
    )
    assert (tags["reply"] == "").to_list() == (tags["model"] == small).to_list()
    kept = guesses.join(tags.filter(model=small), on=["id", "turn"])
    assert distill.describe_source(done)["unsure"] == 10
    assert (
        kept["sureness"].min()
        >= guesses.join(kept, on="id", how="anti")["sureness"].max()
    )


def test_a_cascade_that_was_stopped_at_every_stage_is_the_same_and_pays_nothing_twice(
    tmp_path: Path, server: FaultServer, calm: tacos.Selection, book: Path
) -> None:
    chosen, before = settings(server, *CASCADE), server.asked.total()
    for stage in ("tag-sample", "distill", "guess", "tag"):
        done = select(tmp_path, chosen, book, until=stage)
    names = ("sample_tags", "tagger", "guesses", "tags")
    assert [done.artifacts[name].digest for name in names] == [
        calm.artifacts[name].digest for name in names
    ]
    assert server.asked.total() == before, "the ledger has every reply"
    wider = select(
        tmp_path, settings(server, CASCADE[0], "cascade.unsure=0.5"), book, until="tag"
    )
    assert wider.made == ["tags"], "only who is asked again has changed"
    assert server.asked.total() - before == 160 - 10


def test_the_hard_cap_holds_in_a_cascade(tmp_path: Path, server: FaultServer) -> None:
    capped = settings(server, *CASCADE, "llm.budget=50requests")
    before = server.asked.total()
    with pytest.raises(BudgetReachedError):
        select(tmp_path, capped, tmp_path / "ledger.sqlite", until="tag")
    assert server.asked.total() - before <= 50


def test_a_sample_of_the_least_size_teaches_although_a_few_of_it_are_refused(
    tmp_path: Path,
    server: FaultServer,
    calm: tacos.Selection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sample = set(calm.artifacts["sample_tags"].scan().head(3).collect()["id"])
    texts = [ROWS[int(id_.rsplit(":", 1)[1])]["instruction"] for id_ in sample]
    monkeypatch.setattr(
        servers,
        "answer",
        lambda messages: (
            {"no": 1} if fields(messages)["instruction"] in texts else answer(messages)
        ),
    )
    done = select(
        tmp_path,
        settings(server, *CASCADE[:1], "cascade.unsure=0"),
        tmp_path / "book.sqlite",
        until="tag",
    )
    assert done.summary.tagged_by["tiny-1-2026-01-01"] == 197
    tags = done.artifacts["tags"].scan().collect()
    assert (
        tags["id"].to_list() == calm.artifacts["tags"].scan().collect()["id"].to_list()
    ), "none is missing"
    assert set(tags.filter(model="distilled from tiny-1-2026-01-01")["id"]) >= sample


def test_what_a_cascade_cannot_do_is_said_before_anything_is_asked(
    tmp_path: Path, server: FaultServer
) -> None:
    with pytest.raises(ConfigError, match="fewer than 200"):
        settings(server, "cascade.sample=20")
    with pytest.raises(ConfigError, match="--model"):
        select(
            tmp_path,
            config.load_settings("robust", None, CASCADE),
            tmp_path / "ledger.sqlite",
        )
    before, few = server.asked.total(), OutputTargets(run=tmp_path / "few")
    with pytest.raises(
        InputError, match="has 100 instructions to learn from and needs"
    ):
        run_selection(
            ROWS[:100],
            settings(server, *CASCADE),
            few,
            ledger=tmp_path / "l.sqlite",
            workers=1,
        )
    assert server.asked.total() == before


def test_a_dry_run_counts_the_questions_of_a_cascade(server: FaultServer) -> None:
    steps = {
        step.artifact: step
        for step in dry_run.forecast_run(ROWS, settings(server, *CASCADE))
    }
    assert (steps["sample_tags"].n_questions, steps["tags"].n_questions) == (200, 10)


def test_the_model_of_a_cascade_is_a_table_like_any_other(
    calm: tacos.Selection, tmp_path: Path
) -> None:
    for name, content in calm.artifacts["tagger"].scan().collect().rows():
        (tmp_path / name).write_bytes(content)
    assert set(tagger.load(tmp_path).tag([ROWS[0]["instruction"]])[0]) == {
        "Summary",
        "Volcanoes",
    }
