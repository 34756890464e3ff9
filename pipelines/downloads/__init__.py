"""Recordings that are fetched from an address, by yt-dlp in a sandbox with one way out."""
