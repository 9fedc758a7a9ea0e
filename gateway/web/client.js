// The client's page: how today is, the coach, the plan, the goals, and the rest.

import { me } from "./api.js";
import { aim } from "./aim.js";
import { Chat } from "./chat.js";
import { goals } from "./goals.js";
import { badge, make } from "./page.js";
import { asked, offer } from "./peers.js";
import { plan } from "./plan.js";
import { questionnaires } from "./questionnaires.js";
import { seen } from "./seen.js";
import { sharedWithMe } from "./shared.js";
import { talk } from "./talk.js";
import { today } from "./today.js";

// Returns the page, and what brings one to a conversation.
export function clientView(socket) {
  const chat = new Chat(socket);
  const talking = talk(socket, chat);
  const wish = asked(socket, talkTo);
  const panel = (...parts) => make("div", { class: "panel" }, parts);
  const panels = {
    Today: today(socket),
    Talk: talking.panel,
    Plan: plan(),
    Goals: panel(goals(socket, me().id).element, aim()),
    More: panel(wish.element, questionnaires(), seen(), sharedWithMe(), offer()),
  };
  const tabs = Object.fromEntries(Object.keys(panels).map((name) => [
    name, make("button", { type: "button", onclick: () => choose(name) }, name),
  ]));

  function choose(name) {
    for (const [other, one] of Object.entries(panels)) {
      one.hidden = other !== name;
      if (other === name) tabs[other].setAttribute("aria-current", "page");
      else tabs[other].removeAttribute("aria-current");
    }
    panels[name].dispatchEvent(new Event("chosen"));
    chat.dispatchEvent(new CustomEvent("change", { detail: null }));
  }
  async function talkTo(other) {
    choose("Talk");
    await talking.talkTo(other);
  }

  const unread = () => chat.conversations.reduce((sum, one) => sum + one.unread, 0);
  chat.addEventListener("change", () => tabs.Talk.replaceChildren("Talk", ...badge(unread())));
  wish.element.addEventListener("asked", ({ detail }) => tabs.More.replaceChildren("More", ...badge(detail)));
  chat.refresh();
  choose("Today");
  const nav = make("nav", { class: "tabs", "aria-label": "Parts of this page" }, Object.values(tabs));
  return { element: make("div", { class: "client" }, nav, Object.values(panels)), talkTo };
}
