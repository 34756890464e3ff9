"""The queue's decisions on a fake clock and store, in thousands of seeded interleavings."""
