"""Where requests to CRMs may go. Addresses come from settings that customers write, so they are judged: an address inside the own network
would let its writer reach what only the gateway can reach (server side request forgery).

Pure. `Target.of` judges the spelling, `is_public` an address that a name resolves to: the very one that is connected to.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Self

import attrs
import httpx2 as httpx

# IANA IPv4 Special-Purpose Address Registry (what is not globally reachable), and multicast and class E.
_NOT_PUBLIC_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this network"; Linux takes 0.0.0.0 for itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local: the metadata services of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4, given up
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# IPv6: only global unicast (2000::/3) is public at all, without these of the IANA IPv6 registry.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo (2001::/32) among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside, any; given up
        "3fff::/20",
    )
)
# RFC 6052: how an IPv6-only machine reaches IPv4. As public as the IPv4 address in its last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")
# WHATWG URL, "ends in a number": 127.1, 0x7f000001, 017700000001 are addresses to some resolvers.
_LIKE_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_LONGEST_NAME = 253
_LONGEST_URL = 2048
# Printable ASCII without what URLs may not hold raw. Non-ASCII letters are for names (IDNA) and are dealt with by the parser.
_HARMFUL = re.compile(r"[\x00-\x20\x7f-\xa0\\\"<>^`{|}]")
_AUTHORITY_END = re.compile(r"[/?#]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# What stands in paths of webhooks instead of a password.
_LIKE_A_KEY = re.compile(r"(?=[^/]*[0-9])[^/]{16,}|[^/]{32,}")


def is_public(address: str) -> bool:
    """Whether a resolved address (text, perhaps with a zone as in fe80::1%eth0) lies in the open internet.

    IPv4 inside IPv6 counts as what it reaches: NAT64 as the address inside; mapped, compatible, 6to4 and Teredo addresses never.
    """
    try:
        known = ip_address(address)
    except ValueError:
        return False
    if isinstance(known, IPv4Address):
        return _is_public_v4(known)
    if known in _NAT64:
        return _is_public_v4(IPv4Address(known.packed[-4:]))
    return known in _GLOBAL_UNICAST and not any(known in network for network in _NOT_PUBLIC_V6)


def _is_public_v4(address: IPv4Address) -> bool:
    return not any(address in network for network in _NOT_PUBLIC_V4)


@attrs.frozen(kw_only=True)
class Target:
    """The parts of an http or https URL that a request needs. It may hold a key anywhere, so it shows scheme and host only."""

    scheme: str
    host: str
    """ASCII, lower case; IPv6 without brackets."""
    port: int
    path: bytes = attrs.field(repr=False)
    """With the query, percent-encoded."""

    @classmethod
    def of(cls, url: str) -> Self:
        """Judge and parse. Raises `ValueError` with what is wanted, in words without any part of the URL."""
        if len(url) > _LONGEST_URL:
            raise ValueError(f"must have at most {_LONGEST_URL} characters")
        if _HARMFUL.search(url) or not url.lower().startswith(("http://", "https://")):
            raise ValueError("must be an address as in https://crm.example/calls")
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = None
        if parsed is None or not parsed.raw_host:
            # Outside of the handler: the error of the parser quotes parts of the URL.
            raise ValueError("must be an address as in https://crm.example/calls")
        # The parser drops an empty user, so the text is asked too.
        if parsed.userinfo or "@" in _AUTHORITY_END.split(url[len(parsed.scheme) + 3 :], maxsplit=1)[0]:
            raise ValueError("must have no user and password in it")
        host = parsed.raw_host.decode("ascii", "replace").lower()
        if problem := _host_problem(host):
            raise ValueError(problem)
        port = _DEFAULT_PORTS[parsed.scheme] if parsed.port is None else parsed.port
        if not 0 < port <= 65535:
            raise ValueError("must have a port from 1 to 65535")
        return cls(scheme=parsed.scheme, host=host, port=port, path=parsed.raw_path)

    @property
    def refusal(self) -> str:
        """Why nobody will ever connect to it where private targets are not allowed, "" when the name has to be resolved to know."""
        if self.scheme != "https":
            return "plain http is refused"
        is_local = self.host == "localhost" or self.host.endswith(".localhost")
        return "an address in a private network is refused" if is_local or (_is_address(self.host) and not is_public(self.host)) else ""

    @property
    def host_header(self) -> str:
        """What the `Host` header says: the port only when it is not the usual one (RFC 9110 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def shown(self) -> str:
        """For `integration_logs`: the URL without its query, with parts of the path that look like keys blanked."""
        parts = ("***" if _LIKE_A_KEY.fullmatch(part) else part for part in self._path_parts)
        return f"{self.scheme}://{self.host_header}{'/'.join(parts)}"

    @property
    def keys_in_path(self) -> tuple[str, ...]:
        """The parts of the path that look like keys."""
        return tuple(part for part in self._path_parts if _LIKE_A_KEY.fullmatch(part))

    @property
    def _path_parts(self) -> list[str]:
        return self.path.partition(b"?")[0].decode("ascii", "replace").split("/")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _host_problem(host: str) -> str | None:
    if ":" in host:
        try:
            IPv6Address(host)
        except AddressValueError:
            return "must have a host that is a name or an address"
        return "must have no zone in its address" if "%" in host else None
    if _LIKE_A_NUMBER.fullmatch(host):
        try:
            IPv4Address(host)
        except AddressValueError:
            return "must have its address spelled with four decimal numbers"
        return None
    if len(host) > _LONGEST_NAME or not _NAME.fullmatch(host):
        return "must have a host that is a name or an address"
    return None
