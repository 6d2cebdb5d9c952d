"""What all benchmarks share: a figure beside what is wanted, the table of figures, cores, CPU and memory of a process.

A benchmark is a module with a function that measures and returns `Figure`s, ended by

    if __name__ == "__main__":
        main(measure)

`python -m benchmarks.<name>` prints its table; `--json` prints the figures as JSON lines instead, one a figure and nothing else on stdout:
so `python -m benchmarks` gathers all of them. Progress goes to stderr through `note`. `--quick` measures less: a look, not a figure.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs
from rich.console import Console
from rich.table import Table

_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024
MIB = 1024 * 1024


@attrs.frozen(kw_only=True)
class Figure:
    """One line of the table.

    `wanted` is a bound such as ">= 20000" or "<= 1.5", "" for a figure that only explains another. `digits` are those after the point.
    """

    benchmark: str
    name: str
    value: float
    unit: str = ""
    wanted: str = ""
    digits: int = 2

    @property
    def holds(self) -> bool | None:
        """Whether the value is as wanted; None when nothing is wanted."""
        if not self.wanted:
            return None
        sign, bound = self.wanted.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)


def main(measure: Callable[[bool], Iterable[Figure]]) -> None:
    """Measure as the command line says and print."""
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--quick", action="store_true", help="measure less")
    parser.add_argument("--json", action="store_true", help="figures as JSON lines")
    arguments = parser.parse_args()
    figures = list(measure(arguments.quick))
    if arguments.json:
        for figure in figures:
            print(json.dumps(attrs.asdict(figure)))
    else:
        print_table(figures)


def print_table(figures: Iterable[Figure]) -> None:
    """Print figures beside what is wanted."""
    table = Table(title="Figures of one run; what is wanted beside them")
    for heading in ("benchmark", "figure"):
        table.add_column(heading)
    for heading in ("value", "wanted"):
        table.add_column(heading, justify="right")
    table.add_column("")
    told = ""
    for figure in figures:
        if told and figure.benchmark != told:
            table.add_section()
        mark = {True: "✓", False: "✗", None: ""}[figure.holds]
        table.add_row(
            figure.benchmark if figure.benchmark != told else "",
            figure.name,
            f"{figure.value:,.{figure.digits}f} {figure.unit}".rstrip(),
            figure.wanted.replace(">=", "≥").replace("<=", "≤"),
            mark,
        )
        told = figure.benchmark
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def note(text: str) -> None:
    """Say how far a benchmark is."""
    print(text, file=sys.stderr, flush=True)


def cores() -> list[int]:
    """The cores this process may use."""
    return sorted(os.sched_getaffinity(0))


def pin(core: int, pid: int = 0) -> None:
    """Bind a process (0: this one) to one core, given by its place among those it may use; with one core all share it."""
    found = cores()
    os.sched_setaffinity(pid, {found[core % len(found)]})


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, in steps of a clock tick (proc(5), /proc/<pid>/stat)."""
    # The name, in brackets, may hold blanks: count from behind it.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


def rss_bytes(pid: int | None = None) -> int:
    """Resident memory of a process (None: this one)."""
    return _status_kib(pid, "VmRSS") * _KIB


def peak_rss_bytes(pid: int | None = None) -> int:
    """The most resident memory that a process has had."""
    return _status_kib(pid, "VmHWM") * _KIB


def _status_kib(pid: int | None, name: str) -> int:
    for line in Path(f"/proc/{pid if pid is not None else 'self'}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0
