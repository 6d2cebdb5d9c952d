"""The little of jq that the guide's commands use, for machines without it: `.`, `.a`, `.a, .b`, `.a | length`, `{a, b: .c}`.

Run as jq is: the filter as argument, JSON on stdin.
"""

import json
import re
import sys
from typing import Any

_PATH = re.compile(r"\.(\w*)")
_FIELD = re.compile(r"(\w+)(?:: \.(\w+))?")


def filtered(program: str, document: Any) -> list[Any]:
    """The outputs, each of which jq prints by itself. Raises ValueError for a filter that nobody taught it."""
    program = program.strip()
    if program.endswith("| length"):
        return [len(found) for found in filtered(program.removesuffix("| length"), document)]
    if program.startswith("{"):
        fields = [_matched(_FIELD, field).groups() for field in program.strip("{}").split(",")]
        return [{name: document[path or name] for name, path in fields}]
    paths = [_matched(_PATH, part)[1] for part in program.split(",")]
    return [document[path] if path else document for path in paths]


def _matched(pattern: re.Pattern[str], text: str) -> re.Match[str]:
    found = pattern.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"no filter for the stand-in of jq: {text}")
    return found


if __name__ == "__main__":
    for output in filtered(sys.argv[1] if len(sys.argv) > 1 else ".", json.load(sys.stdin)):
        sys.stdout.write(json.dumps(output, ensure_ascii=False, indent=2) + "\n")
