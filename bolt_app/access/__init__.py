"""Access: web sessions, and the audit log of security events."""
