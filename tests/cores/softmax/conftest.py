"""What the softmax tests share: configurations of every variant, and real logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwgen.cores.softmax.config import ITA_SCALE
from hwgen.workloads.minilm_attention import load_attention

BYTES: dict[str, Any] = {"in_bits": 8, "in_fraction": 3}
PEERS: dict[str, dict[str, Any]] = {
    "ibert": {},
    "softermax": BYTES,
    "sole": BYTES,
    "ita": {"in_bits": 8, "in_fraction": 5, "scale": ITA_SCALE},
}


@pytest.fixture(scope="session")
def real_logits() -> list[np.ndarray[Any, Any]]:
    """Rows that enter MiniLM's softmaxes, all layers and heads, three sentences: arrays of shape (rows, tokens)."""
    return [p.logits.reshape(-1, p.logits.shape[-1]) for p in load_attention()]
