"""Settings of one user, by section."""
