// How the call is played: pace, kind of host, target, and what is broken in Telegram and the CRMs.

import { byId, fillSelect, make } from "./dom.js";
import { word } from "./words.js";

const PACES = ["1", "10", "step"];
const TROUBLES = ["429", "5xx", "blocked"];

export class Options {
  constructor(changed) {
    this.targets = [];
    this.eventFaults = 0;
    this.target = byId("target");
    this.linkedid = byId("linkedid");
    this.crm = byId("crm-hangs");
    this.#build();
    this.target.addEventListener("change", () => {
      this.#offer();
      changed();
    });
    for (const control of [this.linkedid, this.crm, byId("paces"), byId("telegram-troubles")]) control.addEventListener("change", () => {
      this.#count();
      changed();
    });
  }

  // `targets` as the API tells them; their names are in the language asked for.
  show(targets) {
    this.targets = targets;
    fillSelect(this.target, [{ label: "", options: targets.map(({ address, name }) => ({ value: address, text: name })) }]);
    byId("target-field").hidden = targets.length < 2;
    this.#offer();
  }

  get pace() {
    return this.#radio("pace")?.value ?? PACES[0];
  }

  order() {
    return { pace: this.pace, target: this.target.value, linkedid: this.linkedid.checked };
  }

  faults() {
    return { telegram: this.#radio("telegram")?.value || null, crm_hangs: this.crm.checked };
  }

  // Sets what an earlier run was ordered with.
  take({ pace, target, linkedid, faults }) {
    for (const radio of document.querySelectorAll("input[name=pace]")) radio.checked = radio.value === pace;
    if (this.targets.some((one) => one.address === target)) this.target.value = target;
    this.linkedid.checked = Boolean(linkedid);
    this.#offer();
    const trouble = faults?.telegram ?? "";
    for (const radio of document.querySelectorAll("input[name=telegram]")) radio.checked = radio.value === trouble;
    this.crm.checked = Boolean(faults?.crm_hangs);
    this.#count();
  }

  // How many faults were chosen in the list of events: they count here too.
  tellFaults(items) {
    this.eventFaults = items;
    this.#count();
  }

  tellLength(seconds) {
    byId("play-length").textContent = seconds === null ? "" : word("play-length", { real: this.#rounded(seconds), fast: this.#rounded(seconds / 10) });
  }

  #rounded(seconds) {
    const whole = Math.max(1, Math.round(seconds));
    return whole < 60 ? word("seconds", { n: whole }) : word("minutes", { n: Math.floor(whole / 60), s: whole % 60 });
  }

  #radio(name) {
    return [...document.querySelectorAll(`input[name=${name}]`)].find((input) => input.checked && !input.disabled);
  }

  #build() {
    byId("paces").append(
      ...PACES.map((pace, index) => {
        const input = make("input", { type: "radio", name: "pace", value: pace, id: `pace-${pace}`, "data-test": `pace-${pace}`, checked: index === 0 });
        return make("div", { class: "segment" }, input, make("label", { for: input.id, "data-word": `pace-${pace}` }, word(`pace-${pace}`)));
      }),
    );
    byId("telegram-troubles").append(
      ...["", ...TROUBLES].map((trouble) => {
        const name = trouble || "none";
        const attributes = { type: "radio", name: "telegram", value: trouble, id: `telegram-${name}`, "data-test": `telegram-${name}` };
        const input = make("input", { ...attributes, checked: !trouble, "aria-describedby": `why-${name}` });
        const label = make("label", { for: input.id, "data-word": `telegram-${name}` }, word(`telegram-${name}`));
        return make("div", { class: "option" }, input, label, make("p", { class: "hint", id: `why-${name}` }));
      }),
    );
  }

  // What the chosen target offers; the rest is switched off, with the reason beside it.
  #offer() {
    const target = this.targets.find((one) => one.address === this.target.value);
    const offered = target?.troubles ?? { telegram: [], crm: false };
    const reason = (key) => target?.why_not?.[key] ?? word("not-offered");
    for (const trouble of TROUBLES) {
      const input = byId(`telegram-${trouble}`);
      input.disabled = !offered.telegram.includes(trouble);
      byId(`why-${trouble}`).textContent = input.disabled ? reason(trouble) : "";
      if (input.disabled && input.checked) byId("telegram-none").checked = true;
    }
    this.crm.disabled = !offered.crm;
    byId("why-crm").textContent = this.crm.disabled ? reason("crm") : "";
    if (this.crm.disabled) this.crm.checked = false;
    this.#count();
  }

  #count() {
    const { telegram, crm_hangs } = this.faults();
    const items = Number(Boolean(telegram)) + Number(crm_hangs) + this.eventFaults;
    byId("faults-on").textContent = items ? word("faults-on", { n: items }) : "";
  }
}
