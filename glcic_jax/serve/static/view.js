// Draws the photograph, what is painted on it, the brush, and the comparison; knows where the screen's points lie in it.

const PAINT = "#e5484d";
const LARGEST_ZOOM = 32;

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.overlay = document.createElement("canvas");
    this.photograph = null; // ImageBitmap
    this.before = null; // the one to compare with, or null
    this.divider = 0.5;
    this.strokes = [];
    this.brush = null; // {x, y, radius, kind} in the photograph's pixels
    this.scale = 1; // CSS pixels a pixel of the photograph
    this.x = 0; // where its corner is, in CSS pixels
    this.y = 0;
    this.fitted = true;
    this.asked = false;
    new ResizeObserver(() => this.resize()).observe(canvas);
  }

  show(photograph) {
    const same = this.photograph?.width === photograph.width && this.photograph?.height === photograph.height;
    this.photograph = photograph;
    this.canvas.dataset.size = `${photograph.width} ${photograph.height}`;
    if (!same) this.fit();
    this.redraw();
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.overlay]) {
      canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
      canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    }
    if (this.fitted) this.fit();
    this.draw();
  }

  get fitScale() {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    return Math.min((w - 16) / this.photograph.width, (h - 16) / this.photograph.height);
  }

  fit() {
    if (!this.photograph || !this.canvas.clientWidth) return;
    this.scale = this.fitScale;
    this.x = (this.canvas.clientWidth - this.photograph.width * this.scale) / 2;
    this.y = (this.canvas.clientHeight - this.photograph.height * this.scale) / 2;
    this.fitted = true;
    this.redraw();
  }

  /** Zooms by a factor, around a point of the canvas in CSS pixels. */
  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const scale = Math.min(Math.max(this.scale * factor, this.fitScale / 4), LARGEST_ZOOM);
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.redraw();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.redraw();
  }

  /** A point of the window in the photograph's pixels. */
  locate(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (clientX - box.left - this.x) / this.scale, y: (clientY - box.top - this.y) / this.scale };
  }

  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  draw() {
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.photograph) return;
    this.place(context);
    context.imageSmoothingEnabled = this.scale < 4;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.photograph, 0, 0);
    if (this.before) {
      this.drawComparison(context);
    } else {
      this.drawStrokes(context);
      this.drawBrush(context);
    }
  }

  place(context) {
    const ratio = this.canvas.width / this.canvas.clientWidth;
    context.setTransform(this.scale * ratio, 0, 0, this.scale * ratio, this.x * ratio, this.y * ratio);
  }

  drawComparison(context) {
    const { width, height } = this.photograph;
    const place = width * this.divider;
    context.save();
    context.beginPath();
    context.rect(0, 0, place, height);
    context.clip();
    context.drawImage(this.before, 0, 0);
    context.restore();
    const thick = 3 / this.scale;
    context.fillStyle = "#fff";
    context.fillRect(place - thick / 2, 0, thick, height);
    context.beginPath();
    context.arc(place, height / 2, 12 / this.scale, 0, 2 * Math.PI);
    context.fill();
    context.strokeStyle = "#0008";
    context.lineWidth = 1 / this.scale;
    context.stroke();
  }

  drawStrokes(context) {
    const over = this.overlay.getContext("2d");
    over.setTransform(1, 0, 0, 1, 0, 0);
    over.clearRect(0, 0, this.overlay.width, this.overlay.height);
    this.place(over);
    for (const stroke of this.strokes) drawStroke(over, stroke);
    over.globalCompositeOperation = "destination-in"; // nothing beside the photograph
    over.fillRect(0, 0, this.photograph.width, this.photograph.height);
    over.globalCompositeOperation = "source-over";
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 0.6;
    context.drawImage(this.overlay, 0, 0);
    context.restore();
  }

  drawBrush(context) {
    if (!this.brush) return;
    const { x, y, radius, kind } = this.brush;
    for (const [color, width] of [["#000a", 3], ["#fff", 1.5]]) {
      context.strokeStyle = color;
      context.lineWidth = width / this.scale;
      context.beginPath();
      if (kind === "rectangle" || kind === "move") {
        const arm = 9 / this.scale;
        context.moveTo(x - arm, y);
        context.lineTo(x + arm, y);
        context.moveTo(x, y - arm);
        context.lineTo(x, y + arm);
      } else {
        context.arc(x, y, radius, 0, 2 * Math.PI);
      }
      context.stroke();
    }
  }
}

function drawStroke(context, { kind, radius, points }) {
  context.globalCompositeOperation = kind === "erase" ? "destination-out" : "source-over";
  context.fillStyle = context.strokeStyle = PAINT;
  context.beginPath();
  if (kind === "rectangle") {
    const [x0, y0, x1, y1] = points.map(Math.round);
    context.rect(x0, y0, x1 - x0, y1 - y0);
    context.fill();
  } else if (points.length === 2) {
    context.arc(points[0], points[1], radius, 0, 2 * Math.PI);
    context.fill();
  } else {
    context.lineWidth = 2 * radius;
    context.lineCap = context.lineJoin = "round";
    context.moveTo(points[0], points[1]);
    for (let i = 2; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
    context.stroke();
  }
}
