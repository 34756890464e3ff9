"""Comments on files and on moments of them."""
