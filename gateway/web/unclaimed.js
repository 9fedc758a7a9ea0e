// A check-in that was made here while nobody could sign in. It waits on this phone until somebody who is signed in says
// that it is theirs; until then only its moment is shown.

import { announce, button, clock, make, newId } from "./page.js";
import { Queue } from "./outbox.js";
import { questions } from "./questions.js";

// No id begins like that.
const unclaimed = () => new Queue("check-ins", "id", "-nobody");

// For the page on which nobody is signed in.
export function sayAnyway() {
  const place = make("div", {});
  const ask = () => place.replaceChildren(questions({ title: "How is today?", words: "Keep my check-in", say }));
  function say(answers) {
    unclaimed().put({ id: newId(), at: new Date().toISOString(), ...answers });
    const words = "It is kept on this phone, and sent when you sign in here. Nobody is told before that: if it cannot wait,"
      + " “Help now” at the top works.";
    place.replaceChildren(make("section", { class: "card" }, make("h1", { tabindex: "-1" }, "Your check-in is kept"),
      make("p", {}, words), button("Check in again", async () => ask(), { class: "quiet" })));
    place.querySelector("h1").focus();
    announce(words);
  }
  ask();
  return make("details", { class: "fold" }, make("summary", {}, "Check in without signing in"),
    make("p", { class: "small" }, "Without a connection you cannot sign in. You can say how today is all the same."), place);
}

// For whoever is signed in: whose is it? It is sent as one's own, by `claim`, or not at all.
export function claiming(claim) {
  const place = make("div", { class: "panel" });
  const draw = () => place.replaceChildren(...unclaimed().all().map((said) => make("section", { class: "card" },
    make("h2", {}, `A check-in of ${clock(said.at)}`),
    make("p", {}, "It was made on this phone while nobody was signed in, and is not sent yet. Is it yours? If not, you can"
      + " leave it for whoever made it."),
    make("div", { class: "row" }, button("It is mine, send it", () => end(said, "It is on its way.", claim), { class: "main" }),
      button("Throw it away", () => end(said, "It is gone."), { class: "quiet" })))));
  async function end(said, words, act = () => {}) {
    // First kept as one's own: nothing that comes between may lose it.
    act(said);
    unclaimed().drop(said.id);
    draw();
    announce(words);
  }
  draw();
  return place;
}
