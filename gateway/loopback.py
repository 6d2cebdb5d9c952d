"""Which addresses are of this machine only. Settings, guards and whoever else needs to know ask here, so that they never disagree. Pure."""

from ipaddress import IPv6Address, ip_address


def is_loopback_address(text: str) -> bool:
    """Whether this is an IP address that only this machine reaches; a name is none. An IPv4 address in the form of IPv6 is that address."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        # Python counts these to the loopback ones from 3.13 on.
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def is_loopback_host(host: str) -> bool:
    """Whether this host, a name or an address without brackets, is this machine for certain. Of names that is `localhost` only."""
    return host.lower() == "localhost" or is_loopback_address(host)
