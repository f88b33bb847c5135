"""A recipe as the configuration of each trainer, and the authors' own configurations again."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.trainers.committed_values import (
    OF_THEIR_MACHINE,
    SAID_BY_US,
    TACOS,
    TAGLM,
    TAGLM_BATCH,
)

import tacos
from tacos.errors import ConfigError
from tacos.trainers import rendering
from tacos.trainers.recipe import RECIPES, Recipe, read_recipe
from tacos.trainers.rendering import TrlJob

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "train.md"
JOB = TrlJob(
    model="base",
    rows_file="train.jsonl",
    template_file="alpaca.jinja",
    output="out",
    seed=3,
    device="cpu",
    n_devices=1,
    save_steps=10,
)


def render_llama_factory(recipe: Recipe) -> dict[str, Any]:
    """The configuration as LLaMA-Factory reads it back from its YAML."""
    settings = rendering.build_llama_factory_settings(
        recipe,
        model=recipe.model,
        data_set="tacos_chat",
        output="out",
    )
    read: dict[str, Any] = yaml.safe_load(rendering.write_yaml(settings))
    return read


@pytest.mark.parametrize("name", TACOS)
def test_the_authors_recipe_is_theirs_field_by_field(name: str) -> None:
    theirs = TACOS[name]
    ours = render_llama_factory(read_recipe(name))
    for field in theirs.keys() - OF_THEIR_MACHINE:
        assert ours[field] == theirs[field], field
    said = {field: ours[field] for field in ours.keys() - theirs.keys()}
    assert said == SAID_BY_US


def test_taglm_is_as_its_paper_says() -> None:
    recipe = read_recipe("taglm-13b")
    ours = render_llama_factory(recipe)
    assert {field: ours[field] for field in TAGLM} == TAGLM
    per_device = (
        ours["per_device_train_batch_size"] * ours["gradient_accumulation_steps"]
    )
    assert per_device * recipe.devices == TAGLM_BATCH


@pytest.mark.parametrize("name", TACOS)
def test_the_table_of_the_page_says_what_is_rendered(name: str) -> None:
    ours = render_llama_factory(read_recipe(name))
    table = read_table("The authors' values")
    column = list(TACOS).index(name)
    fields = set()
    for field, theirs, rendered, *_ in table:
        fields.add(field)
        assert parse(theirs, column) == TACOS[name].get(field, "-"), field
        if field not in OF_THEIR_MACHINE:
            assert parse(rendered, column) == ours.get(field, "-"), field
    assert fields == ours.keys() | TACOS[name].keys()


def test_the_table_of_taglm_says_what_is_rendered() -> None:
    ours = render_llama_factory(read_recipe("taglm-13b"))
    table = read_table("TagLM's values")
    for field, theirs, rendered, *_ in table:
        assert parse(rendered, 0) == ours[field]
        assert parse(theirs, 0) in (TAGLM.get(field, "-"), ours[field])
    assert TAGLM.keys() <= {row[0] for row in table}


def read_table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading of the page, the cells without their code marks."""
    text = PAGE.read_text("utf-8").split(f"## {heading}\n", 1)[1]
    rows = []
    for line in text.split("\n## ")[0].splitlines():
        if not line.startswith("| `"):
            continue
        cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        rows.append(cells)
    return rows


def parse(cell: str, column: int) -> Any:
    """A cell as a value: one for all three models, or three with slashes between."""
    parts = re.split(r" / ", cell)
    value = parts[column if len(parts) > 1 else 0]
    return value if value in ("no", "-") else yaml.safe_load(value)


