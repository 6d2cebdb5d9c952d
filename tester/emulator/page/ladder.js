// The call as a ladder: a column for each person, time downwards, arrows for what is done, bars while people talk.

import { draw, make } from "./dom.js";
import { moment, word } from "./words.js";

const NARROW = 118;
const WIDE = 230;
const TIME_WIDTH = 52;
const MARGIN = 6;
const HEAD = 52;
const TOP = 26;
const ROW = 34;
const LONGEST_GAP = 34;
const BAR = 10;
const LETTER = 7.5; // about as wide as one of a head is

// Who talks with whom from when till when, and whose telephone rings, from the acts. Rows instead of seconds: index of the act.
export const spansOf = (acts) => {
  const talks = [];
  const rings = [];
  const close = (spans, row, matches) => {
    for (const span of spans) if (span.to === null && matches(span)) span.to = row;
  };
  acts.forEach(({ kind, source, target }, row) => {
    const has = (one) => (span) => span.source === one || span.target === one;
    const both = (span) => has(source)(span) && has(target)(span);
    if (kind === "ring") rings.push({ source, target, from: row, to: null });
    if (kind === "answer") {
      close(rings, row, (span) => has(source)(span) || span.target === target);
      close(talks, row, both);
      talks.push({ source, target, from: row, to: null });
    }
    if (kind === "hold") close(talks, row, both);
    if (kind === "refuse" || kind === "no_answer") {
      close(talks, row, both);
      close(rings, row, (span) => span.target === source);
    }
    if (kind === "transfer") close(talks, row, has(source));
    if (kind === "end") {
      for (const one of [source, target].filter(Boolean)) {
        close(talks, row, has(one));
        // Not those at him: whoever ends his talk may still be wanted by another one.
        close(rings, row, (span) => span.source === one);
      }
    }
  });
  for (const span of [...talks, ...rings]) span.to ??= acts.length - 1;
  return { talks, rings };
};

const heights = (acts) => {
  let y = TOP;
  return acts.map((act, row) => {
    if (row) {
      const gap = act.at_seconds - acts[row - 1].at_seconds;
      y += ROW + Math.min(LONGEST_GAP, gap > 0 ? 7 * Math.log2(1 + gap) : 0);
    }
    return y;
  });
};

// A label in at most two lines of a column.
const inLines = (label, width) => {
  const longest = Math.floor((width - 20) / LETTER);
  const lines = [""];
  for (const piece of label.split(" ")) {
    const last = lines.length - 1;
    if (!lines[last]) lines[last] = piece;
    else if (`${lines[last]} ${piece}`.length <= longest) lines[last] += ` ${piece}`;
    else lines.push(piece);
  }
  const kept = lines.length > 2 ? [lines[0], lines.slice(1).join(" ")] : lines;
  return kept.map((line) => (line.length > longest + 1 ? `${line.slice(0, longest)}…` : line));
};

const headOf = (person, x, width) => {
  const lines = inLines(person.label || person.number, width);
  const first = HEAD / 2 + (lines.length > 1 ? -3 : 5);
  return draw(
    "g",
    { class: `person person-${person.kind}` },
    draw("title", {}, person.label || person.number),
    draw("rect", { x: x - width / 2 + 4, y: 4, width: width - 8, height: HEAD - 8, rx: 9 }),
    ...lines.map((line, index) => draw("text", { x, y: first + index * 15, "text-anchor": "middle" }, line)),
  );
};

const arrowOf = (act, y, from, to) => {
  const isMutual = act.kind === "answer";
  const side = to > from ? 1 : -1;
  const gap = isMutual ? BAR / 2 + 2 : 3;
  const [x1, x2] = [from + side * gap, to - side * gap];
  const tip = (x, way) => draw("path", { class: "tip", d: `M ${x} ${y} l ${-8 * way} -4.5 v 9 z` });
  return draw(
    "g",
    { class: `act act-${act.kind}` },
    draw("line", { x1, y1: y, x2, y2: y }),
    tip(x2, side),
    isMutual ? tip(x1, -side) : null,
    draw("text", { x: (from + to) / 2, y: y - 6, "text-anchor": "middle" }, word(`act-${act.kind}`)),
  );
};

