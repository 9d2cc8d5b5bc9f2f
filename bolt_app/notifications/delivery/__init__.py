"""The delivery engine: one owner per workspace, lanes in memory, the rows as the truth."""
