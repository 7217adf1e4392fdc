// What was done: photographs, each completed from the one before it, and the strokes on each.

export class History {
  /** picture: {blob, name}. */
  constructor(picture) {
    this.versions = [{ ...picture, strokes: [], undone: [] }];
    this.index = 0;
  }

  get current() {
    return this.versions[this.index];
  }

  get previous() {
    return this.versions[this.index - 1] ?? null;
  }

  get canUndo() {
    return this.current.strokes.length > 0 || this.index > 0;
  }

  get canRedo() {
    return this.current.undone.length > 0 || this.index < this.versions.length - 1;
  }

  /** What was painted before may no longer be done again. */
  add(stroke) {
    this.current.strokes.push(stroke);
    this.current.undone = [];
    this.versions.length = this.index + 1;
  }

  clear() {
    this.add({ kind: "clear" });
  }

  /** The strokes that count: those after the last clearing. */
  get strokes() {
    const all = this.current.strokes;
    return all.slice(all.findLastIndex((stroke) => stroke.kind === "clear") + 1);
  }

  complete(blob, notes) {
    this.versions.length = this.index + 1;
    this.versions.push({ blob, name: this.current.name, notes, strokes: [], undone: [] });
    this.index++;
  }

  undo() {
    if (this.current.strokes.length) this.current.undone.push(this.current.strokes.pop());
    else if (this.index > 0) this.index--;
  }

  redo() {
    if (this.current.undone.length) this.current.strokes.push(this.current.undone.pop());
    else if (this.index < this.versions.length - 1) this.index++;
  }
}
