"""Recorded calls for tests: the files, what the chat must show at the end of each, and the orders in which their events may arrive."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

LIVE = Path(__file__).parent / "data" / "live"
# Recorded calls of real hosts are kept outside the project; where they are absent their tests are skipped.
CORPUS = Path(__file__).parents[2] / "shared" / "corpus"

_ROW = re.compile(r"\| (?P<file>\S*) ?\| `(?P<line>.*?)` \| ?(?P<transfer>.*?) ?\|")
_DURATION = re.compile(r", (?:(\d+):)?(\d\d):(\d\d)$")


@attrs.frozen
class Final:
    """What one call must show at the end: the first line, and the transfer line or ""."""

    line: str
    transfer: str

    def is_met_by(self, text: str) -> bool:
        """Whether a message says this; durations may differ by a second, `…` stands for any."""
        lines = text.split("\n")
        transfer = next((line for line in lines if line.startswith("🔀")), "")
        if transfer != self.transfer:
            return False
        if self.line.endswith("…"):
            return lines[0].startswith(self.line[:-1])
        wanted, got = _DURATION.search(self.line), _DURATION.search(lines[0])
        if wanted is None or got is None:
            return lines[0] == self.line
        alike = self.line[: wanted.start()] == lines[0][: got.start()]
        return alike and abs(_seconds(wanted) - _seconds(got)) <= 1


@attrs.frozen
class Webhook:
    """One recorded event: the endpoint, the body, when it came (seconds from the first) and the Linkedid that AMI gave it."""

    kind: str
    body: Mapping[str, Any]
    at_seconds: float
    linkedid: str

    def with_linkedid(self) -> "Webhook":
        """The same event of a host that sends Linkedid."""
        return attrs.evolve(self, body={**self.body, "Linkedid": self.linkedid}) if self.linkedid else self


@attrs.frozen
class Recording:
    """A recorded call, or several in one file."""

    name: str
    webhooks: tuple[Webhook, ...]
    finals: tuple[Final, ...]

    def __str__(self) -> str:
        return self.name


def recordings(folder: Path) -> list[Recording]:
    """All recordings of a folder with their finals; none when the folder is absent."""
    table = folder / "FINALS.md"
    if not table.exists():
        return []
    finals: dict[str, list[Final]] = {}
    name = ""
    for row in _ROW.finditer(table.read_text(encoding="utf-8")):
        name = row["file"] or name
        finals.setdefault(name, []).append(Final(row["line"], row["transfer"].strip("` ")))
    return [Recording(name, tuple(_webhooks(folder / f"{name}.json")), tuple(wanted)) for name, wanted in finals.items()]


def _webhooks(path: Path) -> Iterator[Webhook]:
    for event in json.loads(path.read_text(encoding="utf-8"))["events"]:
        at = event.get("at")
        yield Webhook(event["event"], event["body"], at if at is not None else event["at_hint"], event.get("ami_linkedid") or "")


def as_recorded(webhooks: Sequence[Webhook]) -> list[Webhook]:
    """The order of the recording."""
    return list(webhooks)


def bridge_pairs_swapped(webhooks: Sequence[Webhook]) -> list[Webhook]:
    """The two channels that meet in a bridge enter it the other way round."""
    swapped = list(webhooks)
    done: set[int] = set()
    for index, webhook in enumerate(swapped):
        if webhook.kind != "bridge" or index in done:
            continue
        for other in range(index + 1, min(index + 4, len(swapped))):
            candidate = swapped[other]
            if candidate.kind == "bridge" and candidate.body["BridgeUniqueid"] == webhook.body["BridgeUniqueid"]:
                swapped[index], swapped[other] = candidate, webhook
                done.update((index, other))
                break
    return swapped


def every_event_twice(webhooks: Sequence[Webhook]) -> list[Webhook]:
    """Each event is posted twice in a row."""
    return [webhook for webhook in webhooks for _ in range(2)]


ORDERS = (as_recorded, bridge_pairs_swapped, every_event_twice)


def unmet(finals: Sequence[Final], texts: Sequence[str]) -> list[str]:
    """What is wrong with the messages of a chat: finals that no message shows, messages that no final asks for. Empty = as expected."""
    left = list(texts)
    wrong: list[str] = []
    for final in finals:
        match = next((text for text in left if final.is_met_by(text)), None)
        if match is None:
            wrong.append(f"missing: {final.line} {final.transfer}")
        else:
            left.remove(match)
    return wrong + [f"not asked for: {text}" for text in left]


def _seconds(match: re.Match[str]) -> int:
    return int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])
