"""Bellhop: linked Slack profiles, and a company's notifications in Slack."""
