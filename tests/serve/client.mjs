// The official npm client, as its users write it; only the base URL is ours. Prints the steps that passed.
import assert from "node:assert/strict";
import fs from "node:fs";
import OpenAI, { NotFoundError, BadRequestError, toFile } from "openai";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: "unused", maxRetries: 0, timeout: 60_000 });
const quick = { size: "64x64", seconds: "0.5", steps: 2, guidance: 1 };
const steps = [];

// This client has no poll of its own; its users write this.
const poll = async (id) => {
  for (;;) {
    const { data, response } = await client.videos.retrieve(id).withResponse();
    if (!["queued", "in_progress"].includes(data.status)) return data;
    await new Promise((done) => setTimeout(done, Number(response.headers.get("openai-poll-after-ms") ?? 1000) / 5));
  }
};
const createAndPoll = async (body) => poll((await client.videos.create(body)).id);

const first = await client.videos.create({ prompt: "a red ball", model: "sora-2", ...quick });
assert.equal(first.object, "video");
assert.equal(first.status, "queued");
assert.equal(first.seconds, "0.5");
steps.push("create");

const video = await createAndPoll({ prompt: "a red ball at dusk", ...quick });
assert.equal(video.status, "completed");
assert.ok(video.energy.wall_s > 0);
steps.push("create_and_poll");

assert.equal((await client.videos.retrieve(video.id)).progress, 100);
steps.push("retrieve");

const magic = async (variant) => {
  const answer = await client.videos.downloadContent(video.id, variant ? { variant } : {});
  return Buffer.from(await answer.arrayBuffer());
};
assert.equal((await magic()).subarray(4, 8).toString(), "ftyp");
assert.equal((await magic("thumbnail")).subarray(8, 12).toString(), "WEBP");
assert.equal((await magic("spritesheet")).readUInt16BE(0), 0xffd8);
steps.push("variants");

const ids = [];
for (let i = 0; i < 3; i += 1) ids.push((await client.videos.create({ prompt: `a red ball ${i}`, ...quick })).id);
const seen = [];
for await (const item of client.videos.list({ limit: 2 })) seen.push(item.id);
assert.deepEqual(seen.slice(0, 3), [...ids].reverse());
assert.equal(new Set(seen).size, seen.length);
steps.push("list");

const remixed = await poll((await client.videos.remix(video.id, { prompt: "a blue ball", steps: 2 })).id);
assert.equal(remixed.status, "completed");
assert.equal(remixed.remixed_from_video_id, video.id);
steps.push("remix");

const edited = await poll((await client.videos.edit({ prompt: "at night", video: { id: video.id }, steps: 2 })).id);
assert.equal(edited.status, "completed");
steps.push("edit");

const longer = await client.videos.extend({ prompt: "it rolls on", seconds: "0.5", video: { id: video.id }, steps: 2 });
assert.equal((await poll(longer.id)).seconds, "1");
steps.push("extend");

const photo = await toFile(fs.createReadStream(process.env.PHOTO), "photo.png", { type: "image/png" });
assert.equal((await createAndPoll({ prompt: "a ball", input_reference: photo, ...quick })).status, "completed");
const url = `data:image/png;base64,${fs.readFileSync(process.env.PHOTO).toString("base64")}`;
assert.equal((await createAndPoll({ prompt: "a ball", input_reference: { image_url: url }, ...quick })).status, "completed");
steps.push("references");

const character = await client.videos.createCharacter({ name: "Fern", video: fs.createReadStream(process.env.FOOTAGE) });
assert.equal((await client.videos.getCharacter(character.id)).name, "Fern");
steps.push("characters");

for (const id of [...ids, first.id]) {
  const gone = await client.videos.delete(id);
  assert.deepEqual([gone.id, gone.object, gone.deleted], [id, "video.deleted", true]);
}
steps.push("delete");

await assert.rejects(client.videos.retrieve(first.id), NotFoundError);
await assert.rejects(client.videos.create({ prompt: "a ball", seconds: "601" }), (error) => error instanceof BadRequestError && /at most 600/.test(error.message));
steps.push("errors");
console.log(JSON.stringify({ steps }));
