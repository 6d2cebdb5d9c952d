// The fields of a pattern: who plays which role. What was chosen is kept from pattern to pattern by the key of the role.

import { get } from "./api.js";
import { fillSelect, make, settled } from "./dom.js";
import { word } from "./words.js";

const OTHER = "other";
const CHECK_AFTER = 250;
// Numbers of nobody, to choose from.
const EXAMPLES = ["+375290001111", "+375290002222", "+74950001111", "+74950002222"];

const CHOSEN = new Set(["extension", "line"]);
const DIALLED = new Set(["phone", "mobile"]);

export class Fields {
  constructor(box, changed) {
    this.box = box;
    this.changed = changed;
    this.kept = {};
    this.touched = new Set();
    this.fields = [];
    this.managers = {};
    this.lines = {};
  }

  // Another enterprise has other people and lines; outside numbers stay.
  forgetPeople(roles) {
    for (const role of roles) if (role.kind !== "phone") delete this.kept[role.key];
    this.touched.clear();
  }

  take(values) {
    Object.assign(this.kept, values);
  }

  // Shows the fields of `roles`. What nobody has chosen yet is taken from `suggested`; nobody plays two roles.
  show(roles, { managers, lines, suggested }) {
    this.managers = managers;
    this.lines = lines;
    const used = new Set();
    for (const role of roles) this.#settle(role, suggested, used);
    this.fields = roles.map((role) => this.#fieldOf(role));
    const others = this.fields.length ? [] : [make("p", { class: "hint" }, word("no-fields"))];
    this.box.replaceChildren(...this.fields.map((field) => field.element), ...others);
    this.#keepApart();
    for (const field of this.fields) if (DIALLED.has(field.role.kind)) this.#check(field);
  }

  values() {
    return Object.fromEntries(this.fields.map((field) => [field.role.key, this.#valueOf(field)]));
  }

  // Puts texts beside their fields; those that nobody has touched are spared unless `all`. Returns the names of the fields that have one
  // now, and the texts that are no field's.
  tell(errors, { all = false } = {}) {
    const named = [];
    const roles = new Set(this.fields.map((field) => field.role.key));
    for (const field of this.fields) {
      const text = errors[field.role.key] ?? "";
      const isTold = text && (all || this.touched.has(field.role.key));
      this.#say(field, isTold ? text : "");
      if (isTold) named.push(field.role.title);
    }
    return { named, others: Object.keys(errors).filter((key) => !roles.has(key)).map((key) => errors[key]) };
  }

  focusFirstError() {
    const field = this.fields.find((one) => one.control.getAttribute("aria-invalid") === "true");
    if (field) (field.other && !field.other.hidden ? field.other : field.control).focus();
    return Boolean(field);
  }

  #settle(role, suggested, used) {
    const offered = this.#offered(role);
    const isFree = (value) => value && !used.has(`${role.kind} ${value}`);
    const candidates = [this.kept[role.key], suggested[role.key], role.default];
    if (role.key in this.kept && role.is_optional) candidates.splice(0, 3, this.kept[role.key]);
    let value = candidates.find(isFree) ?? "";
    if (!value && !role.is_optional) value = Object.keys(offered).find(isFree) ?? "";
    if (value) used.add(`${role.kind} ${value}`);
    this.kept[role.key] = value;
  }

  #offered(role) {
    if (role.kind === "extension") return this.managers;
    return role.kind === "line" ? this.lines : {};
  }

  #fieldOf(role) {
    const ids = { control: `field-${role.key}`, hint: `hint-${role.key}`, error: `error-${role.key}` };
    const hint = make("p", { class: "hint", id: ids.hint });
    const error = make("p", { class: "error", id: ids.error });
    const described = { "aria-describedby": `${ids.hint} ${ids.error}` };
    const field = { role, hint, error, other: null, checks: 0 };
    const named = { id: ids.control, name: role.key, "data-field": role.key, required: !role.is_optional, ...described };
    const parts = CHOSEN.has(role.kind) ? this.#choice(field, named, described) : this.#typed(field, named);
    const optional = role.is_optional ? make("span", { class: "optional" }, ` – ${word("optional")}`) : null;
    field.element = make("div", { class: "field" }, make("label", { for: ids.control }, role.title, optional), ...parts, hint, error);
    return field;
  }

  #choice(field, named, described) {
    const { role } = field;
    const offered = this.#offered(role);
    const value = this.kept[role.key];
    field.control = make("select", named);
    field.other = make("input", {
      inputmode: "numeric",
      autocomplete: "off",
      maxlength: 40,
      "data-field-other": role.key,
      "aria-label": word("other-number-of", { title: role.title }),
      ...described,
    });
    const none = { value: "", text: `– ${word(!role.is_optional ? "choose" : role.kind === "line" ? "no-line" : "nobody")} –` };
    const options = Object.entries(offered).map(([number, one]) => ({
      value: number,
      text: role.kind === "line" ? `${one.name} (${number})` : one.name || number,
    }));
    const isOther = value && !(value in offered);
    fillSelect(field.control, [{ label: "", options: [none, ...options, { value: OTHER, text: word("other-number") }] }], isOther ? OTHER : value);
    field.other.hidden = !isOther;
    if (isOther) field.other.value = value;
    field.control.addEventListener("change", () => {
      field.other.hidden = field.control.value !== OTHER;
      this.#change(field);
    });
    field.other.addEventListener("input", () => this.#change(field));
    return [field.control, field.other];
  }

  #typed(field, named) {
    const { role } = field;
    const isDialled = DIALLED.has(role.kind);
    const list = isDialled ? `list-${role.key}` : null;
    field.control = make("input", { ...named, type: isDialled ? "tel" : "text", inputmode: isDialled ? "tel" : "numeric", list, autocomplete: "off", maxlength: 40 });
    field.control.value = this.kept[role.key];
    const check = settled(() => this.#check(field), CHECK_AFTER);
    field.control.addEventListener("input", () => {
      this.#change(field);
      if (isDialled) check();
    });
    return isDialled ? [field.control, this.#listOf(role, list)] : [field.control];
  }

  #listOf(role, id) {
    const mobiles = Object.values(this.managers).filter((one) => one.personal_phone);
    const people = mobiles.map((one) => make("option", { value: `+${one.personal_phone.replace(/^\+/, "")}` }, one.name));
    return make("datalist", { id }, ...(role.kind === "mobile" ? people : EXAMPLES.map((value) => make("option", { value }))));
  }

  async #check(field) {
    const number = this.#valueOf(field);
    field.checks += 1;
    const mine = field.checks;
    if (!number) {
      field.hint.textContent = "";
      return;
    }
    try {
      const { is_valid, shown, error } = await get("api/phone", { number });
      if (mine !== field.checks) return;
      field.hint.textContent = is_valid ? `✓ ${shown}` : "";
      field.hint.classList.toggle("good", is_valid);
      if (!is_valid) this.#say(field, error ?? "");
    } catch {
      field.hint.textContent = ""; // the plan, asked for at the same time, says what is wrong
    }
  }

  #valueOf(field) {
    const isOther = field.other !== null && field.control.value === OTHER;
    return (isOther ? field.other : field.control).value.trim();
  }

  #change(field) {
    const value = this.#valueOf(field);
    this.kept[field.role.key] = value;
    // Whoever has just asked for a number of his own has not yet had the time to type it.
    if (value || field.control.value !== OTHER) this.touched.add(field.role.key);
    this.#say(field, "");
    this.#keepApart();
    this.changed();
  }

  #say(field, text) {
    field.error.textContent = text;
    for (const control of [field.control, field.other].filter(Boolean)) {
      if (text) control.setAttribute("aria-invalid", "true");
      else control.removeAttribute("aria-invalid");
    }
  }

  // Whoever plays one role cannot be chosen for another one.
  #keepApart() {
    const choices = this.fields.filter((field) => CHOSEN.has(field.role.kind));
    for (const field of choices) {
      const taken = new Set(choices.filter((one) => one !== field && one.role.kind === field.role.kind).map((one) => this.#valueOf(one)));
      for (const option of field.control.options) option.disabled = Boolean(option.value) && option.value !== OTHER && taken.has(option.value);
    }
  }
}
