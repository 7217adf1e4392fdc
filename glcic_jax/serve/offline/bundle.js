// Where the offline page's parts are: files beside it. In the single file other code stands here.

export async function settings() {
  return (await fetch("settings.json")).json();
}

export async function readFile(name) {
  return (await fetch(name)).arrayBuffer();
}

export function makeWorker() {
  return new Worker(new URL("worker.js", import.meta.url), { type: "module" });
}
