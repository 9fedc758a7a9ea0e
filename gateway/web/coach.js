// The desk of a coach or supervisor: who needs somebody now, and the people one walks with.

import { all, get, me, nameOf, post, Refused } from "./api.js";
import { Chat } from "./chat.js";
import { badge } from "./client.js";
import { goals } from "./goals.js";
import { hours } from "./hours.js";
import { announce, button, clock, make } from "./page.js";
import { thread } from "./thread.js";
import { waiting } from "./waiting.js";

const BANDS = { steady: "Steady", watch: "A bit harder", high: "A hard day", urgent: "Urgent" };
const OUTCOMES = {
  talked: "We talked", messaged: "We wrote to each other", met: "We met", emergency: "Emergency services were called",
  no_answer: "No answer", not_needed: "It was not needed",
};
const UNNAMED = "A client";
const ASK_ANYWAY = 30_000;

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
    chosen = [thread(chat, conversationId, name), ...(role === "coach" ? [goals(socket, clientId, name)] : [])];
    const onDuty = chat.conversation(conversationId)?.kind === "on_duty";
    place.replaceChildren(heading, lately(clientId), ...(onDuty ? [handingOver(chat, conversationId)] : []),
      ...chosen.map((part) => part.element));
    chosen[0].draw();
    heading.focus();
  }

  async function openTaken(conversation) {
    await chat.refresh();
    openOne(conversation.with[0], await nameOf(conversation.with[0], UNNAMED), conversation.id);
  }

  return make("div", { class: "desk" },
    make("div", { class: "side" }, role === "coach" && duty(socket), alerts(socket, choose), waiting(socket, openTaken),
      people(socket, chat, role, choose, openOne)),
    place);
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
  all("/coaches").then(async (coaches) => {
    const others = coaches.filter((one) => one.on_duty && one.id !== me().id);
    if (!others.length) return;
    const names = await Promise.all(others.map((one) => nameOf(one.id, "A coach")));
    const to = make("select", { "aria-label": "To whom" }, others.map((one, at) => make("option", { value: one.id }, names[at])));
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

// A hint says only that something changed; what it is comes from REST.
function alerts(socket, choose) {
  const list = make("ul", { class: "alerts" });
  const problem = make("p", { class: "problem", role: "alert" });
  let open = new Set();
  let asked = 0;
  let drawn = "";

  async function refresh() {
    const mine = ++asked;
    try {
      const found = [...(await all("/alerts?state=open")), ...(await all("/alerts?state=acknowledged"))];
      const names = await Promise.all(found.map((alert) => nameOf(alert.client_id, UNNAMED)));
      // An answer that was overtaken by a later question is old.
      if (mine === asked) draw(found, names);
      problem.textContent = "";
    } catch (error) {
      problem.textContent = error.message;
    }
  }

  function draw(found, names) {
    const news = JSON.stringify([found, names]);
    if (news === drawn) return;
    drawn = news;
    const now = new Set(found.filter((alert) => alert.state === "open").map((alert) => alert.id));
    if ([...now].some((id) => !open.has(id))) announce("Somebody needs you. See the alerts.");
    open = now;
    // No name there: a tab can be read over a shoulder.
    document.title = open.size ? `(${open.size}) Alongside` : "Alongside";
    const items = found.map((alert, at) => card(alert, names[at]));
    list.replaceChildren(...(items.length ? items : [make("li", { class: "small" }, "Nobody is waiting for you now.")]));
  }

  function card(alert, name) {
    const act = (path, body) => () => post(`/alerts/${alert.id}/${path}`, body).finally(refresh);
    const outcome = make("select", { "aria-label": "How it ended" },
      Object.entries(OUTCOMES).map(([value, words]) => make("option", { value }, words)));
    const write = button("Write", () => choose(alert.client_id), { class: "quiet" });
    const acts = alert.state === "open"
      ? [button("I am on it", act("acknowledge"), { class: "main" }), write]
      : [write, outcome, button("Close", () => act("close", { outcome: outcome.value })())];
    return make("li", { class: `card alert ${alert.band} ${alert.state}` },
      make("h3", {}, name, " ", make("span", { class: "band-word" }, BANDS[alert.band])),
      make("ul", { class: "reasons" }, alert.reasons.map((reason) => make("li", {}, reason))),
      make("p", { class: "small" }, times(alert)), make("div", { class: "row" }, acts));
  }

  function times(alert) {
    const since = `Since ${clock(alert.raised_at)}.`;
    if (alert.state === "acknowledged") return `${since} ${alert.acknowledged_by === me().id ? "You are" : "Somebody is"} on it.`;
    return alert.due_at ? `${since} Please be in touch by ${clock(alert.due_at)}.` : since;
  }

  socket.addEventListener("alert", refresh);
  socket.addEventListener("ready", refresh);
  refresh();
  // Hints may be missed, and nobody may wait because of it.
  const timer = setInterval(() => (list.isConnected ? refresh() : clearInterval(timer)), ASK_ANYWAY);
  return make("section", { "aria-labelledby": "alerts" }, make("h2", { id: "alerts" }, "Alerts"), list, problem);
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

// What the latest check-in said.
function lately(clientId) {
  const place = make("p", { class: "small lately" });
  get(`/clients/${clientId}/risk`).then(
    (risk) => (place.textContent = risk.band === null ? "No check-in yet."
      : `Last check-in ${clock(risk.at)}: ${[BANDS[risk.band], ...risk.reasons].join(" · ")}`),
    (error) => (place.textContent = error instanceof Refused ? "" : error.message),
  );
  return place;
}
