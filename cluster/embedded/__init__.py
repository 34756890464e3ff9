"""The servers a single machine needs, as children of one supervisor: no Docker, no installation."""
