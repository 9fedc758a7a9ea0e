// Asking people who offered to be asked, and what becomes of it. Its opaque id stays in this tab, nothing else does.

import { get, me, post } from "./api.js";
import { button, clock, field, formOf, make, newId, why } from "./page.js";

const ASK_ANYWAY = 20_000;

export function asking(socket, talkTo) {
  const place = make("div", { class: "panel", role: "status" });
  const kept = `ask.${me().id}`;
  let ask = null;

  async function refresh() {
    const id = ask?.id ?? sessionStorage.getItem(kept);
    if (!id) return;
    try {
      take(await get(`/help/peers/${id}`));
    } catch (error) {
      if (error.status === 404) take(null);
      else why(error);
    }
  }

  function take(answer) {
    if (answer && JSON.stringify(answer) === JSON.stringify(ask)) return;
    ask = answer;
    if (ask) sessionStorage.setItem(kept, ask.id);
    else sessionStorage.removeItem(kept);
    place.replaceChildren(...(ask ? state() : [form()]));
  }

  function state() {
    const over = new Date(ask.until) < new Date();
    if (over) return [make("p", {}, ask.accepted_by ? "That talk has ended." : "Nobody has answered."), form()];
    const card = ask.cards[0];
    const words = [make("strong", {}, card.title), make("p", {}, card.body)];
    if (!ask.accepted_by) return ask.asked ? words : [...words, form()];
    return [...words, make("p", { class: "small" }, `Until ${clock(ask.until)}.`), make("div", { class: "row" },
      button("Write to them", () => talkTo(ask.accepted_by), { class: "main" }),
      button("End it", async () => {
        await post(`/help/peers/${ask.id}/end`);
        take(null);
      }, { class: "quiet" }))];
  }

  function form() {
    const area = make("input", { maxlength: 60, autocomplete: "off" });
    const id = newId();
    return formOf([field("Roughly where are you?", area, "If you like, so that somebody near is asked. It is kept nowhere.")],
      "Ask people who offered", async () => {
        take(await post("/help/peers", { id, ...(area.value.trim() ? { area: area.value.trim() } : {}) }));
      });
  }

  take(null);
  socket.addEventListener("peer", refresh);
  socket.addEventListener("ready", refresh);
  const timer = setInterval(() => (socket.closed ? clearInterval(timer) : ask && refresh()), ASK_ANYWAY);
  return place;
}
