// One observable record for what the studio knows. Listeners name the fields that concern them.

export function createStore(first) {
  let state = first;
  const listeners = [];
  return {
    get: () => state,
    set(patch) {
      const changed = Object.keys(patch).filter((k) => patch[k] !== state[k]);
      if (!changed.length) return;
      state = { ...state, ...patch };
      for (const [fields, run] of listeners) if (changed.some((k) => fields.includes(k))) run(state);
    },
    on(fields, run) {
      listeners.push([fields, run]);
    },
  };
}

/** Remembered between visits. A browser that refuses storage only forgets. */
export const memory = {
  read(name, otherwise = null) {
    try {
      const text = localStorage.getItem(`kinowatt.${name}`);
      return text === null ? otherwise : JSON.parse(text);
    } catch {
      return otherwise;
    }
  },
  write(name, value) {
    try {
      if (value === null) localStorage.removeItem(`kinowatt.${name}`);
      else localStorage.setItem(`kinowatt.${name}`, JSON.stringify(value));
    } catch {
      // Private windows may have no storage.
    }
  },
};

export const EMPTY_DRAFT = Object.freeze({
  prompt: "", model: "", move: "", angle: "", shot: "", lens_mm: "", light: "", mood: "", size: "", seconds: "",
  negative_prompt: "", seed: "", steps: "", guidance: "", cache: "", budget_wh: "", budget_gco2e: "", deadline: "",
});

export const store = createStore({
  models: [],
  draft: { ...EMPTY_DRAFT, ...memory.read("draft", {}) },
  anchors: [],
  reading: { text: "", understood: [], not_understood: [], spans: [] },
  plan: null,
  planError: "",
  videos: new Map(), // id to video, newest last
  previews: new Map(), // id to data URL
  hasMore: false,
  loaded: false,
  link: "connecting", // connecting, live, lost
  pick: null, // the clip that waits for a second one to be connected to
});

store.on(["draft"], ({ draft }) => memory.write("draft", draft));

export const currentModel = () => {
  const { models, draft } = store.get();
  return models.find((m) => m.id === draft.model) ?? models.find((m) => m.default) ?? models[0] ?? null;
};

export const setDraft = (patch) => store.set({ draft: { ...store.get().draft, ...patch } });

/** Seconds of the clip in the composer, as a number. */
export const draftSeconds = () => {
  const typed = Number.parseFloat(store.get().draft.seconds);
  return typed > 0 ? Math.min(typed, 60) : Number(currentModel()?.seconds ?? 2);
};