@pytest.mark.parametrize("name", RECIPES)
def test_all_trainers_get_the_same_values(name: str) -> None:
    recipe = read_recipe(name)
    llama_factory = render_llama_factory(recipe)
    trl = rendering.build_trl_settings(recipe, "messages", JOB)
    axolotl = rendering.build_axolotl_settings(recipe, model="base", output="out")
    same = (
        "learning_rate",
        "weight_decay",
        "adam_beta1",
        "adam_beta2",
        "max_grad_norm",
    )
    for field in (*same, "bf16", "gradient_checkpointing"):
        assert trl[field] == llama_factory[field] == axolotl[field]
    assert trl["num_train_epochs"] == axolotl["num_epochs"] == recipe.epochs
    assert trl["max_length"] == llama_factory["cutoff_len"] == recipe.max_length
    noise = recipe.neftune_alpha or None
    for settings in (trl, llama_factory, axolotl):
        assert settings.get("neftune_noise_alpha") == noise
    rows = trl["per_device_train_batch_size"] * trl["gradient_accumulation_steps"]
    assert rows == recipe.batch_size


def test_trl_trains_on_answers_alone_in_both_layouts() -> None:
    tiny = read_recipe("tiny")
    pairs = rendering.build_trl_settings(tiny, "prompt-completion", JOB)
    chats = rendering.build_trl_settings(tiny, "messages", JOB)
    assert pairs["completion_only_loss"] is True
    assert chats["assistant_only_loss"] is True


def test_without_a_gpu_nothing_of_gpus_is_asked_for() -> None:
    recipe = read_recipe("small", ["tf32=true"])
    on_cpu = rendering.build_trl_settings(recipe, "messages", JOB)
    assert on_cpu["use_cpu"] is True
    assert "tf32" not in on_cpu


def test_nothing_is_reported_to_anybody() -> None:
    trl = rendering.build_trl_settings(read_recipe("tiny"), "messages", JOB)
    assert trl["report_to"] == "none"
    assert render_llama_factory(read_recipe("paper-mistral-7b"))["report_to"] == "none"


@pytest.mark.parametrize(
    "value", [1e-5, 2.5e-7, 1e22, 0.1, 15, True, "no", "a: b", [1], None]
)
def test_yaml_reads_every_value_back(value: Any) -> None:
    text = rendering.write_yaml({"value": value})
    assert yaml.safe_load(text) == {"value": value}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("trainer", ["trl", "llama-factory", "axolotl"])
def test_an_export_by_a_recipe_has_the_whole_configuration(
    name: str, trainer: str, tmp_path: Path
) -> None:
    recipe = read_recipe(name)
    rows = [{"instruction": "Add.", "input": "1 and 2", "output": "3"}] * 3
    exported = tacos.export(rows, trainer, tmp_path / "train", recipe=name)
    file = next(name for name in exported.files if name.endswith(".yaml"))
    text = (tmp_path / "train" / file).read_text("utf-8")
    assert f"hash {recipe.hash}" in text.splitlines()[0]
    settings = yaml.safe_load(text)
    assert settings["learning_rate"] == recipe.learning_rate
    length = settings.get("max_length" if trainer == "trl" else "cutoff_len")
    assert (length or settings["sequence_len"]) == recipe.max_length
    assert settings.get("val_size", settings.get("val_set_size", 0)) in (
        recipe.held_out,
        0,
    )
    written = (tmp_path / "train" / exported.files[0]).read_text("utf-8")
    is_framed = "### Instruction: Add. ### Input: 1 and 2" in written
    assert is_framed == (recipe.frame == "alpaca-line")
    # A recipe for any model leaves its name to the user, and says so where it is read.
    is_open = "MODEL stands for the model to train" in text
    assert (
        is_open == (not recipe.model) == any("MODEL" in line for line in exported.usage)
    )
    assert "how to train" not in text


def test_an_export_by_a_recipe_refuses_what_the_recipe_decides() -> None:
    rows = [{"instruction": "Add.", "output": "3"}]
    with pytest.raises(ConfigError, match="leave out --template and --max-tokens"):
        tacos.export(rows, "trl", recipe="small", template="chatml", check=True)
    with pytest.raises(
        ConfigError, match="--recipe is for trl, llama-factory, axolotl"
    ):
        tacos.export(rows, "sharegpt", recipe="small", check=True)
    with pytest.raises(ConfigError, match="for 1,000 rows at most"):
        tacos.export(rows * 1001, "trl", recipe="paper-llama2-7b", check=True)
