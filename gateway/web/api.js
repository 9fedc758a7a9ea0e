// REST under /v1. The access token is renewed when it ends. Tokens are kept in this tab only, and go with it.

const KEPT = "session";

// The way there or the part behind it is away for a moment; what was sent under an id may be sent again.
export class Away extends Error {
  constructor(problem) {
    super("We cannot reach Alongside right now.");
    this.problem = problem;
  }
}

export class Refused extends Error {
  constructor(status, problem) {
    super(WORDS[status] ?? problem?.detail ?? "That did not work.");
    this.status = status;
    this.problem = problem;
  }
}

const WORDS = {
  401: "Please sign in again.",
  404: "That is not here any more.",
  409: "Somebody has already done this, or it has changed.",
  429: "That was a lot at once. Please wait a moment.",
};

let session = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
let renewing = null;
let whenSignedOut = () => {};

export const me = () => session?.person ?? null;
export const token = () => session?.access_token ?? "";

export function onSignedOut(act) {
  whenSignedOut = act;
}

function keep(fresh) {
  session = fresh;
  if (fresh) sessionStorage.setItem(KEPT, JSON.stringify(fresh));
  else sessionStorage.removeItem(KEPT);
}

export async function signIn(login, password) {
  // The name is asked for when it is shown: nothing kept in the browser says who uses it.
  const { person, ...fresh } = await call("POST", "/auth/token", { login, password }, "");
  keep({ ...fresh, person: { id: person.id, role: person.role } });
}

export async function signOut() {
  try {
    await ask("POST", "/auth/sign-out");
  } finally {
    keep(null);
  }
}

// One renewal at a time: a refresh token that is used twice ends the session.
export function renew() {
  renewing ??= call("POST", "/auth/refresh", { refresh_token: session?.refresh_token ?? "" }, "")
    .then((fresh) => keep({ ...fresh, person: { id: fresh.person.id, role: fresh.person.role } }))
    .catch((error) => {
      if (error instanceof Refused) {
        keep(null);
        whenSignedOut();
      }
      throw error;
    })
    .finally(() => (renewing = null));
  return renewing;
}

// What an edit of something that was read names in its If-Match.
const tags = new WeakMap();
export const tagOf = (content) => tags.get(content) ?? null;

async function call(method, path, body, bearer = token(), tag = null) {
  let answer;
  try {
    answer = await fetch(`/v1${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(bearer ? { Authorization: `Bearer ${bearer}` } : {}),
        ...(tag ? { "If-Match": tag } : {}),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
  } catch {
    throw new Away();
  }
  const content = await answer.json().catch(() => null);
  if (answer.ok && content) tags.set(content, answer.headers.get("ETag"));
  if (answer.ok) return content;
  throw answer.status >= 500 ? new Away(content) : new Refused(answer.status, content);
}

export async function ask(method, path, body, tag = null) {
  const before = token();
  try {
    return await call(method, path, body, token(), tag);
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 401 || !session) throw error;
    if (before === token()) await renew();
    return call(method, path, body, token(), tag);
  }
}

export const get = (path) => ask("GET", path);
// For what anybody may see: a token that has ended must not stand in the way of help.
export const getOpen = (path) => call("GET", path, undefined, "");
export const post = (path, body = undefined) => ask("POST", path, body);
export const put = (path, body, tag = null) => ask("PUT", path, body, tag);

// Only for lists that are short by nature; it reads every page of them.
export async function all(path) {
  const items = [];
  let after = "";
  do {
    const page = await get(`${path}${path.includes("?") ? "&" : "?"}limit=200${after}`);
    items.push(...page.items);
    after = page.next ? `&after=${encodeURIComponent(page.next)}` : "";
  } while (after);
  return items;
}

const names = new Map();

// What to call a person; in memory only.
export function nameOf(personId, otherwise) {
  if (!names.has(personId)) {
    const asked = get(`/people/${personId}`).then((person) => person.display_name);
    asked.catch(() => names.delete(personId));
    names.set(personId, asked);
  }
  return names.get(personId).catch(() => otherwise);
}

export function forgetNames() {
  names.clear();
}
