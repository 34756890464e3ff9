"""People across files: profiles, their collections, clips of their voices."""
