// Conversations: what was said, what is still on its way, who has read what. The numbers of messages have no gap, so
// whoever was away asks for everything behind the last number without one.

import { all, get, me, post } from "./api.js";
import { drop, put, unsent } from "./outbox.js";
import { newId, pause } from "./page.js";
import { Lost } from "./socket.js";

const PAGE = 50;
const MOST = 200;
const TRY_AGAIN = 1000;
const CHANGE_WITHIN = 24 * 3600_000;

export class Chat extends EventTarget {
  #socket;
  #kept = new Map();
  #wanted = new Set();
  #conversations = [];
  #refused = [];
  #sending = false;

  constructor(socket) {
    super();
    this.#socket = socket;
    socket.addEventListener("ready", () => this.#catchUp());
    socket.addEventListener("message", ({ detail }) => this.#hear(detail));
    socket.addEventListener("cursor", ({ detail }) => this.#moveCursor(detail));
    socket.addEventListener("conversation", () => this.refresh());
    socket.addEventListener("typing", ({ detail }) => this.dispatchEvent(new CustomEvent("typing", { detail })));
  }

  get conversations() {
    return this.#conversations;
  }

  conversation(id) {
    return this.#conversations.find((one) => one.id === id);
  }

  with(personId) {
    return this.#conversations.find((one) => one.kind === "direct" && one.with.includes(personId));
  }

  // Failing is no loss: the next `ready` asks again.
  async refresh() {
    try {
      this.#conversations = await all("/conversations");
    } catch {
      return;
    }
    this.#changed();
  }

  // The conversation with a person, or with whoever is on duty; begun now if there is none.
  async open(other) {
    await this.refresh();
    const found = other === "on-duty"
      ? this.#conversations.find((one) => one.kind === "on_duty" && one.state !== "closed")
      : this.with(other);
    if (found) return found.id;
    const begun = await post("/conversations", { id: newId(), with: other });
    this.#conversations = [begun, ...this.#conversations];
    this.#changed();
    return begun.id;
  }

  // Read the last messages, once; where the way is blocked, when it is open again.
  async load(id) {
    if (this.#kept.has(id)) return;
    this.#wanted.add(id);
    const page = await get(`/conversations/${id}/messages?before=${2 ** 40}&limit=${PAGE}`);
    const first = page.items[0]?.seq ?? 1;
    this.#kept.set(id, { messages: new Map(), first, last: first - 1 });
    page.items.forEach((message) => this.#take(message));
    this.#changed(id);
    this.#sync(id);
  }

  async loadEarlier(id) {
    const kept = this.#kept.get(id);
    const page = await get(`/conversations/${id}/messages?before=${kept.first}&limit=${PAGE}`);
    page.items.forEach((message) => kept.messages.set(message.seq, message));
    kept.first = page.items[0]?.seq ?? 1;
    this.#changed(id);
  }

  // Everything to show: the messages without a gap, then what is on its way, each with its state.
  shown(id) {
    const kept = this.#kept.get(id) ?? { messages: new Map(), first: 1, last: 0 };
    const known = [...kept.messages.values()].filter((one) => one.seq <= kept.last).sort((a, b) => a.seq - b.seq);
    const mine = new Set(known.filter((one) => one.sender_id === me().id).map((one) => one.client_message_id));
    const waiting = unsent(id).filter((draft) => !draft.event && !mine.has(draft.client_message_id));
    return {
      earlier: kept.first > 1,
      messages: [
        ...known.filter((one) => !one.changes).map((one) => ({ ...one, state: this.#stateOf(id, one) })),
        ...waiting.map((draft) => ({ ...draft, sender_id: me().id, state: "Sending…" })),
        ...this.#refused.filter((one) => one.conversation_id === id),
      ],
    };
  }

  send(id, text) {
    put({ conversation_id: id, client_message_id: newId(), text });
    this.#changed(id);
    this.#send();
  }

  // One's own words, for a day.
  changeable(message) {
    const own = message.at && message.sender_id === me().id && !message.kind && !message.taken_back_at;
    return own && Date.now() - new Date(message.at) < CHANGE_WITHIN;
  }

  edit(id, seq, text) {
    this.#change("message.edit", { conversation_id: id, client_message_id: newId(), seq, text });
  }

  takeBack(id, seq) {
    this.#change("message.take_back", { conversation_id: id, client_message_id: newId(), seq });
  }

  #change(event, said) {
    put({ event, ...said });
    this.#changed(said.conversation_id);
    this.#send();
  }

  // What could not be sent, to be written anew.
  withdraw(clientMessageId) {
    const at = this.#refused.findIndex((one) => one.client_message_id === clientMessageId);
    const [{ conversation_id: id, text }] = this.#refused.splice(at, 1);
    this.#changed(id);
    return text;
  }

  typing(id, on) {
    this.#tell("typing", { conversation_id: id, on });
  }

  read(id) {
    const last = this.#kept.get(id)?.last ?? 0;
    const conversation = this.conversation(id);
    if (!conversation || last <= (conversation.cursors[me().id]?.read ?? 0)) return;
    this.#moveCursor({ conversation_id: id, person_id: me().id, delivered: last, read: last });
    this.#tell("conversation.read", { conversation_id: id, seq: last });
  }

  async #catchUp() {
    this.#send();
    await this.refresh();
    for (const id of this.#kept.keys()) this.#sync(id);
    for (const id of this.#wanted) this.load(id).catch(() => {});
  }

  // One after another, so that they arrive in the order in which they were typed.
  async #send() {
    if (this.#sending) return;
    this.#sending = true;
    try {
      for (let draft; this.#socket.ready && (draft = unsent()[0]); ) await this.#sendOne(draft);
    } catch (error) {
      // The next `ready` goes on with it; sent twice under one id, it is one message.
      if (!(error instanceof Lost)) throw error;
    } finally {
      this.#sending = false;
    }
  }

  async #sendOne(draft) {
    const { event = "message.send", ...said } = draft;
    const answer = await this.#socket.ask(event, said);
    const status = answer.ok ? 200 : answer.problem.status;
    if (status >= 500 || status === 401) {
      await pause(TRY_AGAIN);
      return;
    }
    drop(draft.client_message_id);
    if (answer.ok) this.#hear(answer.message);
    else if (event === "message.send") {
      this.#refused.push({ ...draft, sender_id: me().id, state: "Could not be sent", refused: true });
    } else this.dispatchEvent(new CustomEvent("refused", { detail: draft.conversation_id }));
    this.#changed(draft.conversation_id);
  }

  #hear(message) {
    const id = message.conversation_id;
    const conversation = this.conversation(id);
    if (!conversation) this.refresh();
    else if (message.seq > conversation.last_seq) {
      conversation.last_seq = message.seq;
      if (message.sender_id !== me().id && !message.kind) conversation.unread += 1;
      if (message.kind === "taken_back") this.refresh();
    }
    if (message.sender_id !== me().id) this.#tell("conversation.delivered", { conversation_id: id, seq: message.seq });
    const kept = this.#kept.get(id);
    if (kept) {
      this.#take(message);
      if (message.seq > kept.last) this.#sync(id);
    }
    this.#changed(id);
  }

  #take(message) {
    const kept = this.#kept.get(message.conversation_id);
    kept.messages.set(message.seq, message);
    if (message.changes) this.#apply(kept.messages.get(message.changes), message);
    while (kept.messages.has(kept.last + 1)) kept.last += 1;
  }

  // An edit, or a taking back, holds for the message that it is about; of several, the last, and a taking back for good.
  #apply(message, { kind, text, at }) {
    if (!message || message.taken_back_at || message.edited_at > at) return;
    message.text = text;
    message[`${kind}_at`] = at;
  }

  async #sync(id) {
    const kept = this.#kept.get(id);
    if (kept.syncing || !this.#socket.ready) return;
    kept.syncing = true;
    try {
      for (let more = true; more; ) {
        const before = kept.last;
        const asked = { conversation_id: id, after: before, limit: MOST };
        const answer = await this.#socket.ask("message.sync", asked);
        answer.messages?.forEach((message) => this.#take(message));
        more = kept.last > before && kept.last < answer.last_seq;
      }
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
    } finally {
      kept.syncing = false;
    }
    this.#changed(id);
  }

  #moveCursor({ conversation_id: id, person_id: person, delivered, read }) {
    const conversation = this.conversation(id);
    if (!conversation) return;
    conversation.cursors[person] = { delivered, read };
    if (person === me().id && read >= conversation.last_seq) conversation.unread = 0;
    this.#changed(id);
  }

  search(id, words, before) {
    return post(`/conversations/${id}/search`, { words, ...(before ? { before } : {}) });
  }

  #stateOf(id, message) {
    const changing = unsent(id).some((draft) => draft.event && draft.seq === message.seq);
    const edited = message.edited_at && !message.taken_back_at && "Edited";
    return [changing ? "Changing…" : edited, this.#arrivalOf(id, message)].filter(Boolean).join(" · ");
  }

  #arrivalOf(id, message) {
    if (message.sender_id !== me().id || message.kind) return "";
    const others = Object.entries(this.conversation(id)?.cursors ?? {}).filter(([person]) => person !== me().id);
    return others.some(([, cursor]) => cursor.read >= message.seq) ? "Read" : "Sent";
  }

  // A courtesy, not a promise: it is not said again when the connection ends.
  #tell(event, data) {
    this.#socket.ask(event, data).catch((error) => {
      if (!(error instanceof Lost)) throw error;
    });
  }

  #changed(id = null) {
    this.dispatchEvent(new CustomEvent("change", { detail: id }));
  }
}
