// The bars of stages over time, and the cursor in them.

function stageClass(stage) {
  return `stage-${stage % 8}`;
}

function makeTimeline(place, names, seek) {
  const bars = make("div", { class: "bars" });
  const cursor = make("div", { class: "cursor" });
  const area = make("div", { class: "timeline" }, bars, cursor);
  place.append(area);
  let length = 1;

  const share = (frame) => `${(100 * frame) / length}%`;

  function bar(label, boundaries) {
    const parts = boundaries.map(({ frame, stage }, i) => {
      const end = i + 1 < boundaries.length ? boundaries[i + 1].frame : length;
      if (stage === null) return null;
      const words = make("b", {}, `${stage + 1} `, make("bdi", {}, names[stage]));
      const part = make("span", { class: stageClass(stage), title: `${names[stage]}: frames ${frame} to ${end - 1}` }, words);
      part.style.left = share(frame);
      part.style.width = share(end - frame);
      return part;
    });
    return make("div", { class: "row" }, make("div", { class: "label" }, label), make("div", { class: "bar" }, ...parts));
  }

  function frameAt(event) {
    const box = area.getBoundingClientRect();
    return clamp(Math.floor((length * (event.clientX - box.left)) / box.width), 0, length - 1);
  }

  area.addEventListener("pointerdown", (event) => {
    area.setPointerCapture(event.pointerId);
    seek(frameAt(event));
  });
  area.addEventListener("pointermove", (event) => { if (area.hasPointerCapture(event.pointerId)) seek(frameAt(event)); });

  return {
    draw(frames, own, proposed, proposedBy) {
      length = frames;
      bars.replaceChildren(bar("yours", own), ...(proposed ? [bar(`proposed by ${proposedBy}`, proposed)] : []));
    },
    at(frame) { cursor.style.left = share(frame + 0.5); },
  };
}
