"""Files of notifications: their uploads, their bytes, and who owns them."""
