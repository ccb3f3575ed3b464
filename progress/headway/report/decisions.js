// Verdicts: keep or discard, an episode each, kept in this browser and downloaded as lists.

// Returns the store of verdicts of one run. `changed()` is called after every change.
function makeDecisions(fingerprint, changed) {
  const key = `headway-report:${fingerprint}`;
  let verdicts = load(key);
  let lasting = true;
  const history = [];

  const save = () => {
    try {
      localStorage.setItem(key, JSON.stringify(Object.fromEntries(verdicts)));
    } catch {
      lasting = false;
    }
    changed();
  };
  // Give `verdict` ("keep", "discard" or null) to episodes, as one step that can be undone.
  const give = (indices, verdict) => {
    history.push(indices.map((index) => [index, verdicts.get(index) || null]));
    for (const index of indices) put(verdicts, index, verdict);
    save();
  };
  const undo = () => {
    const before = history.pop();
    if (!before) return [];
    for (const [index, verdict] of before) put(verdicts, index, verdict);
    save();
    return before.map(([index]) => index);
  };
  // another tab with the same report
  window.addEventListener("storage", (event) => {
    if (event.key !== key) return;
    verdicts = load(key);
    changed();
  });
  return {
    give, undo,
    of: (index) => verdicts.get(index) || null,
    those: (verdict) => [...verdicts].filter(([, given]) => given === verdict).map(([index]) => index).sort((a, b) => a - b),
    canUndo: () => history.length > 0,
    lasting: () => lasting,
  };
}

function put(verdicts, index, verdict) {
  if (verdict) verdicts.set(index, verdict);
  else verdicts.delete(index);
}

function load(key) {
  try {
    const kept = Object.entries(JSON.parse(localStorage.getItem(key)) || {});
    return new Map(kept.map(([index, verdict]) => [Number(index), verdict]));
  } catch {
    return new Map();
  }
}

// The panel with the lists: what is in it follows the verdicts.
function makeExport(report, decisions) {
  const list = make("textarea", { readonly: true, rows: 3, "aria-label": "Lists of episodes to keep and to discard" });
  const name = report.dataset.split(/[\\/]/).pop().replace(/[^\w.-]+/g, "_") || "dataset";
  const asJson = () => JSON.stringify({
    dataset: report.dataset, run: report.fingerprint, keep: decisions.those("keep"), discard: decisions.those("discard"),
  }, null, 1);
  const asText = () => ["keep", "discard"].map((verdict) => `${verdict}: [${decisions.those(verdict).join(", ")}]`).join("\n");
  const element = make("details", { class: "export" }, make("summary", {}, "Export"),
    make("div", { class: "panel" },
      make("button", { type: "button", onclick: () => download(`${name}-verdicts.json`, asJson()) }, "Download JSON"),
      make("button", { type: "button", onclick: () => download(`${name}-verdicts.txt`, `${asText()}\n`) }, "Download text"),
      make("button", { type: "button", onclick: () => { list.focus(); list.select(); } }, "Select text"), list));
  return { element, update: () => { list.value = asText(); } };
}

function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
