"""Classifiers of BERT's shape over packed windows: the trunk of bert.py, each family's head on first tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as nn
from torch import Tensor

from signals.runtime.choice import Choice, build
from signals.runtime.device import DTYPES
from signals.runtime.tokens import Ids, Lengths

# of each family: the trunk's prefix, the hidden layer of the head, its output layer
_HEADS = {
    "bert": ("bert.", "bert.pooler.dense", "classifier"),
    "roberta": ("roberta.", "classifier.dense", "classifier.out_proj"),
    "xlm-roberta": ("roberta.", "classifier.dense", "classifier.out_proj"),
}


def packs(config: Any) -> bool:
    """Whether a model of this transformers config is one that PackedClassifier computes."""
    return (
        config.model_type in _HEADS
        and config.hidden_act == "gelu"
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
        and not getattr(config, "is_decoder", False)
    )


class PackedClassifier:
    """Probabilities of each label, each on its own (sigmoid): (windows, labels), float32."""

    def __init__(self, choice: Choice, weights: Mapping[str, Tensor], config: Any, *, streams: int = 1) -> None:
        """``weights`` as transformers names them, ``config`` one that ``packs``."""
        prefix, inner, outer = _HEADS[config.model_type]
        self._trunk = build(
            choice,
            {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)},
            heads=config.num_attention_heads,
            taps=(config.num_hidden_layers,),
            epsilon=config.layer_norm_eps,
            pad=config.pad_token_id if config.model_type != "bert" else None,
            streams=streams,
        )
        dtype = DTYPES[choice.precision]
        self._master = [weights[f"{name}.{part}"].to(dtype) for name in (inner, outer) for part in ("weight", "bias")]
        self._head = self._master
        self.device = self._trunk.device

    def to(self, device: torch.device) -> None:
        self._trunk.to(device)
        self.device = device
        self._head = [tensor.to(device) for tensor in self._master]

    def encode(self, ids: Ids, lengths: Lengths) -> Tensor:
        with torch.inference_mode():
            inner, inner_bias, outer, outer_bias = self._head
            pooled = nn.linear(self._trunk.first_tokens(ids, lengths), inner, inner_bias).tanh()
            return nn.linear(pooled, outer, outer_bias).float().sigmoid()
