// Questionnaires: what is due, all others, and what was answered. Nobody has to.

import { all, get, me, nameOf } from "./api.js";
import { bullets, button, clock, day, fill, folded, make, zone } from "./page.js";
import { answersTo, instrument, readings } from "./instrument.js";

const BECAUSE = {
  schedule: (one) => `It is time for it since ${day(one.since)}.`,
  screen: () => "Your last answers call for it.",
};

// One's own; or for a coach who takes one together with a `client`, whose id and name they are.
export function questionnaires(client = null) {
  const place = make("div", { class: "panel" });
  // What the days are at the client's, the coach's clock does not say.
  const whose = client ? `client_id=${client.id}` : `timezone=${encodeURIComponent(zone())}`;
  const list = () => fill(place, async () => {
    const [due, found] = [(await get(`/assessments/due?${whose}`)).items, await all("/instruments")];
    return { due, found };
  }, ({ due, found }) => {
    const isDue = (one) => due.find((other) => other.instrument === one.id && other.variant === one.variant);
    const now = found.filter(isDue);
    const others = found.filter((one) => !isDue(one));
    return make("section", { class: "card" }, make("h2", { tabindex: "-1" }, "Questionnaires"),
      make("p", { class: "small" }, client
        ? `Look at the questions together. ${client.name} says what fits, or that it does not fit; nobody has to answer.`
        : "They help you and your coach to see how things go. Your coach sees the answers."),
      now.length ? choices(now, (one) => BECAUSE[isDue(one).because](isDue(one)))
        : make("p", {}, "Nothing is due now."),
      others.length > 0 && make("details", {}, make("summary", {}, "All others"), choices(others, () => null)),
      !client && past("What you answered"));
  });
  const choices = (found, words) => make("ul", { class: "goals" }, found.map((one) => make("li", {},
    make("p", {}, one.title, words(one) && make("span", { class: "small" }, ` ${words(one)}`)),
    button(["Answer", make("span", { class: "unseen" }, ` ${one.title}`)], async () => open(one), { class: "quiet" }))));

  async function open(one) {
    const shown = instrument(one, { leave, openOther, client });
    place.replaceChildren(shown);
    shown.querySelector("h1").focus();
  }
  async function openOther(id) {
    await open(await get(`/instruments/${id}`));
  }
  async function leave() {
    await list();
    place.querySelector("h2")?.focus();
  }
  list();
  return place;
}

// What was answered by oneself, or by a client.
export const past = (words, clientId = null) => folded(words,
  async () => [(await get(`/assessments?limit=20${clientId ? `&client_id=${clientId}` : ""}`)).items, await all("/instruments")],
  ([found, shelf]) => make("ol", { class: "history" }, found.length ? found.map((taken) => {
    const known = shelf.find((one) => one.id === taken.instrument && one.variant === taken.variant);
    const query = `version=${taken.version}${taken.variant ? `&variant=${taken.variant}` : ""}`;
    return make("li", { class: "entry" },
      make("h3", {}, known?.title ?? taken.instrument, " ", make("span", { class: "small" }, clock(taken.at))),
      taken.taken_by !== taken.client_id && togetherWith(taken.taken_by), taken.crisis && bullets(taken.reasons),
      known && readings(known, taken),
      folded("Answers", () => get(`/instruments/${taken.instrument}?${query}`), (asked) => answersTo(asked, taken.answers)));
  }) : make("li", { class: "small" }, "Nothing yet.")));

function togetherWith(coachId) {
  const name = make("span", {}, coachId === me().id ? "you" : "a coach");
  if (coachId !== me().id) nameOf(coachId, "a coach").then((known) => (name.textContent = known));
  return make("p", { class: "small" }, "Taken together with ", name, ".");
}
