// One conversation on the screen.

import { me } from "./api.js";
import { announce, button, clock, make } from "./page.js";
import { search } from "./search.js";

const STILL_TYPING = 4000;

export function thread(chat, id, name) {
  const list = make("ol", { class: "messages", role: "log", "aria-label": `Messages with ${name}`, tabindex: "0" });
  const notice = make("p", { class: "small notice", role: "status" });
  const earlier = button("Show earlier messages", () => chat.loadEarlier(id), { class: "quiet" });
  const box = make("textarea", {
    id: "words", rows: 2, maxlength: 8000, required: true, "aria-label": `Write to ${name}`, placeholder: `Write to ${name}`,
  });
  const form = make("form", { class: "write", method: "post" }, box, make("button", { type: "submit", class: "main" }, "Send"));
  const cancel = make("button", { type: "button", class: "quiet", hidden: true, onclick: () => change(null) }, "Leave it as it was");
  form.append(cancel);
  const shown = new Map();
  let changing = null;
  let typing = 0;
  let theirTyping = 0;

  function draw() {
    if (!list.isConnected) return;
    const { earlier: more, messages } = chat.shown(id);
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    earlier.hidden = !more;
    messages.forEach((message, at) => {
      const key = `${message.sender_id} ${message.client_message_id}`;
      if (!shown.has(key)) shown.set(key, makeBubble(message));
      const bubble = shown.get(key);
      const { item, said, state, acts } = bubble;
      bubble.message = message;
      const text = message.taken_back_at ? "Taken back" : message.text;
      if (said.textContent !== text && !message.kind) said.textContent = text;
      item.classList.toggle("gone", Boolean(message.taken_back_at));
      acts.hidden = !chat.changeable(message);
      const words = message.at ? [clock(message.at), message.state].filter(Boolean).join(" · ") : message.state;
      if (state.textContent !== words && !message.refused) state.textContent = words;
      if (message.refused) state.replaceChildren(words, " ", withdraw(message));
      if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null);
    });
    while (list.children.length > messages.length) list.lastChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
    const waiting = chat.conversation(id)?.state;
    notice.textContent = { waiting: "Nobody has taken this conversation yet. You can already write.",
      closed: "This conversation has ended." }[waiting] ?? (theirTyping ? `${name} is writing…` : "");
    form.hidden = waiting === "closed";
    if (!document.hidden && list.offsetParent !== null) chat.read(id);
  }

  function makeBubble(message) {
    const mine = message.sender_id === me().id;
    const state = make("span", { class: "state" });
    const from = make("span", { class: "unseen" }, mine ? "You: " : `${name}: `);
    const said = make("span", {}, message.kind === "transferred" ? "Handed over to another coach" : message.text);
    const acts = make("details", { class: "acts", hidden: true }, make("summary", {}, "Change"),
      make("button", { type: "button", class: "quiet", onclick: () => change(bubble.message) }, "Edit"),
      make("button", { type: "button", class: "quiet", onclick: () => chat.takeBack(id, bubble.message.seq) }, "Take back"));
    const side = message.kind ? "between" : mine ? "mine" : "theirs";
    const item = make("li", { class: side }, make("p", {}, message.kind ? null : from, said), state, acts);
    // It had no number yet where it was still on its way.
    const bubble = { item, said, state, acts, message };
    return bubble;
  }

  // Write one's own message anew, or with null go back to writing the next.
  function change(message) {
    changing = message?.seq ?? null;
    box.value = message?.text ?? "";
    cancel.hidden = !message;
    box.focus();
  }

  function withdraw(message) {
    const again = () => {
      box.value = chat.withdraw(message.client_message_id);
      box.focus();
    };
    return make("button", { type: "button", class: "quiet", onclick: again }, "Edit it");
  }

  function stopTyping() {
    if (!typing) return;
    clearTimeout(typing);
    typing = 0;
    chat.typing(id, false);
  }

  box.addEventListener("input", () => {
    if (!typing) chat.typing(id, true);
    clearTimeout(typing);
    typing = setTimeout(stopTyping, STILL_TYPING);
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const words = box.value.trim();
    if (!words) return;
    if (changing) {
      chat.edit(id, changing, words);
      change(null);
    } else {
      box.value = "";
      list.scrollTop = list.scrollHeight;
      chat.send(id, words);
    }
    stopTyping();
    box.focus();
  });

  const heard = ({ detail }) => (detail === null || detail === id) && draw();
  const theirs = ({ detail }) => {
    if (detail.conversation_id !== id || detail.person_id === me().id) return;
    clearTimeout(theirTyping);
    // Somebody whose phone went away in the middle of a word is not writing for ever.
    theirTyping = detail.on ? setTimeout(() => { theirTyping = 0; draw(); }, 2 * STILL_TYPING) : 0;
    draw();
  };
  const refused = ({ detail }) => detail === id && announce("That message could not be changed any more.");
  chat.addEventListener("refused", refused);
  chat.addEventListener("change", heard);
  chat.addEventListener("typing", theirs);
  document.addEventListener("visibilitychange", draw);

  const looking = search(chat, id, name);
  const element = make("section", { class: "thread", "aria-label": `Conversation with ${name}` }, looking, earlier, list, notice, form);
  chat.load(id).then(draw, (error) => (notice.textContent = error.message));
  return {
    element,
    draw,
    close() {
      chat.removeEventListener("refused", refused);
      chat.removeEventListener("change", heard);
      chat.removeEventListener("typing", theirs);
      document.removeEventListener("visibilitychange", draw);
    },
  };
}
