"""Lets LLaMA-Factory load exported folders. Runs in its environment.

    python load_llama_factory.py MODEL RESULT.json FOLDER...

RESULT gets, by folder: the rows that are kept, each with ⟦ ⟧ around what is trained on, and those
that its converter made of them.
"""

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

# It imports torchaudio, whose wheel needs CUDA, although texts have no sound.
sys.modules["torchaudio"] = ModuleType("torchaudio")
sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", loader=None)

from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.data.loader import _get_merged_dataset
from llamafactory.hparams import get_train_args
from llamafactory.model import load_tokenizer
from tiny_model import mark_row, save_model

COLUMNS = ("_prompt", "_response", "_system", "_tools")


def load_folder(folder: Path, model: str) -> dict[str, Any]:
    """The rows of a folder as LLaMA-Factory trains on them."""
    info = json.loads((folder / "dataset_info.json").read_text("utf-8"))
    model_args, data_args, training_args, _, _ = get_train_args(
        {
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "full",
            "model_name_or_path": model,
            "dataset_dir": str(folder),
            "dataset": ",".join(info),
            "template": "chatml",
            "cutoff_len": 100_000,
            "output_dir": str(folder.parent / f"{folder.name}.trained"),
            "overwrite_cache": True,
            "report_to": "none",
        }
    )
    tokenizer = load_tokenizer(model_args)["tokenizer"]
    template = get_template_and_fix_tokenizer(tokenizer, data_args)
    names = data_args.dataset
    aligned = _get_merged_dataset(names, model_args, data_args, training_args, "sft")
    rows = get_dataset(
        template,
        model_args,
        data_args,
        training_args,
        stage="sft",
        tokenizer=tokenizer,
    )["train_dataset"]
    return {
        "rows": [mark_row(tokenizer, row["input_ids"], row["labels"]) for row in rows],
        "aligned": [{name: row[name] for name in COLUMNS} for row in aligned],
    }


def main(model: str, result: str, *folders: str) -> None:
    """Load every folder, and write what became of its rows."""
    save_model(Path(model))
    loaded = {folder: load_folder(Path(folder), model) for folder in folders}
    Path(result).write_text(json.dumps(loaded), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
