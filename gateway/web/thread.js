// One conversation on the screen.

import { me } from "./api.js";
import { button, clock, make } from "./page.js";

const STILL_TYPING = 4000;

export function thread(chat, id, name) {
  const list = make("ol", { class: "messages", role: "log", "aria-label": `Messages with ${name}`, tabindex: "0" });
  const notice = make("p", { class: "small notice", role: "status" });
  const earlier = button("Show earlier messages", () => chat.loadEarlier(id), { class: "quiet" });
  const box = make("textarea", {
    id: "words", rows: 2, maxlength: 8000, required: true, "aria-label": `Write to ${name}`, placeholder: `Write to ${name}`,
  });
  const form = make("form", { class: "write", method: "post" }, box, make("button", { type: "submit", class: "main" }, "Send"));
  const shown = new Map();
  let typing = 0;
  let theirTyping = 0;

  function draw() {
    if (!list.isConnected) return;
    const { earlier: more, messages } = chat.shown(id);
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    earlier.hidden = !more;
    messages.forEach((message, at) => {
      const key = `${message.sender_id} ${message.client_message_id}`;
      if (!shown.has(key)) shown.set(key, bubble(message));
      const { item, state } = shown.get(key);
      const words = message.at ? [clock(message.at), message.state].filter(Boolean).join(" · ") : message.state;
      if (state.textContent !== words && !message.refused) state.textContent = words;
      if (message.refused) state.replaceChildren(words, " ", takeBack(message));
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

  function bubble(message) {
    const mine = message.sender_id === me().id;
    const state = make("span", { class: "state" });
    const from = make("span", { class: "unseen" }, mine ? "You: " : `${name}: `);
    const item = make("li", { class: mine ? "mine" : "theirs" }, make("p", {}, from, message.text), state);
    return { item, state };
  }

  function takeBack(message) {
    const again = () => {
      box.value = chat.takeBack(message.client_message_id);
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
    box.value = "";
    list.scrollTop = list.scrollHeight;
    chat.send(id, words);
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
  chat.addEventListener("change", heard);
  chat.addEventListener("typing", theirs);
  document.addEventListener("visibilitychange", draw);

  const element = make("section", { class: "thread", "aria-label": `Conversation with ${name}` }, earlier, list, notice, form);
  chat.load(id).then(draw, (error) => (notice.textContent = error.message));
  return {
    element,
    draw,
    close() {
      chat.removeEventListener("change", heard);
      chat.removeEventListener("typing", theirs);
      document.removeEventListener("visibilitychange", draw);
    },
  };
}
