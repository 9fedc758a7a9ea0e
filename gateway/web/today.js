// How today is: the questions, what is known of what was said, the reminder, and earlier days.

import { post } from "./api.js";
import { because, TO_CLIENT } from "./bands.js";
import { cards } from "./cards.js";
import { CheckIns } from "./checkins.js";
import { contested, history, objections, withReason } from "./history.js";
import { announce, button, clock, make, newId, why } from "./page.js";
import { questions } from "./questions.js";
import { reminder } from "./reminder.js";
import { claiming } from "./unclaimed.js";

export function today(socket) {
  const checkIns = new CheckIns(socket);
  const news = make("div", { class: "panel" });
  const page = make("div", { class: "panel" });
  const waiting = make("p", { class: "small", role: "status" });
  const earlier = make("details", { class: "fold" }, make("summary", {}, "Earlier check-ins"));
  let awaited = null;

  const again = () => button("Check in again", async () => ask());
  const ask = () => {
    awaited = null;
    page.replaceChildren(questions({ title: "How is today?", words: "Check in", say }));
    draw();
  };
  function say(answers) {
    const said = { id: newId(), at: new Date().toISOString(), ...answers };
    awaited = said.id;
    showOnItsWay("Sending your check-in…");
    checkIns.say(said);
    draw();
  }
  // One that was taken in already: how it was instead. Both are kept.
  function correct(kept) {
    const id = newId();
    const problem = make("p", { class: "problem", role: "alert" });
    awaited = null;
    const form = questions({
      title: `Your check-in of ${clock(kept.at)}`, words: "Correct it", before: kept,
      async say(answers, submit) {
        submit.disabled = true;
        problem.textContent = "";
        try {
          const answer = await withReason(post(`/check-ins/${kept.id}/correct`, { id, ...answers }));
          awaited = id;
          showFound({ id, ...answers }, answer);
        } catch (error) {
          problem.textContent = why(error);
        } finally {
          submit.disabled = false;
        }
      },
    });
    form.append(problem, button("Leave it as it was", async () => ask(), { class: "quiet" }));
    page.replaceChildren(form);
    form.querySelector("h1").focus();
  }
  function showOnItsWay(words, ...more) {
    page.replaceChildren(make("div", { class: "card" }, make("p", { role: "status" }, words), ...more));
  }
  function showFound(said, answer) {
    const [title, words] = TO_CLIENT[answer.band];
    show(said, [found({ ...said, ...answer }, correct), ...cards(answer.cards)], `${title}. ${words}`);
    if (earlier.open) drawEarlier();
  }
  // Of the one that is looked at, on the page; of one that was said before, above it.
  function show(said, parts, words) {
    if (said.id === awaited) {
      page.replaceChildren(...parts, again());
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
  function drawEarlier() {
    earlier.replaceChildren(earlier.firstChild, history(null, correct));
  }

  checkIns.addEventListener("taken", ({ detail: { said, answer } }) => showFound(said, answer));
  checkIns.addEventListener("waits", () => {
    draw();
    if (awaited && !page.querySelector("button")) {
      showOnItsWay("We cannot reach Alongside right now. Your check-in is kept here and sent as soon as we can."
        + " If it cannot wait, “Help now” at the top works.", again());
    }
  });
  checkIns.addEventListener("aside", ({ detail: { said } }) => {
    const words = "We could not read it. It is kept whole, for a person who looks after Alongside to look at. Your coach"
      + " was not told of it: if today is hard, write to your coach, or open “Help now” at the top.";
    show(said, [kept(said, words)], words);
  });
  checkIns.addEventListener("refused", ({ detail: { said, words: reason } }) => {
    const words = `${reason} Your check-in stays on this phone, and is tried again when you open this page.`;
    show(said, [kept(said, words)], words);
  });
  earlier.addEventListener("toggle", () => earlier.open && drawEarlier());
  ask();
  checkIns.send();
  return make("div", { class: "panel" }, claiming((said) => checkIns.say(said)), waiting, news, page, earlier, reminder());
}

function found(answer, correct) {
  const [title, words] = TO_CLIENT[answer.band];
  const against = make("div", {});
  const draw = (record) => against.replaceChildren(contested(record, true) || objections(record, correct, (now) => {
    draw(now);
    against.firstChild.focus();
  }));
  draw(answer);
  return make("section", { class: `card band ${answer.band}` }, make("h1", { tabindex: "-1" }, title), make("p", {}, words),
    because(answer), make("p", { class: "small" }, `Checked in at ${clock(answer.at)}.`), against);
}

function kept(said, words) {
  return make("section", { class: "card" }, make("h1", { tabindex: "-1" }, `Your check-in of ${clock(said.at)}`),
    make("p", {}, words));
}
