"""Voices: who speaks in which file, who that is, and where else they speak."""
