"""Progress and reward over HTTP, for loops that are neither Python nor on ROS. `docs/serve.md` tells how to ask."""
