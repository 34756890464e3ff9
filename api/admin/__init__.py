"""What administrators see and do: /api/admin."""
