// Strokes in the photograph's pixels, and the mask that they make: exact, the same on every screen and at every zoom.
//
// A stroke is {kind: "brush" | "erase" | "rectangle", radius, points: [x, y, x, y, ...]}; a rectangle has two corners.

/** The mask of strokes, one byte a pixel, 1 = hole: a pixel is painted if its middle is. */
export function rasterize(strokes, width, height) {
  const mask = new Uint8Array(width * height);
  for (const stroke of strokes) {
    if (stroke.kind === "rectangle") fillRectangle(mask, width, height, stroke.points);
    else drawLine(mask, width, height, stroke, stroke.kind === "erase" ? 0 : 1);
  }
  return mask;
}

/** Whether a mask has a hole, and known pixels. */
export function isUsable(mask) {
  return { painted: mask.includes(1), known: mask.includes(0) };
}

function fillRectangle(mask, width, height, [x0, y0, x1, y1]) {
  const left = clamp(Math.round(Math.min(x0, x1)), 0, width);
  const right = clamp(Math.round(Math.max(x0, x1)), 0, width);
  const top = clamp(Math.round(Math.min(y0, y1)), 0, height);
  const bottom = clamp(Math.round(Math.max(y0, y1)), 0, height);
  for (let y = top; y < bottom; y++) mask.fill(1, y * width + left, y * width + right);
}

function drawLine(mask, width, height, { radius, points }, value) {
  for (let i = 0; i < points.length; i += 2) {
    const next = Math.min(i + 2, points.length - 2);
    drawSegment(mask, width, height, points[i], points[i + 1], points[next], points[next + 1], radius, value);
  }
}

/** All pixels whose middle is at most `radius` away from a line. */
function drawSegment(mask, width, height, x0, y0, x1, y1, radius, value) {
  const top = clamp(Math.floor(Math.min(y0, y1) - radius), 0, height);
  const bottom = clamp(Math.ceil(Math.max(y0, y1) + radius) + 1, 0, height);
  const left = clamp(Math.floor(Math.min(x0, x1) - radius), 0, width);
  const right = clamp(Math.ceil(Math.max(x0, x1) + radius) + 1, 0, width);
  const dx = x1 - x0;
  const dy = y1 - y0;
  const length2 = dx * dx + dy * dy;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const px = x + 0.5 - x0;
      const py = y + 0.5 - y0;
      const along = length2 ? clamp((px * dx + py * dy) / length2, 0, 1) : 0;
      const qx = px - along * dx;
      const qy = py - along * dy;
      if (qx * qx + qy * qy <= radius * radius) mask[y * width + x] = value;
    }
  }
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
