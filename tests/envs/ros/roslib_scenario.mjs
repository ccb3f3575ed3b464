// What a roslibjs client does with a bridge. Prints one JSON object. Argument: the URL.
import * as ROSLIB from "roslib";

const WAIT = 30000;
const ros = new ROSLIB.Ros({ url: process.argv[2] });
const within = (promise, what) =>
  Promise.race([promise, new Promise((_, fail) => setTimeout(() => fail(new Error(`no ${what}`)), WAIT))]);
await within(new Promise((done, fail) => { ros.on("connection", done); ros.on("error", fail); }), "connection");

const first = (name, messageType, settings = {}) =>
  within(new Promise((done) => {
    const topic = new ROSLIB.Topic({ ros, name, messageType, ...settings });
    topic.subscribe((message) => { topic.unsubscribe(); done(message); });
  }), name);
const call = (name, serviceType, request) =>
  within(new Promise((done, fail) => new ROSLIB.Service({ ros, name, serviceType }).callService(request, done, fail)), name);

const found = {};
found.topics = (await within(new Promise((done, fail) => ros.getTopics(done, fail)), "topics")).topics.sort();
found.type = await within(new Promise((done, fail) => ros.getTopicType("/image", done, fail)), "type");
found.services = (await within(new Promise((done, fail) => ros.getServices(done, fail)), "services")).sort();
const image = await first("/image", "sensor_msgs/Image");
found.image = [...Buffer.from(image.data, "base64")];
found.stamp = image.header.stamp;
found.cbor = [...(await first("/image", "sensor_msgs/Image", { compression: "cbor" })).data];
const png = await first("/image", "sensor_msgs/Image", { compression: "png" });
found.png = [...Buffer.from(png.data, "base64")];
found.floats = [...(await first("/numbers", "std_msgs/Float64MultiArray", { compression: "cbor" })).data];
found.throttled = (await first("/image", "sensor_msgs/Image", { throttle_rate: 100, queue_length: 1 })).width;
found.task = await first("/task", "std_msgs/String");
const progress = new ROSLIB.Topic({ ros, name: "/progress", messageType: "std_msgs/Float32", latch: true });
progress.advertise();
progress.publish({ data: 0.5 });
found.answer = await call("/arm/enable", "std_srvs/SetBool", { data: true });
found.missing = await call("/nope", "std_srvs/Trigger", {}).then(() => null, (error) => String(error));
await within(new Promise((done) => {
  new ROSLIB.Service({ ros, name: "/client/reset", serviceType: "std_srvs/SetBool" }).advertise((request, response) => {
    response.success = true;
    response.message = `reset ${JSON.stringify(request)}`;
    done();
    return true;
  });
}), "call of /client/reset");
found.done = await first("/done", "std_msgs/String");
console.log(JSON.stringify(found));
process.exit(0);
