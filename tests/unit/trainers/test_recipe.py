"""Recipes: their values, their hashes, and what is said where one is wrong."""

from pathlib import Path

import pytest

from tacos.errors import ConfigError
from tacos.formats.templates import TEMPLATES
from tacos.trainers.recipe import RECIPES, Recipe, build_recipe, read_recipe

TINY = read_recipe("tiny")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete_and_names_a_template_of_ours(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    assert recipe.template in TEMPLATES
    assert recipe.description
    assert recipe.source
    assert recipe.count_accumulated(recipe.devices) >= 1


def test_every_file_of_a_recipe_is_listed() -> None:
    folder = Path(__file__).parents[3] / "src" / "tacos" / "trainers" / "recipes"
    assert sorted(RECIPES) == sorted(path.stem for path in folder.glob("*.toml"))


@pytest.mark.parametrize(
    "given",
    [
        "max_length=256",
        "epochs=2",
        "batch_size=16",
        "micro_batch_size=4",
        "learning_rate=5e-5",
        "template=alpaca",
        'frame="alpaca-line"',
        "held_out=10%",
        "precision=bf16",
        "neftune_alpha=5",
    ],
)
def test_what_is_learned_changes_the_hash(given: str) -> None:
    assert read_recipe("tiny", [given]).hash != TINY.hash


@pytest.mark.parametrize(
    "given",
    [
        "seed=7",
        "model=OWNER/NAME",
        "devices=2",
        "gradient_checkpointing=true",
        'description="Another."',
        "needs_gpu=true",
        "llama_factory={plot_loss=true}",
    ],
)
def test_what_is_not_learned_leaves_the_hash(given: str) -> None:
    changed = read_recipe("tiny", [given])
    assert changed.hash == TINY.hash
    assert changed != TINY


def test_the_hash_does_not_depend_on_the_name_of_the_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    folder = Path(__file__).parents[3] / "src" / "tacos" / "trainers" / "recipes"
    mine.write_bytes((folder / "tiny.toml").read_bytes())
    recipe = read_recipe(mine)
    assert (recipe.name, recipe.hash) == ("mine", TINY.hash)
    assert read_recipe(mine, ["epochs=2"]).name == "mine (changed)"


def test_a_manifest_keeps_a_recipe_whole() -> None:
    assert build_recipe(TINY.model_dump(mode="json")) == TINY


@pytest.mark.parametrize(
    ("name", "sets", "says"),
    [
        (
            "smal",
            [],
            "unknown recipe 'smal'; choose from small, tiny.*did you mean 'small'",
        ),
        ("nowhere.toml", [], "nowhere.toml does not exist; check the name"),
        ("tiny", ["epoch=2"], "no value 'epoch'; did you mean 'epochs'"),
        ("tiny", ["epochs=0"], "epochs must be above 0, not 0"),
        ("tiny", ["epochs=inf"], "epochs must be a finite number, not inf"),
        (
            "tiny",
            ["max_gradient=1e999"],
            "max_gradient must be a finite number, not inf",
        ),
        ("tiny", ["epochs=many"], "epochs must be a number, not 'many'"),
        (
            "tiny",
            ["schedule=step"],
            "schedule must be 'linear', 'cosine' or 'constant'",
        ),
        ("tiny", ["held_out=2"], "held_out must be at most 1, not 2"),
        (
            "tiny",
            ["template=chatlm"],
            "unknown template 'chatlm'.*did you mean 'chatml'",
        ),
    ],
)
def test_a_wrong_recipe_is_one_line(name: str, sets: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read_recipe(name, sets)
    assert "\n" not in str(caught.value)


def test_a_value_that_is_missing_is_asked_for() -> None:
    values = TINY.model_dump(mode="json")
    del values["beta2"]
    with pytest.raises(ConfigError, match="says nothing of beta2: add it"):
        build_recipe(values)


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    recipe = read_recipe("tiny", ["batch_size=12"])
    with pytest.raises(
        ConfigError, match="12 is no multiple of micro_batch_size 8 x 1"
    ):
        recipe.count_accumulated(1)


def test_every_value_of_a_recipe_says_what_it_means() -> None:
    assert all(field.description for name, field in Recipe.model_fields.items())
