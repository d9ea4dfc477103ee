"""The same encoder through OpenVINO, on a CPU: a graph made of the weights in memory, compiled when it is first asked.

A graph takes windows of one length, so a pack goes in groups of neighbours, and what a window lacks is masked. Lengths
are rounded up, so that a process meets few shapes, and a window joins a group while its rounded length is at least
LIKE_MIN of the longest. Each stream is a thread's own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from signals.runtime.bert import folded
from signals.runtime.layout import positions, rounded
from signals.runtime.tokens import Ids, Lengths
from signals.runtime.weights import WeightsError

LIKE_MIN = 3 / 4  # a call of its own costs more than the padding
MEANS, FIRST = -1, -2  # what a graph gives; 0 and above: the states after that layer


def available() -> bool:
    """Whether OpenVINO is installed."""
    return find_spec("openvino") is not None


class OpenvinoBert:
    """As PackedBert, on a CPU alone; ``streams`` is how many threads call it at once."""

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        *,
        heads: int,
        taps: Sequence[int],
        dtype: torch.dtype,
        epsilon: float = 1e-12,
        pad: int | None = None,
        streams: int = 1,
    ) -> None:
        """Raises WeightsError where OpenVINO is not installed."""
        if not available():
            raise WeightsError("signals.backend is openvino, which is not installed: pip install 'llm-assay[openvino]'")
        self.dtype = dtype
        self.taps = tuple(taps)
        self._heads, self._epsilon, self._pad, self._streams = heads, epsilon, pad, streams
        self._weights = {name: tensor.to(dtype) for name, tensor in folded(weights).items()}
        self._compiled: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._own = threading.local()
        self.device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Stay: this backend has no other place."""
        if device.type != "cpu":
            raise ValueError(f"OpenVINO runs on the CPU here, not on {device}")

    def encode(self, ids: Ids, lengths: Lengths) -> Tensor:
        means = [rows for _, rows in self._run(MEANS, ids, lengths)]
        return torch.from_numpy(np.concatenate(means))

    def states(self, ids: Ids, lengths: Lengths, layer: int) -> Tensor:
        """The hidden states of every token of the windows, end to end, after ``layer``: (tokens, hidden), float32."""
        return torch.from_numpy(np.concatenate([rows[real] for real, rows in self._run(layer, ids, lengths)]))

    def first_tokens(self, ids: Ids, lengths: Lengths) -> Tensor:
        """The last layer's hidden state of each window's first token: (windows, hidden), in the model's format."""
        return torch.from_numpy(np.concatenate([rows for _, rows in self._run(FIRST, ids, lengths)])).to(self.dtype)

    def _run(
        self, output: int, ids: Ids, lengths: Lengths
    ) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]]:
        """Of each group which of its places hold a token, (windows, length), and what the graph gives."""
        request = self._request(output)
        places, row = positions(ids, lengths, self._pad), 0
        for group in groups(lengths):
            own = lengths[group]
            real = np.arange(rounded(own).max()) < own[:, None]
            tokens = slice(row, row + int(own.sum()))
            filled = np.zeros((2, *real.shape), dtype=np.int32)
            filled[0][real], filled[1][real] = ids[tokens], places[tokens]
            row = tokens.stop
            found = request.infer([filled[0], filled[1], real.astype(np.float32)])
            yield real, found[0]

    def _request(self, output: int) -> Any:
        """This thread's own; two threads never share one."""
        requests: dict[int, Any] = self._own.__dict__.setdefault("requests", {})
        if output not in requests:
            with self._lock:
                if output not in self._compiled:
                    self._compiled[output] = self._compile(output)
            requests[output] = self._compiled[output].create_infer_request()
        return requests[output]

    def _compile(self, output: int) -> Any:
        import openvino  # noqa: PLC0415 - an extra

        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.dtype is torch.bfloat16 else "f32",
            "INFERENCE_NUM_THREADS": self._streams,
            "NUM_STREAMS": self._streams,
            "ENABLE_CPU_PINNING": False,
        }
        return openvino.Core().compile_model(self._graph(output), "CPU", settings)

    def _graph(self, output: int) -> Any:
        import openvino  # noqa: PLC0415 - an extra
        from openvino import opset15 as op  # noqa: PLC0415 - an extra

        def whole(*numbers: int) -> Any:
            return op.constant(np.array(numbers, dtype=np.int64))

        def weight(name: str, rows: slice = slice(None)) -> Any:
            return op.constant(self._weights[name][rows].float().numpy())

        def linear(value: Any, name: str, rows: slice = slice(None)) -> Any:
            return op.add(op.matmul(value, weight(f"{name}.weight", rows), False, True), weight(f"{name}.bias", rows))

        def norm(value: Any, name: str) -> Any:
            scaled = op.mvn(value, whole(-1), True, self._epsilon, "INSIDE_SQRT")
            return op.add(op.multiply(scaled, weight(f"{name}.norm.weight")), weight(f"{name}.norm.bias"))

        def attended(value: Any, name: str) -> Any:
            parts = [linear(value, name, slice(width * part, width * (part + 1))) for part in range(3)]
            apart = [op.reshape(part, whole(0, 0, self._heads, -1), True) for part in parts]
            mixed = op.scaled_dot_product_attention(*(op.transpose(part, turned) for part in apart), present)
            return op.reshape(op.transpose(mixed, turned), whole(0, 0, width), True)

        width, axis, turned = self._weights["words"].shape[1], op.constant(np.int64(0)), whole(0, 2, 1, 3)
        ids, places = (op.parameter([-1, -1], openvino.Type.i32, name=name) for name in ("ids", "positions"))
        real = op.parameter([-1, -1], openvino.Type.f32, name="real")
        present = op.unsqueeze(op.greater(real, op.constant(np.float32(0))), whole(1, 2))
        share = op.unsqueeze(op.divide(real, op.reduce_sum(real, whole(1), True)), whole(1))
        said, placed = op.gather(weight("words"), ids, axis), op.gather(weight("positions"), places, axis)
        hidden = norm(op.add(said, placed), "embeddings")
        after = [hidden]
        for layer in range(sum(name.endswith(".qkv.weight") for name in self._weights)):
            mixed = linear(attended(hidden, f"{layer}.qkv"), f"{layer}.out")
            hidden = norm(op.add(hidden, mixed), f"{layer}.attention")
            grown = linear(op.gelu(linear(hidden, f"{layer}.up"), "erf"), f"{layer}.down")
            hidden = norm(op.add(hidden, grown), f"{layer}.output")
            after.append(hidden)
        if output == MEANS:
            result = op.concat([op.matmul(share, after[tap], False, False) for tap in self.taps], 1)
        elif output == FIRST:
            result = op.gather(hidden, axis, op.constant(np.int64(1)))
        else:
            result = after[output]
        return openvino.Model([op.result(result)], [ids, places, real])


def groups(lengths: Lengths) -> Iterator[slice]:
    """Runs of neighbours of which none, rounded, is shorter than LIKE_MIN of the longest."""
    steps = rounded(lengths).tolist()
    start, least, most = 0, steps[0], steps[0]
    for index, length in enumerate(steps):
        least, most = min(least, length), max(most, length)
        if least < LIKE_MIN * most:
            yield slice(start, index)
            start, least, most = index, length, length
    yield slice(start, len(lengths))
