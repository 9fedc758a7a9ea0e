// Any questionnaire, from what its file says: questions, which of them are asked, and what the answers are called.

import { post, Refused } from "./api.js";
import { cards } from "./cards.js";
import { draftOf } from "./drafts.js";
import { announce, bullets, button, field, formOf, make, zone } from "./page.js";

const ALONE = {
  crisis: "Thank you for telling us", now: "Please let somebody be with you now. You do not have to do this alone.",
  fuller: "A few more questions help to see what you need: ", sent: "Thank you. Your answers are sent.", send: "Send my answers",
};
const TOGETHER = (name) => ({
  crisis: `Please stay with ${name}`, now: "These answers ask for a person now, and an alert was raised. Below is what helps"
    + ` ${name} right away; look at it together. ${name}'s own plan is also under “Help now” on ${name}'s own page.`,
  fuller: `A few more questions help to see what ${name} needs: `, sent: "The answers are sent.", send: "Send the answers",
});
const YES_OR_NO = [{ value: 1, label: "Yes" }, { value: 0, label: "No" }];

// By oneself, or by a coach together with a `client`.
export function instrument(asked, { leave, openOther, client = null }) {
  const draft = draftOf([client?.id, asked.id, asked.variant, asked.version].join("."));
  const words = client ? TOGETHER(client.name) : ALONE;
  const questions = asked.items.map((item) => question(item, draft));
  const place = make("section", { class: "card" });

  function branch() {
    const open = askedFor(asked.items, draft.answers);
    for (const one of questions) one.element.hidden = !open.has(one.id);
  }
  async function send() {
    const open = askedFor(asked.items, draft.answers);
    const answers = Object.fromEntries(Object.entries(draft.answers).filter(([id]) => open.has(id)));
    questions.forEach((one) => one.say(""));
    try {
      const taken = await post("/assessments", {
        id: draft.id, instrument: asked.id, version: asked.version, ...(asked.variant ? { variant: asked.variant } : {}),
        answers, ...(client ? { client_id: client.id } : { timezone: zone() }),
      });
      draft.forget();
      show(taken);
    } catch (error) {
      const problems = error instanceof Refused ? error.problem?.errors?.answers : null;
      if (!problems) throw error;
      const wrong = questions.filter((one) => one.id in problems);
      wrong.forEach((one) => one.say(problems[one.id][0]));
      wrong[0]?.focus();
      return "Some answers are missing or do not fit. They are marked.";
    }
  }
  function show(taken) {
    const result = make("div", { class: "panel" },
      make("section", { class: taken.crisis ? "card band urgent" : "card" },
        make("h1", { tabindex: "-1" }, taken.crisis ? words.crisis : "Thank you"),
        taken.crisis && make("p", {}, words.now),
        taken.crisis && bullets(taken.reasons)),
      cards(taken.cards),
      make("section", { class: "card" }, make("h2", {}, asked.title), readings(asked, taken),
        taken.fuller_screen && make("p", {}, words.fuller,
          button("Go on", () => openOther(taken.fuller_screen), { class: "main" })),
        button("Back to the questionnaires", leave, { class: "quiet" })));
    place.replaceWith(result);
    result.querySelector("h1").focus();
    announce(taken.crisis ? `${words.crisis}. ${words.now}` : words.sent);
  }

  const form = formOf(questions.map((one) => one.element), words.send, send);
  form.noValidate = true;
  form.addEventListener("answered", branch);
  branch();
  place.append(make("h1", { tabindex: "-1" }, client ? `${asked.title}, with ${client.name}` : asked.title),
    make("p", {}, asked.instructions), form,
    button("Go on later", leave, { class: "quiet" }),
    make("p", { class: "small" }, asked.attribution), make("p", { class: "small" }, asked.licence),
    make("details", {}, make("summary", {}, "About these questions"),
      [asked.partial, asked.note, asked.source].filter(Boolean).map((words) => make("p", { class: "small" }, words))));
  return place;
}

// Of several conditions one is enough, and a question that is not asked meets none.
function askedFor(items, answers) {
  const open = new Set();
  for (const item of items) {
    const holds = (when) => open.has(when.item) && when.item in answers && Number(answers[when.item]) >= when.at_least;
    if (!item.asked_when.length || item.asked_when.some(holds)) open.add(item.id);
  }
  return open;
}

function question(item, draft) {
  const problem = make("p", { class: "problem", role: "alert" });
  const words = item.optional ? `${item.text} (You may leave it out.)` : item.text;
  const element = make("div", { class: "question" });
  const answer = (value) => {
    draft.answer(item.id, value);
    problem.textContent = "";
    element.dispatchEvent(new CustomEvent("answered", { bubbles: true }));
  };
  element.append(item.kind === "options" || item.kind === "yes-no" ? choice(item, words, draft.answers[item.id], answer)
    : box(item, words, draft.answers[item.id], answer), problem);
  return {
    id: item.id, element,
    say: (wrong) => (problem.textContent = wrong),
    focus: () => element.querySelector("input, textarea").focus(),
  };
}

function choice(item, words, before, answer) {
  const yesNo = item.kind === "yes-no";
  return make("fieldset", {}, make("legend", {}, words), (yesNo ? YES_OR_NO : item.options).map(({ value, label }) => make(
    "label", { class: "tick" }, make("input", {
      type: "radio", name: `item-${item.id}`, value, checked: before != null && Number(before) === value,
      onchange: () => answer(yesNo ? Boolean(value) : value),
    }), make("span", {}, label))));
}

function box(item, words, before, answer) {
  if (item.kind === "text") {
    const said = (event) => answer(event.target.value.trim() || null);
    return field(words, make("textarea", { rows: 3, maxlength: 8000, oninput: said }, before));
  }
  const named = item.options.map(({ value, label }) => `${value}: ${label}`);
  return field(words, make("input", {
    type: "number", min: item.min, max: item.max, step: 1, inputmode: "numeric", value: before,
    oninput: (event) => answer(event.target.value === "" ? null : Number(event.target.value)),
  }), [`${item.min} to ${item.max}${item.kind === "days" ? " days" : ""}.`, ...named].join(" "));
}

// What the answers are called, in words; there are no grades here.
export function readings(asked, taken) {
  const triage = asked.triage.find((step) => step.level === taken.triage);
  const scales = taken.scales.map((scale) => `${scale.title}: ${scale.reading
    ?? (scale.value === null ? "too many answers are missing to say." : "there are no published words for it; the answers say most.")}`);
  return [triage && make("p", {}, triage.words), bullets(scales),
    !triage && !scales.length && make("p", {}, "The answers are kept. They say most by themselves; look at them together.")];
}

export function answersTo(asked, answers) {
  const words = (item) => {
    const answer = answers[item.id];
    if (item.kind === "yes-no") return answer ? "Yes" : "No";
    const named = item.options.find((option) => option.value === answer)?.label;
    return named ?? (item.kind === "days" ? `${answer} days` : String(answer));
  };
  return make("dl", {}, asked.items.filter((item) => item.id in answers).flatMap((item) => [
    make("dt", {}, item.text), make("dd", {}, words(item))]));
}
