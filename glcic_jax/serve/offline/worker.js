// Runs the network beside the page, so that the page goes on answering.

import * as ort from "./ort.wasm.bundle.min.mjs";
import { findBoxes, windowAround } from "./windows.js";

let session = null;

self.onmessage = async ({ data }) => {
  try {
    if (data.model) await load(data);
    else await complete(data);
  } catch (error) {
    self.postMessage({ error: error.message ?? String(error) });
  }
};

async function load({ model, runtime }) {
  ort.env.wasm.wasmBinary = runtime;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency ?? 1) : 1;
  session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
  self.postMessage({ ready: true, threads: ort.env.wasm.numThreads });
}

/** pixels: RGBA; mask: one byte a pixel, 1 = hole. Only pixels of the hole are changed. */
async function complete({ pixels, mask, width, height, margin, stride }) {
  const boxes = findBoxes(mask, width, height, margin);
  for (const [number, box] of boxes.entries()) {
    self.postMessage({ done: number, of: boxes.length });
    const part = windowAround(box, width, height, margin, stride);
    const painted = await run(pixels, mask, width, part);
    const wide = part.right - part.left;
    for (let y = box.top; y < box.bottom; y++) {
      for (let x = box.left; x < box.right; x++) {
        if (!mask[y * width + x]) continue;
        const from = 3 * ((y - part.top) * wide + x - part.left);
        for (let c = 0; c < 3; c++) pixels[4 * (y * width + x) + c] = painted[from + c];
      }
    }
  }
  self.postMessage({ pixels }, [pixels.buffer]);
}

async function run(pixels, mask, width, { top, left, bottom, right }) {
  const [high, wide] = [bottom - top, right - left];
  const image = new Uint8Array(high * wide * 3);
  const hole = new Uint8Array(high * wide);
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      const from = (y + top) * width + x + left;
      const to = y * wide + x;
      hole[to] = mask[from];
      for (let c = 0; c < 3; c++) image[3 * to + c] = pixels[4 * from + c];
    }
  }
  const feeds = {
    image: new ort.Tensor("uint8", image, [1, high, wide, 3]),
    mask: new ort.Tensor("uint8", hole, [1, high, wide, 1]),
  };
  return (await session.run(feeds)).completed.data;
}
