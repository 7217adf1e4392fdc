// Which parts of a photograph the network has to see: boxes around holes, and windows around those with what matters
// for them. What lies further away than the margin changes nothing, so the result is that of the whole photograph.

const CELL = 16; // pixels; holes are sought in squares of this size
const LONGEST = 464; // a box's side: bounds the memory

/** Boxes {top, left, bottom, right} that hold every hole of a mask, one byte a pixel. */
export function findBoxes(mask, width, height, margin) {
  const rows = Math.ceil(height / CELL);
  const columns = Math.ceil(width / CELL);
  const cells = new Uint8Array(rows * columns);
  for (let y = 0; y < height; y++) {
    const start = Math.floor(y / CELL) * columns;
    for (let x = 0; x < width; x++) if (mask[y * width + x]) cells[start + Math.floor(x / CELL)] = 1;
  }
  const boxes = findGroups(cells, rows, columns).flatMap((box) => split(box, mask, width, height));
  return merge(boxes.length > 200 ? split({ top: 0, left: 0, bottom: height, right: width }, mask, width, height) : boxes, margin);
}

/** The window around a box: it begins and ends on multiples of the stride, or at the photograph's border. */
export function windowAround({ top, left, bottom, right }, width, height, margin, stride) {
  const before = (place) => Math.max(0, Math.floor((place - margin) / stride) * stride);
  const after = (place, end) => Math.min(end, Math.ceil((place + margin) / stride) * stride);
  return { top: before(top), left: before(left), bottom: after(bottom, height), right: after(right, width) };
}

function findGroups(cells, rows, columns) {
  const boxes = [];
  for (let first = 0; first < cells.length; first++) {
    if (cells[first] !== 1) continue;
    let [top, left, bottom, right] = [rows, columns, 0, 0];
    const stack = [first];
    cells[first] = 2;
    while (stack.length) {
      const cell = stack.pop();
      const [y, x] = [Math.floor(cell / columns), cell % columns];
      [top, left, bottom, right] = [Math.min(top, y), Math.min(left, x), Math.max(bottom, y + 1), Math.max(right, x + 1)];
      for (let v = Math.max(0, y - 1); v <= Math.min(rows - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(columns - 1, x + 1); u++) {
          if (cells[v * columns + u] === 1) {
            cells[v * columns + u] = 2;
            stack.push(v * columns + u);
          }
        }
      }
    }
    boxes.push({ top: top * CELL, left: left * CELL, bottom: bottom * CELL, right: right * CELL });
  }
  return boxes;
}

/** A box cut into parts that are not too long, each shrunk to what it holds. */
function split(box, mask, width, height) {
  const parts = [];
  const [high, wide] = [Math.ceil((box.bottom - box.top) / LONGEST), Math.ceil((box.right - box.left) / LONGEST)];
  for (let row = 0; row < high; row++) {
    for (let column = 0; column < wide; column++) {
      const at = (from, to, part, count) => Math.round(from + ((to - from) * part) / count);
      const part = {
        top: at(box.top, box.bottom, row, high),
        left: at(box.left, box.right, column, wide),
        bottom: Math.min(height, at(box.top, box.bottom, row + 1, high)),
        right: Math.min(width, at(box.left, box.right, column + 1, wide)),
      };
      const tight = shrink(part, mask, width);
      if (tight) parts.push(tight);
    }
  }
  return parts;
}

function shrink(box, mask, width) {
  let [top, left, bottom, right] = [Infinity, Infinity, -1, -1];
  for (let y = box.top; y < box.bottom; y++) {
    for (let x = box.left; x < box.right; x++) {
      if (mask[y * width + x]) {
        [top, left, bottom, right] = [Math.min(top, y), Math.min(left, x), Math.max(bottom, y + 1), Math.max(right, x + 1)];
      }
    }
  }
  return bottom < 0 ? null : { top, left, bottom, right };
}

/** Joins boxes as long as that makes the windows cheaper. */
function merge(boxes, margin) {
  const cost = ({ top, left, bottom, right }) => (bottom - top + 2 * margin) * (right - left + 2 * margin);
  for (;;) {
    let best = null;
    for (let i = 0; i < boxes.length; i++) {
      for (let j = i + 1; j < boxes.length; j++) {
        const both = join(boxes[i], boxes[j]);
        const saved = cost(boxes[i]) + cost(boxes[j]) - cost(both);
        const fits = both.bottom - both.top <= LONGEST && both.right - both.left <= LONGEST;
        if (fits && saved > (best?.saved ?? 0)) best = { saved, i, j, both };
      }
    }
    if (!best) return boxes;
    boxes = [...boxes.filter((_, index) => index !== best.i && index !== best.j), best.both];
  }
}

function join(a, b) {
  return {
    top: Math.min(a.top, b.top),
    left: Math.min(a.left, b.left),
    bottom: Math.max(a.bottom, b.bottom),
    right: Math.max(a.right, b.right),
  };
}
