"""Search over everything that was said: /api/search."""
