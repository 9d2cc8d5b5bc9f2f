"""Custom templates, rendered in processes that can do little else."""
