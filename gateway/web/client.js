// The client's page: how today is, the coach, the goals.

import { all, me, nameOf } from "./api.js";
import { Chat } from "./chat.js";
import { CheckIns } from "./checkins.js";
import { goals } from "./goals.js";
import { announce, button, clock, make, newId, numbers } from "./page.js";
import { thread } from "./thread.js";

const KIND_WORDS = {
  steady: ["A steady day", "Thank you for checking in. Keep doing what helps."],
  watch: ["A bit harder today", "Thank you for saying so. What helped you on a day like this before?"],
  high: ["A hard day", "It is good that you said so. You do not have to do this alone."],
  urgent: ["A very hard day", "Thank you for telling us. Please let somebody be with you, or call one of these now."],
};
const FEELINGS = [
  ["confidence", "How sure are you to stay well today?", "not at all", "completely"],
  ["mood", "How is your mood?", "very low", "very good"],
  ["lonely", "How lonely do you feel?", "not at all", "very"],
  ["tired", "How tired are you?", "not at all", "very"],
  ["hungry", "How hungry are you?", "not at all", "very"],
  ["angry", "How angry are you?", "not at all", "very"],
];

export function clientView(socket) {
  const chat = new Chat(socket);
  const own = goals(socket, me().id);
  const panels = { Today: today(socket), Talk: talk(socket, chat), Goals: make("div", { class: "panel" }, own.element) };
  const tabs = Object.entries(panels).map(([name, panel], at) => {
    panel.hidden = at > 0;
    const choose = () => {
      for (const [other, one] of Object.entries(panels)) one.hidden = other !== name;
      for (const tab of tabs) tab.removeAttribute("aria-current");
      chosen.setAttribute("aria-current", "page");
      chat.dispatchEvent(new CustomEvent("change", { detail: null }));
    };
    const chosen = make("button", { type: "button", onclick: choose, "aria-current": at === 0 ? "page" : null }, name);
    return chosen;
  });
  const unread = () => chat.conversations.reduce((sum, one) => sum + one.unread, 0);
  chat.addEventListener("change", () => tabs[1].replaceChildren("Talk", ...badge(unread())));
  chat.refresh();
  return make("div", { class: "client" }, make("nav", { class: "tabs", "aria-label": "Parts of this page" }, tabs),
    ...Object.values(panels));
}

export function badge(count) {
  return count ? [" ", make("span", { class: "badge" }, count, make("span", { class: "unseen" }, " new"))] : [];
}

