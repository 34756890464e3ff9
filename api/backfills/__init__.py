"""Backfills, for administrators."""
