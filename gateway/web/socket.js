// A small Socket.IO client (protocol 5 over Engine.IO 4), WebSocket only: acknowledgements, and it comes back by itself.

import { renew, token } from "./api.js";
import { device } from "./push.js";

const SHORTEST = 250;
const LONGEST = 8000;
const ANSWER_WITHIN = 15_000;

export class Lost extends Error {}

export class Socket extends EventTarget {
  #web = null;
  #ready = false;
  #answers = new Map();
  #next = 0;
  #tries = 0;
  #silence = 0;
  #again = 0;
  #closed = false;
  #retryNow = () => this.#tryNow();

  constructor() {
    super();
    addEventListener("online", this.#retryNow);
    document.addEventListener("visibilitychange", this.#retryNow);
    this.#open();
  }

  get ready() {
    return this.#ready;
  }

  get closed() {
    return this.#closed;
  }

  // The acknowledgement. Rejects with Lost when the connection ends or is too slow: nobody knows whether it was heard.
  ask(event, data) {
    return new Promise((resolve, reject) => {
      if (!this.#ready) {
        reject(new Lost());
        return;
      }
      const id = this.#next++;
      const late = setTimeout(() => this.#web?.close(), ANSWER_WITHIN);
      this.#answers.set(id, { resolve, reject, late });
      this.#web.send(`42${id}${JSON.stringify([event, data])}`);
    });
  }

  close() {
    this.#closed = true;
    removeEventListener("online", this.#retryNow);
    document.removeEventListener("visibilitychange", this.#retryNow);
    clearTimeout(this.#again);
    this.#web?.close();
  }

  #open() {
    clearTimeout(this.#again);
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const web = new WebSocket(`${scheme}://${location.host}/socket.io/?EIO=4&transport=websocket`);
    this.#web = web;
    this.#silence = setTimeout(() => web.close(), ANSWER_WITHIN);
    web.onmessage = ({ data }) => this.#hear(web, data);
    web.onclose = () => this.#lost(web);
  }

  #hear(web, packet) {
    switch (packet[0]) {
      case "0": {
        const { pingInterval, pingTimeout } = JSON.parse(packet.slice(1));
        this.patience = pingInterval + pingTimeout;
        this.#listen(web);
        web.send(`40${JSON.stringify({ token: token(), device: device() })}`);
        break;
      }
      case "2":
        this.#listen(web);
        web.send("3");
        break;
      case "4":
        this.#hearPacket(web, packet[1], packet.slice(2));
        break;
      default:
        web.close();
    }
  }

  // A server that has stopped to ping is gone, whatever the network says.
  #listen(web) {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => web.close(), this.patience);
  }

  #hearPacket(web, kind, rest) {
    if (kind === "2") {
      const [event, data] = JSON.parse(rest);
      if (event === "ready") this.#begin();
      if (event === "expired") this.#renewed(web);
      this.dispatchEvent(new CustomEvent(event, { detail: data }));
      // Hints were left out: everybody asks again, as after the connection was lost.
      if (event === "sync") this.dispatchEvent(new Event("ready"));
    } else if (kind === "3") {
      const id = parseInt(rest, 10);
      const waiting = this.#answers.get(id);
      this.#answers.delete(id);
      clearTimeout(waiting?.late);
      waiting?.resolve(JSON.parse(rest.slice(String(id).length))[0]);
    } else if (kind === "4") {
      this.#renewed(web);
    } else if (kind === "1") {
      web.close();
    }
  }

  #begin() {
    this.#ready = true;
    this.#tries = 0;
  }

  // The token ended. If it cannot be renewed because the way is blocked, the next try comes here again.
  #renewed(web) {
    renew()
      .catch(() => {})
      .finally(() => web.close());
  }

  #lost(web) {
    if (web !== this.#web) return;
    this.#web = null;
    this.#ready = false;
    clearTimeout(this.#silence);
    for (const { reject, late } of this.#answers.values()) {
      clearTimeout(late);
      reject(new Lost());
    }
    this.#answers.clear();
    if (this.#closed) return;
    this.dispatchEvent(new Event("lost"));
    // Jitter, so that a server that comes back is not greeted by everybody at once.
    const wait = Math.min(LONGEST, SHORTEST * 2 ** this.#tries++) * (0.5 + Math.random());
    this.#again = setTimeout(() => this.#open(), wait);
  }

  #tryNow() {
    if (!this.#closed && this.#web === null && !document.hidden) this.#open();
  }
}
