// The verdict of a run, and what CRMs and the faults of Telegram answered meanwhile.

import { make } from "./dom.js";
import { hasWord, word } from "./words.js";

const column = (title, texts, attributes) =>
  make(
    "div",
    { class: "side", ...attributes },
    make("h3", {}, title),
    texts.length ? make("ul", {}, ...texts.map((text) => make("li", {}, text))) : make("p", { class: "hint" }, word("shown-nothing")),
  );

// Puts a verdict into its banner, which screen readers follow. `verdict` null: the run ended without one, for this `reason` if it was not a
// button. `shown` null: nobody can look.
export const tellVerdict = (banner, { verdict, state, reason, finals, shown }) => {
  if (verdict === null) {
    banner.dataset.judgement = state;
    const key = `verdict-${state}-${reason}`;
    banner.replaceChildren(make("p", { class: "verdict-line" }, word(hasWord(key) ? key : `verdict-${state}`)));
    return;
  }
  const { judgement, differences } = verdict;
  banner.dataset.judgement = judgement;
  const head = word(`verdict-${judgement}`);
  const isExpected = judgement === "expected";
  const tail = isExpected ? word("verdict-ok-items") : (differences[0] ?? "");
  const parts = [make("p", { class: "verdict-line" }, make("strong", {}, isExpected ? `${head}.` : `${head}:`), ` ${tail}`)];
  if (differences.length > 1) parts.push(make("ul", { class: "differences" }, ...differences.slice(1).map((one) => make("li", {}, one))));
  if (judgement === "different" && shown !== null) {
    const wanted = finals.map((lines) => lines.join("\n"));
    const sides = shown.length ? shown.map(([chat, texts]) => [`${word("shown")} · ${word("chat", { chat })}`, texts]) : [[word("shown"), []]];
    parts.push(
      make(
        "div",
        { class: "sides" },
        column(word("wanted"), wanted, { "data-test": "wanted" }),
        ...sides.map(([title, texts]) => column(title, texts, { "data-test": "shown" })),
      ),
    );
  }
  banner.replaceChildren(...parts);
};

export const clearVerdict = (banner) => {
  delete banner.dataset.judgement;
  banner.replaceChildren();
};

// What was answered in Telegram's place, and what became of each request to a CRM, newest last.
export class Around {
  constructor(list, empty) {
    this.list = list;
    this.empty = empty;
  }

  clear() {
    this.list.replaceChildren();
    this.empty.hidden = false;
  }

  telegram({ method, chat, status, retry_after }) {
    const parts = [word("telegram-line", { method, status }), word("chat", { chat })];
    if (retry_after) parts.push(word("retry-after", { n: retry_after }));
    this.#add("telegram", parts.join(" · "));
  }

  crm({ crm, kind, outcome, problem }) {
    const key = `crm-${outcome}`;
    const line = word("crm-line", { crm, kind, outcome: hasWord(key) ? word(key) : outcome });
    this.#add("crm", problem ? `${line} · ${problem}` : line);
  }

  #add(origin, text) {
    this.empty.hidden = true;
    this.list.append(make("li", { "data-origin": origin }, text));
  }
}
