"""Serve deployments: thin shells over engines, named by the role they play."""
