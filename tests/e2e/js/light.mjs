// Follows a chain with smoldot, a light client, through one node, and prints one line of JSON: a block that became final
// meanwhile, what its state says of itself by proof, and what a call of its runtime gives.
//
// Usage: node light.mjs SPECIFICATION MULTIADDRESS '{"key": STORAGE KEY, "call": RUNTIME CALL}'

import { readFile } from "node:fs/promises";
import { start } from "smoldot";

const [file, address, text] = process.argv.slice(2);
const { key, call } = JSON.parse(text);
const specification = JSON.parse(await readFile(file, "utf8"));
specification.bootNodes = [address];

const client = start({ maxLogLevel: 3, logCallback: (_, target, message) => console.error(target, message) });
const chain = await client.addChain({ chainSpec: JSON.stringify(specification) });

// Answers by their id, and notifications in a row.
const answers = new Map();
const events = [];
let wake = () => {};
(async () => {
	for await (const line of chain.jsonRpcResponses) {
		const message = JSON.parse(line);
		if (message.id === undefined) events.push(message.params.result);
		else answers.get(message.id)(message);
		wake();
	}
})();

let last = 0;
function request(method, ...params) {
	const id = ++last;
	chain.sendJsonRpc(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
	return new Promise((resolve, reject) => {
		answers.set(id, ({ result, error }) => (error ? reject(new Error(`${method}: ${error.message}`)) : resolve(result)));
	});
}

// The next event for which `wanted` gives something.
async function event(wanted) {
	for (;;) {
		while (events.length > 0) {
			const found = wanted(events.shift());
			if (found) return found;
		}
		await new Promise((resolve) => (wake = resolve));
	}
}

const following = await request("chainHead_v1_follow", true);
await event(({ event }) => event === "initialized");
const hash = await event(({ event, finalizedBlockHashes }) => event === "finalized" && finalizedBlockHashes.at(-1));

async function operation(method, ...params) {
	const { result, operationId } = await request(method, following, hash, ...params);
	if (result !== "started") throw new Error(`${method}: ${result}`);
	const items = [];
	return event((one) => {
		if (one.operationId !== operationId) return;
		if (one.event === "operationStorageItems") items.push(...one.items);
		if (one.event === "operationStorageDone") return { items };
		if (one.event === "operationCallDone") return { output: one.output };
		if (/Error|Inaccessible/.test(one.event)) throw new Error(`${method}: ${JSON.stringify(one)}`);
	});
}

const stored = await operation("chainHead_v1_storage", [{ key, type: "value" }], null);
const called = await operation("chainHead_v1_call", call, "0x");
console.log(JSON.stringify({ hash, value: stored.items[0]?.value ?? null, output: called.output }));
await client.terminate();
process.exit(0);
