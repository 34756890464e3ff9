"""Which IP addresses are public: everything else is somebody's inside."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

INSIDE = tuple(
    IPv4Network(network)
    for network in (
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.88.99.0/24",  # 6to4 relays, given up
        "168.63.129.16/32",  # Azure's platform service, which answers inside only
    )
)
"""What Python's `is_global` takes for public."""

PUBLIC_V6 = IPv6Network("2000::/3")
INSIDE_V6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
)
NAT64 = IPv6Network("64:ff9b::/96")


def embedded(address: Address) -> Address:
    """The IPv4 address that a transition address of IPv6 leads to, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_public(address: Address) -> bool:
    """Whether the address is one of the public Internet, by way of whatever it embeds."""
    target = embedded(address)
    if isinstance(target, IPv6Address):
        inside = any(target in network for network in INSIDE_V6)
        return target in PUBLIC_V6 and not inside
    inside = any(target in network for network in INSIDE)
    return target.is_global and not target.is_multicast and not inside


def parse(text: str) -> Address | None:
    """An address in its one proper spelling; None: it is a name, or another spelling."""
    try:
        # A zone (`fe80::1%eth0`) would choose an interface of this machine.
        return None if "%" in text else ip_address(text)
    except ValueError:
        return None
