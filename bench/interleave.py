"""Timing contenders side by side: one run of each per round, so that all see the same machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import fastntk

SETTLE = 0.15  # seconds

#: Runs a contender once and returns its seconds.
Run = Callable[[], float]


def clock(call: Callable[[], object]) -> Run:
    """Make a contender of a plain call."""

    def run() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return run


@dataclass(frozen=True)
class Rounds:
    """Seconds of every contender in every round, after one round that is not counted."""

    seconds: Mapping[str, list[float]]

    def median(self, name: str) -> float:
        """Median seconds of a contender."""
        return statistics.median(self.seconds[name])

    def ratio(self, name: str, base: str) -> tuple[float, float, float]:
        """Median and quartiles, over the rounds, of the time of `name` over that of `base`."""
        ratios = [a / b for a, b in zip(self.seconds[name], self.seconds[base], strict=True)]
        if len(ratios) < 2:
            return ratios[0], ratios[0], ratios[0]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return middle, low, high


def interleave(contenders: Mapping[str, Run], rounds: int) -> Rounds:
    """Run every contender once a round, `rounds` + 1 times.

    Between runs it waits, because the worker threads of BLAS and OpenMP go on spinning for tens of milliseconds
    after their work is done, and would slow down whoever comes next.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for round_number in range(rounds + 1):
        for name, run in contenders.items():
            time.sleep(SETTLE)
            elapsed = run()
            if round_number > 0:
                seconds[name].append(elapsed)
    return Rounds(seconds)


def show_ratio(ratio: tuple[float, float, float]) -> str:
    """Median with its quartiles."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*ratio)


def machine() -> str:
    """One sentence on what ran: processor, cores, instruction set, versions."""
    config = fastntk.config()
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
            model = next(names, model)
    except OSError:
        pass
    return (
        f"{model}, {os.cpu_count()} cores, instruction set {config['instruction_set']}, "
        f"{config['threads']} threads; fastntk {config['version']} ({config['compiler']}), "
        f"NumPy {config['numpy']}, Python {config['python']}."
    )
