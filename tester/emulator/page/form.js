// The form: whose call, which kind, who takes part, how it is played. It makes the order that the API takes.

import { get } from "./api.js";
import { byId, fillSelect } from "./dom.js";
import { Fields } from "./fields.js";
import { Options } from "./options.js";
import { word } from "./words.js";

const GROUPS = ["outgoing", "incoming", "internal"];

export class Form {
  // `changed`: something else is ordered now. `replaced`: so is the kind of call, so that its events are others. `failed`: with an error.
  constructor({ changed, replaced, failed }) {
    this.enterprise = byId("enterprise");
    this.pattern = byId("pattern");
    this.enterprises = [];
    this.patterns = [];
    this.asked = 0;
    this.refreshed = Promise.resolve();
    this.fields = new Fields(byId("fields"), changed);
    this.options = new Options(changed);
    this.failed = failed;
    this.enterprise.addEventListener("change", async () => {
      this.fields.forgetPeople(this.patterns.flatMap((pattern) => pattern.roles));
      replaced();
      await this.refresh();
      changed();
    });
    this.pattern.addEventListener("change", async () => {
      replaced();
      await this.refresh();
      changed();
    });
  }

  // Everything that there is to choose from, in the language of the page.
  async load() {
    const [enterprises, patterns, targets] = await Promise.all([get("api/enterprises"), get("api/patterns"), get("api/targets")]);
    this.enterprises = enterprises;
    this.patterns = patterns;
    fillSelect(this.enterprise, [{ label: "", options: enterprises.map(({ number, name }) => ({ value: number, text: `${number} – ${name}` })) }]);
    const groups = GROUPS.map((group) => ({
      label: word(group),
      options: patterns.filter((one) => one.group === group).map(({ key, title }) => ({ value: key, text: `${key} ${title}` })),
    }));
    fillSelect(this.pattern, groups.filter((group) => group.options.length));
    this.options.show(targets);
  }

  get isReady() {
    return Boolean(this.enterprises.length && this.patterns.length);
  }

  get chosenPattern() {
    return this.patterns.find((one) => one.key === this.pattern.value);
  }

  choose({ enterprise, pattern }) {
    if (this.enterprises.some((one) => one.number === enterprise)) this.enterprise.value = enterprise;
    if (this.patterns.some((one) => one.key === pattern)) this.pattern.value = pattern;
  }

  // Puts an earlier order into the form.
  take(order) {
    this.choose(order);
    this.fields.take(order.values);
    this.options.take(order);
  }

  // The fields of what is chosen now, with the people of the enterprise.
  refresh() {
    this.refreshed = this.#refresh();
    return this.refreshed;
  }

  // Comes back when the fields are those of what is chosen, however often that changes meanwhile: no order has fields of another call.
  async settle() {
    let before;
    do {
      before = this.refreshed;
      await before;
    } while (before !== this.refreshed);
  }

  async #refresh() {
    const pattern = this.chosenPattern;
    const enterprise = this.enterprises.find((one) => one.number === this.enterprise.value);
    byId("description").textContent = pattern?.description ?? "";
    this.#tellEnterprise(enterprise);
    if (!pattern || !enterprise) return;
    this.asked += 1;
    const mine = this.asked;
    try {
      const query = { enterprise: enterprise.number };
      const [managers, lines, suggestion] = await Promise.all([
        get("api/managers", query),
        get("api/lines", query),
        get("api/suggestion", { ...query, pattern: pattern.key }),
      ]);
      if (mine === this.asked) this.fields.show(pattern.roles, { managers, lines, suggested: suggestion.values });
    } catch (error) {
      if (mine === this.asked) this.failed(error);
    }
  }

  order(eventFaults) {
    return {
      enterprise: this.enterprise.value,
      pattern: this.pattern.value,
      values: this.fields.values(),
      faults: { events: eventFaults, ...this.options.faults() },
      ...this.options.order(),
    };
  }

  lock(isLocked) {
    byId("order-fields").disabled = isLocked;
  }

  #tellEnterprise(enterprise) {
    if (!enterprise) {
      byId("enterprise-hint").textContent = word("no-enterprises");
      return;
    }
    // Its chats have a language of their own, whatever the page's is.
    byId("chat").lang = enterprise.language;
    const parts = [enterprise.subscribers ? word("subscribers", { n: enterprise.subscribers }) : word("no-subscribers")];
    if (enterprise.crms?.length) parts.push(word("crms", { names: enterprise.crms.join(", ") }));
    if (!enterprise.has_token) parts.push(word("no-token"));
    byId("enterprise-hint").textContent = parts.join(" · ");
    byId("enterprise-hint").classList.toggle("warned", !enterprise.subscribers || !enterprise.has_token);
  }
}
