"""Tags of one user, and on their files."""
