// The language of the page, and how times are written in it. The words themselves: russian.js, english.js.

import { ENGLISH } from "./english.js";
import { RUSSIAN } from "./russian.js";

const WORDS = { ru: RUSSIAN, en: ENGLISH };
const KEPT_AS = "emulator-language";

let current = "ru";

export const language = () => current;

// A word of the current language; `{name}` in it is replaced by what `values` says.
export const word = (key, values = {}) => {
  const text = WORDS[current][key] ?? WORDS.ru[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
};

// Whether there is a word, for names that come from the server.
export const hasWord = (key) => key in WORDS[current];

// Puts the current language into everything that says in its markup which word it is.
const apply = () => {
  document.documentElement.lang = current;
  document.title = word("title");
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll("[data-word-label]")) element.setAttribute("aria-label", word(element.dataset.wordLabel));
};

const kept = () => {
  try {
    return localStorage.getItem(KEPT_AS);
  } catch {
    return null; // storage is switched off: the language then holds for this visit
  }
};

export const startLanguage = () => {
  const wanted = kept();
  if (wanted in WORDS) current = wanted;
  apply();
};

export const switchLanguage = () => {
  current = current === "ru" ? "en" : "ru";
  try {
    localStorage.setItem(KEPT_AS, current);
  } catch {
    // as above
  }
  apply();
};

const two = (number) => String(number).padStart(2, "0");

const decimal = (number) => number.toLocaleString(current, { maximumFractionDigits: 1 });

// A moment of the script: 0:13, 1:02:05.
export const moment = (seconds) => {
  const whole = Math.floor(seconds);
  const minutes = Math.floor(whole / 60);
  const rest = two(whole % 60);
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${rest}`;
};

// How long something takes: 12 ms, 1.5 s, 2 min 5 s.
export const length = (seconds) => {
  if (seconds < 1) return word("milliseconds", { n: Math.round(seconds * 1000) });
  if (seconds < 60) return word("seconds", { n: decimal(seconds) });
  return word("minutes", { n: Math.floor(seconds / 60), s: Math.round(seconds % 60) });
};

// The wall clock of an ISO time; "" when there is none.
export const wallClock = (iso) => {
  const at = new Date(iso ?? "");
  return Number.isNaN(at.getTime()) ? "" : `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
};
