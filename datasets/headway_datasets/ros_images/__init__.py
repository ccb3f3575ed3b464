"""Pictures as ROS messages hold them; see `decoding.py`."""
