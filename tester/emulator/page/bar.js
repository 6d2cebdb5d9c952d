// The bar of a run: its buttons, its progress, its state.

import { allow, byId, isAllowed } from "./dom.js";
import { word } from "./words.js";

export class Bar {
  // `pressed`: called with `send`, `pause`, `resume`, `step` or `stop`.
  constructor(pressed) {
    this.buttons = { send: byId("send"), pause: byId("pause"), step: byId("step"), stop: byId("stop") };
    this.element = byId("bar");
    this.progress = byId("progress");
    this.count = byId("count");
    this.state = byId("state");
    this.spoken = byId("spoken");
    for (const name of ["pause", "step", "stop"]) {
      const button = this.buttons[name];
      button.addEventListener("click", () => {
        if (isAllowed(button)) pressed(name === "pause" && button.dataset.does === "resume" ? "resume" : name);
      });
    }
    byId("order").addEventListener("submit", (event) => {
      event.preventDefault();
      if (isAllowed(this.buttons.send)) pressed("send");
    });
  }

  // Nothing runs. `isReady`: the order can be played. Even where it cannot, sending may be tried: it says what is missing.
  idle({ isReady, canTry = isReady, items = 0 }) {
    this.#allow({ send: canTry });
    this.#name("pause");
    this.#tell(isReady ? "idle" : "unready", 0, items);
  }

  sending() {
    this.#allow({});
  }

  // What the run does now.
  show(run) {
    const isWaiting = run.state === "paused" && run.isStepped;
    const isPosting = run.state === "running" || run.state === "paused";
    this.#allow({
      send: run.isOver,
      pause: isPosting,
      step: isPosting,
      stop: !run.isOver,
    });
    this.#name(run.state === "paused" ? "resume" : "pause");
    this.#tell(isWaiting ? "waiting" : run.state, run.posted, run.total);
  }

  // Puts the focus where a keyboard user goes on; on a small screen what happens live comes into view below the bar.
  focus(name) {
    this.buttons[name].focus({ preventScroll: true });
    const { bottom } = this.element.getBoundingClientRect();
    if (bottom > window.innerHeight / 2 || bottom < 0) this.element.scrollIntoView({ block: "start" });
  }

  #allow(names) {
    for (const [name, button] of Object.entries(this.buttons)) allow(button, Boolean(names[name]));
  }

  #name(does) {
    const { pause } = this.buttons;
    pause.dataset.does = does;
    pause.textContent = word(does);
  }

  // The state is spoken when it changes; how many events are out is not.
  #tell(state, posted, total) {
    this.progress.max = Math.max(total, 1);
    this.progress.value = posted;
    this.count.textContent = `${posted}/${total}`;
    const text = word(`state-${state}`);
    this.state.textContent = text;
    this.state.dataset.state = state;
    const isSpoken = !["idle", "unready", "done"].includes(state);
    if (isSpoken && this.spoken.textContent !== text) this.spoken.textContent = text;
    if (!isSpoken) this.spoken.textContent = "";
  }
}
