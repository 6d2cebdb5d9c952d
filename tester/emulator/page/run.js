// A run on the server: its stream of events, and its buttons.

import { Refused, get, post, streamAddress } from "./api.js";

const KINDS = ["state", "post", "answer", "lost", "message", "telegram", "crm", "verdict"];
const AGAIN_AFTER = 2000;
const ENDS = new Set(["done", "stopped", "failed"]);

export class Run {
  // `answer`: as the API told the run. `heard`: functions by kind of event, and `connection` (text key, "" when it is well), `over`.
  constructor(answer, heard) {
    this.id = answer.id;
    this.order = answer.order;
    this.plan = answer;
    // One that is over is played back: it ends when its stream has told all.
    this.state = ENDS.has(answer.state) ? "running" : answer.state;
    this.total = answer.total;
    this.gone = new Set();
    this.verdict = null;
    this.reason = "";
    this.heard = heard;
    this.last = 0;
    this.source = null;
  }

  get isOver() {
    return ENDS.has(this.state);
  }

  // How many events of the call have left, or were lost.
  get posted() {
    return this.gone.size;
  }

  get isStepped() {
    return this.order.pace === "step";
  }

  // Follows the run from its beginning; the browser itself comes back after a break, from where it was.
  follow() {
    this.source = new EventSource(streamAddress(this.id));
    this.source.addEventListener("open", () => this.heard.connection(""));
    this.source.addEventListener("error", () => this.#interrupted());
    for (const kind of KINDS) this.source.addEventListener(kind, (event) => this.#take(kind, event));
  }

  leave() {
    this.source?.close();
    this.source = null;
  }

  // `pause`, `resume`, `step` or `stop`. A run that is over meanwhile is no error: the stream says so.
  async command(name) {
    try {
      await post(`api/runs/${encodeURIComponent(this.id)}/${name}`);
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 409) throw error;
    }
  }

  #take(kind, event) {
    const seq = Number(event.lastEventId);
    if (seq && seq <= this.last) return;
    this.last = seq || this.last;
    const told = JSON.parse(event.data);
    if (kind === "state") {
      this.state = told.state;
      this.reason = told.reason ?? "";
    }
    if (kind === "post" || kind === "lost") this.gone.add(told.index);
    if (kind === "verdict") this.verdict = told;
    this.heard[kind](told);
    if (kind === "state" && this.isOver) this.#end();
  }

  async #end() {
    this.leave();
    if (this.verdict === null) {
      try {
        this.verdict = (await get(`api/runs/${encodeURIComponent(this.id)}`)).verdict;
      } catch {
        // it ended without one, as far as can be known
      }
    }
    this.heard.over();
  }

  async #interrupted() {
    if (this.source === null) return;
    this.heard.connection("offline");
    if (this.source.readyState !== EventSource.CLOSED) return;
    this.leave();
    try {
      const answer = await get(`api/runs/${encodeURIComponent(this.id)}`);
      this.state = answer.state;
      this.verdict = answer.verdict;
      this.heard.connection("");
    } catch {
      this.state = "failed";
      this.heard.connection("gone");
    }
    if (this.isOver) this.heard.over();
    else setTimeout(() => this.follow(), AGAIN_AFTER);
  }
}
