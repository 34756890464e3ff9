"""What operators see: the metrics there are, where they are counted, and traces."""
