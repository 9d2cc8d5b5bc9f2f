"""Message shortcuts."""
