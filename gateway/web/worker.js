// The service worker of the phone app. It keeps the page on this phone, so that it opens without a network; and it shows
// that something is there, in neutral words, and opens the app. Nothing of a person is kept here: of the server's answers
// only the crisis lines, which are the same for everybody.
//
// The gateway puts before this text the constant SHELL: the version, and each file with its digest.

const HOME = new URL("./", location).pathname;
const PAGE = "./";
const KEPT = "page ";
const LINES = "/v1/crisis-lines";
const PATIENCE = 3000;
// A page that is being opened asks for one file after the other, with no such pause between.
const PAUSE = 2000;
const TAKE_OVER = "take over";
const AGAIN = "<!doctype html><title>Alongside</title><meta http-equiv=\"refresh\" content=\"0\">";

let asked = 0;

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(forgetOthers()));
self.addEventListener("message", ({ data }) => data === TAKE_OVER && self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname, search } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (pathname === LINES && !search) event.respondWith(lines(request));
  if (!pathname.startsWith(HOME)) return;
  const name = pathname.slice(HOME.length) || PAGE;
  if (Object.hasOwn(SHELL.files, name)) {
    event.respondWith(request.mode === "navigate" ? opened(name, request) : kept(name, request));
  }
});

// All files or none, and each the one that this version was made of.
async function keep() {
  const files = Object.entries(SHELL.files).map(([name, integrity]) => new Request(name, { integrity, cache: "no-cache" }));
  await (await caches.open(KEPT + SHELL.version)).addAll(files);
  // Without them the page has lines of its own.
  await lines(new Request(LINES, { cache: "no-store" })).catch(() => {});
}

async function forgetOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(KEPT) && name !== KEPT + SHELL.version).map((name) => caches.delete(name)));
}

// A newer version that is whole takes over between two openings, never within one: a page is of one version. It is
// opened once more then, of the newer one.
async function opened(name, request) {
  if (registration.waiting && Date.now() - asked > PAUSE) {
    registration.waiting.postMessage(TAKE_OVER);
    return new Response(AGAIN, { headers: { "Content-Type": "text/html; charset=utf-8" } });
  }
  return kept(name, request);
}

async function kept(name, request) {
  asked = Date.now();
  return (await (await caches.open(KEPT + SHELL.version)).match(name)) ?? fetch(request);
}

// As the server has them now; where it does not say so in time, as it said last.
async function lines(request) {
  const cache = await caches.open("lines");
  const last = await cache.match(LINES, { ignoreVary: true });
  try {
    const answer = await fetch(request, last ? { signal: AbortSignal.timeout(PATIENCE) } : {});
    if (answer.ok) await cache.put(LINES, answer.clone());
    return answer;
  } catch (error) {
    if (last) return last;
    throw error;
  }
}

const WORDS = {
  en: { message: "New message", alert: "Reminder", session: "Reminder", goal: "Update", notice: "Update", event: "Update" },
  es: {
    message: "Mensaje nuevo", alert: "Recordatorio", session: "Recordatorio",
    goal: "Novedades", notice: "Novedades", event: "Novedades",
  },
};

self.addEventListener("push", (event) => event.waitUntil(show(read(event.data))));
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open());
});

function read(data) {
  try {
    return data.json();
  } catch {
    return {};
  }
}

async function show({ kind, ref, badge }) {
  const language = self.navigator.language?.startsWith("es") ? "es" : "en";
  // The same thing replaces what was shown of it before.
  const shown = { tag: ref, renotify: Boolean(ref), icon: "icon.svg", lang: language };
  if (typeof badge === "number") await self.navigator.setAppBadge?.(badge).catch(() => {});
  await self.registration.showNotification(WORDS[language][kind] ?? WORDS[language].notice, shown);
}

async function open() {
  const [app] = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  await (app ? app.focus() : self.clients.openWindow("./"));
}
