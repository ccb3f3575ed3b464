"""Names of ROS's message types."""


def two_part(name: str) -> str:
    """`sensor_msgs/msg/Image` and `std_srvs/srv/Trigger` in two parts, as both versions of ROS understand them."""
    parts = name.split("/")
    return f"{parts[0]}/{parts[2]}" if len(parts) == 3 and parts[1] in ("msg", "srv") else name
