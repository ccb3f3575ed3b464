"""A real ROS 1 graph, through a process of the Python that has rospy: `graph.py`."""
