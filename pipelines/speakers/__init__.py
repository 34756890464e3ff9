"""Voices across recordings: voiceprints, who sounds like whom, whose voice it is."""
