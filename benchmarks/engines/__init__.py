"""The bake-off of delivery engines: the same jobs on each of them, measured by one runner."""
