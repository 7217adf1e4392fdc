// Mouse, pen and fingers on the photograph: one paints or moves, two zoom.

/**
 * tools: {kind, radius, begin(point), extend(point), end(), abandon(), moveDivider(fraction) or null}.
 */
export function followPointers(view, tools) {
  const { canvas } = view;
  const down = new Map(); // the pointers that are down: id -> {x, y} of the window
  let doing = null; // "stroke", "pan", "pinch" or "divide"

  canvas.addEventListener("pointerdown", (event) => {
    if (!view.photograph || (event.pointerType === "mouse" && event.button > 1)) return;
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (down.size === 2) {
      if (doing === "stroke") tools.abandon();
      doing = "pinch";
      return;
    }
    if (down.size > 2) return;
    if (view.before) doing = "divide";
    else if (tools.kind === "move" || event.button === 1) doing = "pan";
    else doing = "stroke";
    if (doing === "stroke") tools.begin(view.locate(event.clientX, event.clientY));
    if (doing === "divide") divide(event);
    event.preventDefault();
    canvas.focus({ focusVisible: false, preventScroll: true });
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!view.photograph) return;
    showBrush(event);
    const last = down.get(event.pointerId);
    if (!last) return;
    if (doing === "stroke") {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const one of events.length ? events : [event]) tools.extend(view.locate(one.clientX, one.clientY));
    } else if (doing === "divide") {
      divide(event);
    } else if (doing === "pan") {
      view.pan(event.clientX - last.x, event.clientY - last.y);
    } else if (doing === "pinch") {
      pinch(event);
    }
    down.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });

  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      if (!down.delete(event.pointerId)) return;
      if (doing === "stroke") (name === "pointerup" ? tools.end : tools.abandon)();
      if (doing !== "pinch" || down.size === 0) doing = null;
      if (event.pointerType === "touch") view.brush = null;
      view.redraw();
    });
  }

  canvas.addEventListener("pointerleave", () => {
    view.brush = null;
    view.redraw();
  });

  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!view.photograph) return;
      event.preventDefault();
      const box = canvas.getBoundingClientRect();
      const lines = event.deltaMode === 1 ? 16 : 1;
      view.zoom(Math.exp((-event.deltaY * lines) / 400), event.clientX - box.left, event.clientY - box.top);
      showBrush(event);
    },
    { passive: false },
  );

  function showBrush(event) {
    view.brush = { ...view.locate(event.clientX, event.clientY), radius: tools.radius, kind: tools.kind };
    view.redraw();
  }

  function divide(event) {
    const { x } = view.locate(event.clientX, event.clientY);
    tools.moveDivider(Math.min(Math.max(x / view.photograph.width, 0), 1));
  }

  function pinch(event) {
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    const last = down.get(event.pointerId);
    if (!other) return;
    const box = canvas.getBoundingClientRect();
    const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y);
    const now = { x: event.clientX, y: event.clientY };
    view.pan((now.x - last.x) / 2, (now.y - last.y) / 2);
    const [x, y] = [(now.x + other.x) / 2 - box.left, (now.y + other.y) / 2 - box.top];
    if (distance(last) > 0) view.zoom(distance(now) / distance(last), x, y);
  }
}
