"""Response headers that more than one feature sends."""

import re
from urllib.parse import quote


def content_disposition(kind: str, name: str) -> str:
    """The header's value (RFC 6266): plain ASCII for old clients, UTF-8 (RFC 5987) for the rest."""
    ascii_name = name.encode("ascii", "replace").decode()
    plain = re.sub(r'["\\%?]', "_", ascii_name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
