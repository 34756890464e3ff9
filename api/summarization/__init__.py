"""What language models make of transcripts: summaries, names of speakers, topics."""
