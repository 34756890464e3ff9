"""Routes of clusters: groups of voices without a name."""
