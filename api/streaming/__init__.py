"""Media, thumbnails, waveforms, subtitles and subtitled videos: /api/files/streaming."""
