"""One node of a ROS 1 graph, run by the Python that has rospy, which is not the one that runs Headway.

`python3 sidecar` takes frames on its standard input and gives frames on its standard output, and ends when the
input ends. There it imports the standard library and ROS and nothing of Headway, and it keeps to Python 3.8, which ROS
Noetic came with. All but `node.py` is used on our side of the pipes too, and needs no ROS.
"""
