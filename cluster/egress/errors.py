"""Why a request does not leave. They are httpx's errors too: who catches those catches these."""

import httpx


class EgressError(httpx.TransportError):
    """A request on a user's behalf did not get an answer that may be used."""

    @property
    def message(self) -> str:
        """What happened, for a person; names hosts, never what is in a URL beside them."""
        return str(self.args[0])


class EgressRefused(EgressError):
    """The address is not one that may be reached: another try ends the same."""


class EgressUnreachable(EgressError):
    """The name does not resolve, or nobody answers."""
