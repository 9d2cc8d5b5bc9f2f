"""Access: what people may see and do, web sessions, and the audit log of security events."""
