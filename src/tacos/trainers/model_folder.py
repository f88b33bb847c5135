"""Folders of models that can be asked: those of `tacos train`, and any that transformers loads.

A folder is checked before anything is started: weights, tokenizer and template must be there, and a
model is asked in the template that it was trained with.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tacos.errors import ConfigError, ModelError
from tacos.formats.templates import TEMPLATES, read_template
from tacos.records import canonical_hash
from tacos.store.files import digest_files
from tacos.trainers.recipe import Frame, Recipe
from tacos.trainers.trained_folder import (
    CHAT_TEMPLATE,
    MANIFEST,
    MODEL,
    Training,
    is_trained_folder,
    read_training,
)

WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
TOKENIZER_SETTINGS = "tokenizer_config.json"


@dataclass(frozen=True)
class ModelFolder:
    """A model that can be asked, and how it is asked."""

    path: Path
    """The folder that transformers loads."""
    name: str
    template: str
    """The text of the chat template."""
    template_hash: str
    """Of that text, as in the manifest of a training."""
    frame: Frame
    """What stands around a question beside the template, as in training."""
    digest: str
    """Of all files that decide what it answers."""
    has_other_template: bool = False
    """Whether the folder has a template of its own, in whose place another one was given."""


def open_model_folder(folder: Path, template: str | None = None) -> ModelFolder:
    """A folder of `tacos train`, or any other with weights and tokenizer.

    Args:
        folder: Its path.
        template: The name of a template of tacos, or the path of a .jinja file; needed where the
            folder has none.

    Raises:
        ConfigError: There is no such template, none at all, or another one than trained with.
        ModelError: The folder lacks something that a model needs.
        RunError: Its training is not finished, or of another version of tacos.
    """
    training = None
    path = folder
    if is_trained_folder(folder) or (folder / MODEL).is_dir():
        training = read_training(folder)
        path = folder / MODEL
    check_model_files(path)
    given = None if template is None else _read_given_template(template)
    own = _read_own_template(path)
    text = given or own
    if text is None:
        raise ConfigError(
            f"{folder} has no chat template: name the one that it was trained with "
            f"(--template {', '.join(TEMPLATES)} or FILE.jinja)"
        )
    if training is not None:
        _check_trained_template(folder, training, text)
    return ModelFolder(
        path=path,
        name=folder.resolve().name,
        template=text,
        template_hash=canonical_hash(text),
        frame="none" if training is None else training.read_recipe().frame,
        digest=_digest_folder(path),
        has_other_template=own is not None and own != text,
    )


def choose_base_model(given: str | Path | None, recipe: Recipe) -> str:
    """The model that a training begins with: a folder that holds one, or a name on the hub.

    Args:
        given: A folder, that of a training included, or a name; None for the recipe's.
        recipe: The recipe of the training.

    Raises:
        ConfigError: None is named, or its folder does not exist.
        ModelError: The folder lacks something that a model needs.
    """
    name = str(given or recipe.model)
    if not name:
        raise ConfigError(
            f"the recipe {recipe.name} is for any model: name one with --model (a folder, or a "
            "name on the Hugging Face hub)"
        )
    path = Path(name)
    if is_trained_folder(path):
        path = path / MODEL
        name = str(path)
    is_path = path.is_absolute() or name.startswith((".", "~")) or name.endswith("/")
    if is_path and not path.is_dir():
        raise ConfigError(f"--model: the folder {name} does not exist; check the name")
    if path.is_dir():
        check_model_files(path)
    return name


def has_chat_template(path: Path) -> bool:
    """Whether a folder holds a model with a chat template of its own, as one tuned to follow
    instructions does; False for a name on the hub, of which nothing is known.
    """
    return path.is_dir() and _read_own_template(path) is not None


def check_model_files(path: Path) -> None:
    """Raise `ModelError` for a folder that holds no model."""
    if not path.is_dir():
        raise ModelError(f"{path} is no folder: name one that holds a model")
    if not (path / "config.json").is_file():
        raise ModelError(
            f"{path} holds no model: it has no config.json; name a folder of `tacos train`, or "
            "one that transformers has saved"
        )
    if not any(_list_files(path, WEIGHTS)):
        raise ModelError(f"{path} has no weights (*.safetensors): save the model again")
    if not any(_list_files(path, TOKENIZERS)):
        raise ModelError(
            f"{path} has no tokenizer (tokenizer.json): save it beside the model"
        )


def _read_given_template(given: str) -> str:
    """A template by its name or its file."""
    if given in TEMPLATES or not given.endswith(".jinja"):
        return read_template(given)
    try:
        return Path(given).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"template {given} cannot be read: {error}") from None


def _read_own_template(path: Path) -> str | None:
    """The template beside a model, where transformers looks for it; None for none."""
    file = path / CHAT_TEMPLATE
    if file.is_file():
        return file.read_text("utf-8")
    settings = path / TOKENIZER_SETTINGS
    if not settings.is_file():
        return None
    try:
        values: Any = orjson.loads(settings.read_bytes())
    except ValueError:
        raise ModelError(f"{settings} is not JSON: save the tokenizer again") from None
    text = values.get("chat_template") if isinstance(values, dict) else None
    # Older tokenizers name several.
    if isinstance(text, list):
        named = {str(entry.get("name")): entry.get("template") for entry in text}
        text = named.get("default")
    return text if isinstance(text, str) and text else None


def _check_trained_template(folder: Path, training: Training, text: str) -> None:
    """Raise `ConfigError` for another template than that of the training."""
    if canonical_hash(text) == training.template_hash:
        return
    raise ConfigError(
        f"{folder} was trained with the template {training.template}, and this is another one: "
        f"leave --template out, and {MODEL}/{CHAT_TEMPLATE} as `tacos train` wrote it (its hash "
        f"is in {MANIFEST})"
    )


def _digest_folder(path: Path) -> str:
    """32 hex digits over weights, configuration and tokenizer."""
    patterns = (*WEIGHTS, *TOKENIZERS, "config.json", "generation_config.json")
    return digest_files(_list_files(path, patterns))


def _list_files(path: Path, patterns: tuple[str, ...]) -> list[Path]:
    """The files of a folder that match any of the patterns, by name."""
    found = {file for pattern in patterns for file in path.glob(pattern)}
    return sorted(found)
