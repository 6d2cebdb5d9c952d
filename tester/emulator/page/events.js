// The events of a call: before it is sent with a choice of faults, while it runs with what became of each.

import { make } from "./dom.js";
import { length, moment, wallClock, word } from "./words.js";

const TROUBLES = ["", "lose", "double", "delay", "swap"];
const DELAY_SECONDS = 5;
const MOST_DELAY_SECONDS = 60; // as the server takes it

export class Events {
  constructor(list, changed) {
    this.list = list;
    this.changed = changed;
    this.rows = [];
    this.troubles = new Map();
    this.isLive = false;
  }

  // What was chosen, as an order says it.
  faults() {
    return [...this.troubles].map(([index, { trouble, seconds }]) => ({ index, trouble, seconds: trouble === "delay" ? seconds : 0 }));
  }

  take(faults) {
    this.troubles = new Map(faults.map(({ index, trouble, seconds }) => [index, { trouble, seconds: seconds || DELAY_SECONDS }]));
  }

  forgetFaults() {
    this.troubles.clear();
  }

  // Shows the events of a plan. Rows stay the same elements, so that focus and what is unfolded stay where they are.
  show(events, { isLive }) {
    this.isLive = isLive;
    const before = new Map(this.rows.map((row) => [row.index, row]));
    this.rows = events.map((event) => before.get(event.index) ?? this.#row(event.index));
    this.rows.forEach((row, position) => {
      this.#fill(row, events[position], position === events.length - 1);
      if (this.list.children[position] !== row.element) this.list.insertBefore(row.element, this.list.children[position] ?? null);
    });
    while (this.list.children.length > this.rows.length) this.list.lastChild.remove();
    for (const index of this.troubles.keys()) if (!events.some((event) => event.index === index)) this.troubles.delete(index);
  }

  // An event goes out.
  posted({ index, at, body }) {
    const row = this.#find(index);
    if (!row) return;
    this.#mark(row, "posted");
    row.at.textContent = wallClock(at);
    if (body) row.body.textContent = JSON.stringify(body, null, 2);
    this.#follow(row);
  }

  // What the gateway answered to it, or that it did not.
  answered({ index, status, seconds, event_id, duplicate, error }) {
    const row = this.#find(index);
    if (!row) return;
    const isTaken = status === 200;
    this.#mark(row, isTaken ? "answered" : "refused");
    const took = length(seconds ?? 0);
    const parts = [status ? word("answer-ok", { status, length: took }) : word("answer-none", { length: took })];
    if (event_id) parts.push(word("answer-id", { id: event_id }));
    if (duplicate) parts.push(word("answer-duplicate"));
    if (error) parts.push(error);
    row.answers.append(make("li", { class: isTaken ? "good" : "bad", "data-status": status ?? "none" }, parts.join(" · ")));
  }

  // A fault ate it.
  lost({ index }) {
    const row = this.#find(index);
    if (row) this.#mark(row, "lost");
  }

  // While a run goes on its faults are shown, and nothing else can be chosen.
  lock(isLocked) {
    for (const { fault, select, seconds } of this.rows) {
      select.disabled = isLocked;
      seconds.disabled = isLocked;
      fault.hidden = isLocked && !select.value;
    }
  }

  #find(index) {
    return this.rows.find((row) => row.index === index);
  }

  #mark(row, state) {
    row.element.dataset.state = state;
    row.state.textContent = word(`event-${state}`);
  }

  #follow({ element }) {
    const box = this.list.parentElement;
    if (box.matches(":hover") || box.contains(document.activeElement)) return;
    const [outer, inner] = [box.getBoundingClientRect(), element.getBoundingClientRect()];
    if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom;
    if (inner.top < outer.top) box.scrollTop -= outer.top - inner.top;
  }

  #row(index) {
    const row = {
      index,
      moment: make("span", { class: "event-moment" }),
      kind: make("code", { class: "event-kind" }),
      state: make("span", { class: "event-state" }),
      at: make("span", { class: "event-at" }),
      summary: make("p", { class: "event-summary" }),
      answers: make("ul", { class: "answers" }),
      body: make("code", {}),
      bodyName: make("summary", {}),
      select: make("select", { "data-test": `fault-${index}` }),
      seconds: make("input", { type: "number", min: 1, max: MOST_DELAY_SECONDS, step: 1, "data-test": `fault-seconds-${index}` }),
      unit: make("span", { class: "unit" }),
      fault: make("div", { class: "event-fault" }),
    };
    row.fault.append(row.select, row.seconds, row.unit);
    const head = make("div", { class: "event-head" }, row.moment, row.kind, row.state, row.at);
    const box = make("pre", { tabindex: 0 }, row.body);
    const details = make("details", {}, row.bodyName, box);
    row.element = make("li", { class: "event", "data-event-index": index }, head, row.summary, row.answers, make("div", { class: "event-foot" }, details, row.fault));
    row.box = box;
    row.select.addEventListener("change", () => this.#choose(row));
    row.seconds.addEventListener("change", () => this.#choose(row));
    return row;
  }

  #fill(row, event, isLast) {
    const n = event.index + 1;
    row.moment.textContent = moment(event.at_seconds);
    row.kind.textContent = event.kind;
    row.summary.textContent = event.summary ?? "";
    row.body.textContent = JSON.stringify(event.body, null, 2);
    row.bodyName.textContent = word("body");
    row.bodyName.setAttribute("aria-label", `${word("body")}, ${n}: ${event.kind}`);
    row.box.setAttribute("aria-label", `${word("body")}, ${n}: ${event.kind}`);
    row.box.setAttribute("role", "group");
    row.at.textContent = "";
    row.answers.replaceChildren();
    row.select.setAttribute("aria-label", word("event-fault", { n, kind: event.kind }));
    row.seconds.setAttribute("aria-label", word("fault-seconds", { n }));
    row.unit.textContent = word("seconds-short");
    const chosen = this.troubles.get(event.index) ?? { trouble: "", seconds: DELAY_SECONDS };
    row.select.replaceChildren(
      ...TROUBLES.map((trouble) => make("option", { value: trouble, disabled: trouble === "swap" && isLast }, word(`fault-${trouble}`))),
    );
    row.select.value = chosen.trouble;
    row.seconds.value = chosen.seconds;
    this.#present(row);
    if (this.isLive) this.#mark(row, "waiting");
    else {
      row.element.dataset.state = "planned";
      row.state.textContent = "";
    }
  }

  #present(row) {
    const { value } = row.select;
    row.element.dataset.trouble = value;
    row.seconds.hidden = value !== "delay";
    row.unit.hidden = value !== "delay";
  }

  #choose(row) {
    const trouble = row.select.value;
    const seconds = Math.min(MOST_DELAY_SECONDS, Math.max(1, Number(row.seconds.value) || DELAY_SECONDS));
    row.seconds.value = seconds;
    if (trouble) this.troubles.set(row.index, { trouble, seconds });
    else this.troubles.delete(row.index);
    this.#present(row);
    this.changed();
  }
}
