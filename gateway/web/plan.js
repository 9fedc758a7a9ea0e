// The client's safety plan: read, written, shared, and kept on this phone where the client asks for it.

import { all, Away, get, me, nameOf, put, Refused, tagOf } from "./api.js";
import { isKept, keepPlan, knowsPlan, refreshHelp } from "./help.js";
import { announce, button, clock, field, fill, folded, formOf, make, select, tick, why } from "./page.js";
import { codeEnd } from "./shared.js";
import { isBare, planOf, planWriter, PLACES } from "./steps.js";

export function plan() {
  const element = make("div", { class: "panel" });
  let asked = false;

  async function load() {
    try {
      return await get("/safety-plan");
    } catch (error) {
      if (error instanceof Refused && error.status === 404) return null;
      if (error instanceof Away && knowsPlan()) error.message += " Your plan, as it was last read here, is under “Help now”.";
      throw error;
    }
  }
  const show = () => fill(element, load, (kept) => (kept && !isBare(kept) ? reading(kept) : writing(kept)));

  function reading(kept) {
    return [
      make("section", { class: "card" }, make("h1", { tabindex: "-1" }, "My safety plan"), planOf(kept),
        make("p", { class: "small" }, `Written at ${clock(kept.written_at)}.`),
        button("Change it", () => edit(kept), { class: "quiet" })),
      sharing(kept.sharing), keeping(), versions(),
    ];
  }
  function edit(kept) {
    element.replaceChildren(writing(kept));
    element.querySelector("h1").focus();
  }

  function writing(kept) {
    const writer = planWriter(kept);
    const elsewhere = make("div", { class: "panel" });
    let tag = kept && tagOf(kept);
    const form = formOf([writer.element], "Save my plan", async () => {
      try {
        await put("/safety-plan", writer.written(), tag);
      } catch (error) {
        if (error.status !== 412) throw error;
        const now = await get("/safety-plan");
        tag = tagOf(now);
        elsewhere.replaceChildren(make("section", { class: "card" }, make("h2", {}, "What it says now"), planOf(now)));
        return "Your plan was changed elsewhere, and stands below. Save again if you want it as you have written it here.";
      }
      announce("Your plan is saved.");
      refreshHelp();
      await show();
      element.querySelector("h1").focus();
    }, { places: PLACES });
    return make("section", { class: "card" }, make("h1", { tabindex: "-1" }, "My safety plan"),
      make("p", {}, "For a bad night, in your own words: what to do, step by step. It is best written on a calm day, with"
        + " somebody you trust if you like. Leave out whatever does not fit you."),
      form, kept && !isBare(kept) && button("Leave it as it was", () => show(), { class: "quiet" }), elsewhere);
  }

  element.addEventListener("chosen", () => {
    if (!asked) show();
    asked = true;
  });
  return element;
}

// The client's last word holds at once.
function sharing(shared) {
  const heading = make("h2", { tabindex: "-1" }, "Who may read it");
  const coach = tick("My coach may read my plan", { checked: shared.coach });
  const done = make("p", { class: "small notice", role: "status" });
  const people = make("ul", { class: "goals" });
  const more = folded("Let somebody else read it", () => talkedWith(shared.people), (known) => naming(known, name));

  async function share(change) {
    shared = await put("/safety-plan/sharing", { ...shared, ...change });
    drawPeople();
  }
  // Said beside the box, which goes back where it does not hold.
  async function choose(change, words) {
    try {
      await share(change);
      done.textContent = words;
    } catch (error) {
      done.textContent = why(error);
    }
    coach.control.checked = shared.coach;
  }
  async function name(id, known) {
    await share({ people: [...shared.people, id] });
    done.textContent = `${known} can read it from now on, until you take it back.`;
    more.open = false;
    heading.focus();
  }
  function drawPeople() {
    people.replaceChildren(...shared.people.map((id) => {
      const unknown = `Somebody you named, ${codeEnd(id)}`;
      const [shown, said] = [make("span", {}, unknown), make("span", { class: "unseen" }, ` with ${unknown}`)];
      nameOf(id, unknown).then((known) => {
        shown.textContent = known;
        said.textContent = ` with ${known}`;
      });
      return make("li", {}, shown, button(["Stop sharing", said], async () => {
        await choose({ people: shared.people.filter((one) => one !== id) }, "They cannot read it any more.");
        heading.focus();
      }, { class: "quiet" }));
    }));
  }
  coach.control.addEventListener("change", () => choose({ coach: coach.control.checked },
    coach.control.checked ? "Your coach can read it from now on." : "Nobody but you can read it, and those you named."));
  drawPeople();
  return make("section", { class: "card" }, heading,
    make("p", { class: "small" }, "Only you, unless you say otherwise. You can change your mind at any time."), coach, people, done, more);
}

// Whoever the client has written with, and has not named yet.
async function talkedWith(named) {
  const ids = (await all("/conversations")).flatMap((one) => one.with).filter((id) => id !== me().id && !named.includes(id));
  return Promise.all([...new Set(ids)].map(async (id) => [id, await nameOf(id, `Somebody you wrote with, ${codeEnd(id)}`)]));
}

function naming(known, name) {
  const names = Object.fromEntries(known);
  const whom = select(names);
  const code = make("input", { maxlength: 64, required: true, autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  const words = "Let them read it";
  return [
    make("p", { class: "small" }, "They see your plan as it is, and every change of it; nothing else of yours."),
    known.length > 0 && formOf([field("Somebody you have written with", whom)], words, () => name(whom.value, names[whom.value])),
    formOf([field("Or somebody by their code", code, "They find it on their own page, under “Plans shared with me”, and give it to you.")],
      words, () => {
        const id = code.value.trim();
        return id === me().id ? "That is your own code." : name(id, `Whoever has the ${codeEnd(id)}`);
      }, { places: { people: "the code" } }),
  ];
}

function keeping() {
  const keep = tick("Keep my plan on this phone", { checked: isKept() });
  const done = make("p", { class: "small notice", role: "status" });
  keep.control.addEventListener("change", async () => {
    await keepPlan(keep.control.checked);
    done.textContent = keep.control.checked ? "It is kept here, and under “Help now”." : "It is not kept here any more.";
  });
  return make("section", { class: "card" }, keep,
    make("p", { class: "small" }, "Then “Help now” shows it without a connection, and when you are signed out. Whoever can"
      + " open this phone can read it there."), done);
}

const versions = () => folded("Earlier versions", () => all("/safety-plan/versions"), (found) => make("ul", {},
  found.map((one) => make("li", {}, folded(`Version ${one.version}, ${clock(one.written_at)}`,
    () => get(`/safety-plan?version=${one.version}`), (kept) => planOf(kept))))));
