// The cameras' newest pictures. Each tells its own age: one that is no longer renewed is greyed.

class Pictures {
  constructor(place, token) {
    this.place = place;
    this.token = token;
    this.slots = [];
    this.limit = 1;
  }

  take(told) {
    this.limit = clamp(told.frame_age + 0.5, 1, 10);
    told.cameras.forEach((camera, i) => {
      this.slots[i] = this.slots[i] || this.slot(camera.name);
      const slot = this.slots[i];
      slot.same = camera.same || 0;
      slot.newest = camera.number;
      if (camera.number !== null && camera.number !== slot.number && !slot.busy && !document.hidden) this.fetch(i);
    });
  }

  slot(name) {
    const image = make("img", { alt: `newest picture of ${name}`, hidden: true });
    const words = make("span", { class: "words" }, "no picture yet");
    const figure = make("figure", {}, make("div", { class: "frame" }, image, words), make("figcaption", {}, name));
    this.place.append(figure);
    return { figure, image, words, number: null, newest: null, taken: null, same: 0, busy: false, fault: "" };
  }

  async fetch(i) {
    const slot = this.slots[i];
    slot.busy = true;
    const asked = seconds();
    try {
      const answer = await fetch(`/picture/${i}`, {
        headers: { Authorization: `Bearer ${this.token}` },
        signal: AbortSignal.timeout(3000),
      });
      if (answer.ok) await this.put(slot, answer, asked);
      else slot.fault = await answer.text();
      if (!answer.ok) slot.number = slot.newest;
    } catch {
      // the next message tries again; meanwhile the picture grows old
    }
    slot.busy = false;
  }

  async put(slot, answer, asked) {
    const address = URL.createObjectURL(await answer.blob());
    const old = slot.image.src;
    slot.image.src = address;
    await slot.image.decode().then(() => (slot.fault = ""), () => (slot.fault = "the picture is damaged"));
    if (old) URL.revokeObjectURL(old);
    slot.image.hidden = false;
    slot.number = Number(answer.headers.get("X-Number"));
    slot.taken = asked - Number(answer.headers.get("X-Age"));
  }

  // Called again and again: what is old looks old.
  grow() {
    for (const slot of this.slots) {
      const age = slot.taken === null ? null : seconds() - slot.taken;
      const old = age !== null && age > this.limit;
      const same = slot.same > 1;
      slot.figure.classList.toggle("old", old || same || slot.fault !== "");
      let words = age === null ? "no picture yet" : "";
      if (same) words = `the same picture for ${wait(slot.same)}`;
      if (old) words = `${wait(age)} old`;
      if (slot.fault) words = `cannot be shown: ${slot.fault}`;
      write(slot.words, words);
      slot.words.hidden = !words;
    }
  }
}
