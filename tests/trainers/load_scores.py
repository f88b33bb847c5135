"""Makes a tiny model, and scores answers with it one by one, with no batch, mask or template of
another module. Runs in the training environment.

    python load_scores.py MODEL CHATS.json RESULT.json
"""

import json
import sys
from pathlib import Path

import torch
from tiny_model import save_model
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(model: str, chats: str, result: str) -> None:
    """Write the log-probability of each answer, and its number of tokens."""
    torch.manual_seed(1)
    save_model(Path(model))
    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    scores = []
    for question, answer in json.loads(Path(chats).read_text()):
        before = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
        start = len(tokenizer(before, add_special_tokens=False)["input_ids"])
        text = f"{before}{answer}<|im_end|>"
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = network(torch.tensor([ids])).logits[0].double()
        shares = logits.log_softmax(-1)
        total = sum(
            shares[place - 1, ids[place]].item() for place in range(start, len(ids))
        )
        scores.append([total, len(ids) - start])
    Path(result).write_text(json.dumps(scores))


if __name__ == "__main__":
    main(*sys.argv[1:])
