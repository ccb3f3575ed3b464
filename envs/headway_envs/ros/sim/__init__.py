"""A simulated arm that joins a graph like any other: `arm.py`."""
