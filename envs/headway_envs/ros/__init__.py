"""Progress, reward and success beside an arm, through a ROS bridge.

transport.py    how a participant of a ROS graph looks from here, whatever carries it
rosbridge/      a websocket, both sides        ros1/    a real ROS 1 graph       memory.py    this very process
node.py         runs `core.py`, which decides: events in, effects out
judge.py        looks at pictures, with an estimator and a policy
recording/      a run as a file, and once more from it
operator/       the page of whoever stands beside the arm
sim/            a simulated arm that joins a graph like any other
camera.py       a camera of this machine, where there is no ROS
"""
