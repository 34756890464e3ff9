"""Providers of language models: one suite for all of them, against servers on loopback."""
