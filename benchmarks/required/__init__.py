"""The required results of the delivery engine, measured from outside in one run."""
