"""Tasks: how far processing is, and how to stop it."""
