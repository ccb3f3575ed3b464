"""A run as a file, and a run once more from that file: `recorder.py`, `replay.py`."""
