// What is typed and not yet safe: it outlives the page, and is sent in its order until it is answered. Messages are one
// queue, check-ins another.

import { me } from "./api.js";

export class Queue {
  #place;
  #id;

  // Of whoever is signed in now, if of nobody else; `id` is the name of the field that tells one from another.
  constructor(name, id, whose = me().id) {
    this.#place = `${name}.${whose}`;
    this.#id = id;
  }

  all() {
    return JSON.parse(localStorage.getItem(this.#place) ?? "[]");
  }

  put(said) {
    localStorage.setItem(this.#place, JSON.stringify([...this.all(), said]));
  }

  drop(id) {
    const left = this.all().filter((said) => said[this.#id] !== id);
    if (left.length) localStorage.setItem(this.#place, JSON.stringify(left));
    else localStorage.removeItem(this.#place);
  }
}

const messages = () => new Queue("outbox", "client_message_id");

export function unsent(conversationId) {
  const everything = messages().all();
  return conversationId ? everything.filter((draft) => draft.conversation_id === conversationId) : everything;
}

export const put = (draft) => messages().put(draft);
export const drop = (clientMessageId) => messages().drop(clientMessageId);
