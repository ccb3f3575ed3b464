"""What a roslibpy client does with a bridge; a process of its own, for its reactor cannot be started twice.

Prints one JSON object. Arguments: host, port.
"""

import base64
import json
import sys
import threading

import roslibpy

WAIT = 30


def main():
    ros = roslibpy.Ros(host=sys.argv[1], port=int(sys.argv[2]))
    ros.run(timeout=WAIT)
    found = {"topics": sorted(ros.get_topics()), "type": ros.get_topic_type("/image")}
    found["services"] = sorted(ros.get_services())

    def first(topic, kind, **settings):
        heard, came = [], threading.Event()
        listener = roslibpy.Topic(ros, topic, kind, **settings)
        listener.subscribe(lambda message: (heard.append(message), came.set()))
        assert came.wait(WAIT), topic
        listener.unsubscribe()
        return heard[0]

    image = first("/image", "sensor_msgs/Image")
    found["image"] = list(base64.b64decode(image["data"]))
    found["throttled"] = first("/image", "sensor_msgs/Image", throttle_rate=100, queue_length=1)["width"]
    found["stamp"] = image["header"]["stamp"]
    found["task"] = first("/task", "std_msgs/String")

    publisher = roslibpy.Topic(ros, "/progress", "std_msgs/Float32", latch=True)
    publisher.advertise()
    publisher.publish(roslibpy.Message({"data": 0.5}))

    stop = roslibpy.Service(ros, "/arm/enable", "std_srvs/SetBool")
    found["answer"] = stop.call(roslibpy.ServiceRequest({"data": True}), timeout=WAIT).data
    try:
        roslibpy.Service(ros, "/nope", "std_srvs/Trigger").call(roslibpy.ServiceRequest(), timeout=WAIT)
    except roslibpy.core.ServiceException as error:
        found["missing"] = str(error)

    asked = threading.Event()

    def reset(request, response):
        response["success"], response["message"] = True, f"reset {dict(request)}"
        asked.set()
        return True

    service = roslibpy.Service(ros, "/client/reset", "std_srvs/SetBool")
    service.advertise(reset)
    assert asked.wait(WAIT), "nobody asked for /client/reset"
    # the arm says that it has the answer
    found["done"] = first("/done", "std_msgs/String")
    print(json.dumps(found), flush=True)
    ros.terminate()


main()
