// A coach's own hours: when the clock puts one on and off duty, days off, and how many conversations at once.

import { get, put, tagOf } from "./api.js";
import { button, make, why, zone } from "./page.js";

const WEEK = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const HOUR = 3_600_000;
const capital = (word) => word[0].toUpperCase() + word.slice(1);

export function hours(changed) {
  const problem = make("p", { class: "problem", role: "alert" });
  const done = make("p", { class: "small", role: "status" });
  const box = (name, words, attributes = {}) => [
    make("label", { for: name }, words), make("input", { id: name, name, autocomplete: "off", ...attributes }),
  ];
  // Hidden until what is kept is in it, so that nothing typed is written over.
  const form = make("form", { class: "panel", method: "post", hidden: true },
    make("p", { class: "small" }, "Several times a day are fine: 09:00-12:00, 13:00-17:00. A night is two: until 24:00, and from 00:00."),
    WEEK.map((day) => make("div", {}, box(day, capital(day), { placeholder: "day off" }))),
    make("div", {}, box("holidays", "Days off", { placeholder: "2026-12-24 to 2026-12-26, 2027-01-01" })),
    make("div", {}, box("zone", "Time zone", { required: true })),
    make("div", {}, box("capacity", "Conversations at once", { type: "number", min: 0, max: 50, required: true })),
    make("button", { type: "submit", class: "main" }, "Save"), done);
  const quiet = button("Do not disturb for an hour", async () => {
    await put("/me/availability", { do_not_disturb_until: new Date(Date.now() + HOUR).toISOString() });
    changed();
  }, { class: "quiet" });
  const element = make("details", { class: "card" }, make("summary", {}, "My hours"), quiet, form, problem);
  let tag = null;

  async function show() {
    try {
      draw(await get("/me/availability"));
    } catch (error) {
      problem.textContent = error.message;
    }
  }

  function draw(kept) {
    tag = tagOf(kept);
    for (const day of WEEK) form.elements[day].value = kept.hours[day].map(({ start, end }) => `${start}-${end}`).join(", ");
    form.elements.holidays.value = kept.holidays.map(({ first, last }) => (first === last ? first : `${first} to ${last}`)).join(", ");
    const bare = !kept.holidays.length && WEEK.every((day) => !kept.hours[day].length);
    form.elements.zone.value = bare ? zone() : kept.zone;
    form.elements.capacity.value = kept.capacity;
    form.hidden = false;
  }

  function said() {
    const parts = (name) => form.elements[name].value.split(",").map((part) => part.trim()).filter(Boolean);
    const pair = (part, between) => part.split(between).map((one) => one.trim());
    return {
      zone: form.elements.zone.value.trim(),
      capacity: Number(form.elements.capacity.value),
      holidays: parts("holidays").map((part) => pair(part, " to ")).map(([first, last]) => ({ first, last: last ?? first })),
      hours: Object.fromEntries(WEEK.map((day) => [day, parts(day).map((part) => pair(part, "-")).map(([start, end]) => ({ start, end }))])),
    };
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = done.textContent = "";
    try {
      draw(await put("/me/availability", said(), tag));
      done.textContent = "Saved.";
      changed();
    } catch (error) {
      problem.textContent = error.status === 412 ? "This was changed elsewhere. Please look at it again, then save."
        : why(error, { hours: "" });
      if (error.status === 412) show();
    }
  });
  element.addEventListener("toggle", () => {
    form.hidden = true;
    if (element.open) show();
  });
  return element;
}
