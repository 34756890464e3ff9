"""Sign-in: accounts, sessions and their tokens."""
