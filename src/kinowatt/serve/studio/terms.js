// Values of the controls in people's words: English, Chinese.
export const terms = {
  move: {
    static: ["static", "固定鏡頭"], pan: ["pan", "搖鏡"], "pan-left": ["pan left", "向左搖鏡"], "pan-right": ["pan right", "向右搖鏡"],
    "tilt-up": ["tilt up", "向上搖鏡"], "tilt-down": ["tilt down", "向下搖鏡"], track: ["track", "平移跟拍"],
    "track-left": ["track left", "向左平移"], "track-right": ["track right", "向右平移"], "dolly-in": ["dolly in", "推鏡"],
    "dolly-out": ["dolly out", "拉鏡"], "zoom-in": ["zoom in", "變焦放大"], "zoom-out": ["zoom out", "變焦縮小"],
    orbit: ["orbit", "環繞"], "orbit-left": ["orbit left", "向左環繞"], "orbit-right": ["orbit right", "向右環繞"],
    flyover: ["fly over", "航拍飛越"], aerial: ["aerial", "航拍"], "crane-up": ["crane up", "升鏡"], "crane-down": ["crane down", "降鏡"],
  },
  angle: { low: ["low angle", "仰拍"], eye: ["eye level", "平視"], high: ["high angle", "俯拍"] },
  shot: {
    macro: ["macro", "微距"], "close-up": ["close-up", "特寫"], near: ["medium close-up", "近景"], medium: ["medium shot", "中景"],
    wide: ["wide shot", "遠景"],
  },
  light: { dawn: ["dawn", "黎明"], noon: ["noon", "正午"], dusk: ["dusk", "黃昏"], night: ["night", "夜晚"] },
  mood: {
    lonely: ["lonely", "孤獨"], lively: ["lively", "熱鬧"], calm: ["calm", "平靜"], tense: ["tense", "緊張"],
    mysterious: ["mysterious", "神秘"],
  },
  lens_mm: Object.fromEntries([24, 35, 50, 85, 100].map((mm) => [mm, [`${mm} mm`, `${mm} 毫米`]])),
  phase: {
    load: ["loading the model", "載入模型"], read: ["fetching the footage", "取得素材"], text: ["reading the words", "讀取文字"], encode: ["reading the footage", "讀取素材"], denoise: ["drawing", "繪製"],
    decode: ["developing", "顯影"], write: ["writing the file", "寫入檔案"], other: ["other", "其他"], "": ["starting", "開始"],
  },
  mode: {
    remix: ["remix", "改作"], edit: ["edit", "編輯"], forward: ["extended forward", "向後延伸"],
    backward: ["extended backward", "向前延伸"], loop: ["loop", "循環"], connect: ["connection", "銜接"],
  },
  study: {
    "": ["reading the network and its weather", "讀取電網與天氣"], "growth by growth": ["growth by growth", "逐級成長"], placements: ["placements", "布建方式"],
    reinforcement: ["reinforcement", "補強"], curtailment: ["curtailment", "棄電"], "curtailment and storage": ["curtailment and storage", "棄電與儲能"],
    "check with pandapower": ["check with pandapower", "以 pandapower 驗算"], report: ["writing the report", "撰寫報告"],
  },
  limits: { all: ["all", "全部"], thermal: ["loading only", "只看負載"], voltage: ["voltage only", "只看電壓"] },
  gridYear: { 0: ["today", "現況"], 1: ["2024", "2024"], 2: ["2034", "2034"] },
  weather: { world: ["simulated clouds and wind", "模擬的雲與風"] },
  device: {
    gpu_J: ["GPU", "GPU"], cpu_J: ["CPU", "CPU"], dram_J: ["memory", "記憶體"], cpu_modelled_J: ["CPU", "CPU"], ram_modelled_J: ["memory", "記憶體"],
    host_modelled_J: ["rest of the machine", "機器其餘部分"], modelled_J: ["CPU", "CPU"],
  },
};

/** The lexicon's slots for the composer's controls. */
export const SLOT_OF = { move: "move", angle: "angle", shot: "shot", lens_mm: "lens", light: "time", mood: "mood" };
