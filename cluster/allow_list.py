"""What the operator lets be reached although it is not public: hosts with ports, and networks."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network


def plain_host(host: str) -> str:
    """A host's name as it is compared: without brackets and letter case."""
    return host.strip("[]").rstrip(".").lower()


def parse_ports(listed: str) -> frozenset[int]:
    """Ports, separated by commas; raises ValueError for anything else."""
    ports = frozenset(int(part) for part in listed.split(",") if part.strip())
    if not ports <= frozenset(range(1, 65536)):
        raise ValueError("a port is a number from 1 to 65535")
    return ports


@dataclass(frozen=True, slots=True)
class AllowList:
    """Names at their ports, and networks at the ports that may be reached anyway."""

    hosts: frozenset[tuple[str, int]]
    networks: tuple[Network, ...]

    @classmethod
    def parse(cls, listed: str) -> "AllowList":
        """Read entries that are separated by commas.

        Raises:
            ValueError: an entry is neither `host:port` nor a network.
        """
        hosts: set[tuple[str, int]] = set()
        networks: list[Network] = []
        for entry in filter(None, (part.strip() for part in listed.split(","))):
            host, _, port = entry.rpartition(":")
            try:
                networks.append(ip_network(entry))
            except ValueError as error:
                if "/" in entry or not host or not port.isdecimal():
                    message = f"{entry!r} is neither host:port nor a network"
                    raise ValueError(message) from error
                hosts.add((plain_host(host), int(port)))
        return cls(frozenset(hosts), tuple(networks))
