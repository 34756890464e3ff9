"""What is done to a recording, one stage per module; a stage sees only ports."""
