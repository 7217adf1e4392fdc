// What the page says, in every language that it knows.

const english = {
  title: "Eraser",
  model: "Model",
  language: "Language",
  startTitle: "Take something out of a photograph",
  startText: "Paint over it, and the hole is completed from what is around it.",
  choose: "Choose a photograph",
  demonstrate: "Try one of ours",
  dropHint: "Or drop one here, or paste it.",
  privacy: "Photographs are completed by the program that shows this page. It keeps none of them.",
  privacyOffline:
    "Photographs are completed in this browser, and leave it only when you save them. The processor does the work, " +
    "not the GPU; blending, copied texture, and large holes at a lower scale first are in the installed program alone.",
  editor: "Photograph",
  canvasLabel: "Photograph, to be painted on",
  working: "Completing",
  cancel: "Cancel",
  before: "Before",
  after: "After",
  slider: "How much of the photograph is shown as it was before",
  tool: "Tool",
  brush: "Brush",
  erase: "Unpaint",
  rectangle: "Rectangle",
  move: "Move",
  size: "Size",
  changes: "Changes",
  undo: "Undo",
  redo: "Redo",
  clear: "Clear",
  zoom: "Zoom",
  zoomOut: "Smaller",
  zoomIn: "Larger",
  fit: "Fit",
  blend: "Blend colours into the surroundings",
  coarse: "Large holes at a lower scale first",
  texture: "Copy texture from around the hole",
  complete: "Complete",
  compare: "Compare",
  download: "Download",
  downloadMask: "Save mask",
  another: "New photograph",
  keys: "Keys",
  keysText:
    "On the photograph: arrows move the brush, with Shift by one pixel. Space begins and ends a stroke or a rectangle. " +
    "B, E, R and M choose the tool, [ and ] the size, + and − zoom, 0 fits. Enter completes.\n" +
    "Everywhere: Ctrl+Z takes back, Ctrl+Y does again.",
  tokenTitle: "This server asks for its token",
  token: "Token",
  continue: "Continue",
  opened: "{name}: {width} × {height} pixels. Paint over what should go.",
  penDown: "Painting from {x}, {y}",
  penUp: "Painted to {x}, {y}",
  reading: "Sending …",
  waiting: "Waiting; {ahead} before this one …",
  painting: "Painting …",
  busy: "The server is busy; trying again in {secs} s …",
  completed: "Completed in {secs} s.",
  cancelled: "Cancelled.",
  nothingPainted: "Nothing is painted yet: paint over what should go.",
  allPainted: "Everything is painted; leave something of the photograph.",
  undone: "Taken back.",
  redone: "Done again.",
  cleared: "Nothing is painted.",
  downloaded: "Saved as {name}.",
  unreadable: "This file cannot be shown as a picture: {reason}",
  unreachable: "The server does not answer. Is it still running?",
};

const japanese = {
  title: "消しゴム",
  model: "モデル",
  language: "言語",
  startTitle: "写真から不要なものを消す",
  startText: "消したいところを塗ると、まわりの様子からその部分を描き直します。",
  choose: "写真を選ぶ",
  demonstrate: "見本の写真で試す",
  dropHint: "ここにドロップするか、貼り付けることもできます。",
  privacy: "写真は、このページを表示しているプログラムの中で処理され、保存されません。",
  privacyOffline:
    "写真はこのブラウザーの中で処理され、保存しない限り外に出ません。計算には GPU ではなく CPU を使います。" +
    "色をまわりになじませる処理、質感を写す処理、大きな穴を縮小してから描く処理は、インストール版だけにあります。",
  editor: "写真",
  canvasLabel: "写真（ここに塗ります）",
  working: "描き直しています",
  cancel: "中止",
  before: "前",
  after: "後",
  slider: "元の写真を表示する割合",
  tool: "道具",
  brush: "ブラシ",
  erase: "塗りを消す",
  rectangle: "四角形",
  move: "移動",
  size: "太さ",
  changes: "変更",
  undo: "元に戻す",
  redo: "やり直す",
  clear: "すべて消す",
  zoom: "拡大と縮小",
  zoomOut: "縮小",
  zoomIn: "拡大",
  fit: "全体",
  blend: "色をまわりになじませる",
  coarse: "大きな穴は縮小してから描く",
  texture: "まわりの質感を写す",
  complete: "描き直す",
  compare: "前後を比べる",
  download: "保存",
  downloadMask: "マスクを保存",
  another: "別の写真",
  keys: "キー操作",
  keysText:
    "写真の上で：矢印キーでブラシを動かします（Shift で 1 ピクセルずつ）。スペースで線や四角形を始め、もう一度で終えます。" +
    "B、E、R、M で道具、[ と ] で太さ、+ と − で拡大と縮小、0 で全体表示。Enter で描き直します。\n" +
    "どこでも：Ctrl+Z で元に戻し、Ctrl+Y でやり直します。",
  tokenTitle: "このサーバーにはトークンが必要です",
  token: "トークン",
  continue: "続ける",
  opened: "{name}：{width} × {height} ピクセル。消したいところを塗ってください。",
  penDown: "{x}、{y} から塗ります",
  penUp: "{x}、{y} まで塗りました",
  reading: "送信しています…",
  waiting: "待っています（前に {ahead} 件）…",
  painting: "描いています…",
  busy: "混み合っています。{secs} 秒後にもう一度試します…",
  completed: "{secs} 秒で描き直しました。",
  cancelled: "中止しました。",
  nothingPainted: "まだ何も塗られていません。消したいところを塗ってください。",
  allPainted: "全体が塗られています。一部は残してください。",
  undone: "元に戻しました。",
  redone: "やり直しました。",
  cleared: "塗りをすべて消しました。",
  downloaded: "{name} として保存しました。",
  unreadable: "このファイルは画像として表示できません：{reason}",
  unreachable: "サーバーが応答しません。まだ動いていますか。",
};

const languages = { en: english, ja: japanese };
let current = navigator.language?.toLowerCase().startsWith("ja") ? "ja" : "en";

/** A sentence in the language of the page, with its {places} filled. */
export function say(key, values = {}) {
  return languages[current][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Puts the whole page into a language, or into the one that it has. */
export function speak(language = current) {
  current = languages[language] ? language : "en";
  document.documentElement.lang = current;
  document.title = say("title");
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = say(element.dataset.word);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
  }
  return current;
}
