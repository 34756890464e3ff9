"""Transcripts: reading, editing, exports and figures about them."""
