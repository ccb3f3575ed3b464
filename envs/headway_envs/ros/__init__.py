"""Progress, reward and success beside an arm, through a ROS bridge.

`transport.py` is how a participant of a ROS graph looks from here, whatever carries it: `rosbridge.py` a websocket,
`ros1.py` a ROS 1 graph, `memory.py` this very process. `core.py` decides, `node.py` runs it.
"""
