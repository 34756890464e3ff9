"""What users have used, and what that costs."""
