// Photographs from the disk, from the clipboard and by drag and drop; results to the disk.

const ENDINGS = { "image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/tiff": ".tif", "image/bmp": ".bmp" };
const SAME = { ".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif" };

/** Calls open(file) with each photograph that somebody hands to the page. */
export function acceptFiles(open) {
  const input = document.getElementById("file");
  input.addEventListener("change", () => {
    if (input.files.length) open(input.files[0]);
    input.value = "";
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])][0];
    if (file) open(file);
  });
  let depth = 0;
  const mark = (change) => {
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-depth);
    const file = [...(event.dataTransfer?.files ?? [])][0];
    if (file) open(file);
  });
}

/** The name of a result: NAME_completed, with the photograph's ending if the result is of that kind. */
export function resultName(name, type, word = "completed") {
  const dot = name.lastIndexOf(".");
  const [stem, ending] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  const plain = ending.toLowerCase();
  const kept = (SAME[plain] ?? plain) === ENDINGS[type] ? ending : (ENDINGS[type] ?? ".png");
  return `${stem}_${word}${kept}`;
}

/** Has the browser save something under a name. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
