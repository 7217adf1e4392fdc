// The page: what its parts do to each other.

import { complete, describe, preview, useToken } from "./engine.js";
import { acceptFiles, resultName, save } from "./files.js";
import { History } from "./history.js";
import { followKeys } from "./keys.js";
import { encodeMask } from "./png.js";
import { followPointers } from "./pointer.js";
import { isUsable, rasterize } from "./strokes.js";
import { View } from "./view.js";
import { say, speak } from "./words.js";

const part = (id) => document.getElementById(id);
const view = new View(part("canvas"));
let history = null;
let models = [];
let stroke = null; // that is being painted
let stopping = null; // AbortController of the work that goes on

const tools = {
  get kind() {
    return document.querySelector("[name=tool]:checked").value;
  },
  get radius() {
    return brushPixels() / 2;
  },
  begin(point) {
    if (stopping || !history) return;
    const points = tools.kind === "rectangle" ? [point.x, point.y, point.x, point.y] : [point.x, point.y];
    stroke = { kind: tools.kind, radius: tools.radius, points };
    showStrokes();
  },
  extend({ x, y }) {
    if (!stroke) return;
    if (stroke.kind === "rectangle") stroke.points.splice(2, 2, x, y);
    else stroke.points.push(x, y);
    showStrokes();
  },
  end() {
    if (stroke) history.add(stroke);
    stroke = null;
    update();
  },
  abandon() {
    stroke = null;
    showStrokes();
  },
  moveDivider(fraction) {
    part("slider").value = Math.round(fraction * 100);
    view.divider = fraction;
    view.redraw();
  },
  chooseTool(kind) {
    document.querySelector(`[name=tool][value=${kind}]`).checked = true;
    tools.paintAgain();
  },
  paintAgain() {
    if (view.before) compare(false);
  },
  resize(factor) {
    const size = part("size");
    size.value = Math.max(1, Math.round(size.value * factor + (factor > 1 ? 1 : -1)));
    showSize();
  },
  undo: () => change((done) => done.undo(), history?.canUndo, "undone"),
  redo: () => change((done) => done.redo(), history?.canRedo, "redone"),
  complete: () => completeNow(),
  say: tell,
};

/** The brush's width in the photograph's pixels: the slider grows as its square, up to a third of the short side. */
function brushPixels() {
  const side = view.photograph ? Math.min(view.photograph.width, view.photograph.height) : 300;
  return Math.max(2, Math.round((side / 3) * (part("size").value / 100) ** 2));
}

function tell(key, values) {
  part("status").textContent = say(key, values);
}

function complain(message) {
  part("error").textContent = message;
  if (message) part("status").textContent = "";
}

async function open(file) {
  if (stopping) return;
  complain("");
  try {
    const picture = { blob: file, name: file.name || "photograph.png" };
    const bitmap = await decode(picture);
    history = new History(picture);
    part("start").hidden = true;
    part("editor").hidden = false;
    compare(false);
    view.resize();
    view.show(bitmap);
    view.fit();
    showSize();
    update();
    tell("opened", { name: picture.name, width: bitmap.width, height: bitmap.height });
    part("canvas").focus({ focusVisible: false });
  } catch (error) {
    complain(say("unreadable", { reason: error.message }));
  }
}

/** A picture as the screen shows it; kinds that the browser cannot show are asked of the engine. */
async function decode({ blob, name }) {
  try {
    return await createImageBitmap(blob);
  } catch {
    return createImageBitmap(await withToken(() => preview(blob, name)));
  }
}

async function change(what, possible, key) {
  if (!possible || stopping || stroke) return;
  const before = history.current;
  what(history);
  if (history.current !== before) {
    compare(false);
    view.show(await decode(history.current));
  }
  update();
  tell(key);
}

async function maskNow() {
  const { width, height } = view.photograph;
  const mask = rasterize(history.strokes, width, height);
  return { ...isUsable(mask), file: await encodeMask(mask, width, height) };
}

async function completeNow() {
  if (!history || stopping) return;
  complain("");
  stopping = new AbortController();
  working("reading");
  update();
  const began = performance.now();
  try {
    const mask = await maskNow();
    if (!mask.painted || !mask.known) {
      complain(say(mask.painted ? "allPainted" : "nothingPainted"));
      return;
    }
    const { blob: image, name } = history.current;
    const [blend, coarse, copyTexture] = ["blend", "coarse", "texture"].map((id) => part(id).checked);
    const task = { image, name, mask: mask.file, model: part("model").value, blend, coarse, copyTexture };
    const done = await withToken(() => complete(task, working, stopping.signal));
    history.complete(done.blob, done.notes);
    const before = view.photograph;
    view.show(await decode(history.current));
    compare(true, before);
    const secs = ((performance.now() - began) / 1000).toFixed(1);
    part("status").textContent = [say("completed", { secs }), ...done.notes.map((note) => `${note}.`)].join(" ");
  } catch (error) {
    if (error.name === "AbortError") tell("cancelled");
    else complain(error instanceof TypeError ? say("unreachable") : error.message);
  } finally {
    stopping = null;
    part("working").hidden = true;
    update();
  }
}

