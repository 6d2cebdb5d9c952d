"""What is known of one SQL text on one connection."""

from collections.abc import Sequence

import attrs
from psycopg.adapt import PyFormat
from psycopg.pq.abc import PGresult

# Types of which exactly one Python type has the same binary form, so that sending it so cannot change the meaning: bytea, float8,
# timestamptz (aware datetimes only), uuid. psycopg writes them much faster than as text.
_BINARY_OIDS = frozenset({17, 701, 1184, 2950})


@attrs.define(eq=False)
class Statement:
    """`name` is b"" until it is prepared: at its second use, or at the first in a pipeline. `formats` say how each parameter is written.

    `binary`: (position, oid) of the parameters written in binary form. `accepted`: the oids of the last arguments that fitted.
    """

    text: bytes
    name: bytes = b""
    formats: list[PyFormat] = attrs.field(factory=list[PyFormat])
    binary: tuple[tuple[int, int], ...] = ()
    accepted: tuple[int, ...] = ()

    @property
    def parameters_items(self) -> int:
        """How many parameters it has, 0 until described."""
        return len(self.formats)

    def describe(self, name: bytes, description: PGresult) -> None:
        """It is prepared under this name, and the server has said what its parameters are."""
        self.name = name
        oids = [description.param_type(place) for place in range(description.nparams)]
        self.formats = [PyFormat.BINARY if oid in _BINARY_OIDS else PyFormat.TEXT for oid in oids]
        self.binary = tuple((place, oid) for place, oid in enumerate(oids) if oid in _BINARY_OIDS)

    def accepts(self, args: Sequence[object], oids: tuple[int, ...]) -> bool:
        """Whether arguments written as `formats` say, with these oids, are what the server expects."""
        for place, oid in self.binary:
            if oids[place] != oid and args[place] is not None:
                return False
        self.accepted = oids
        return True
