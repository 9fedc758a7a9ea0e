// Check-ins on their way: each under its own id and of its own moment, one after the other, until the server has taken
// it in or set it aside. One that it does neither with stays here, is tried again with the next page, and blocks nothing.

import { Away, post, Refused } from "./api.js";
import { Queue } from "./outbox.js";

const SHORTEST = 2000;
const LONGEST = 30_000;
// Of the moment and not of the check-in: signed out, or a lot at once.
const PASSING = [401, 429];

export class CheckIns extends EventTarget {
  #socket;
  #kept = new Queue("check-ins", "id");
  #refused = new Set();
  #sending = false;
  #tries = 0;
  #wake = () => {};

  constructor(socket) {
    super();
    this.#socket = socket;
    socket.addEventListener("ready", () => this.#wake());
  }

  get waiting() {
    return this.#kept.all().filter((said) => !this.#refused.has(said.id));
  }

  say(said) {
    this.#kept.put(said);
    this.send();
  }

  async send() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (let said; !this.#socket.closed && ([said] = this.waiting).length; ) await this.#sendOne(said);
    } finally {
      this.#sending = false;
    }
  }

  async #sendOne(said) {
    try {
      const answer = await post("/check-ins", said);
      this.#kept.drop(said.id);
      this.#tries = 0;
      this.#tell("taken", { said, answer });
    } catch (error) {
      if (error instanceof Away || PASSING.includes(error.status)) await this.#wait(said);
      else if (error instanceof Refused) this.#end(said, error);
      else throw error;
    }
  }

  #end(said, error) {
    const aside = Boolean(error.problem?.set_aside);
    if (aside) this.#kept.drop(said.id);
    else this.#refused.add(said.id);
    this.#tell(aside ? "aside" : "refused", { said, words: error.message });
  }

  // Until it is time to try again, or the connection is back.
  #wait(said) {
    this.#tell("waits", { said });
    const time = Math.min(LONGEST, SHORTEST * 2 ** this.#tries++);
    return new Promise((done) => {
      this.#wake = done;
      setTimeout(done, time);
    });
  }

  #tell(name, detail) {
    if (!this.#socket.closed) this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
