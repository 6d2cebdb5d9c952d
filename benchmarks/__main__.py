"""All benchmarks, one after another, each in a process of its own: one table in the end. Nothing is asserted; exit code 0 = all ran."""

import argparse
import json
import subprocess
import sys

from benchmarks.common import Figure, note, print_table

BENCHMARKS = ("intake", "store", "switchboard", "call_cost", "lookups", "hanging_crms", "burst")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these, of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--quick", action="store_true", help="measure less: a look, not a figure")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"no benchmark is called {', '.join(unknown)}")
    figures: list[Figure] = []
    broken: list[str] = []
    for name in arguments.names or BENCHMARKS:
        note(f"— {name}")
        command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *(["--quick"] if arguments.quick else [])]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if run.returncode != 0:
            broken.append(name)
            continue
        figures += [Figure(**json.loads(line)) for line in run.stdout.splitlines()]
    print_table(figures)
    if broken:
        note(f"did not run to the end: {', '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
