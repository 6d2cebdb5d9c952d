// The emulator's API. Addresses are relative, so that the page also works behind a prefix of a proxy.

import { language, word } from "./words.js";

// What the server refused, or that it was out of reach. `fields`: texts by the key of a role.
export class Refused extends Error {
  constructor(message, status = 0, fields = {}) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}

const address = (path, query = {}) => `${path}?${new URLSearchParams({ ...query, lang: language() })}`;

const asked = async (path, query, options) => {
  let response;
  try {
    response = await fetch(address(path, query), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(word("no-answer"));
  }
  let answer;
  try {
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(word("bad-answer", { status: response.status }), response.status);
  }
  if (!response.ok) throw new Refused(answer.error ?? word("bad-answer", { status: response.status }), response.status, answer.fields ?? {});
  return answer;
};

export const get = (path, query = {}, signal = undefined) => asked(path, query, { signal });

export const post = (path, body = {}, signal = undefined) =>
  asked(path, {}, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal });

export const streamAddress = (id) => address(`api/runs/${encodeURIComponent(id)}/stream`);
