"""Block Kit: what messages are built from."""
