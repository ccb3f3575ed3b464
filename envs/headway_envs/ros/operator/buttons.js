// Stop, start, reset and motion. What a person asked for is told as done only once the node has said so.

const SECOND_CLICK = [0.5, 4]; // seconds; sooner is a double click, later is forgotten
const TOLD = 10; // seconds that an answer stays; a stop that failed stays until the node says that it has stopped

class Buttons {
  constructor(token) {
    this.token = token;
    this.answer = document.getElementById("answer");
    this.armed = null;
    for (const name of ["start", "reset"]) this.at(name).addEventListener("click", () => this.ask(name));
    this.at("stop").addEventListener("click", () => this.stop());
    this.at("disable").addEventListener("click", () => this.ask("enable", false));
    this.at("enable").addEventListener("click", () => this.enable());
    // before any button that has the focus takes the key for a click
    document.addEventListener("keydown", (event) => this.key(event, true), true);
    document.addEventListener("keyup", (event) => this.key(event, false), true);
  }

  at(name) {
    return document.getElementById(name);
  }

  key(event, down) {
    if (event.key !== " " && event.code !== "Space") return;
    event.preventDefault();
    event.stopPropagation();
    if (down && !event.repeat) this.stop();
  }

  stop() {
    this.disarm();
    this.ask("stop");
  }

  enable() {
    const now = seconds();
    if (this.armed === null) {
      this.armed = now;
      write(this.at("enable"), "Click again: the arm will move");
      this.at("enable").classList.add("armed");
    } else if (now - this.armed >= SECOND_CLICK[0]) {
      this.disarm();
      this.ask("enable", true);
    }
  }

  disarm() {
    this.armed = null;
    write(this.at("enable"), "Enable motion");
    this.at("enable").classList.remove("armed");
  }

  async ask(name, value = true) {
    const what = name === "enable" ? (value ? "enable motion" : "disable motion") : name;
    // an answer that comes late must not hide that of a later question
    const number = (this.number = (this.number || 0) + 1);
    this.tell(`${what}: asked`, "");
    try {
      const answer = await fetch(`/service/${name}`, {
        method: "POST",
        headers: { Authorization: `Bearer ${this.token}`, "Content-Type": "application/json" },
        body: JSON.stringify({ value }),
        keepalive: true,
        signal: AbortSignal.timeout(4000),
      });
      const told = answer.ok ? await answer.json() : { success: false, message: await answer.text() };
      if (number === this.number || name === "stop") this.told(name, what, told);
    } catch {
      this.told(name, what, { success: false, message: "it did not reach the node" });
    }
  }

  told(name, what, { success, message }) {
    if (success) this.tell(`${what}: done${message ? `, ${message}` : ""}`, "good");
    else if (name === "stop") this.tell(`NOT STOPPED: ${message}. Use the emergency stop.`, "failed");
    else this.tell(`${what}: refused, ${message}`, "bad");
  }

  tell(text, kind) {
    this.kind = kind;
    this.since = seconds();
    write(this.answer, text);
    this.answer.className = `answer ${kind}`;
  }

  // What can be asked for now. The stop always can.
  take(told, lost) {
    const fine = told !== null && !lost;
    const failed = this.kind === "failed";
    if (failed ? fine && told.state === "STOPPED" : seconds() - this.since > TOLD) this.tell("", "");
    this.at("start").disabled = !fine || told.state !== "STOPPED" || told.estop_latched;
    this.at("reset").disabled = !fine;
    const moves = told !== null && !told.dry_run;
    this.at("enable").hidden = !moves || told.motion;
    this.at("disable").hidden = !moves || !told.motion;
    const why = fine ? hindrance(told) : "not connected";
    this.at("enable").disabled = why !== "";
    this.at("enable").title = why;
    if (why || (this.armed !== null && seconds() - this.armed > SECOND_CLICK[1])) this.disarm();
  }
}

// Why the arm may not be enabled now; the node has the last word.
function hindrance(told) {
  if (told.estop_latched) return "the e-stop was pressed: release it, then reset";
  if (!told.estop_alive) return "the e-stop is silent";
  if (told.state !== "RUNNING") return `the node is ${told.state}`;
  return told.success ? "the task is done: reset" : "";
}
