"""Heads that the shipped one is compared with; each is taught the same lesson and reads the same vectors.

``first``: version 1, a logistic regression on layers 3 and 6. ``second``: version 2, which differs in its L2 alone;
neither knew all of the lesson (``compare.FORMER``). ``mlp``: one hidden layer, the
mean of SEEDS networks. ``invariant``: the shipped regression with V-REx's penalty on unequal losses of the sets
(Krueger et al. 2021). ``unbiased``: the shared part of a regression in which every set has an intercept and small
weights of its own, so that what tells the sets apart teaches nothing (Khosla et al. 2012).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as nn
from torch import Tensor

from bench.heads.linear import Linear, Vectors, fit
from bench.heads.toxicity import Floats, Lesson
from signals.encoder import DIMENSIONS, TAPS

L2 = 1e-4
SECOND_L2 = 5e-5
PENALTY = 1.0
DEVIATION_L2 = 1e-3
HIDDEN, DROPOUT, DECAY, RATE, EPOCHS, ROWS, SEEDS = 64, 0.2, 0.05, 2e-3, 8, 256, 3

Score = Callable[[Vectors], Floats]


def first(taught: Lesson) -> Score:
    layers = [TAPS.index(layer) for layer in (3, 6)]

    def chosen(vectors: Vectors) -> Vectors:
        rows = vectors.features.reshape(-1, len(TAPS), DIMENSIONS)[:, layers].reshape(len(vectors.features), -1)
        return Vectors(np.ascontiguousarray(rows), vectors.owner)

    model = fit(chosen(taught.vectors), taught.targets, l2=L2, shares=taught.shares)
    return lambda vectors: model.logits(chosen(vectors))


def second(taught: Lesson) -> Score:
    return fit(taught.vectors, taught.targets, l2=SECOND_L2, shares=taught.shares).logits


def mlp(taught: Lesson) -> Score:
    networks = [_network(taught, seed) for seed in range(SEEDS)]

    def score(vectors: Vectors) -> Floats:
        with torch.inference_mode():
            rows = torch.from_numpy(vectors.features)
            logits = torch.stack([network(rows)[:, 0] for network in networks]).mean(0)
        return _worst(logits, torch.from_numpy(vectors.owner), vectors.n).numpy().astype(np.float64)

    return score


def invariant(taught: Lesson) -> Score:
    def penalty(losses: Tensor, shares: Tensor, groups: Tensor) -> Tensor:
        every = int(groups.max()) + 1
        sums = torch.zeros(every).index_add(0, groups, losses * shares)
        weights = torch.zeros(every).index_add(0, groups, shares)
        return PENALTY * (sums / weights)[: taught.labelled].var()

    return _regression(taught, penalty).logits


def unbiased(taught: Lesson) -> Score:
    return _regression(taught, None, own=taught.labelled).logits


def _regression(taught: Lesson, penalty: Callable[[Tensor, Tensor, Tensor], Tensor] | None, own: int = 0) -> Linear:
    """The regression that ships, with a penalty; the first ``own`` sets have intercepts and weights of their own."""
    features, owner = torch.from_numpy(taught.vectors.features), torch.from_numpy(taught.vectors.owner)
    labels, shares = torch.from_numpy(taught.targets).float(), torch.from_numpy(taught.shares).float()
    groups = torch.from_numpy(taught.groups)
    weight, bias = torch.zeros(features.shape[1], requires_grad=True), torch.zeros(1, requires_grad=True)
    apart = [torch.zeros(own, features.shape[1], requires_grad=True), torch.zeros(own, requires_grad=True)]
    mine = [torch.nonzero(groups[owner] == group)[:, 0] for group in range(own)]
    optimiser = torch.optim.LBFGS([weight, bias, *(apart if own else ())], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        rows = features @ weight + bias
        for group, at in enumerate(mine):
            rows = rows.index_add(0, at, features[at] @ apart[0][group] + apart[1][group])
        losses = nn.binary_cross_entropy_with_logits(_worst(rows, owner, len(labels)), labels, reduction="none")
        loss = (losses * shares).sum() + L2 * weight.square().sum()
        if own:
            loss = loss + DEVIATION_L2 * apart[0].square().sum()
        if penalty is not None:
            loss = loss + penalty(losses, shares, groups)
        loss.backward()
        return loss

    optimiser.step(closure)
    return Linear(weight.detach().numpy(), float(bias.detach()))


def _network(taught: Lesson, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    features, owner = torch.from_numpy(taught.vectors.features), torch.from_numpy(taught.vectors.owner)
    labels = torch.from_numpy(taught.targets).float()
    weights = torch.from_numpy(taught.shares * len(labels)).float()
    counts = torch.bincount(owner, minlength=len(labels))
    starts = torch.cumsum(counts, 0) - counts
    network = torch.nn.Sequential(
        torch.nn.Linear(features.shape[1], HIDDEN),
        torch.nn.ReLU(),
        torch.nn.Dropout(DROPOUT),
        torch.nn.Linear(HIDDEN, 1),
    )
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(EPOCHS):
        for texts in torch.randperm(len(labels)).split(ROWS):
            inside = torch.repeat_interleave(torch.arange(len(texts)), counts[texts])
            ahead = torch.arange(len(inside)) - torch.repeat_interleave(
                torch.cumsum(counts[texts], 0) - counts[texts], counts[texts]
            )
            rows = network(features[starts[texts][inside] + ahead])[:, 0]
            losses = nn.binary_cross_entropy_with_logits(
                _worst(rows, inside, len(texts)), labels[texts], reduction="none"
            )
            optimiser.zero_grad()
            (losses * weights[texts]).mean().backward()
            optimiser.step()
    return network.eval()


def _worst(rows: Tensor, owner: Tensor, texts: int) -> Tensor:
    return torch.full((texts,), -1e9).scatter_reduce(0, owner, rows, "amax")
