"""Backfills: one stage over many files, each a task of its own, driven through Ray Data."""
