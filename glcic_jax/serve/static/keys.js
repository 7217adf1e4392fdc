// Painting and choosing by keys: single letters only while the photograph has the focus.

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TOOLS = { b: "brush", e: "erase", r: "rectangle", m: "move" };

/**
 * tools: as in pointer.js, and chooseTool(kind), resize(factor), undo(), redo(), complete(), say(key, values).
 */
export function followKeys(view, tools) {
  const { canvas } = view;
  let pen = null; // where the brush is, once keys have moved it
  let drawing = false;

  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.target.matches("input[type=password]")) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) tools.undo();
    else if (key === "y" || (key === "z" && event.shiftKey)) tools.redo();
    else return;
    drawing = false;
    event.preventDefault();
  });

  canvas.addEventListener("keydown", (event) => {
    if (!view.photograph || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (STEPS[key]) step(STEPS[key], event.shiftKey);
    else if (key === " ") toggle();
    else if (key === "Escape") stop();
    else if (TOOLS[key]) tools.chooseTool(TOOLS[key]);
    else if (key === "[" || key === "]") tools.resize(key === "[" ? 0.8 : 1.25);
    else if (key === "+" || key === "=") view.zoom(1.25);
    else if (key === "-" || key === "−") view.zoom(0.8);
    else if (key === "0") view.fit();
    else if (key === "Enter") tools.complete();
    else return;
    event.preventDefault();
  });

  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && showPen());
  canvas.addEventListener("blur", () => {
    stop();
    view.brush = null;
    view.redraw();
  });

  function step([dx, dy], fine) {
    if (view.before) {
      tools.moveDivider(Math.min(Math.max(view.divider + dx * (fine ? 0.01 : 0.05), 0), 1));
      return;
    }
    if (tools.kind === "move") {
      view.pan(-dx * 40, -dy * 40);
      return;
    }
    const { width, height } = view.photograph;
    const far = fine ? 1 : Math.max(1, Math.round(tools.radius / 2));
    showPen();
    pen.x = Math.min(Math.max(pen.x + dx * far, 0), width);
    pen.y = Math.min(Math.max(pen.y + dy * far, 0), height);
    if (drawing) tools.extend(pen);
    keepInSight();
    showPen();
  }

  function toggle() {
    if (view.before || tools.kind === "move") return;
    showPen();
    drawing = !drawing;
    if (drawing) tools.begin(pen);
    else tools.end();
    tools.say(drawing ? "penDown" : "penUp", { x: Math.round(pen.x), y: Math.round(pen.y) });
  }

  function stop() {
    if (drawing) tools.abandon();
    drawing = false;
  }

  function showPen() {
    const { width, height } = view.photograph ?? {};
    if (!width || view.before) return;
    if (!pen || pen.x > width || pen.y > height) pen = { x: Math.round(width / 2), y: Math.round(height / 2) };
    view.brush = { ...pen, radius: tools.radius, kind: tools.kind };
    view.redraw();
  }

  /** Moves the photograph where the brush would leave the screen. */
  function keepInSight() {
    const x = view.x + pen.x * view.scale;
    const y = view.y + pen.y * view.scale;
    const { clientWidth: w, clientHeight: h } = canvas;
    const dx = Math.max(0, 20 - x) - Math.max(0, x - (w - 20));
    const dy = Math.max(0, 20 - y) - Math.max(0, y - (h - 20));
    if (dx || dy) view.pan(dx, dy);
  }
}
