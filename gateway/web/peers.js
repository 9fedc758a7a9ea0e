// Being there for somebody else: what one was asked, and whether one may be asked.

import { get, post, put } from "./api.js";
import { announce, button, clock, field, folded, formOf, make, tick, why } from "./page.js";

const ASK_ANYWAY = 60_000;
const STATES = { taken: "Somebody else was there first. Thank you.", declined: "You said: not now. That is all right." };

// `talkTo` brings one to the person. The element tells, as `asked`, how many are waiting for an answer.
export function asked(socket, talkTo) {
  const list = make("ul", { class: "history" });
  const problem = make("p", { class: "problem", role: "alert" });
  const element = make("section", { class: "card", hidden: true }, make("h2", {}, "Somebody asks for company"), list, problem);
  let waiting = 0;

  async function refresh() {
    try {
      const found = (await get("/help/asked?limit=10")).items.filter((ask) => ask.state !== "over");
      problem.textContent = "";
      list.replaceChildren(...found.map(entry));
      element.hidden = !found.length;
      const open = found.filter((ask) => ask.state === "open").length;
      if (open > waiting) announce("Somebody asks for company.");
      waiting = open;
      element.dispatchEvent(new CustomEvent("asked", { detail: open }));
    } catch (error) {
      problem.textContent = why(error);
    }
  }

  function entry(ask) {
    const act = (name) => () => post(`/help/peers/${ask.id}/${name}`).finally(refresh);
    const words = {
      open: "Who it is you see if you say yes. You do not have to; if you cannot, nobody is told.",
      accepted: `You said yes. You can write to each other until ${clock(ask.until)}, and either of you can end it.`,
      ...STATES,
    }[ask.state];
    const acts = {
      open: () => [button("Yes, I am here", act("accept"), { class: "main" }),
        button("Not now", act("decline"), { class: "quiet" })],
      accepted: () => [button("Write to them", () => talkTo(ask.client_id), { class: "main" }),
        button("End it", act("end"), { class: "quiet" })],
    }[ask.state];
    return make("li", { class: "entry" }, make("h3", {}, clock(ask.asked_at)), make("p", {}, words),
      acts && make("div", { class: "row" }, acts()));
  }

  socket.addEventListener("peer", refresh);
  socket.addEventListener("ready", refresh);
  refresh();
  const timer = setInterval(() => (socket.closed ? clearInterval(timer) : refresh()), ASK_ANYWAY);
  return { element, refresh };
}

export const offer = () => folded("Be there for others", () => get("/me/peer-support"), (kept) => {
  const on = tick("People near me may ask me for company", { checked: kept.on });
  const area = make("input", { maxlength: 60, autocomplete: "off", value: kept.area });
  const languages = make("input", { maxlength: 100, autocomplete: "off", value: kept.languages.join(", ") });
  return make("section", { class: "card" },
    make("p", { class: "small" }, "On a hard night somebody may ask for company. You see who only if you say yes, and you"
      + " can always say not now. You can take this back whenever you like; then where you are is kept no longer."),
    formOf([on, field("Roughly where are you?", area, "The first letters of a postal code, or a place."),
      field("Which languages do you speak?", languages, "Such as: en, es.")], "Save", async () => {
      const now = await put("/me/peer-support", {
        on: on.control.checked,
        ...(area.value.trim() ? { area: area.value.trim() } : {}),
        languages: languages.value.split(",").map((one) => one.trim()).filter(Boolean),
      });
      area.value = now.area ?? "";
      return now.on ? "Thank you. You may be asked." : "Saved. You will not be asked.";
    }, { places: { area: "where you are", languages: "languages" } }));
});
