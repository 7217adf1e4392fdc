// Where the single file's parts are: in elements of the page, compressed.

export async function settings() {
  return JSON.parse(new TextDecoder().decode(await readFile("settings.json")));
}

export async function readFile(name) {
  const text = document.getElementById(`part-${name}`).textContent;
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Pages from the disk may not start modules as workers, but a plain worker may import one. */
export function makeWorker() {
  const code = JSON.stringify(document.getElementById("worker-code").textContent);
  const boot = `
    const early = [];
    self.onmessage = (event) => early.push(event);
    import(URL.createObjectURL(new Blob([${code}], { type: "text/javascript" }))).then(
      () => early.forEach((event) => self.onmessage(event)),
      (error) => self.postMessage({ error: String(error) }),
    );`;
  return new Worker(URL.createObjectURL(new Blob([boot], { type: "text/javascript" })));
}
