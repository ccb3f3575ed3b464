// Each boundary with the frame before it and the frame at it, the proposed one beside the person's.

// `choose` is told of a row and a frame to go to, `accept` of a row, `nudge` of a boundary and by how much.
function makeBoundaries(place, names, camera, loader, acts) {
  const nameOf = (stage) => (stage === null ? "nothing more" : names[stage]);

  function still(index, frame, word) {
    const empty = make("span", { class: "nothing" }, frame < 0 ? "no frame before" : "");
    if (frame >= 0) {
      loaded(loader, frameUrl(index, camera, frame), frame)
        .then((image) => empty.replaceWith(image), (error) => { empty.textContent = error.message; });
    }
    return make("figure", {}, empty, make("figcaption", {}, frame < 0 ? "" : `${word} ${frame}`));
  }

  function side(title, index, boundary, ...buttons) {
    if (!boundary) {
      const words = title === "yours" ? "not marked by you" : "not proposed";
      return make("div", { class: "side missing" }, make("h3", {}, title), make("p", {}, words));
    }
    const attributes = { title: `go to frame ${boundary.frame}`, onclick: () => acts.choose(boundary.frame) };
    const stills = make("button", { type: "button", class: "stills", ...attributes },
      still(index, boundary.frame - 1, "before"), still(index, boundary.frame, "at"));
    return make("div", { class: "side" }, make("h3", {}, title), stills, make("div", { class: "buttons" }, ...buttons));
  }

  function button(text, key, act) {
    return make("button", { type: "button", onclick: act }, text, " ", make("kbd", {}, key));
  }

  function ownSide(index, row) {
    const [earlier, later] = [[-1, "earlier", "−"], [1, "later", "+"]].map(([by, text, key]) =>
      button(text, key, () => acts.nudge(row.own, by)));
    return side("yours", index, row.own, earlier, later);
  }

  function standing(row) {
    if (!row.proposed) return "yours alone";
    if (!row.own) return "proposed";
    return agreed(row) ? "agreed" : "differs";
  }

  function drawRow(index, row, withProposed) {
    const none = row.stage === null;
    const state = withProposed ? standing(row) : "";
    const accept = row.proposed && !agreed(row) ? [button("accept", "a", () => acts.accept(row))] : [];
    const chip = make("span", { class: none ? "chip none" : `chip ${stageClass(row.stage)}` }, make("bdi", {}, nameOf(row.stage)));
    return make("li", { class: `boundary ${state}`, "data-stage": none ? "none" : row.stage },
      make("h2", {}, chip, none ? "" : " begins", state ? make("em", {}, state) : null),
      make("div", { class: "sides" },
        withProposed ? side("proposed", index, row.proposed, ...accept) : null, ownSide(index, row)));
  }

  return {
    draw(index, rows, withProposed) {
      place.replaceChildren(...rows.map((row) => drawRow(index, row, withProposed)));
    },
    current(row) {
      [...place.children].forEach((element, i) => element.classList.toggle("current", i === row));
    },
  };
}
