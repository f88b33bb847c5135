"""Lets TRL load exported folders. Runs in its environment.

    python load_trl.py MODEL RESULT.json FOLDER...

RESULT gets, by folder: the rows that are kept, each with ⟦ ⟧ around what is trained on.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from datasets import load_from_disk
from tiny_model import mark_row, save_model
from trl import SFTConfig, SFTTrainer, get_dataset
from trl.scripts.sft import make_parser

ON_CPU = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False}


def load_folder(folder: Path, model: str) -> dict[str, Any]:
    """The rows of a folder as TRL trains on them."""
    os.chdir(folder)
    output = str(folder.parent / f"{folder.name}.trained")
    if (folder / "sft.yaml").is_file():
        rows, settings = _configure(model, output)
    else:
        rows, settings = _open_saved_dataset(folder, output)
    trainer = SFTTrainer(model=model, args=settings, train_dataset=rows)
    # The tokenizer with which TRL has prepared the rows.
    tokenizer = trainer.processing_class
    prepared = trainer.train_dataset
    marked = [mark_row(tokenizer, row["input_ids"], row["labels"]) for row in prepared]
    return {"rows": marked}


def _configure(model: str, output: str) -> tuple[Any, SFTConfig]:
    """Rows and settings by the configuration in this folder, as `trl sft` reads it."""
    given = [
        "--config",
        "sft.yaml",
        "--model_name_or_path",
        model,
        "--output_dir",
        output,
    ]
    for name, value in ON_CPU.items():
        given += [f"--{name}", str(value)]
    _, settings, _, mixture = make_parser().parse_args_and_config(
        given,
        fail_with_unknown_args=True,
    )
    return get_dataset(mixture)["train"], settings


def _open_saved_dataset(folder: Path, output: str) -> tuple[Any, SFTConfig]:
    """The rows of a saved data set, with the settings that its layout asks for."""
    rows = load_from_disk(str(folder))
    template = Path(os.environ["TACOS_TEMPLATES"]) / "chatml.jinja"
    settings = SFTConfig(
        output_dir=output,
        chat_template_path=str(template),
        assistant_only_loss="messages" in rows.column_names,
        max_length=2048,
        **ON_CPU,
    )
    return rows, settings


def main(model: str, result: str, *folders: str) -> None:
    """Load every folder, and write what became of its rows."""
    save_model(Path(model))
    loaded = {folder: load_folder(Path(folder), model) for folder in folders}
    Path(result).write_text(json.dumps(loaded), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
