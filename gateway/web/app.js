// The page: help first, then whoever signs in.

import { Away, forgetNames, me, nameOf, onSignedOut, Refused, signIn, signOut } from "./api.js";
import { clientView } from "./client.js";
import { coachView } from "./coach.js";
import { beginHelp, endHelp, refreshLines } from "./help.js";
import { forgetDrafts } from "./drafts.js";
import { announce, find, make, show } from "./page.js";
import { endPush, keepPage, offerPush } from "./push.js";
import { Socket } from "./socket.js";
import { sayAnyway } from "./unclaimed.js";

const ELSEWHERE = "https://www.wikipedia.org/";
const DESK = ["coach", "supervisor"];

let socket = null;

function leave() {
  document.documentElement.hidden = true;
  sessionStorage.clear();
  location.replace(ELSEWHERE);
}

function showSignIn(words = "") {
  const problem = make("p", { class: "problem", role: "alert" }, words);
  const login = make("input", { id: "login", name: "login", autocomplete: "username", required: true, maxlength: 64 });
  const password = make("input", {
    id: "password", name: "password", type: "password", autocomplete: "current-password", required: true,
  });
  const submit = make("button", { type: "submit", class: "main" }, "Sign in");
  const anyway = make("div", { class: "panel sign-in", hidden: navigator.onLine }, sayAnyway());
  const form = make(
    "form", { class: "card sign-in", method: "post" },
    make("h1", {}, "Welcome"),
    make("p", {}, "Good that you are here. Sign in to check in, and to talk with your coach."),
    make("label", { for: "login" }, "Your sign-in name"), login,
    make("label", { for: "password" }, "Password"), password,
    problem, submit,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    problem.textContent = "";
    try {
      await signIn(login.value.trim(), password.value);
      begin();
    } catch (error) {
      const wrong = error instanceof Refused && error.status === 401;
      if (error instanceof Away) anyway.hidden = false;
      problem.textContent = wrong ? "That name and password do not go together." : error.message;
    } finally {
      submit.disabled = false;
    }
  });
  find("who").replaceChildren();
  find("link").textContent = "";
  show(form, anyway);
}

function begin() {
  const { id, role } = me();
  const name = make("span", {});
  nameOf(id, "").then((shown) => (name.textContent = shown));
  find("who").replaceChildren(name, make("button", { type: "button", class: "quiet", onclick: end }, "Sign out"));
  if (role === "client" || DESK.includes(role)) {
    socket = new Socket();
    socket.addEventListener("ready", () => (find("link").textContent = ""));
    socket.addEventListener("lost", () => (find("link").textContent = "Connecting again…"));
    const view = role === "client" ? clientView(socket) : coachView(socket, role);
    show(view.element);
    beginHelp(socket, view.talkTo);
  } else {
    show(make("p", { class: "card" }, "You are signed in. This page is for clients, coaches and supervisors."));
  }
  offerPush((subscribe) => me()?.id === id && find("main").append(callMe(subscribe))).catch(() => {});
  find("main").focus({ preventScroll: true });
}

function callMe(subscribe) {
  const wanted = make("button", { type: "button", class: "quiet" }, "Tell me when something is new");
  wanted.addEventListener("click", async () => {
    wanted.disabled = true;
    const done = await subscribe().catch(() => false);
    announce(done ? "You will be told, in neutral words." : "This browser does not let us tell you.");
    if (done) wanted.remove();
    else wanted.disabled = false;
  });
  return wanted;
}

function close() {
  socket?.close();
  socket = null;
  forgetNames();
  endHelp();
}

async function end() {
  close();
  await endPush();
  forgetDrafts();
  try {
    await signOut();
    showSignIn("");
    announce("You are signed out.");
  } catch (error) {
    if (!(error instanceof Away || error instanceof Refused)) throw error;
    showSignIn("You are signed out on this page.");
  }
}

find("leave").addEventListener("click", leave);
// The way back after leaving must not show what was here.
addEventListener("pageshow", (event) => event.persisted && location.reload());
onSignedOut(() => {
  close();
  showSignIn("Please sign in again.");
});
refreshLines();
keepPage();
if (me()) begin();
else showSignIn();
