"""Collections: named sets of files."""
