// BullMQ: so many jobs that do nothing, 100 at a time. Prints jobs a second.
const { Queue, Worker } = require("bullmq");

const [count, port] = process.argv.slice(2).map(Number);
const connection = { host: "127.0.0.1", port, maxRetriesPerRequest: null };

async function main() {
  const queue = new Queue("bench", { connection });
  await queue.obliterate({ force: true });
  for (let at = 0; at < count; at += 1000) {
    const size = Math.min(1000, count - at);
    await queue.addBulk(Array.from({ length: size }, () => ({ name: "noop", data: { a: 1 } })));
  }
  let done = 0;
  const began = process.hrtime.bigint();
  await new Promise((resolve) => {
    const worker = new Worker("bench", async () => {}, { connection, concurrency: 100 });
    worker.on("completed", () => {
      done += 1;
      if (done === count) resolve();
    });
  });
  console.log(count / (Number(process.hrtime.bigint() - began) / 1e9));
  process.exit(0);
}

main();
