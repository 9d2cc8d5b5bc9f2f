"""API keys and webhooks: their sources and their limits."""
