"""Prompts of summaries: /api/prompts."""
