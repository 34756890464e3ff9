"""Engines: one synchronous, batch-shaped class per model family; no Ray, no HTTP, no store."""
