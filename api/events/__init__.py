"""What clients are told while it happens: a WebSocket per page, server-sent events per file."""
