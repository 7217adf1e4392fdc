// Completes photographs in the browser, without any server: the network runs in a worker, by ONNX Runtime Web.

import { makeWorker, readFile, settings } from "./bundle.js";

let ready = null; // promise of a worker that has loaded the model

/** What cannot be done here. */
export class Refused extends Error {}

export function useToken() {}

export async function describe() {
  return { models: [await settings()], offline: true };
}

/** As the server's engine; the result is PNG, and what the file said beside its pixels is not kept. */
export async function complete(task, report, signal) {
  report("painting", {});
  const { margin_px: margin, stride_px: stride, trained_px: trained } = await settings();
  const { width, height, data } = await readPixels(task.image);
  const red = (await readPixels(task.mask)).data;
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) mask[i] = red[4 * i] > 127 ? 1 : 0;
  const notes = describeHole(mask, width, height, trained);
  ready ??= startWorker();
  const worker = await ready.catch((error) => {
    ready = null;
    throw error;
  });
  const stop = () => {
    worker.terminate();
    ready = null;
  };
  signal.addEventListener("abort", stop);
  try {
    const job = { pixels: data, mask, width, height, margin, stride };
    const pixels = await ask(worker, job, [data.buffer], report, signal);
    return { blob: await encode(pixels, width, height), notes };
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

export async function preview() {
  throw new Refused("this browser cannot read files of this kind");
}

async function startWorker() {
  const worker = makeWorker();
  const failed = new Promise((_, reject) => {
    const fail = (message) => reject(new Refused(message ?? "the worker cannot be started"));
    worker.onerror = (event) => fail(event.message);
    worker.onmessage = ({ data }) => fail(data.error);
  });
  const loaded = load(worker);
  return Promise.race([failed, loaded]);
}

async function load(worker) {
  const [model, runtime] = await Promise.all([readFile("model.onnx"), readFile("ort-wasm-simd-threaded.wasm")]);
  await ask(worker, { model, runtime }, [model, runtime], () => {}, new AbortController().signal);
  return worker;
}

function ask(worker, job, transfer, report, signal) {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
    worker.onerror = (event) => reject(new Refused(event.message));
    worker.onmessage = ({ data }) => {
      if (data.error) reject(new Refused(data.error));
      else if (data.of) report("painting", data);
      else resolve(data.pixels);
    };
    worker.postMessage(job, transfer);
  });
}

/** The file's own levels: no colour profile is applied. */
async function readPixels(blob) {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

async function encode(pixels, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** A note if the hole is thicker than any that the model was trained on. */
function describeHole(mask, width, height, trained) {
  const far = new Uint16Array(mask.length); // steps to the nearest known pixel, diagonal ones too
  let most = 0;
  const near = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 65_000 : far[y * width + x]);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!mask[y * width + x]) continue;
      far[y * width + x] = 1 + Math.min(near(x - 1, y), near(x - 1, y - 1), near(x, y - 1), near(x + 1, y - 1));
    }
  }
  for (let y = height - 1; y >= 0; y--) {
    for (let x = width - 1; x >= 0; x--) {
      if (!mask[y * width + x]) continue;
      const back = 1 + Math.min(near(x + 1, y), near(x + 1, y + 1), near(x, y + 1), near(x - 1, y + 1));
      far[y * width + x] = Math.min(far[y * width + x], back);
      most = Math.max(most, far[y * width + x]);
    }
  }
  if (!trained || 2 * most - 1 <= trained) return [];
  return [`the hole is ${2 * most - 1} px thick, the model was trained on holes of up to ${trained} px: the middle may look poor`];
}
