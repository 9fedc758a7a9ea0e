// The steps of a safety plan, in their order: to be read by whoever may, and written by the client.

import { numbers } from "./cards.js";
import { field, make } from "./page.js";

const LINES = "lines";
const CONTACTS = "contacts";
const STEPS = {
  warning_signs: ["How I notice that it is getting hard", LINES, "Thoughts, moods, places or moments that came before a bad time."],
  coping_strategies: ["What I can do by myself", LINES, "Things that helped before, even a little: a walk, a shower, music."],
  people_and_places: ["People and places that take my mind off it", CONTACTS, "You do not have to tell them how you are."],
  people_to_ask: ["People I can ask for help", CONTACTS, "Those whom you could tell that it is hard right now."],
  professionals: ["Professionals I can turn to", CONTACTS, "A doctor, a clinic, a line to call, and their numbers."],
  safer_surroundings: ["Making the place I am in safer", LINES, "What to put out of reach, or whom to give it to for a while."],
  reasons: ["What is worth living for", LINES, "People, animals, plans, small things. Whatever counts for you."],
};
const ONE_LINE = 200;

// Words for the fields that an answer may name.
export const PLACES = { ...Object.fromEntries(Object.entries(STEPS).map(([name, [title]]) => [name, title])),
  name: "name", phone: "number" };

export const isBare = (plan) => Object.keys(STEPS).every((name) => !plan[name].length);

export function planOf(plan) {
  return Object.entries(STEPS).filter(([name]) => plan[name].length).map(([name, [title, kind]]) => make("section", { class: "step" },
    make("h2", {}, title),
    make("ul", { class: "reasons" }, plan[name].map((line) => make("li", {}, kind === LINES ? line : contact(line))))));
}

const contact = ({ name, phone }) => [name, phone && [" ", make("span", { class: "numbers" }, numbers({ call: phone }))]];

export function planWriter(before) {
  const writers = Object.entries(STEPS).map(([name, [title, kind, hint]]) => [
    name, kind === LINES ? lines(title, hint, before?.[name] ?? []) : contacts(title, hint, before?.[name] ?? []),
  ]);
  return {
    element: make("div", { class: "panel" }, writers.map(([, writer]) => writer.element)),
    written: () => Object.fromEntries(writers.map(([name, writer]) => [name, writer.written()])),
  };
}

function lines(title, hint, before) {
  const box = make("textarea", { rows: Math.max(3, before.length + 1) }, before.join("\n"));
  return {
    element: field(title, box, `${hint} One thing on each line.`),
    written: () => box.value.split("\n").map((line) => line.trim()).filter(Boolean),
  };
}

function contacts(title, hint, before) {
  const rows = make("div", { class: "panel" });
  const add = ({ name, phone } = {}) => {
    const place = rows.children.length + 1;
    const box = (words, attributes) => make("input", { "aria-label": `${title}, no. ${place}: ${words}`, placeholder: words,
      autocomplete: "off", ...attributes });
    const row = make("div", { class: "row" }, box("name or place", { maxlength: ONE_LINE, value: name }),
      box("number", { type: "tel", maxlength: 40, value: phone }));
    rows.append(row);
    return row;
  };
  before.forEach(add);
  add();
  return {
    element: make("fieldset", {}, make("legend", {}, title), make("p", { class: "small" }, hint), rows,
      make("button", { type: "button", class: "quiet", onclick: () => add().firstChild.focus() }, "One more",
        make("span", { class: "unseen" }, ` of: ${title}`))),
    written: () => [...rows.children].map((row) => [...row.children].map((box) => box.value.trim()))
      .filter(([name, phone]) => name || phone)
      .map(([name, phone]) => ({ name: name || phone, ...(phone ? { phone } : {}) })),
  };
}