function scale(name, question, low, high) {
  const value = make("output", { for: name }, "–");
  const slider = make("input", { type: "range", id: name, name, min: 0, max: 10, step: 1, value: 5, class: "untouched",
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
  return make("div", { class: "scale" }, make("label", { for: name }, question), value, slider,
    make("span", { class: "ends small" }, make("span", {}, `0 ${low}`), make("span", {}, `10 ${high}`)));
}

function showQuestions(page, say) {
  const submit = make("button", { type: "submit", class: "main", disabled: true }, "Check in");
  const hint = make("p", { class: "small" }, "Move the first slider; all the rest is up to you.");
  const form = make(
    "form", { class: "card check-in", method: "post" },
    make("h1", {}, "How is today?"),
    scale("craving", "How strong is the craving?", "none", "very strong"),
    make("details", {}, make("summary", {}, "Say more, if you like"),
      FEELINGS.map((feeling) => scale(...feeling)),
      make("label", { for: "sleep_hours" }, "Hours of sleep"),
      make("input", { id: "sleep_hours", name: "sleep_hours", type: "number", min: 0, max: 24, step: 0.5, inputmode: "decimal" }),
      make("label", { for: "medication_taken" }, "Medication taken?"),
      make("select", { id: "medication_taken", name: "medication_taken" }, make("option", { value: "" }, "–"),
        make("option", { value: "true" }, "Yes"), make("option", { value: "false" }, "No")),
      make("label", { for: "what" }, "A lapse? What was it? Saying so is never held against you."),
      make("input", { id: "what", name: "what", maxlength: 100, autocomplete: "off" }),
    ),
    make("label", { for: "note" }, "A note for your coach"),
    make("textarea", { id: "note", name: "note", rows: 3, maxlength: 4000 }),
    hint, submit,
  );
  form.addEventListener("answered", () => {
    submit.disabled = form.elements.craving.classList.contains("untouched");
    hint.hidden = !submit.disabled;
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    say(answers(form));
  });
  page.replaceChildren(form);
}

function answers(form) {
  const said = { id: newId(), at: new Date().toISOString() };
  for (const name of ["craving", ...FEELINGS.map(([feeling]) => feeling)]) {
    const slider = form.elements[name];
    if (!slider.classList.contains("untouched")) said[name] = Number(slider.value);
  }
  const { sleep_hours: sleep, medication_taken: medication, what, note } = form.elements;
  if (sleep.value !== "") said.sleep_hours = Number(sleep.value);
  if (medication.value) said.medication_taken = medication.value === "true";
  if (what.value.trim()) said.used = { what: what.value.trim() };
  if (note.value.trim()) said.note = note.value.trim();
  return said;
}

// What is known of a check-in: how the day was found, or where it is meanwhile.
function today(socket) {
  const checkIns = new CheckIns(socket);
  const news = make("div", { class: "panel" });
  const page = make("div", { class: "panel" });
  const waiting = make("p", { class: "small", role: "status" });
  let awaited = null;

  const ask = () => {
    awaited = null;
    showQuestions(page, say);
    draw();
  };
  function say(said) {
    awaited = said.id;
    showOnItsWay(page, "Sending your check-in…");
    checkIns.say(said);
    draw();
  }
  // Of the one that is looked at, on the page; of one that was said before, above it.
  function show(said, parts, words) {
    if (said.id === awaited) {
      page.replaceChildren(...parts, button("Check in again", async () => ask()));
      parts[0].querySelector("h1").focus();
    } else news.append(...parts);
    announce(words);
    draw();
  }
  function draw() {
    const count = checkIns.waiting.filter((said) => said.id !== awaited).length;
    waiting.hidden = !count;
    waiting.textContent = `${count === 1 ? "A check-in is" : `${count} check-ins are`} kept here, and sent as soon as we can.`;
  }

  checkIns.addEventListener("taken", ({ detail: { said, answer } }) => {
    const [title, words] = KIND_WORDS[answer.band];
    show(said, [found(answer), ...cards(answer.cards)], `${title}. ${words}`);
  });
  checkIns.addEventListener("waits", () => {
    draw();
    if (awaited && !page.querySelector("button")) {
      showOnItsWay(page, "We cannot reach Alongside right now. Your check-in is kept here and sent as soon as we can."
        + " If it cannot wait, “Help now” at the top works.", button("Check in again", async () => ask()));
    }
  });
  checkIns.addEventListener("aside", ({ detail: { said } }) => {
    const words = "We could not read it. It is kept whole, for a person who looks after Alongside to look at. Your coach"
      + " was not told of it: if today is hard, write to your coach, or open “Help now” at the top.";
    show(said, [kept(said, words)], words);
  });
  checkIns.addEventListener("refused", ({ detail: { said, words: why } }) => {
    const words = `${why} Your check-in stays on this phone, and is tried again when you open this page.`;
    show(said, [kept(said, words)], words);
  });
  ask();
  checkIns.send();
  return make("div", { class: "panel" }, waiting, news, page);
}

function showOnItsWay(page, words, ...more) {
  page.replaceChildren(make("div", { class: "card" }, make("p", { role: "status" }, words), ...more));
}

function found(answer) {
  const [title, words] = KIND_WORDS[answer.band];
  return make("section", { class: `card band ${answer.band}` }, make("h1", { tabindex: "-1" }, title), make("p", {}, words),
    answer.reasons.length > 0 && make("ul", { class: "reasons" }, answer.reasons.map((one) => make("li", {}, one))),
    make("p", { class: "small" }, `Checked in at ${clock(answer.at)}.`));
}

function kept(said, words) {
  return make("section", { class: "card" }, make("h1", { tabindex: "-1" }, `Your check-in of ${clock(said.at)}`),
    make("p", {}, words));
}

// The crisis lines as one card: a list of numbers is read faster than four letters.
function cards(found) {
  const lines = found.filter((card) => card.kind === "crisis");
  return found.filter((card) => card.kind !== "crisis" || card === lines[0]).map((card) => make(
    "section", { class: `card ${card.kind}` },
    make("h2", {}, card.kind === "crisis" ? "Somebody is there now" : card.title), make("p", {}, card.body),
    card.kind === "crisis"
      ? make("ul", { class: "lines" }, lines.map((line) => make("li", {}, make("span", {}, line.title), ...numbers(line))))
      : make("p", { class: "numbers" }, numbers(card)),
  ));
}

// The coach first; whoever is on duty is one press away.
function talk(socket, chat) {
  const people = make("div", { class: "row people", role: "group", "aria-label": "Who to talk to" });
  const place = make("div", {});
  const meanwhile = make("div", { role: "status" });
  const lines = make("div", { class: "panel" });
  const panel = make("div", { class: "panel" }, people, meanwhile, place, lines);
  let coaches = [];
  let open = null;
  let drawn = "";
  let waited = "null";

  async function choose(other, name) {
    const id = await chat.open(other);
    open?.close();
    open = { id, ...thread(chat, id, name) };
    place.replaceChildren(open.element);
    draw();
  }

  // While nobody has taken the conversation: what is known, and whom to call at once.
  function drawMeanwhile() {
    const away = open && chat.conversation(open.id)?.away;
    const now = JSON.stringify(away ?? null);
    if (now === waited) return;
    waited = now;
    meanwhile.replaceChildren(...(away ? [make("section", { class: "card away" }, make("p", {}, away.words),
      away.expected_at && make("p", {}, `A coach is expected at ${clock(away.expected_at)}.`))] : []));
    lines.replaceChildren(...(away ? cards(away.cards) : []));
  }

  function draw() {
    drawMeanwhile();
    const unread = (one) => (one?.unread ? badge(one.unread) : []);
    const onDuty = chat.conversations.find((one) => one.kind === "on_duty" && one.state !== "closed");
    const choices = [...coaches.map(({ id, name }) => [id, name, chat.with(id)]), ["on-duty", "Whoever is on duty", onDuty]];
    // Drawn anew only for news, so that nobody's finger or focus loses its place.
    const now = JSON.stringify([open?.id, choices.map(([other, name, one]) => [other, name, one?.id, one?.unread])]);
    if (now === drawn) return;
    drawn = now;
    people.replaceChildren(...choices.map(([other, name, one]) => button(
      make("span", {}, name, ...unread(one)), () => choose(other, other === "on-duty" ? "the coach on duty" : name),
      { class: "chip", "aria-pressed": one !== undefined && one?.id === open?.id ? "true" : "false" },
    )));
  }

  async function refresh() {
    try {
      const grants = await all("/grants");
      const ids = grants.filter((one) => one.subject_id === me().id && one.scope === "care").map((one) => one.holder_id);
      coaches = await Promise.all([...new Set(ids)].map(async (id) => ({ id, name: await nameOf(id, "Your coach") })));
      draw();
      if (!open && coaches.length) await choose(coaches[0].id, coaches[0].name);
    } catch (error) {
      if (!open) place.replaceChildren(make("p", { class: "small" }, error.message));
    }
  }

  chat.addEventListener("change", draw);
  socket.addEventListener("ready", refresh);
  return panel;
}
