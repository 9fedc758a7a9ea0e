// The questions of a check-in. Only the first needs an answer, and only what was answered is said.

import { field, make, select } from "./page.js";

const FEELINGS = [
  ["confidence", "How sure are you to stay well today?", "not at all", "completely"],
  ["mood", "How is your mood?", "very low", "very good"],
];
const HALT = [
  ["hungry", "How hungry are you?", "not at all", "very"],
  ["angry", "How angry are you?", "not at all", "very"],
  ["lonely", "How lonely do you feel?", "not at all", "very"],
  ["tired", "How tired are you?", "not at all", "very"],
];
const YES_OR_NO = { "": "–", true: "Yes", false: "No" };
// Their values are written as JSON writes them.
const CHOICES = {
  risky_situation: ["Are you, or were you, somewhere that makes it hard?", YES_OR_NO],
  withdrawal: ["Do you feel unwell from not using?", { "": "–", 0: "Not at all", 1: "A little", 2: "Quite a lot", 3: "Very much" }],
  medication_taken: ["Medication taken?", YES_OR_NO],
};

// `before` is a check-in whose answers are there already; `say` is given the answers, and may fail.
export function questions({ title, words, before = {}, say }) {
  const submit = make("button", { type: "submit", class: "main", disabled: before.craving == null }, words);
  const hint = make("p", { class: "small", hidden: before.craving != null }, "Move the first slider; all the rest is up to you.");
  const slider = (question) => scale(question, before[question[0]]);
  const form = make(
    "form", { class: "card check-in", method: "post" },
    make("h1", { tabindex: "-1" }, title),
    slider(["craving", "How strong is the craving?", "none", "very strong"]),
    make("details", { open: Object.keys(before).length > 0 }, make("summary", {}, "Say more, if you like"),
      FEELINGS.map(slider),
      make("fieldset", {}, make("legend", {}, "Hungry, angry, lonely, tired"),
        make("p", { class: "small" }, "A rule of thumb, not a test: four things that one can often do something about."),
        HALT.map(slider)),
      field("Hours of sleep", make("input", { name: "sleep_hours", type: "number", min: 0, max: 24, step: 0.5,
        inputmode: "decimal", value: before.sleep_hours })),
      Object.entries(CHOICES).map(([name, [question, choices]]) => field(question, chooser(name, choices, before[name]))),
      field("Did you use anything? What was it?", make("input", { name: "what", maxlength: 100, autocomplete: "off",
        value: before.used?.what }), "Saying so is never held against you."),
      field("On how many days since your last check-in?", make("input", { name: "days", type: "number", min: 1, max: 366,
        inputmode: "numeric", value: before.used?.days })),
    ),
    field("A note for your coach", make("textarea", { name: "note", rows: 3, maxlength: 4000 }, before.note)),
    hint, submit,
  );
  form.addEventListener("answered", () => {
    submit.disabled = form.elements.craving.classList.contains("untouched");
    hint.hidden = !submit.disabled;
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    say(answers(form), submit);
  });
  return form;
}

function scale([name, question, low, high], before) {
  const value = make("output", {}, "–");
  const slider = make("input", { type: "range", name, min: 0, max: 10, step: 1, value: 5, class: "untouched",
    "aria-valuetext": "not answered" });
  const touched = () => {
    slider.classList.remove("untouched");
    slider.setAttribute("aria-valuetext", `${slider.value} of 10`);
    value.textContent = slider.value;
    slider.dispatchEvent(new CustomEvent("answered", { bubbles: true }));
  };
  for (const kind of ["input", "pointerup", "keyup"]) {
    slider.addEventListener(kind, (event) => event.key !== "Tab" && event.key !== "Shift" && touched());
  }
  const shown = field(question, slider);
  shown.className = "scale";
  shown.insertBefore(value, slider);
  shown.append(make("span", { class: "ends small" }, make("span", {}, `0 ${low}`), make("span", {}, `10 ${high}`)));
  if (before != null) {
    slider.value = before;
    touched();
  }
  return shown;
}

// An answer that another phone asked for in another way stays as it is.
function chooser(name, choices, before) {
  const other = before != null && !(String(before) in choices) ? { [before]: `${before} of 10` } : {};
  return select({ ...choices, ...other }, { name }, before);
}

function answers(form) {
  const said = {};
  for (const slider of form.querySelectorAll("input[type=range]:not(.untouched)")) said[slider.name] = Number(slider.value);
  for (const name of Object.keys(CHOICES)) {
    if (form.elements[name].value) said[name] = JSON.parse(form.elements[name].value);
  }
  const { sleep_hours: sleep, what, days, note } = form.elements;
  if (sleep.value !== "") said.sleep_hours = Number(sleep.value);
  if (what.value.trim()) said.used = { what: what.value.trim(), days: Number(days.value || 1) };
  if (note.value.trim()) said.note = note.value.trim();
  return said;
}

const SHORT = {
  craving: "Craving", confidence: "Confidence", mood: "Mood", hungry: "Hungry", angry: "Angry", lonely: "Lonely", tired: "Tired",
};

// What was answered, in words, for whoever reads it back.
export function saidWords(kept) {
  const scales = Object.entries(SHORT).filter(([name]) => kept[name] != null).map(([name, words]) => `${words}: ${kept[name]} of 10`);
  const chosen = Object.entries(CHOICES).filter(([name]) => kept[name] != null)
    .map(([name, [question, choices]]) => `${question} ${choices[kept[name]] ?? `${kept[name]} of 10`}`);
  return [
    ...scales,
    kept.sleep_hours != null && `Slept ${kept.sleep_hours} hours`,
    ...chosen,
    kept.used && `Used: ${kept.used.what}, on ${kept.used.days === 1 ? "one day" : `${kept.used.days} days`}`,
    kept.note && `Note: ${kept.note}`,
  ].filter(Boolean);
}
