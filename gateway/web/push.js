// The service worker of this browser, and being told when the page is not open: that only for whoever asks for it, and
// gone with the sign-out.

import { ask, getOpen } from "./api.js";

const KEPT = "device";
const able = "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;

// The page is kept on this phone, whoever uses it, so that it opens without a network.
export function keepPage() {
  // A browser that keeps nothing opens the page with a network only, and everything else is as it was.
  navigator.serviceWorker?.register("worker.js").catch(() => {});
}

// Names this browser to the server, so that it is not called while the page is open. It says nothing of who uses it.
export const device = () => localStorage.getItem(KEPT) ?? undefined;

// A button where the browser is able, the server does it, and nobody has asked for it yet.
export async function offerPush(button) {
  if (!able || Notification.permission === "denied") return;
  const key = await getOpen("/push/key").then((found) => found.key).catch(() => null);
  if (!key) return;
  if (device() && Notification.permission === "granted") await subscribe(key);
  else button(() => subscribe(key));
}

async function subscribe(key) {
  if ((await Notification.requestPermission()) !== "granted") return false;
  await navigator.serviceWorker.register("worker.js");
  const worker = await navigator.serviceWorker.ready;
  const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  if (!device()) localStorage.setItem(KEPT, crypto.randomUUID());
  await ask("PUT", `/devices/${device()}`, {
    kind: "webpush",
    value: JSON.stringify(subscription),
    timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    language: navigator.language.startsWith("es") ? "es" : "en",
  });
  return true;
}

// Before the sign-out, while the server still knows who asks.
export async function endPush() {
  if (!device()) return;
  await ask("DELETE", `/devices/${device()}`).catch(() => {});
  localStorage.removeItem(KEPT);
  const worker = await navigator.serviceWorker?.getRegistration();
  await (await worker?.pushManager.getSubscription())?.unsubscribe();
}
