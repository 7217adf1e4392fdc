// Completes photographs by asking the server that the page comes from.

let token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
const POLL_MSECS = 300;

/** What the server says of a request that it refuses. */
export class Refused extends Error {
  constructor(status, message, retrySecs) {
    super(message);
    this.status = status;
    this.retrySecs = retrySecs;
  }
}

/** The token that further requests carry. */
export function useToken(text) {
  token = text;
}

/** {models: [{name, blend, trained_px, licence_note}], copies_texture, ...} */
export async function describe() {
  return (await ask("api/v1/models")).json();
}

/**
 * Completes a photograph.
 *
 * task: {image, name, mask, model, blend, coarse, copyTexture}. report(key, values): told how far it is. signal: ends it.
 * Returns {blob, notes}.
 */
export async function complete(task, report, signal) {
  const form = new FormData();
  form.append("image", task.image, task.name);
  form.append("mask", task.mask, "mask.png");
  form.append("model", task.model);
  form.append("blend", task.blend);
  form.append("coarse", task.coarse);
  form.append("copy_texture", task.copyTexture);
  for (;;) {
    try {
      return await send(form, report, signal);
    } catch (error) {
      if (error.status !== 503) throw error;
      report("busy", { secs: error.retrySecs });
      await pause(1000 * error.retrySecs, signal);
    }
  }
}

async function send(form, report, signal) {
  const ticket = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random().toString(16).slice(2)}`;
  report("reading", {});
  const watching = setInterval(async () => {
    const progress = await ask(`api/v1/progress/${ticket}`).then((answer) => answer.json(), () => null);
    if (["reading", "waiting", "painting"].includes(progress?.state)) report(progress.state, progress);
  }, POLL_MSECS);
  try {
    const answer = await ask(`api/v1/inpaint?ticket=${ticket}`, { method: "POST", body: form, signal });
    return { blob: await answer.blob(), notes: JSON.parse(answer.headers.get("X-Notes") ?? "[]") };
  } finally {
    clearInterval(watching);
  }
}

/** A photograph of a kind that browsers do not show, as PNG. */
export async function preview(image, name) {
  const form = new FormData();
  form.append("image", image, name);
  return (await ask("api/v1/preview", { method: "POST", body: form })).blob();
}

async function ask(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const answer = await fetch(path, { ...options, headers, cache: "no-store" });
  if (answer.ok) return answer;
  const words = await answer.json().then((body) => body.error, () => answer.statusText);
  throw new Refused(answer.status, words, Number(answer.headers.get("Retry-After") ?? 2));
}

function pause(msecs, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, msecs);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
