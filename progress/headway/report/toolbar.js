// The controls above the list, and the legend.

function makeToolbar() {
  const bar = document.getElementById("toolbar");
  const order = make("button", { type: "button", onclick: () => { view.worstFirst = !view.worstFirst; nameOrder(); refresh(); } });
  const nameOrder = () => {
    const judges = report.columns[view.column].worst !== null;
    const names = judges ? ["Worst first", "Best first"] : ["Lowest first", "Highest first"];
    order.textContent = `${names[view.worstFirst ? 0 : 1]} ⇅`;
    order.setAttribute("aria-label", `${names[view.worstFirst ? 0 : 1]}; press to turn round`);
  };
  const sorting = report.columns.map((column, i) => [String(i), column.label]).filter((_, i) => report.present[i]);
  const kinds = [...new Set(report.episodes.map((entry) => entry.kind || ""))].filter((kind) => kind).sort();
  const outcomes = [...new Set(report.episodes.map(outcomeOf))].sort();
  bar.append(
    choice("Sort by", sorting, (value) => { view.column = Number(value); nameOrder(); refresh(); }), order);
  if (kinds.length) bar.append(filter("Kind", "kind", kinds));
  if (outcomes.length > 1) bar.append(filter("Outcome", "outcome", outcomes));
  bar.append(
    filter("Verdict", "verdict", ["keep", "discard", "none"]), searchField(),
    make("span", { class: "group" },
      make("button", { type: "button", title: "all episodes shown that have no verdict yet", onclick: () => judgeShown("keep") }, "Keep the rest"),
      make("button", { type: "button", title: "all episodes shown that have no verdict yet", onclick: () => judgeShown("discard") }, "Discard the rest"),
      undoButton),
    exporting.element, keyboardHelp(), document.getElementById("status"));
  nameOrder();
  document.getElementById("legend").append(...legend());
}

function choice(label, options, onChange) {
  const select = make("select", { onchange: () => onChange(select.value) });
  for (const [value, text] of options) select.append(make("option", { value }, text));
  return make("label", {}, `${label} `, select);
}

function filter(label, key, values) {
  const options = [["", "all"], ...values.map((value) => [value, value])];
  return choice(label, options, (value) => { view[key] = value; refresh(); });
}

function searchField() {
  let waiting = null;
  const field = make("input", { type: "search", placeholder: "text or number", oninput: () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { view.text = field.value.trim(); refresh(); }, 150);
  } });
  return make("label", {}, "Find ", field);
}

function keyboardHelp() {
  const keys = [
    ["Space", "play or pause"], ["← →", "one frame"], ["Shift ← →", "one second"], ["n p", "next, previous episode"],
    ["k d", "keep, discard (again: take back)"], ["u", "undo"],
  ];
  return make("details", { class: "keys" }, make("summary", {}, "Keys"),
    make("dl", { class: "panel" }, ...keys.map(([key, words]) =>
      make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, words)))));
}

function legend() {
  const has = (key) => report.episodes.some((entry) => entry.curves[key]);
  const lines = [["progress", "estimated progress", true], ["interpolated", "interpolated, not looked at", report.interpolated],
    ["band", "uncertainty", has("uncertainty")], ["truth", "truth", has("truth")],
    ["success", "probability of success", has("success")], ["gap", "no progress", report.gaps],
    ["area-under", "weight in training", has("weight")]];
  const drawn = lines.filter(([, , there]) => there).map(([kind, text]) => make("span", { class: "key" }, sample(kind), text));
  const stages = report.stageNames.slice(0, 24).map((name, i) => make("span", { class: `key stage-${i % STAGE_COLOURS}` }, name));
  return [make("div", {}, ...drawn), make("div", {}, ...stages)];
}

function sample(kind) {
  const drawing = makeSvg("svg", { viewBox: "0 0 30 12", class: "sample", "aria-hidden": "true" });
  if (kind === "band") drawing.append(makeSvg("path", { class: "band", d: "M0 2H30V10H0Z" }));
  else if (kind === "gap") drawing.append(makeSvg("rect", { class: "gap", fill: "url(#hatch)", width: 30, height: 12 }));
  else if (kind === "area-under") drawing.append(makeSvg("path", { class: kind, d: "M0 12L0 9L10 2H22L30 10V12Z" }));
  else drawing.append(makeSvg("path", { class: `line ${kind}`, d: "M0 6H30" }));
  return drawing;
}
