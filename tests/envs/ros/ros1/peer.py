"""A node of rospy that the tests talk to: publishes known messages, answers services, tells what it hears.

Run by the Python that has rospy. Takes one command a line on its standard input, and writes what it heard as JSON.
"""

import json
import sys
import threading
import time

import rospy
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from std_srvs.srv import SetBool, SetBoolResponse, Trigger, TriggerResponse

LOCK = threading.Lock()


def tell(**values):
    with LOCK:
        print(json.dumps(values), flush=True)


def image(width, height, number):
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = (number % 256).to_bytes(1, "big") + bytes(range(256)) * (3 * width * height // 256 + 1)
    message.data = message.data[: 3 * width * height]
    message.header.stamp = rospy.Time.from_sec(1234.5)
    message.header.frame_id = "camera"
    return message


def main():
    rospy.init_node("peer")
    pictures = rospy.Publisher("/peer/image", Image, queue_size=2, tcp_nodelay=True)
    compressed = rospy.Publisher("/peer/compressed", CompressedImage, queue_size=2)
    joints = rospy.Publisher("/peer/joints", JointState, queue_size=10)
    texts = rospy.Publisher("/peer/text", String, queue_size=1000)
    flag = rospy.Publisher("/peer/flag", Bool, queue_size=1, latch=True)
    flag.publish(True)
    for topic, kind in (("/ours/array", Float64MultiArray), ("/ours/image", Image), ("/ours/text", String)):
        rospy.Subscriber(topic, kind, lambda message, topic=topic: hear(topic, message), queue_size=1000)
    rospy.Service("/peer/set", SetBool, lambda asked: SetBoolResponse(asked.data, "on" if asked.data else "off"))
    rospy.Service("/peer/slow", Trigger, lambda asked: time.sleep(60) or TriggerResponse())

    def fail(asked):
        raise rospy.ServiceException("the gripper is jammed")

    rospy.Service("/peer/fail", Trigger, fail)
    tell(ready=True)
    number = 0
    for line in sys.stdin:
        what, _, rest = line.strip().partition(" ")
        if what == "image":
            number += 1
            pictures.publish(image(8, 6, number))
        elif what == "large":
            # as quickly as it goes, 640x480
            for _ in range(int(rest)):
                number += 1
                pictures.publish(image(640, 480, number))
                time.sleep(0.01)
            tell(sent=number % 256)
        elif what == "compressed":
            compressed.publish(CompressedImage(format="jpeg", data=bytes.fromhex(rest)))
        elif what == "joints":
            position, velocity = json.loads(rest)
            joints.publish(JointState(name=["a", "é"], position=position, velocity=velocity))
        elif what == "texts":
            for at in range(int(rest)):
                texts.publish(str(at))
        elif what == "flag":
            flag.publish(rest == "true")
        elif what == "call":
            threading.Thread(target=call, args=rest.split(), daemon=True).start()


def hear(topic, message):
    if isinstance(message, Image):
        values = {"seq": message.header.seq, "stamp": message.header.stamp.to_nsec(), "data": message.data.hex()}
        tell(topic=topic, encoding=message.encoding, step=message.step, **values)
    else:
        tell(topic=topic, data=[repr(x) for x in message.data] if isinstance(message.data, tuple) else message.data)


def call(name, data):
    try:
        answer = rospy.ServiceProxy(name, SetBool)(data == "true")
        tell(called=name, success=answer.success, message=answer.message)
    except rospy.ServiceException as error:
        tell(called=name, error=str(error))


if __name__ == "__main__":
    main()
