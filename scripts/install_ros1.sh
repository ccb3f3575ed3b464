#!/usr/bin/env bash
# Installs ROS 1 (rospy, rosmaster, rostopic, rosservice and the standard messages; about 25 MB) from the packages of
# Debian 12, or of an Ubuntu that has them, for `RosGraph` and its tests. Needs root. Safe to run again: it only does what
# is missing, and nothing where another ROS 1 has been sourced.
set -euo pipefail

fail() { printf 'install_ros1: %s\n' "$1" >&2; exit 1; }

packages=(
    python3-rospy python3-roslaunch python3-rosmaster python3-rostopic python3-rosservice python3-rosnode python3-rosparam
    python3-sensor-msgs python3-std-srvs python3-trajectory-msgs python3-diagnostic-msgs
)
modules='rospy, rosmaster, rosnode, sensor_msgs.msg, trajectory_msgs.msg, diagnostic_msgs.msg, std_srvs.srv'

works() {
    local tool
    for tool in rosmaster rostopic rosservice rosnode; do command -v "$tool" >/dev/null || return 1; done
    /usr/bin/python3 -c "import $modules" 2>/dev/null
}

if works; then
    echo "install_ros1: ROS 1 is there"
    exit 0
fi
command -v apt-get >/dev/null || fail "there is no apt-get here; ROS 1 comes from the packages of Debian 12 or Ubuntu"
[ "$(id -u)" = 0 ] || fail "only root can install packages; run: sudo scripts/install_ros1.sh"
apt-get update -qq || fail "the lists of packages could not be fetched; see the lines above"
[ -n "$(apt-cache search --names-only '^python3-rospy$')" ] \
    || fail "this release has no package python3-rospy; Debian 12 has it"
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null \
    || fail "the packages could not be installed; see the lines above"
works || fail "the packages are installed, but /usr/bin/python3 cannot import rospy; is another Python in its place?"
echo "install_ros1: ROS 1 is ready"
