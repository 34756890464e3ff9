"""Search: what is said is cut into passages, two stores are kept equal to it, and asked."""
