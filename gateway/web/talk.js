// Talking: the coach first; whoever is on duty is one press away; then whoever was brought together with the client.

import { all, me, nameOf, Refused } from "./api.js";
import { cards } from "./cards.js";
import { badge, button, clock, make, pause } from "./page.js";
import { thread } from "./thread.js";

const A_PEER = "Somebody who said yes";
const TRIES = 5;

export function talk(socket, chat) {
  const people = make("div", { class: "row people", role: "group", "aria-label": "Who to talk to" });
  const place = make("div", {}, make("p", { class: "small" }, "What was written is shown as soon as we reach Alongside."));
  const meanwhile = make("div", { role: "status" });
  const lines = make("div", { class: "panel" });
  const panel = make("div", { class: "panel" }, people, meanwhile, place, lines);
  let coaches = [];
  let open = null;
  let drawn = "";
  let waited = "null";

  async function choose(other, name) {
    const id = await opened(other);
    open?.close();
    open = { id, ...thread(chat, id, name) };
    place.replaceChildren(open.element);
    draw();
  }

  // That the two may talk can take a moment to be known everywhere.
  async function opened(other) {
    for (let tries = TRIES; ; tries--) {
      try {
        return await chat.open(other);
      } catch (error) {
        if (!(error instanceof Refused) || error.status !== 404 || tries === 0) throw error;
        await pause(1000);
      }
    }
  }

  const nameFor = (other) => (other === "on-duty" ? "the coach on duty" : coaches.find((one) => one.id === other)?.name ?? A_PEER);

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
    const others = chat.conversations.filter((one) => one.kind === "direct" && one.state !== "closed"
      && !coaches.some((coach) => one.with.includes(coach.id)));
    const choices = [...coaches.map(({ id, name }) => [id, name, chat.with(id)]), ["on-duty", "Whoever is on duty", onDuty],
      ...others.map((one) => [one.with[0], A_PEER, one])];
    // Drawn anew only for news, so that nobody's finger or focus loses its place.
    const now = JSON.stringify([open?.id, choices.map(([other, name, one]) => [other, name, one?.id, one?.unread])]);
    if (now === drawn) return;
    drawn = now;
    people.replaceChildren(...choices.map(([other, name, one]) => button(
      make("span", {}, name, ...unread(one)), () => choose(other, nameFor(other)),
      { class: "chip", "aria-pressed": one !== undefined && one?.id === open?.id ? "true" : "false" },
    )));
  }

  async function refresh() {
    try {
      const grants = await all("/grants");
      const ids = grants.filter((one) => one.subject_id === me().id && one.scope === "care").map((one) => one.holder_id);
      coaches = await Promise.all([...new Set(ids)].map(async (id) => ({ id, name: await nameOf(id, "Your coach") })));
      draw();
      if (!open) place.replaceChildren();
      if (!open && coaches.length) await choose(coaches[0].id, coaches[0].name);
    } catch (error) {
      if (!open) place.replaceChildren(make("p", { class: "small" }, error.message));
    }
  }

  chat.addEventListener("change", draw);
  socket.addEventListener("ready", refresh);
  return { panel, talkTo: (other) => choose(other, nameFor(other)) };
}
