// One episode's card: pictures, plot, scores, verdict.

// `report` is the page's data; `decisions` the verdicts; `onVerdict(card, verdict)` is called by its buttons.
function makeCard(report, entry, decisions, onVerdict) {
  const plot = makePlot(entry, report.stageNames, (frame) => player && player.seek(frame));
  const player = makePlayer(entry, plot);
  const buttons = {};
  for (const [verdict, words] of [["keep", "Keep"], ["discard", "Discard"]]) {
    buttons[verdict] = make("button", {
      type: "button", class: verdict, "aria-label": `${words} episode ${entry.index}`,
      onclick: () => onVerdict(card, verdict),
    }, words);
  }
  const title = `title-${entry.index}`;
  const element = make("article", { class: "card", tabindex: -1, "aria-labelledby": title },
    make("div", { class: "top" },
      make("h3", { id: title }, `Episode ${entry.index}`), ...badges(report, entry),
      make("div", { class: "verdict" }, buttons.keep, buttons.discard)),
    make("div", { class: "media" }, strip(entry, player), player ? player.element : noClip(entry)),
    plot.element, scoreList(report, entry), words(entry));
  const update = () => {
    const given = decisions.of(entry.index);
    for (const [verdict, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", given === verdict);
    element.dataset.verdict = given || "";
  };
  const step = (frames) => {
    const from = plot.frame() === null ? 0 : Math.floor(plot.frame() + 1e-6);
    const frame = clamp(from + frames, 0, entry.frames - 1);
    plot.show(frame);
    if (player) player.seek(frame);
  };
  const card = { entry, element, player, update, step };
  update();
  return card;
}

function badge(text, kind, title) {
  return make("span", { class: `badge ${kind}`, title }, text);
}

function badges(report, entry) {
  const rank = entry.scores[report.columns.findIndex((column) => column.key === "rank")];
  const found = [badge(rank === null ? "no rank" : `rank ${rank} of ${report.ranked}`, "", "1 is the best")];
  if (entry.kind) found.push(badge(entry.kind, "", "who made it"));
  if (entry.done !== undefined) {
    found.push(badge(entry.done ? "✓ done" : "✗ not done", entry.done ? "good" : "bad", "by the simulator's truth"));
  }
  if (entry.label !== undefined) {
    const text = entry.label ? "✓ labelled success" : "✗ labelled failure";
    found.push(badge(text, entry.label ? "good" : "bad", "by whoever annotated it"));
  }
  if (entry.inSample) found.push(badge("IN-SAMPLE", "loud", "its estimator was trained on this very episode"));
  else if (entry.fold !== undefined) found.push(badge(`fold ${entry.fold}`, "", "scored by a model that never saw it"));
  return found;
}

function strip(entry, player) {
  const picture = carried(`strip-${entry.index}`);
  if (picture) {
    const alt = `Stills of episode ${entry.index}, evenly spread from its first frame to its last`;
    const image = make("img", { src: `data:image/webp;base64,${picture}`, alt });
    if (player) image.addEventListener("click", player.toggle);
    return image;
  }
  const trouble = carried(`trouble-${entry.index}`);
  return make("p", { class: "no-picture" }, trouble ? `No pictures: ${JSON.parse(trouble)}` : "No pictures carried");
}

function noClip(entry) {
  return carried(`strip-${entry.index}`) && make("p", { class: "no-clip" }, "No clip: they are for the worst and the best.");
}

function scoreList(report, entry) {
  const list = make("dl", { class: "scores" });
  report.columns.forEach((column, i) => {
    if (column.worst === null || column.key === "rank" || !report.present[i]) return;
    list.append(make("div", { title: column.meaning },
      make("dt", {}, column.label), make("dd", {}, number(entry.scores[i], column.digits))));
  });
  return list;
}

function words(entry) {
  if (!entry.why && !entry.text && !entry.defects) return null;
  return make("div", { class: "words" },
    entry.defects && make("p", { class: "defects" }, `Defects: ${entry.defects}`),
    entry.why && make("p", { class: "why" }, make("bdi", {}, entry.why)),
    entry.text && make("p", { class: "instruction" }, make("bdi", {}, `“${entry.text}”`)));
}
