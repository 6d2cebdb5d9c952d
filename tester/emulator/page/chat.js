// The Telegram chat: what it would show, and while a call runs what it shows.

import { make } from "./dom.js";
import { moment, wallClock, word } from "./words.js";

const FINAL = /^(✅|❌)/u;

const bubble = (text, { isFinal = false, meta = [], attributes = {} } = {}) =>
  make(
    "li",
    { class: "bubble", "data-final": isFinal, ...attributes },
    make("p", { class: "bubble-text" }, text),
    make("p", { class: "bubble-meta" }, ...meta.filter(Boolean).map((part) => make("span", {}, part))),
    isFinal ? make("span", { class: "mark mark-final" }, word("final-mark")) : null,
  );

const titled = (level, text, ...children) => make("div", { class: "chat-part" }, make(level, {}, text), ...children);

const expectedBox = (finals) =>
  titled("h3", word("expected"), make("ol", { class: "finals", "data-test": "finals" }, ...finals.map((lines) => make("li", {}, lines.join("\n")))));

export class Chat {
  constructor(box) {
    this.box = box;
    this.chats = new Map();
    this.finals = [];
  }

  // What the chat would show, step by step, if this call were played undisturbed.
  preview({ messages, finals }) {
    this.chats.clear();
    this.finals = finals;
    const calls = [...new Set(messages.map((message) => message.call))];
    const parts = calls.map((call) => {
      const steps = messages.filter((message) => message.call === call);
      const made = steps.map((step, position) => {
        // What time alone brings comes so many real seconds later at any pace.
        const late = Math.round(step.late_seconds);
        const after = word(late ? "preview-late" : "preview-after", { time: moment(step.at_seconds), n: step.after_index + 1, late });
        if (!step.text) return bubble(word("deleted-mark"), { meta: [after], attributes: { "data-change": "deleted" } });
        return bubble(step.text, { meta: [after], isFinal: position === steps.length - 1 && FINAL.test(step.text) });
      });
      const list = make("ol", { class: "bubbles", "data-test": "chat-preview" }, ...made);
      return calls.length > 1 ? titled("h3", word("call-number", { n: call }), list) : list;
    });
    this.box.replaceChildren(make("div", { class: "wallpaper" }, ...parts), expectedBox(finals));
  }

  clear() {
    this.chats.clear();
    this.box.replaceChildren(make("p", { class: "hint" }, word("chats-none")));
  }

  // An empty chat, for a run that begins.
  start({ finals }) {
    this.chats.clear();
    this.finals = finals;
    this.wallpaper = make("div", { class: "wallpaper" }, make("p", { class: "chat-empty" }, word("chats-empty")));
    this.box.replaceChildren(this.wallpaper, expectedBox(finals));
  }

  // A message was sent, edited or deleted.
  take({ chat, message, call, change, text, at }) {
    const shown = this.#chat(chat);
    const known = shown.messages.get(message) ?? { text: "", before: [], call, element: null, first: at };
    const isDeleted = change === "deleted";
    if (!isDeleted && known.text && known.text !== text) known.before.push(known.text);
    known.edits = (known.edits ?? 0) + (change === "edited" ? 1 : 0);
    known.text = isDeleted ? known.text || text : text;
    known.isDeleted = isDeleted;
    known.at = at;
    known.call = call ?? known.call;
    shown.messages.set(message, known);
    const element = this.#message(message, known, shown);
    if (known.element) known.element.replaceWith(element);
    else shown.list.append(element);
    known.element = element;
  }

  // What every chat shows now: [chat, texts], nothing of what was deleted.
  shown() {
    const ordered = [...this.chats].sort(([one], [other]) => Number(one) - Number(other));
    return ordered.map(([chat, { messages }]) => [chat, [...messages.values()].filter((one) => !one.isDeleted).map((one) => one.text)]);
  }

  #chat(chat) {
    if (!this.chats.has(chat)) {
      const list = make("ol", { class: "bubbles" });
      const id = `chat-${chat}`;
      const section = make("section", { class: "chat", "data-chat": chat, "aria-labelledby": id }, make("h3", { id }, word("chat", { chat })), list);
      this.wallpaper.querySelector(".chat-empty")?.remove();
      // In the order of their numbers, whoever is shown something first.
      const after = [...this.wallpaper.querySelectorAll("[data-chat]")].find((other) => Number(other.dataset.chat) > Number(chat));
      this.wallpaper.insertBefore(section, after ?? null);
      this.chats.set(chat, { list, messages: new Map() });
    }
    return this.chats.get(chat);
  }

  #message(message, known, shown) {
    const hasCalls = new Set([...shown.messages.values()].map((one) => one.call)).size > 1;
    const meta = [
      wallClock(known.at),
      hasCalls && known.call ? word("call-number", { n: known.call }) : "",
      known.edits ? word("edited-mark", { n: known.edits }) : "",
      known.isDeleted ? word("deleted-mark") : "",
    ];
    const state = known.isDeleted ? "deleted" : known.edits ? "edited" : "sent";
    const isFinal = !known.isDeleted && FINAL.test(known.text);
    const element = bubble(known.text, { meta, isFinal, attributes: { "data-message": message, "data-change": state } });
    const text = element.querySelector(".bubble-text");
    if (known.isDeleted) text.replaceChildren(make("del", {}, known.text));
    if (known.before.length) {
      const versions = known.before.map((before) => make("li", {}, before));
      const wasOpen = known.element?.querySelector("details")?.open ?? false;
      element.append(make("details", { open: wasOpen }, make("summary", {}, word("was-before")), make("ol", { class: "versions" }, ...versions)));
    }
    return element;
  }
}
