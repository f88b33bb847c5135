"""SmolLM2-135M-Instruct (Allal et al., 2025, arXiv 2502.02737) as a reader of samples.

    model = smollm2.load(threads=1)
    states = model.read_states(["Name a prime."], ["7"])     # float32 (1, 2, 4, 576)

The model reads instruction and response once, as a dialogue, and its states of the middle layers
say more of a response than words and lengths do. It generates nothing. The weights are a separate
installation, see `weights_file`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from tacos.models.smollm2 import chat_tokens, gguf, network, weights_file

LAYERS = network.OUTPUT_LAYERS
PARTS = network.PARTS
DIM = network.HIDDEN
VERSION = 2
"""Raise it whenever the states of any text change."""
INSTALL = weights_file.INSTALL
States = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SmolLM2:
    """The model: a small, picklable value; each process loads the weights at first use.

    `batch` is the number of tokens in a batch, padding included; it decides nothing but speed. 512
    were fastest: their states stay in a core's cache.
    """

    threads: int | None = None
    batch: int = 512

    @property
    def fingerprint(self) -> str:
        """What decides the states: the weights' hash and the version of this code."""
        return f"smollm2-{weights_file.SHA256[:16]}-{VERSION}"

    def read_states(
        self,
        instructions: Sequence[str],
        responses: Sequence[str],
        layers: Sequence[int] = LAYERS,
    ) -> States:
        """Return the states after some layers, float32 of shape (n, len(layers), 4, 576).

        The four are the means over the parts of `PARTS`. A row's states do not depend on the
        others.

        Raises `ValueError` for a layer that is not in `LAYERS`, or lists of different lengths;
        `ModelError` if the weights are missing or not the published ones.
        """
        others = set(layers) - set(LAYERS)
        if others:
            raise ValueError(
                f"no states after layer {min(others)}: choose from {LAYERS}"
            )
        if len(instructions) != len(responses):
            raise ValueError(
                f"{len(instructions)} instructions, but {len(responses)} responses"
            )
        samples = chat_tokens.tokenise_samples(
            load_tokenizer(),
            instructions,
            responses,
        )
        loaded = load_network(self.threads)
        return loaded.read_states(
            samples,
            layers,
            self.batch,
        )


def load(threads: int | None = None) -> SmolLM2:
    """Load the model; `threads` None leaves their number to onnxruntime (one per physical core).

    Raises `ModelError` if the weights are missing or not the published ones, and says how to
    install them.
    """
    # Missing weights stop a run before it starts, not half way.
    weights_file.find_weights()
    return SmolLM2(threads=threads)


def is_available() -> bool:
    """Say whether the weights are installed."""
    return weights_file.is_installed()


@lru_cache(maxsize=1)
def load_tokenizer() -> Tokenizer:
    """Load the model's tokenizer."""
    file = gguf.read_gguf(weights_file.find_weights())
    return chat_tokens.build_tokenizer(file.metadata)


@lru_cache(maxsize=1)
def load_network(threads: int | None) -> network.Network:
    """Load the network with its weights; takes seconds."""
    file = gguf.read_gguf(weights_file.find_weights())
    return network.Network(file, threads)
