"""Who is who: every enterprise by any of its keys, in memory.

One resolver for all doors. The snapshot is replaced as a whole; whoever holds an `EnterpriseConfig` goes on with the one it has.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from gateway.errors import GatewayError
from gateway.ports import EnterpriseConfig


class AmbiguousEnterprise(GatewayError):
    """A key that more than one enterprise answers to. The text names the enterprises by number, never the key (it may be a secret)."""

    def __init__(self, kind: str, numbers: Sequence[str]) -> None:
        super().__init__(f"more than one enterprise has this {kind}: {', '.join(numbers)}")
        self.kind = kind
        self.numbers = tuple(numbers)


class _Key(Enum):
    """The keys of an enterprise, the surest first: where a key fits two enterprises by different kinds, the earlier kind wins."""

    NUMBER = "number"
    TOKEN = "token"  # noqa: S105 (the name of a key)
    SECRET = "secret"  # noqa: S105 (the name of a key)
    NAME = "name"

    def of(self, enterprise: EnterpriseConfig) -> str:
        match self:
            case _Key.NUMBER:
                return enterprise.number
            case _Key.TOKEN:
                return enterprise.token
            case _Key.SECRET:
                return enterprise.secret
            case _Key.NAME:
                return enterprise.name


class Directory:
    """The enterprises as last loaded. Look-ups are dictionary reads: no I/O, no checkpoint."""

    def __init__(self, enterprises: Iterable[EnterpriseConfig] = ()) -> None:
        self._enterprises: tuple[EnterpriseConfig, ...] = ()
        self._by_key: Mapping[str, EnterpriseConfig | AmbiguousEnterprise] = {}
        self.replace(enterprises)

    def __repr__(self) -> str:
        return f"<Directory of {len(self._enterprises)} enterprises>"

    def __len__(self) -> int:
        return len(self._enterprises)

    @property
    def enterprises(self) -> tuple[EnterpriseConfig, ...]:
        """The snapshot, as given."""
        return self._enterprises

    def replace(self, enterprises: Iterable[EnterpriseConfig]) -> None:
        """Take a new snapshot. The next look-up sees all of it or none."""
        snapshot = tuple(enterprises)
        by_key: dict[str, EnterpriseConfig | AmbiguousEnterprise] = {}
        for kind in _Key:
            for key, owners in _owners(snapshot, kind).items():
                if key not in by_key:
                    by_key[key] = owners[0] if len(owners) == 1 else AmbiguousEnterprise(kind.value, [owner.number for owner in owners])
        self._enterprises, self._by_key = snapshot, by_key

    def put(self, enterprise: EnterpriseConfig) -> None:
        """Take a newer version of one enterprise, or a new enterprise. In time proportional to the number of enterprises."""
        by_number = {known.number: known for known in self._enterprises}
        by_number[enterprise.number] = enterprise
        self.replace(by_number.values())

    def remove(self, number: str) -> None:
        """The enterprise with this number is not there any more."""
        self.replace(known for known in self._enterprises if known.number != number)

    def resolve(self, key: str) -> EnterpriseConfig | None:
        """The enterprise with this number, token, secret or name; None when there is none.

        Raises: `AmbiguousEnterprise`.
        """
        found = self._by_key.get(key)
        if isinstance(found, AmbiguousEnterprise):
            # A new one each time: an exception that is raised collects its traceback.
            raise AmbiguousEnterprise(found.kind, found.numbers)
        return found


def _owners(enterprises: Iterable[EnterpriseConfig], kind: _Key) -> dict[str, list[EnterpriseConfig]]:
    owners: dict[str, list[EnterpriseConfig]] = {}
    for enterprise in enterprises:
        if key := kind.of(enterprise):
            owners.setdefault(key, []).append(enterprise)
    return owners
