// The page of the emulator: the form orders a call, its plan is shown; sent, it is a run, and what becomes of it is shown live.

import { Refused, get, post } from "./api.js";
import { Bar } from "./bar.js";
import { Chat } from "./chat.js";
import { byId, make, settled } from "./dom.js";
import { Events } from "./events.js";
import { Form } from "./form.js";
import { drawLadder, tellActs } from "./ladder.js";
import { Run } from "./run.js";
import { Around, clearVerdict, tellVerdict } from "./verdict.js";
import { language, startLanguage, switchLanguage, word } from "./words.js";

const PLAN_AFTER = 250;
const REDRAW_AFTER = 150;

class Page {
  constructor() {
    this.plan = null;
    this.run = null;
    this.planning = null;
    this.isUnplanned = false; // whether what is told as a problem is why there is no plan
    this.present = null; // in the script's seconds
    this.moveNow = () => {};
    this.replan = settled(() => this.#askPlan(), PLAN_AFTER);
    this.banner = byId("verdict");
    this.form = new Form({
      changed: () => this.#changed(),
      replaced: () => this.events.forgetFaults(),
      failed: (error) => this.#tellProblem(error),
    });
    this.events = new Events(byId("events"), () => this.#changed());
    this.chat = new Chat(byId("chat"));
    this.around = new Around(byId("around"), byId("around-none"));
    this.bar = new Bar((name) => (name === "send" ? this.#send() : this.#command(name)));
    byId("language").addEventListener("click", () => this.#switch());
    byId("recent").addEventListener("toggle", () => this.#tellRecent());
    addEventListener("resize", settled(() => this.#draw(), REDRAW_AFTER));
  }

  async start() {
    const wanted = new URLSearchParams(location.search);
    try {
      await this.form.load();
    } catch (error) {
      this.#tellProblem(error);
      this.bar.idle({ isReady: false });
      return;
    }
    if (!this.form.isReady) {
      await this.form.refresh();
      this.bar.idle({ isReady: false });
      return;
    }
    this.form.choose({ enterprise: wanted.get("enterprise"), pattern: wanted.get("pattern") });
    if (wanted.get("run") && (await this.#showAgain(wanted.get("run")))) return;
    await this.form.refresh();
    await this.#askPlan();
  }

  // the plan

  #changed() {
    if (this.run && !this.run.isOver) return;
    this.run?.leave();
    this.run = null;
    this.#tellProblem(null);
    this.#address();
    this.replan();
  }

  async #askPlan({ all = false } = {}) {
    this.replan.cancel();
    this.planning?.abort();
    this.planning = new AbortController();
    const { signal } = this.planning;
    try {
      await this.form.settle();
      if (signal.aborted || this.run) return;
      const plan = await post("api/plans", this.form.order(this.events.faults()), signal);
      if (signal.aborted || this.run) return;
      if (this.isUnplanned) this.#tellProblem(null);
      this.isUnplanned = false;
      this.form.fields.tell({});
      clearVerdict(this.banner);
      this.#showPlan(plan, false);
      this.chat.preview(plan);
      this.bar.idle({ isReady: true, items: plan.events.length });
    } catch (error) {
      if (signal.aborted || this.run) return;
      this.#refused(error, all);
    }
  }

  // Why there is no plan or no run: beside the fields, and in one line what has no field. Send stays usable, to see what is missing.
  #refused(error, all) {
    if (!(error instanceof Refused)) throw error;
    const { named, others } = this.form.fields.tell(error.fields, { all });
    const parts = Object.keys(error.fields).length ? [...others] : [error.message];
    if (all && named.length) parts.unshift(word("has-errors", { names: named.join(", ") }));
    this.#tellProblem(parts.length ? new Refused(parts.join(" · ")) : null);
    this.isUnplanned = true;
    if (!this.run) this.bar.idle({ isReady: false, canTry: true, items: this.plan?.events.length });
    if (all) this.form.fields.focusFirstError();
  }

  #showPlan(plan, isLive) {
    this.plan = plan;
    this.events.show(plan.events, { isLive });
    byId("events-none").hidden = plan.events.length > 0;
    byId("ladder-section").hidden = plan.acts.length === 0;
    this.present = null;
    this.#draw();
    tellActs(byId("acts"), plan);
    this.form.options.tellLength(plan.seconds);
    this.form.options.tellFaults(this.events.faults().length);
    for (const [id, key] of [["events-mode", "events"], ["chat-mode", "chats"]]) byId(id).textContent = word(`${key}-${isLive ? "live" : "preview"}`);
    document.body.dataset.mode = isLive ? "run" : "preview";
    if (!isLive) this.around.clear();
  }

  // The diagram is as wide as there is room for it.
  #draw() {
    if (this.plan === null) return;
    this.moveNow = drawLadder(byId("ladder"), this.plan);
    this.moveNow(this.present);
  }

  #move(seconds) {
    this.present = seconds;
    this.moveNow(seconds);
  }

  // the run

  async #send() {
    this.replan.cancel();
    this.bar.sending();
    this.form.lock(true);
    try {
      await this.form.settle();
      const order = this.form.order(this.events.faults());
      const answer = await post("api/runs", order);
      this.planning?.abort();
      this.#follow(answer);
      this.bar.focus(this.run.isStepped ? "step" : "pause");
    } catch (error) {
      this.form.lock(false);
      this.run = null;
      this.#refused(error, true);
    }
  }

  #follow(answer) {
    this.run?.leave();
    this.told = "";
    this.run = new Run(answer, this.#listeners());
    this.#tellProblem(null);
    this.form.fields.tell({});
    clearVerdict(this.banner);
    this.around.clear();
    this.#showPlan(answer, true);
    this.chat.start(answer);
    this.form.lock(true);
    this.events.lock(true);
    this.bar.show(this.run);
    this.#address();
    this.run.follow();
  }

  #listeners() {
    const posted = (told) => {
      this.events.posted(told);
      this.#move(told.at_seconds ?? null);
      this.bar.show(this.run);
    };
    return {
      state: () => this.bar.show(this.run),
      post: posted,
      lost: (told) => {
        this.events.lost(told);
        this.bar.show(this.run);
      },
      answer: (told) => this.events.answered(told),
      message: (told) => this.chat.take(told),
      telegram: (told) => this.around.telegram(told),
      crm: (told) => this.around.crm(told),
      verdict: () => this.#tellVerdict(),
      connection: (key) => this.#tellProblem(key ? new Refused(word(key)) : null),
      over: () => this.#over(),
    };
  }

  #over() {
    this.#move(null);
    this.form.lock(false);
    this.events.lock(false);
    this.bar.show(this.run);
    this.#tellVerdict();
    if (byId("recent").open) this.#tellRecent();
  }

  #tellVerdict() {
    const { verdict, state, reason, isOver } = this.run;
    if (verdict === null && (!isOver || state === "done")) return;
    const told = JSON.stringify([this.run.id, verdict, state, language()]);
    if (this.told === told) return; // said once: the banner is read out when it changes
    this.told = told;
    tellVerdict(this.banner, { verdict, state, reason, finals: this.plan.finals, shown: this.run.order.target ? null : this.chat.shown() });
  }

