"""Which addresses may be asked: every private range, every odd spelling, keys never shown."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.crm.targets import Target, is_public

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "not an address",
    "",
    "127.1",
    "2130706433",
]
PUBLIC = ["1.1.1.1", "9.255.255.255", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "223.255.255.255"]
PUBLIC_V6 = ["2606:4700::1111", "2a02:6b8::2:242", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_in_the_open_internet_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC + PUBLIC_V6)
def test_an_address_in_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=6))
def test_nothing_that_python_calls_private_counts_as_public(address: IPv6Address) -> None:
    if address.is_private or address.is_multicast or address.is_loopback or address.is_link_local:
        assert not is_public(str(address))


@given(st.ip_addresses(v=4))
def test_of_old_addresses_exactly_the_global_unicast_ones_are_public(address: IPv4Address) -> None:
    # Python counts the relays of 6to4, and 192.0.0.9 and .10, as global.
    if not str(address).startswith(("192.88.99.", "192.0.0.")):
        assert is_public(str(address)) == (address.is_global and not address.is_multicast)


NO_ADDRESS = "must be an address as in https://crm.example/calls"
NO_HOST = "must have a host that is a name or an address"
ODD_NUMBER = "must have its address spelled with four decimal numbers"
NO_USER = "must have no user and password in it"
NO_PORT = "must have a port from 1 to 65535"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", NO_ADDRESS),
        ("crm.example", NO_ADDRESS),
        ("ftp://crm.example", NO_ADDRESS),
        ("file:///etc/passwd", NO_ADDRESS),
        ("https://", NO_ADDRESS),
        ("https:///calls", NO_ADDRESS),
        ("https://:443/", NO_ADDRESS),
        ("https://crm.example/a b", NO_ADDRESS),
        ("https://crm.example\\@127.0.0.1/", NO_ADDRESS),
        ("https://crm.example/\r\nX: y", NO_ADDRESS),
        ("https://crm.example/\u00a0", NO_ADDRESS),
        ("https://[::1/", NO_ADDRESS),
        ("https://crm.example:port/", NO_ADDRESS),
        ("https://user:pass@crm.example/", NO_USER),
        ("https://user@crm.example/", NO_USER),
        ("https://@crm.example/", NO_USER),
        ("https://crm.example:0/", NO_PORT),
        ("https://crm.example:65536/", NO_PORT),
        ("https://2130706433/", ODD_NUMBER),
        ("https://0x7f000001/", ODD_NUMBER),
        ("https://0x7f.1/", ODD_NUMBER),
        ("https://0177.0.0.1/", NO_ADDRESS),
        ("https://127.1/", ODD_NUMBER),
        ("https://1.2.3/", ODD_NUMBER),
        ("https://256.1.1.1/", NO_ADDRESS),
        ("https://1.1.1.1.1/", ODD_NUMBER),
        ("https://crm.0x10/", ODD_NUMBER),
        ("https://crm.example./", NO_HOST),
        ("https://127.0.0.1./", NO_HOST),
        ("https://crm..example/", NO_HOST),
        ("https://crm%2eexample/", NO_HOST),
        ("https://-crm.example/", NO_HOST),
        ("https://crm*.example/", NO_HOST),
        ("https://[fe80::1%25eth0]/", "must have no zone in its address"),
        (f"https://{'a.' * 130}example/", NO_HOST),
        (f"https://{'a' * 64}.example/", NO_HOST),
        (f"https://crm.example/{'a' * 2048}", "must have at most 2048 characters"),
        ("https://①②⑦.0.0.1/", NO_ADDRESS),
    ],
)
def test_a_url_that_is_none_or_oddly_spelled_is_refused_in_words(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match="must") as raised:
        Target.of(url)
    assert str(raised.value) == problem
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "host_header"),
    [
        ("https://crm.example", "crm.example", 443, b"/", "crm.example"),
        ("https://CRM.example:443/Calls?a=1&b=%20", "crm.example", 443, b"/Calls?a=1&b=%20", "crm.example"),
        ("http://crm.example:8080/", "crm.example", 8080, b"/", "crm.example:8080"),
        ("http://crm.example:443/", "crm.example", 443, b"/", "crm.example:443"),
        ("https://my_crm.internal/x#part", "my_crm.internal", 443, b"/x", "my_crm.internal"),
        ("https://пример.рф/звонки", "xn--e1afmkfd.xn--p1ai", 443, b"/%D0%B7%D0%B2%D0%BE%D0%BD%D0%BA%D0%B8", "xn--e1afmkfd.xn--p1ai"),
        ("https://192.168.0.7:8443/", "192.168.0.7", 8443, b"/", "192.168.0.7:8443"),
        ("https://[2606:4700::1]:8443/", "2606:4700::1", 8443, b"/", "[2606:4700::1]:8443"),
        ("https://crm.example/a@b?c=d@e", "crm.example", 443, b"/a@b?c=d@e", "crm.example"),
    ],
)
def test_a_good_url_is_taken_apart(url: str, host: str, port: int, path: bytes, host_header: str) -> None:
    target = Target.of(url)
    assert (target.host, target.port, target.path, target.host_header) == (host, port, path, host_header)


def test_a_target_shows_no_key() -> None:
    target = Target.of("https://crm.example/hooks/calls/T0k3nT0k3nT0k3nT0k3n/in?key=HUSH")
    assert target.shown == "https://crm.example/hooks/calls/***/in"
    assert target.keys_in_path == ("T0k3nT0k3nT0k3nT0k3n",)
    assert "T0k3n" not in repr(target)
    assert "HUSH" not in repr(target)


@given(st.text(max_size=40) | st.text(max_size=30).map(lambda text: f"https://{text}"))
def test_any_text_is_a_target_or_is_refused(text: str) -> None:
    try:
        target = Target.of(text)
    except ValueError as exc:
        problem = str(exc)
    else:
        assert target.host.isascii()
        assert target.path.startswith(b"/")
        return
    assert problem.startswith("must ")
