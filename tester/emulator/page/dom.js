// Elements are made here, and nowhere from markup: texts of messages, names and bodies come from outside and stay plain text.

const SVG = "http://www.w3.org/2000/svg";

const filled = (element, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
};

// An element. Attributes that are null, undefined or false are left out; strings among the children become text.
export const make = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);

// The same inside a drawing.
export const draw = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

export const byId = (id) => document.getElementById(id);

// Does `action` once nothing has called it again for so long. `now` does it at once.
export const settled = (action, milliseconds) => {
  let timer = 0;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
  later.now = (...values) => {
    clearTimeout(timer);
    action(...values);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
};

// A button that cannot be used now stays focusable: a keyboard user is not thrown out of the page by an update.
export const allow = (button, isAllowed) => {
  if (isAllowed) button.removeAttribute("aria-disabled");
  else button.setAttribute("aria-disabled", "true");
};

export const isAllowed = (button) => button.getAttribute("aria-disabled") !== "true";

// Options of a select, the chosen one kept when it is still there. `groups`: [{label, options: [{value, text}]}], label "" for none.
export const fillSelect = (select, groups, chosen = select.value) => {
  const children = [];
  for (const { label, options } of groups) {
    const made = options.map(({ value, text, disabled }) => make("option", { value, disabled }, text));
    if (label) children.push(make("optgroup", { label }, ...made));
    else children.push(...made);
  }
  select.replaceChildren(...children);
  const values = [...select.options].map((option) => option.value);
  if (values.includes(chosen)) select.value = chosen;
  else if (values.length) select.selectedIndex = 0;
};
