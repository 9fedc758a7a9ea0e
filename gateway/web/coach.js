// The desk of a coach or supervisor: who needs somebody now, and the people one walks with.

import { all, get, nameOf, post } from "./api.js";
import { alerts, ASK_ANYWAY, colleagues, UNNAMED } from "./alerts.js";
import { Chat } from "./chat.js";
import { goals } from "./goals.js";
import { hours } from "./hours.js";
import { load, onCall } from "./load.js";
import { badge, button, clock, make, select } from "./page.js";
import { asked, offer } from "./peers.js";
import { record } from "./record.js";
import { sharedWithMe } from "./shared.js";
import { thread } from "./thread.js";
import { waiting } from "./waiting.js";

export function coachView(socket, role) {
  const chat = new Chat(socket);
  const place = make("div", { class: "chosen" }, make("p", { class: "card small" }, "Choose somebody on the left."));
  let chosen = [];

  async function choose(clientId) {
    const name = await nameOf(clientId, UNNAMED);
    const id = await chat.open(clientId);
    openOne(clientId, name, id);
  }

  function openOne(clientId, name, conversationId) {
    for (const part of chosen) part.close();
    const heading = make("h1", { tabindex: "-1" }, name);
    const seen = record(socket, clientId, name);
    const talk = thread(chat, conversationId, name);
    chosen = [seen, talk, ...(role === "coach" ? [goals(socket, clientId, name)] : [])];
    const onDuty = chat.conversation(conversationId)?.kind === "on_duty";
    place.replaceChildren(heading, ...(onDuty ? [handingOver(chat, conversationId)] : []),
      ...chosen.map((part) => part.element));
    talk.draw();
    heading.focus();
  }

  async function openTaken(conversation) {
    await chat.refresh();
    openOne(conversation.with[0], await nameOf(conversation.with[0], UNNAMED), conversation.id);
  }

  const coach = role === "coach";
  const element = make("div", { class: "desk" },
    make("div", { class: "side" }, coach && duty(socket), alerts(socket, choose), waiting(socket, openTaken),
      coach && asked(socket, choose).element, people(socket, chat, role, choose, openOne), load(role),
      sharedWithMe(), coach ? offer() : onCall()),
    place);
  return { element, talkTo: choose };
}

// Whoever asked for somebody on duty is let go when all is said, or handed over to a colleague who is on duty now.
function handingOver(chat, id) {
  const place = make("div", { class: "row" });
  const act = (path, body) => async () => {
    await post(`/conversations/${id}/${path}`, body);
    await chat.refresh();
    place.remove();
  };
  place.append(button("End this conversation", act("close"), { class: "quiet" }));
  colleagues().then((found) => {
    const others = found.filter((one) => one.on_duty);
    if (!others.length) return;
    const to = select(Object.fromEntries(others.map((one) => [one.id, one.name])), { "aria-label": "To whom" });
    place.append(to, button("Hand over", () => act("transfer", { to: to.value })(), { class: "quiet" }));
  }, (error) => place.append(make("span", { class: "problem" }, error.message)));
  return place;
}

function duty(socket) {
  const toggle = make("button", { type: "button", role: "switch", "aria-checked": "false", class: "switch" }, "On duty");
  const problem = make("span", { class: "problem", role: "alert" });
  const next = make("span", { class: "small" });
  const set = (on) => toggle.setAttribute("aria-checked", String(on));
  const show = ({ on_duty: on, next_change_at: turns }) => {
    set(on);
    next.textContent = turns ? `${on ? "On" : "Off"} until ${clock(turns)}` : "";
  };
  const refresh = () => get("/me/availability").then(show, (error) => (problem.textContent = error.message));
  toggle.addEventListener("click", async () => {
    const on = toggle.getAttribute("aria-checked") !== "true";
    problem.textContent = "";
    try {
      const answer = await socket.ask("duty", { on });
      if (!answer.ok) throw new Error();
      set(on);
      refresh();
    } catch {
      problem.textContent = "That did not arrive. Please try again.";
    }
  });
  socket.addEventListener("ready", refresh);
  // Hours put one on and off duty as well.
  const timer = setInterval(() => (toggle.isConnected ? refresh() : clearInterval(timer)), ASK_ANYWAY);
  return make("div", { class: "panel" }, make("p", { class: "row" }, toggle, next, problem), hours(refresh));
}

function people(socket, chat, role, choose, openOne) {
  const list = make("ul", { class: "caseload" });
  const problem = make("p", { class: "problem", role: "alert" });
  let caseload = [];

  async function refresh() {
    try {
      caseload = role === "coach" ? (await all("/caseload")).map((one) => one.client_id) : [];
      await chat.refresh();
      problem.textContent = "";
    } catch (error) {
      problem.textContent = error.message;
    }
  }

  async function draw() {
    const others = chat.conversations.filter((one) => one.with.length && (one.kind === "on_duty" || !caseload.includes(one.with[0])));
    const rows = [
      ...caseload.map((id) => [id, chat.with(id), () => choose(id)]),
      ...others.map((one) => [one.with[0], one, async () => openOne(one.with[0], await nameOf(one.with[0], UNNAMED), one.id)]),
    ];
    const names = await Promise.all(rows.map(([id]) => nameOf(id, UNNAMED)));
    list.replaceChildren(...rows.map(([, one, act], at) => make("li", {}, button(
      make("span", {}, names[at], one?.kind === "on_duty" ? " · while on duty" : "", ...badge(one?.unread)), act, { class: "person" },
    ))));
    if (!rows.length) list.replaceChildren(make("li", { class: "small" }, "Nobody yet."));
  }

  chat.addEventListener("change", draw);
  socket.addEventListener("ready", refresh);
  refresh();
  const title = role === "coach" ? "Your caseload" : "Conversations";
  return make("section", { "aria-labelledby": "people" }, make("h2", { id: "people" }, title), list, problem);
}
