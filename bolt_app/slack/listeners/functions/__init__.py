"""Functions: steps in workflows."""
