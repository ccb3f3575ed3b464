"""An arm of one joint that moves freely, as a node of a real ROS 1 graph, with a dead-man of its own.

Run by the Python that has rospy: `/usr/bin/python3 arm_node.py --mode velocity`. It shares no code with what it tests.
Takes Float64MultiArray of one number, rad/s or rad. Without a command for the watchdog's time it comes to rest, with 1
rad/s per 20 ms. `/arm/stop` (Trigger) makes it rest until the next command. Publishes JointState at 50 Hz with the true
velocity, an rgb8 Image of 48x32 at 30 Hz with a bar where the joint is, and, if asked, an e-stop that says clear at
10 Hz.
"""

import argparse
import math
import random
import threading
import time

import rospy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import Trigger, TriggerResponse

STEP = 0.02
ACCELERATION = 50.0
WIDTH, HEIGHT = 48, 32


class Arm:
    """The joint: `position` in rad without limits, `velocity` in rad/s up to 2."""

    def __init__(self, mode, watchdog):
        self.mode, self.watchdog = mode, watchdog
        self.position = self.velocity = 0.0
        self.wish = None
        self.told = -math.inf
        self.commands = self.refused = self.stops = 0
        self.lock = threading.Lock()

    def command(self, message):
        with self.lock:
            if len(message.data) != 1 or not math.isfinite(message.data[0]):
                self.refused += 1
                return
            self.commands += 1
            self.wish, self.told = message.data[0], time.monotonic()

    def stop(self, request):
        with self.lock:
            self.stops += 1
            self.wish = None
        return TriggerResponse(success=True, message="stopped")

    def step(self):
        with self.lock:
            if time.monotonic() - self.told > self.watchdog:
                self.wish = None
            if self.wish is None:
                wanted = 0.0
            else:
                wanted = self.wish if self.mode == "velocity" else (self.wish - self.position) / (5 * STEP)
            wanted = max(-2.0, min(2.0, wanted))
            most = ACCELERATION * STEP
            self.velocity += max(-most, min(most, wanted - self.velocity))
            self.position += self.velocity * STEP
            return self.position, self.velocity


def picture(position, number):
    """A dark scene with a little noise and a bright bar, rgb8."""
    noise = random.Random(number)
    row = bytearray(noise.randrange(20) for _ in range(3 * WIDTH))
    at = int((math.sin(position) * 0.5 + 0.5) * (WIDTH - 4))
    row[3 * at : 3 * at + 12] = bytes([250] * 12)
    message = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH, data=bytes(row) * HEIGHT)
    message.header.stamp = rospy.Time.now()
    return message


def every(seconds, work):
    def run():
        due = time.monotonic()
        while not rospy.is_shutdown():
            work()
            due += seconds
            time.sleep(max(0.0, due - time.monotonic()))

    threading.Thread(target=run, daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["velocity", "position"], default="velocity")
    parser.add_argument("--command", default="/progress_node/command")
    parser.add_argument("--joint", default="joint_1")
    parser.add_argument("--image", default="/camera/image_raw")
    parser.add_argument("--estop", default="", help="a Bool topic that says clear; none by default")
    parser.add_argument("--watchdog", type=float, default=0.2)
    options = parser.parse_args()
    rospy.init_node("arm")
    arm = Arm(options.mode, options.watchdog)
    joints = rospy.Publisher("/joint_states", JointState, queue_size=5, tcp_nodelay=True)
    images = rospy.Publisher(options.image, Image, queue_size=1, tcp_nodelay=True)
    rospy.Service("/arm/stop", Trigger, arm.stop)
    rospy.Subscriber(options.command, Float64MultiArray, arm.command, queue_size=1, tcp_nodelay=True)

    def move():
        position, velocity = arm.step()
        message = JointState(name=[options.joint], position=[position], velocity=[velocity])
        message.header.stamp = rospy.Time.now()
        joints.publish(message)

    numbers = iter(range(1 << 62))
    every(STEP, move)
    every(1 / 30, lambda: images.publish(picture(arm.position, next(numbers))))
    if options.estop:
        clear = rospy.Publisher(options.estop, Bool, queue_size=5, tcp_nodelay=True)
        every(0.1, lambda: clear.publish(False))
    rospy.spin()


if __name__ == "__main__":
    main()
