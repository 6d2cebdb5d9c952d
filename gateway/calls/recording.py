"""The recording of a call: which one is meant, and what is taken for its address, whoever says it."""

import re
from typing import Final

import attrs

# Whoever opens it is a browser or a CRM. Longer ones are nobody's link.
_ADDRESS: Final = re.compile(r"https?://[^\s\"<>]{4,2000}")


@attrs.frozen(kw_only=True)
class Recording:
    """The recording of a call has become known.

    `call_id` 0: the call that knows the `unique_id`. `url`: where it is from now on; "": where `calls.record_url` says it is.
    """

    call_id: int = 0
    unique_id: str = ""
    url: str = ""


@attrs.frozen
class RecordedCall:
    """A finished call whose recording is known."""

    enterprise_number: str
    call_id: int


def recording_address(text: str) -> str:
    """The address in a text, "" when it is none that can be opened."""
    address = text.strip()
    return address if _ADDRESS.fullmatch(address) and address.isprintable() else ""