  async #command(name) {
    try {
      await this.run.command(name);
    } catch (error) {
      this.#tellProblem(error);
    }
  }

  // A run by its id, as after a reload. False when it is gone.
  async #showAgain(id) {
    try {
      const answer = await get(`api/runs/${encodeURIComponent(id)}`);
      this.form.take(answer.order);
      await this.form.refresh();
      this.events.take(answer.order.faults?.events ?? []);
      this.#follow(answer);
      return true;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#address();
      this.#tellProblem(error.status === 404 ? new Refused(word("gone")) : error);
      return false;
    }
  }

  async #tellRecent() {
    if (!byId("recent").open) return;
    try {
      const runs = await get("api/runs");
      const items = runs.map(({ id, order, state, verdict }) => {
        const end = verdict ? word(`verdict-${verdict.judgement}`) : word(`state-${state}`);
        return make("li", {}, make("a", { href: `?run=${encodeURIComponent(id)}` }, `${order.pattern} · ${order.enterprise}`), ` – ${end}`);
      });
      byId("recent-runs").replaceChildren(...items);
      byId("recent-none").hidden = items.length > 0;
    } catch (error) {
      this.#tellProblem(error);
    }
  }

  // the page

  #tellProblem(error) {
    if (error && !(error instanceof Refused)) throw error;
    byId("problem").textContent = error?.message ?? "";
  }

  // What is chosen is in the address, so that it can be passed on and survives a reload.
  #address() {
    const query = new URLSearchParams(this.run ? { run: this.run.id } : { enterprise: this.form.enterprise.value, pattern: this.form.pattern.value });
    history.replaceState(null, "", `?${query}`);
  }

  async #switch() {
    switchLanguage();
    try {
      await this.form.load();
      await this.form.refresh();
      this.form.options.tellLength(this.plan?.seconds ?? null);
      await this.#tellRecent();
      if (!this.run) await this.#askPlan();
      else await this.#showAgain(this.run.id);
    } catch (error) {
      this.#tellProblem(error);
    }
  }
}

startLanguage();
new Page().start();
