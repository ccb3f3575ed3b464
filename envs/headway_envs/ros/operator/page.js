// Asks the node ten times a second how it stands, and shows it. What is shown is at most as old as the question that it
// answers; beyond LOST seconds the page says so and greys itself.

const LOST = 1;
const GIVEN_UP = 3;
const AGAIN = 0.5;

const token = new URLSearchParams(location.search).get("token") || "";
const at = (id) => document.getElementById(id);
const curve = new Curve(at("curve"));
const pictures = new Pictures(at("pictures"), token);
const buttons = new Buttons(token);
const live = { told: null, asked: null, socket: null, since: seconds(), line: -1, turn: 0, refused: "" };

function connect() {
  live.since = seconds();
  const socket = new WebSocket(`ws://${location.host}/live?token=${encodeURIComponent(token)}`);
  live.socket = socket;
  let opened = false;
  socket.onopen = () => {
    opened = true;
    live.refused = "";
    ask(socket);
  };
  socket.onmessage = (event) => {
    if (socket !== live.socket) return;
    take(JSON.parse(event.data));
    ask(socket);
  };
  socket.onclose = () => {
    if (socket !== live.socket) return;
    live.socket = null;
    if (!opened) explain();
    setTimeout(connect, 1000 * AGAIN);
  };
}

function ask(socket) {
  const have = { edition: curve.edition, points: curve.points.length, line: live.line };
  socket.send(JSON.stringify({ asked: seconds(), ...have }));
}

// Why a connection was refused: a websocket does not say.
async function explain() {
  try {
    const answer = await fetch("/page.css", { headers: { Authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(2000) });
    live.refused = answer.ok ? "" : await answer.text();
  } catch {
    live.refused = "";
  }
}

function take(told) {
  live.told = told;
  live.asked = told.asked;
  live.since = seconds();
  // moved by messages alone: nothing turns when none come
  live.turn = (live.turn + 30) % 360;
  at("turning").style.transform = `rotate(${live.turn}deg)`;
  curve.take(told.curve);
  pictures.take(told);
  showState(told);
  showReading(told);
  showLines(told.lines);
  showPairs(at("counters"), Object.entries(told.counters));
}

function showState(told) {
  write(at("state"), `${told.state} ${told.reason}`.trim());
  at("state").className = `state ${told.state}`;
  write(at("task"), told.task || "no task named");
  write(at("motion"), motion(told));
  document.body.classList.toggle("moving", told.motion);
  document.title = `${told.state} – Headway`;
}

function motion(told) {
  const heard = told.estop_alive || told.estop_latched || !told.dry_run;
  const stop = told.estop_latched ? "pressed" : told.estop_alive ? "clear" : "silent";
  const arm = told.motion ? "MOTION ENABLED: the arm may move" : told.dry_run ? "dry run: nothing is sent to an arm" : "motion off";
  return heard ? `${arm} · e-stop ${stop}` : arm;
}

function showReading(told) {
  const result = told.result;
  at("done").hidden = !told.success;
  write(at("progress"), result ? `${Math.round(100 * result.progress)} %` : "–");
  document.body.classList.toggle("invalid", !told.valid);
  if (!result) return showPairs(at("facts"), []);
  const facts = [["success", number(result.success)]];
  if (result.stage) facts.push(["stage", result.stage]);
  if (result.uncertainty !== null) facts.push(["uncertainty", number(result.uncertainty)]);
  facts.push(["reward", number(result.reward, 3)], ["latency", `${Math.round(result.latency_ms)} ms`]);
  facts.push(["estimator", result.model.split(" ")[0]]);
  if (!told.valid) facts.unshift(["not valid now", `last reading ${wait(result.age)} ago`]);
  showPairs(at("facts"), facts);
}

function showPairs(list, pairs) {
  while (list.children.length > pairs.length) list.lastChild.remove();
  while (list.children.length < pairs.length) list.append(make("div", {}, make("dt"), make("dd")));
  pairs.forEach(([name, value], i) => {
    write(list.children[i].children[0], name.replace(/^dropped: /, "dropped, "));
    write(list.children[i].children[1], value);
  });
}

function showLines(lines) {
  const list = at("lines");
  for (const line of lines) {
    live.line = line.number;
    const when = new Date(Date.now() - 1000 * line.age).toTimeString().slice(0, 8);
    list.prepend(make("li", { class: line.level }, make("time", {}, when), make("span", {}, line.text)));
  }
  while (list.children.length > 40) list.lastChild.remove();
}

// Runs whether or not anything comes.
function watch() {
  const age = live.asked === null ? null : seconds() - live.asked;
  const silent = live.told === null ? 0 : live.told.node_age + (age || 0);
  const lost = age === null || age > LOST || silent > LOST;
  document.body.classList.toggle("lost", lost);
  write(at("age"), age === null ? "" : lost ? `${wait(Math.max(age, silent))} old` : "live");
  at("banner").hidden = !lost;
  if (lost) {
    write(at("banner"), trouble(age, silent));
    document.title = "NOT LIVE – Headway";
  }
  pictures.grow();
  buttons.take(live.told, lost);
  // a connection that says nothing may be dead without knowing it
  if (live.socket && seconds() - live.since > GIVEN_UP) {
    const dead = live.socket;
    live.socket = null;
    dead.close();
    connect();
  }
}

function trouble(age, silent) {
  if (live.refused) return live.refused.trim();
  if (age === null) return "Not connected to the node yet.";
  if (age > LOST) return `NO CONNECTION to the node. All of this is ${wait(age)} old.`;
  return `THE NODE HANGS: it has done nothing for ${wait(silent)}.`;
}

connect();
watch();
setInterval(watch, 100);
