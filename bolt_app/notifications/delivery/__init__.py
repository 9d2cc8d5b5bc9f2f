"""Delivery of accepted notifications: scheduling, ownership, storage, sending."""
