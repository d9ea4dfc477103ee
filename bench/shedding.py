"""What each step of shedding saves, in core-seconds a call: python -m bench.shedding

Nothing left out, one step, … all of them. CPU time of the process, one thread, the sides in turns over the same calls
of bench.speed with a number appended, so that no text is known from another turn; each call has two answers. Exits 1
where leaving everything out does not at least halve the cost.
"""

from __future__ import annotations

import argparse
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch

from bench.speed import cpu_seconds, exchanges
from signals.suite import SuiteOptions, load_suite

ROUNDS = 4
LEFT_MAX = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(1)
    suite = load_suite(SuiteOptions(device="cpu", workers=1))
    steps = len(suite.shed_order)
    seconds = np.zeros(steps + 1)
    calls = exchanges(args.calls)
    suite.score(calls[:4])
    for turn in range(ROUNDS):
        for depth in range(steps + 1):
            mark = f" (turn {turn}, step {depth})"
            batch = [
                call._replace(
                    input=f"{call.input}{mark}", output=f"{call.output}{mark}", outputs=(f"{call.output}{mark}", mark)
                )
                for call in calls[turn::ROUNDS]
            ]
            depths = np.full(len(batch), depth, dtype=np.uint8)
            seconds[depth] += cpu_seconds(lambda batch=batch, depths=depths: suite.score(batch, depths))
    suite.close()
    left = ("nothing", *(", ".join(names) for names in suite.shed_order))
    for depth, spent in enumerate(seconds):
        names = f"{'the same and ' if depth > 1 else ''}{left[depth]}"
        print(f"left out: {names:62} {spent / len(calls) * 1e3:8.2f} core-ms a call, {spent / seconds[0]:5.2f} of all")
    raise SystemExit(0 if seconds[-1] / seconds[0] <= LEFT_MAX else 1)


if __name__ == "__main__":
    main()
