"""What this machine can run on: the device, the number format, the number of workers."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from signals.runtime.weights import WeightsError

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def choose_device(name: str) -> torch.device:
    """``auto`` takes a GPU where there is one; asking for one that is absent is a WeightsError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise WeightsError("signals.device is cuda, but torch sees no GPU: use auto or cpu, or install a CUDA build")
    if name not in ("cpu", "cuda"):
        raise WeightsError(f"signals.device must be auto, cpu or cuda, not {name!r}")
    return torch.device(name)


def choose_dtype(device: torch.device, precision: str) -> torch.dtype:
    """``auto`` is bfloat16 where the hardware multiplies it natively, else float32 (emulated bf16 is slower)."""
    if precision == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_multiplies_bf16()
        return torch.bfloat16 if native else torch.float32
    try:
        return DTYPES[precision]
    except KeyError:
        raise WeightsError(f"precision must be auto, bf16 or fp32, not {precision!r}") from None


def cpu_multiplies_bf16() -> bool:
    """AVX512-BF16 or AMX, as torch sees it."""
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, probe, bool)()) for probe in probes)


def cores() -> int:
    """Cores this process may use: its affinity, within the container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        return max(1, min(allowed, int(quota) // int(period)))
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return allowed
