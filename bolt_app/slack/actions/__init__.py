"""Buttons and other interactions."""
