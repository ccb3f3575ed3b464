// The progress of the running episode over its seconds.

const WIDE = 600;
const HIGH = 200;

class Curve {
  constructor(place) {
    this.edition = -1;
    this.points = [];
    this.done = null;
    this.line = makeSvg("path", { class: "line" });
    this.mark = makeSvg("path", { class: "mark" });
    const rules = [0, 0.25, 0.5, 0.75, 1].map((value) => `M0 ${height(value)}H${WIDE}`).join("");
    this.picture = makeSvg(
      "svg",
      { viewBox: `-4 -6 ${WIDE + 12} ${HIGH + 12}`, preserveAspectRatio: "none", role: "img", "aria-label": "no progress yet" },
      makeSvg("path", { class: "rules", d: rules }),
      this.mark,
      this.line,
    );
    this.span = make("span");
    place.append(make("div", { class: "plot" }, this.picture), make("p", { class: "axis" }, make("span", {}, "0 s"), this.span));
  }

  // Takes what a message brings: {edition, first, points: [[seconds, progress, gap]], done}.
  take(told) {
    if (told.edition !== this.edition) this.points = [];
    this.edition = told.edition;
    this.points = this.points.slice(0, told.first).concat(told.points);
    this.done = told.done;
    this.draw();
  }

  draw() {
    const last = this.points[this.points.length - 1];
    const span = Math.max(last ? last[0] : 0, 5);
    const across = (time) => ((time / span) * WIDE).toFixed(1);
    let path = "";
    this.points.forEach(([time, value, gap], i) => {
      const alone = gap || i === 0;
      path += `${alone ? "M" : "L"}${across(time)} ${height(value).toFixed(1)}`;
      // a line of one point is a dot
      if (alone && (i + 1 === this.points.length || this.points[i + 1][2])) path += "h0.1";
    });
    this.line.setAttribute("d", path);
    this.mark.setAttribute("d", this.done === null ? "" : `M${across(this.done)} 0V${HIGH}`);
    write(this.span, `${span.toFixed(0)} s`);
    const told = last ? `progress ${last[1].toFixed(2)} after ${last[0].toFixed(0)} s` : "no progress yet";
    this.picture.setAttribute("aria-label", told);
  }
}

function height(value) {
  return HIGH * (1 - value);
}