const aloneOf = (act, y, x) =>
  draw(
    "g",
    { class: `act act-${act.kind}` },
    draw("path", { class: "cross", d: `M ${x - 5} ${y - 5} l 10 10 m 0 -10 l -10 10` }),
    draw("text", { x: x + 11, y: y + 4 }, word(`act-${act.kind}`)),
  );

// Draws into `box` and returns how its line of the present is moved: a function of the script's seconds, null hides it.
export const drawLadder = (box, { people, acts }) => {
  const columns = [...people];
  for (const number of acts.flatMap((act) => [act.source, act.target])) {
    if (number && !columns.some((person) => person.number === number)) columns.push({ number, label: number, kind: "other" });
  }
  const column = Math.max(NARROW, Math.min(WIDE, (box.clientWidth - TIME_WIDTH - MARGIN) / columns.length));
  const xOf = new Map(columns.map((person, index) => [person.number, TIME_WIDTH + column * (index + 0.5)]));
  const yOf = heights(acts);
  const width = TIME_WIDTH + column * columns.length + MARGIN;
  const height = (yOf.at(-1) ?? TOP) + 22;
  const { talks, rings } = spansOf(acts);
  const bar = (span, number, kind) =>
    draw("rect", {
      class: kind,
      x: xOf.get(number) - BAR / 2,
      y: yOf[span.from],
      width: BAR,
      height: Math.max(yOf[span.to] - yOf[span.from], 4),
      rx: 4,
    });
  const now = draw("line", { class: "now", x1: 0, x2: width, y1: 0, y2: 0, visibility: "hidden" });
  const size = { width, viewBox: `0 0 ${width} ${height}`, height };
  const body = draw(
    "svg",
    { class: "ladder-body", role: "img", "aria-label": word("ladder-label", { people: columns.map((one) => one.label).join(", ") }), ...size },
    ...[...xOf.values()].map((x) => draw("line", { class: "life", x1: x, x2: x, y1: 0, y2: height - 4 })),
    ...rings.map((span) => bar(span, span.target, "ringing")),
    ...talks.flatMap((span) => [bar(span, span.source, "talking"), bar(span, span.target, "talking")]),
    now,
    ...acts.map((act, row) => {
      const [from, to] = [xOf.get(act.source), xOf.get(act.target)];
      return from === to || to === undefined ? aloneOf(act, yOf[row], from ?? TIME_WIDTH) : arrowOf(act, yOf[row], from, to);
    }),
    ...acts.map((act, row) =>
      row && moment(act.at_seconds) === moment(acts[row - 1].at_seconds)
        ? null
        : draw("text", { class: "moment", x: TIME_WIDTH - 10, y: yOf[row] + 4, "text-anchor": "end" }, moment(act.at_seconds)),
    ),
  );
  const head = draw(
    "svg",
    { class: "ladder-head", "aria-hidden": "true", width, height: HEAD, viewBox: `0 0 ${width} ${HEAD}` },
    ...columns.map((person) => headOf(person, xOf.get(person.number), column)),
  );
  box.replaceChildren(head, body);
  return (seconds) => moveNow(now, acts, yOf, seconds);
};

const moveNow = (line, acts, yOf, seconds) => {
  if (seconds === null || !acts.length) {
    line.setAttribute("visibility", "hidden");
    return;
  }
  const next = acts.findIndex((act) => act.at_seconds > seconds);
  let y = yOf.at(-1);
  if (next === 0) [y] = yOf;
  else if (next > 0) {
    const [before, after] = [acts[next - 1], acts[next]];
    const share = (seconds - before.at_seconds) / (after.at_seconds - before.at_seconds);
    y = yOf[next - 1] + share * (yOf[next] - yOf[next - 1]);
  }
  line.setAttribute("y1", y);
  line.setAttribute("y2", y);
  line.setAttribute("visibility", "visible");
};

// The same as rows of a table.
export const tellActs = (body, { people, acts }) => {
  const labels = new Map(people.map((person) => [person.number, person.label]));
  const nameOf = (number) => labels.get(number) || number;
  body.replaceChildren(
    ...acts.map(({ at_seconds, kind, source, target }) => {
      const key = kind === "end" && !target ? "tell-end-alone" : `tell-${kind}`;
      const told = word(key, { source: nameOf(source), target: nameOf(target) });
      return make("tr", {}, make("th", { scope: "row" }, moment(at_seconds)), make("td", {}, told));
    }),
  );
};
