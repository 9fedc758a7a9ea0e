// Alerts: who needs somebody now, why, by when, and what was done. A hint says only that something changed; what it is
// comes from REST.

import { all, get, me, nameOf, post } from "./api.js";
import { AT_THE_DESK, bandWord } from "./bands.js";
import { announce, bullets, button, clock, field, folded, formOf, make, select, tick, why } from "./page.js";

const OUTCOMES = {
  talked: "We talked", messaged: "We wrote to each other", met: "We met", emergency: "Emergency services were called",
  no_answer: "No answer", not_needed: "It was not needed",
};
const CONTACTS = { "": "–", phone: "By phone", video: "By video", chat: "In writing", in_person: "In person" };
const SUPPORT = {
  emotional: "Listening and care", informational: "Knowing what to do", instrumental: "A hand with something",
  affiliational: "Company of others",
};
const RUNGS = {
  coach: "Asked as the client's own coach", cover: "Asked of a coach on duty", supervisor: "Asked of the supervisors",
  on_call: "Asked of the on-call contact", nobody: "Nobody could be asked yet",
};
const STEPS = {
  raised: "Raised", asked: "Asked", asked_again: "Asked again", joined: "Another bad day joined it", worsened: "It got worse",
  acknowledged: "Taken on", handed_over: "Handed over", closed: "Closed", contested: "The client says: that is not how it is",
  corrected: "The client corrected the check-in", withdrawn: "May not see the client any more",
};
const DONE = { acknowledge: "You are on it.", "hand-over": "Handed over.", close: "Closed." };
export const UNNAMED = "A client";
export const ASK_ANYWAY = 30_000;

export function alerts(socket, choose) {
  const list = make("ul", { class: "alerts" });
  const nobody = make("p", { class: "small", hidden: true }, "Nobody is waiting for you now.");
  const problem = make("p", { class: "problem", role: "alert" });
  const shown = new Map();
  let open = new Set();
  let asked = 0;

  async function refresh() {
    const mine = ++asked;
    try {
      const found = [...(await all("/alerts?state=open")), ...(await all("/alerts?state=acknowledged"))];
      const names = await Promise.all(found.map((alert) => nameOf(alert.client_id, UNNAMED)));
      // An answer that was overtaken by a later question is old.
      if (mine === asked) draw(found, names);
      problem.textContent = "";
    } catch (error) {
      problem.textContent = why(error);
    }
  }

  // Only what is new is drawn anew: nobody's finger, focus or half a form loses its place.
  function draw(found, names) {
    const now = new Set(found.filter((alert) => alert.state === "open").map((alert) => alert.id));
    if ([...now].some((id) => !open.has(id))) announce("Somebody needs you. See the alerts.");
    open = now;
    // No name there: a tab can be read over a shoulder.
    document.title = open.size ? `(${open.size}) Alongside` : "Alongside";
    found.forEach((alert, at) => {
      const news = JSON.stringify([alert, names[at]]);
      if (shown.get(alert.id)?.news !== news) {
        shown.get(alert.id)?.element.remove();
        shown.set(alert.id, { news, element: card(alert, names[at], choose, refresh) });
      }
      const { element } = shown.get(alert.id);
      if (list.children[at] !== element) list.insertBefore(element, list.children[at] ?? null);
    });
    const ids = new Set(found.map((alert) => alert.id));
    for (const [id, { element }] of shown) {
      if (ids.has(id)) continue;
      element.remove();
      shown.delete(id);
    }
    nobody.hidden = found.length > 0;
  }

  socket.addEventListener("alert", refresh);
  socket.addEventListener("ready", refresh);
  refresh();
  // Hints may be missed, and nobody may wait because of it.
  const timer = setInterval(() => (list.isConnected ? refresh() : clearInterval(timer)), ASK_ANYWAY);
  return make("section", { "aria-labelledby": "alerts" }, make("h2", { id: "alerts" }, "Alerts"), list, nobody, problem);
}

function card(alert, name, choose, changed) {
  const act = (path, body) => post(`/alerts/${alert.id}/${path}`, body).then(() => announce(DONE[path])).finally(changed);
  return make("li", { class: `card alert ${alert.band} ${alert.state}` },
    make("h3", {}, name, " ", bandWord(alert.band, AT_THE_DESK[alert.band])),
    bullets(alert.reasons), alert.contested && contest(alert.client_id),
    make("p", { class: "small" }, `${RUNGS[alert.rung]}. `, times(alert)),
    make("div", { class: "row" }, alert.state === "open" && button("I am on it", () => act("acknowledge"), { class: "main" }),
      button("Write", () => choose(alert.client_id), { class: "quiet" })),
    alert.state === "acknowledged" && folded("Finish", async () => null, () => closing(alert, act)),
    folded("Hand over", colleagues, (others) => handingOver(others, act)),
    folded("What was done", () => all(`/alerts/${alert.id}/trail`), trail));
}

function times(alert) {
  const since = `Since ${clock(alert.raised_at)}.`;
  if (alert.state === "acknowledged") return `${since} ${alert.acknowledged_by === me().id ? "You are" : "Somebody is"} on it.`;
  return alert.due_at ? `${since} Please be in touch by ${clock(alert.due_at)}.` : since;
}

function contest(clientId) {
  const words = make("span", {});
  // The words stand beside the check-in as well; what is missing here is there.
  get(`/clients/${clientId}/risk`).then((risk) => risk.contested && (words.textContent = `: “${risk.contested}”`), why);
  return make("p", { class: "contested" }, make("strong", {}, "The client says that this is not how it is"), words);
}

function closing(alert, act) {
  const { no_answer: noAnswer, ...reached } = OUTCOMES;
  const outcome = select(alert.band === "urgent" ? reached : OUTCOMES);
  const contact = select(CONTACTS);
  const support = Object.entries(SUPPORT).map(([value, words]) => tick(words, { value }));
  return formOf([
    field("How it ended", outcome, alert.band === "urgent" ? `“${noAnswer}” does not end this one: hand it over, or call for help.` : ""),
    field("How you were in touch", contact),
    make("fieldset", {}, make("legend", {}, "What it gave"), support),
  ], "Close", () => act("close", {
    outcome: outcome.value, ...(contact.value ? { contact: contact.value } : {}),
    support: support.map((box) => box.control).filter((box) => box.checked).map((box) => box.value),
  }));
}

// Coaches by name, whoever is on duty first.
export async function colleagues() {
  const found = (await all("/coaches")).filter((one) => one.id !== me().id).sort((one, other) => other.on_duty - one.on_duty);
  return Promise.all(found.map(async (one) => ({ ...one, name: await nameOf(one.id, "A coach") })));
}

function handingOver(others, act) {
  if (!others.length) return make("p", { class: "small" }, "There is no other coach.");
  const to = select(Object.fromEntries(others.map((one) => [one.id, `${one.name}, ${one.on_duty ? "on duty" : "not on duty"}`])));
  return formOf([field("To whom?", to, "They are asked at once, with a clock of their own.")], "Hand it over",
    () => act("hand-over", { to: to.value }));
}

function trail(steps) {
  const names = (ids) => {
    const place = make("span", {});
    Promise.all(ids.map((id) => nameOf(id, "somebody"))).then((known) => (place.textContent = known.join(", ")));
    return place;
  };
  return make("ol", { class: "trail" }, steps.map((step) => make("li", {},
    `${clock(step.at)} · ${STEPS[step.what] ?? step.what}`,
    step.times > 1 && `, ${step.times} times until ${clock(step.last_at)}`,
    step.by && [", by ", names([step.by])], step.to.length > 0 && [", to ", names(step.to)])));
}