function working(key, values = {}) {
  part("working").hidden = false;
  part("working-text").textContent = say(key, values);
  if (values.of > 1) part("working-bar").value = values.done / values.of;
  else part("working-bar").removeAttribute("value");
}

/** Does something, and once more with a token if one is asked for. */
async function withToken(act) {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (error.status !== 401) throw error;
      const dialog = part("token-dialog");
      dialog.showModal();
      await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
      useToken(part("token").value);
    }
  }
}

/** Shows the photograph beside the one that it was completed from, or no longer; before: that one, if it is at hand. */
async function compare(on, before = null) {
  view.before = on && history?.previous ? (before ?? (await decode(history.previous))) : null;
  const shown = view.before !== null;
  part("slider-row").hidden = !shown;
  part("compare").setAttribute("aria-pressed", shown);
  if (shown) tools.moveDivider(0.5);
  view.redraw();
}

function showStrokes() {
  view.strokes = history ? [...history.strokes, ...(stroke ? [stroke] : [])] : [];
  view.redraw();
}

function showSize() {
  part("size-text").textContent = `${brushPixels()} px`;
  if (view.brush) view.brush.radius = tools.radius;
  view.redraw();
}

function update() {
  showStrokes();
  const busy = stopping !== null;
  part("undo").disabled = busy || !history?.canUndo;
  part("redo").disabled = busy || !history?.canRedo;
  part("clear").disabled = part("complete").disabled = part("download-mask").disabled = busy || !history?.strokes.length;
  part("compare").disabled = part("download").disabled = busy || !history?.previous;
  part("another").disabled = busy;
}

function downloadResult() {
  const { blob, name } = history.current;
  const target = resultName(history.versions[0].name, blob.type);
  save(blob, target);
  tell("downloaded", { name: target || name });
}

async function downloadMask() {
  const name = resultName(history.current.name, "image/png", "mask").replace(/\.[^.]+$/, ".png");
  save((await maskNow()).file, name);
  tell("downloaded", { name });
}

function chooseModel() {
  const model = models.find(({ name }) => name === part("model").value);
  part("blend").checked = model.blend;
  part("licence").textContent = model.licence_note ? `${model.name}: ${model.licence_note}` : "";
}

async function demonstrate() {
  const answer = await fetch("demonstration.jpg");
  open(new File([await answer.blob()], "demonstration.jpg", { type: "image/jpeg" }));
}

function listen() {
  const on = (id, act, event = "click") => part(id).addEventListener(event, act);
  on("choose", () => part("file").click());
  on("another", () => part("file").click());
  on("demonstrate", demonstrate);
  on("undo", tools.undo);
  on("redo", tools.redo);
  on("clear", () => change((done) => done.clear(), history?.strokes.length, "cleared"));
  on("zoom-in", () => view.zoom(1.25));
  on("zoom-out", () => view.zoom(0.8));
  on("zoom-fit", () => view.fit());
  on("complete", completeNow);
  on("cancel", () => stopping?.abort());
  on("compare", () => compare(!view.before));
  on("download", downloadResult);
  on("download-mask", downloadMask);
  on("size", showSize, "input");
  on("slider", () => tools.moveDivider(part("slider").value / 100), "input");
  on("tools", tools.paintAgain, "change");
  on("model", chooseModel, "change");
  on("language", () => speak(part("language").value), "change");
  acceptFiles(open);
  followPointers(view, tools);
  followKeys(view, tools);
}

async function start() {
  part("language").value = speak();
  listen();
  update();
  try {
    const told = await withToken(describe);
    models = told.models;
    part("texture").checked = told.copies_texture ?? false;
    part("texture").closest("label").hidden = !told.copies_texture;
    if (told.offline) {
      for (const id of ["blend", "coarse"]) part(id).closest("label").hidden = true;
      part("privacy").dataset.word = "privacyOffline";
      speak();
    }
  } catch (error) {
    complain(error instanceof TypeError ? say("unreachable") : error.message);
    return;
  }
  part("model").replaceChildren(...models.map(({ name }) => new Option(name, name)));
  part("model-choice").hidden = models.length < 2;
  chooseModel();
  document.body.dataset.ready = "yes";
}

start();
