// "Help now": first what needs nobody, the person's own plan and numbers to call; then only what is known of humans.
// Whatever cannot be reached, something stays: what was answered last, the plan on this phone, the lines of the page.

import { Away, get, getOpen, me, nameOf } from "./api.js";
import { asking } from "./asking.js";
import { cards, lineList } from "./cards.js";
import { button, find, make, why } from "./page.js";

// Only where the person asked for it; whoever opens this phone can read it then, signed in or not.
const KEPT = "plan";
const OF_THE_MOMENT = ["coach", "peers"];
// What was answered last and names nobody who is there, for when the page is opened anew without a network. It stays in
// this tab, goes with it, and with the sign-out.
const LAST = "help";

let signedIn = null;
let last = null;
// Null until that is known.
let reached = null;
let plan = null;

export function beginHelp(socket, talkTo) {
  signedIn = { talkTo: (...who) => {
    find("help").open = false;
    return talkTo(...who);
  } };
  if (me().role === "client") signedIn.asking = asking(socket, signedIn.talkTo);
  last = JSON.parse(sessionStorage.getItem(LAST) ?? "null");
  plan = last && planIn(last);
  draw();
  refreshHelp();
}

export function endHelp() {
  signedIn = last = plan = reached = null;
  sessionStorage.removeItem(LAST);
  draw();
}

export const isKept = () => keptPlan()?.of === me().id;

export async function keepPlan(keep) {
  if (!keep) return localStorage.removeItem(KEPT);
  localStorage.setItem(KEPT, JSON.stringify({ of: me().id, cards: plan ?? [] }));
  return refreshHelp();
}

export async function refreshHelp() {
  const whose = signedIn;
  if (!whose) return;
  const found = await get("/help").catch((error) => {
    why(error);
    return null;
  });
  // Of somebody who has left meanwhile nothing is kept here.
  if (whose !== signedIn) return;
  reached = found !== null;
  last = found ?? last;
  if (reached && found.plan !== "unreachable") remember(found);
  draw();
}

function remember(found) {
  sessionStorage.setItem(LAST, JSON.stringify({ plan: found.plan, cards: lasting(found) }));
  plan = planIn(found);
  const kept = keptPlan();
  if (kept && kept.of === me().id) localStorage.setItem(KEPT, JSON.stringify({ of: me().id, cards: plan }));
}

const lasting = (found) => found.cards.filter((card) => !OF_THE_MOMENT.includes(card.kind));
const planIn = (found) => found.cards.filter((card) => card.kind === "plan");

const keptPlan = () => JSON.parse(localStorage.getItem(KEPT) ?? "null");

// Of whoever is signed in, or of whoever kept it here where nobody is.
function knownPlan() {
  const kept = keptPlan();
  return plan ?? (kept && (!me() || kept.of === me().id) ? kept.cards : []);
}

export const knowsPlan = () => knownPlan().length > 0;

function draw() {
  const found = reached ? last.cards : last ? lasting(last) : [];
  const shown = found.some((card) => card.kind === "plan") ? found : [...knownPlan(), ...found];
  find("own-help").replaceChildren(
    ...(signedIn ? [make("p", { class: "notice", role: "status" }, notice())] : []),
    ...cards(shown, signedIn ? { coach: whoIsThere(), peers: signedIn.asking } : {}),
    ...(last?.plan === "none" && me()?.role === "client"
      ? [make("p", { class: "small" }, "You have no safety plan yet. When it is calmer, you can write one under “Plan”.")] : []),
  );
  find("lines").hidden = found.some((card) => card.kind === "crisis");
}

function notice() {
  if (reached === false) return "We cannot reach Alongside right now, and do not know who is on duty. This works without it.";
  return last?.plan === "unreachable" ? "We cannot read all of Alongside right now. This is what we know." : "";
}

function whoIsThere() {
  if (last?.staffed !== "on_duty" || me().role !== "client") return null;
  const name = make("strong", {});
  nameOf(last.coach_id, "").then((known) => (name.textContent = known && `${known} is marked as on duty.`));
  return make("div", { class: "row" }, name, button("Ask whoever is on duty", () => signedIn.talkTo("on-duty")));
}

// For whoever is not signed in: what the server knows replaces what the page came with.
export async function refreshLines() {
  try {
    showLines((await getOpen("/crisis-lines")).items);
  } catch (error) {
    const lines = error instanceof Away ? error.problem?.cards?.filter((card) => card.kind === "crisis") : null;
    if (lines?.length) showLines(lines.map((card) => ({ ...card, name: card.title })));
  }
}

const showLines = (lines) => find("lines").replaceChildren(lineList(lines));

find("help").addEventListener("toggle", () => find("help").open && refreshHelp());
draw();
