"""API keys and webhooks: their sources, their limits, and guesses at their secrets."""
