"""The models: engines, the ports that stages ask, and their Ray Serve deployments."""
