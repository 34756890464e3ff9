"""Who asks: HTTP, authentication, permissions."""
