"""Lets Axolotl load exported folders. Runs in its environment.

    python load_axolotl.py MODEL RESULT.json FOLDER...

RESULT gets, by folder: the rows that are kept, each with ⟦ ⟧ around what is trained on, and the keys
of its configuration that Axolotl does not know.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import yaml
from axolotl.loaders import load_tokenizer
from axolotl.utils.config import normalize_cfg_datasets, validate_config
from axolotl.utils.data.sft import _load_and_process_single_dataset
from axolotl.utils.data.utils import handle_long_seq_in_dataset
from axolotl.utils.dict import DictDefault
from axolotl.utils.schemas.config import AxolotlInputConfig
from axolotl.utils.schemas.datasets import SFTDataset
from axolotl.utils.trainer import process_datasets_for_packing
from tiny_model import mark_row, save_model


def load_folder(folder: Path, model: str) -> dict[str, Any]:
    """The rows of a folder as Axolotl trains on them."""
    os.chdir(folder)
    config = yaml.safe_load((folder / "axolotl.yaml").read_text("utf-8"))
    unknown = set(config) - set(AxolotlInputConfig.model_fields)
    for entry in config["datasets"]:
        unknown |= set(entry) - set(SFTDataset.model_fields)
    output = folder.parent / f"{folder.name}.trained"
    settings = validate_config(
        DictDefault(
            {
                **config,
                "base_model": model,
                "tokenizer_config": model,
                "output_dir": str(output),
                "dataset_prepared_path": str(output / "prepared"),
                "micro_batch_size": 1,
                "gradient_accumulation_steps": 1,
                "num_epochs": 1,
                "learning_rate": 1e-4,
                "optimizer": "adamw_torch",
            }
        )
    )
    settings.dataset_num_proc = None  # no process for a few rows
    normalize_cfg_datasets(settings)
    tokenizer = load_tokenizer(settings)
    # What _load_raw_datasets does, without writing the result, which takes a process.
    rows, _ = _load_and_process_single_dataset(
        settings.datasets[0],
        settings,
        tokenizer,
        "train",
        seed=1,
    )
    rows = handle_long_seq_in_dataset(rows, settings.sequence_len, settings)
    rows, _ = process_datasets_for_packing(settings, rows, None)
    marked = [mark_row(tokenizer, row["input_ids"], row["labels"]) for row in rows]
    return {"rows": marked, "unknown": sorted(unknown)}


def main(model: str, result: str, *folders: str) -> None:
    """Load every folder, and write what became of its rows."""
    save_model(Path(model))
    loaded = {folder: load_folder(Path(folder), model) for folder in folders}
    Path(result).write_text(json.dumps(loaded), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
