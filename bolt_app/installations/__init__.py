"""Installation: the OAuth flow, its states, the installation store, and tokens."""
