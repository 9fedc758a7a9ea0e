// What the coach sees: how the days are found and why, the same words as here, and whether somebody is on it.

import { get, me } from "./api.js";
import { AT_THE_DESK, bandWord, because, TO_CLIENT } from "./bands.js";
import { contested } from "./history.js";
import { clock, folded, make } from "./page.js";

export const seen = () => folded("What my coach sees", () => get(`/clients/${me().id}/risk`), (risk) => make(
  "section", { class: "card" }, riskOf(risk, true),
  make("p", { class: "small" }, "Your coach also sees your check-ins with their notes, your questionnaires, your goals and"
    + " your aim; your safety plan only if you share it. Whoever is asked in your coach's place sees the same, for as long"
    + " as they are asked. Nothing is ever refused to you because of how a day is found."),
));

export function riskOf(risk, own) {
  if (risk.band === null) return make("p", { class: "small" }, "No check-in yet.");
  const word = own ? TO_CLIENT[risk.band][0] : AT_THE_DESK[risk.band];
  return [
    make("p", {}, `${own ? "Your last check-in" : "Last check-in"}, ${clock(risk.at)}: `, bandWord(risk.band, word)),
    because(risk), contested(risk, own), risk.open_alert && make("p", {}, answered(risk.answered)),
  ];
}

function answered(yes) {
  return yes ? "Somebody has said that they are on it."
    : "A person was asked to be in touch, and nobody has said yet that they are on it.";
}
