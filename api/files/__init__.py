"""Media files: uploads, lists, transcripts, exports and media."""
