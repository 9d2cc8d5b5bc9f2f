"""Installing: installation store, state store, OAuth flow, authorize, token rotation."""
