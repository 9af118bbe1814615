// Asks a node through a client of Substrate's chains, without any type of ours, and prints one line of JSON: the answer,
// or {"error"}.
//
// Usage: node chain.mjs polkadot-js|papi WS_URL '{"ask": NAME, ...}'

import { Keyring } from "@polkadot/keyring";
import { cryptoWaitReady } from "@polkadot/util-crypto";

const [client, url, text] = process.argv.slice(2);
const { ask, ...question } = JSON.parse(text);

async function signer(suri) {
	await cryptoWaitReady();
	return new Keyring({ type: "sr25519", ss58Format: 42 }).addFromUri(suri);
}

async function polkadotJs() {
	const { ApiPromise, WsProvider } = await import("@polkadot/api");
	const provider = new WsProvider(url);
	const api = await ApiPromise.create({ provider, noInitWarn: true, throwOnConnect: true });
	const name = ({ event }) => `${event.section}.${event.method}`;
	const number = (value) => value.toNumber();
	return {
		// So many final blocks as they come.
		blocks: ({ count }) =>
			new Promise((resolve) => {
				const seen = [];
				const stop = api.rpc.chain.subscribeFinalizedHeads((head) => {
					seen.push({ number: number(head.number), hash: head.hash.toHex(), parent: head.parentHash.toHex() });
					if (seen.length === count) stop.then((stop) => resolve(stop() ?? seen));
				});
			}),
		async storage({ account }) {
			const { data } = await api.query.system.account(account);
			const entries = await api.query.usefulWork.workers.entries();
			return { free: data.free.toString(), workers: entries.map(([key]) => key.args[0].toString()) };
		},
		constant: () => api.consts.usefulWork.bond.toString(),
		async runtimeApi({ account }) {
			const worker = (await api.call.ariaApi.worker(account)).unwrap();
			const stats = await api.call.ariaApi.stats();
			return {
				bond: worker.bond.toString(),
				worker: worker.roles.worker.isTrue,
				workers: number(stats.workers),
				models: number(stats.models),
			};
		},
		events: async ({ hash }) => (await (await api.at(hash)).query.system.events()).map(name),
		// Signs, submits, and follows the call until its block is final.
		async attest({ suri, start, end, microjoules, metadataHash }) {
			const call = api.tx.sobriety.attest(start, end, { microjoules, grade: "Estimated" });
			const pair = await signer(suri);
			const states = [];
			// With it as signers do that decode what they sign, such as a Ledger.
			const options = metadataHash ? { mode: 1, metadataHash } : {};
			return new Promise((resolve, reject) => {
				call.signAndSend(pair, options, ({ status, events, dispatchError }) => {
					states.push(status.type);
					if (status.isInvalid || status.isDropped) reject(new Error(status.type));
					if (!status.isFinalized) return;
					let failure = null;
					if (dispatchError?.isModule) {
						const found = api.registry.findMetaError(dispatchError.asModule);
						failure = `${found.section}.${found.name}`;
					}
					resolve({ states, block: status.asFinalized.toHex(), events: events.map(name), failure });
				}).catch(reject);
			});
		},
		// What such a signer computes from the metadata: its hash by RFC 78.
		async metadataHash() {
			const { merkleizeMetadata } = await import("@polkadot-api/merkleize-metadata");
			const metadata = (await api.call.metadata.metadataAtVersion(15)).unwrap();
			const { tokenDecimals, tokenSymbol } = await provider.send("system_properties", []);
			const merkleized = merkleizeMetadata(metadata.toHex(), { decimals: tokenDecimals, tokenSymbol });
			return "0x" + Buffer.from(merkleized.digest()).toString("hex");
		},
		call: ({ method, params }) => provider.send(method, params),
		completion: ({ request }) =>
			new Promise((resolve, reject) => {
				const items = [];
				provider
					.subscribe("aria_completion", "aria_subscribeCompletion", [request], (error, item) => {
						if (error) return reject(error);
						items.push(item);
						if (item === "[DONE]" || item.error) resolve(items);
					})
					.catch(reject);
			}),
		close: () => api.disconnect(),
	};
}

async function papi() {
	const { createClient, Enum } = await import("polkadot-api");
	const { getPolkadotSigner } = await import("polkadot-api/signer");
	const { getWsProvider } = await import("polkadot-api/ws");
	const { WebSocket } = await import("ws");
	const client = createClient(getWsProvider(url, { websocketClass: WebSocket }));
	// It can't be closed before it follows the chain.
	await client.getFinalizedBlock();
	const api = client.getUnsafeApi();
	const name = ({ event, type, value }) => (event ? `${event.type}.${event.value.type}` : `${type}.${value.type}`);
	return {
		blocks: ({ count }) =>
			new Promise((resolve, reject) => {
				const seen = [];
				const following = client.finalizedBlock$.subscribe({
					next({ number, hash, parent }) {
						seen.push({ number, hash, parent });
						if (seen.length === count) {
							following.unsubscribe();
							resolve(seen);
						}
					},
					error: reject,
				});
			}),
		async storage({ account }) {
			const { data } = await api.query.System.Account.getValue(account);
			const entries = await api.query.UsefulWork.Workers.getEntries();
			return { free: data.free, workers: entries.map(({ keyArgs }) => keyArgs[0]) };
		},
		constant: () => api.constants.UsefulWork.Bond(),
		async runtimeApi({ account }) {
			const worker = await api.apis.AriaApi.worker(account);
			const stats = await api.apis.AriaApi.stats();
			return { bond: worker.bond, worker: worker.roles.worker, workers: stats.workers, models: stats.models };
		},
		events: async ({ hash }) => (await api.query.System.Events.getValue({ at: hash })).map(name),
		async attest({ suri, start, end, microjoules }) {
			const pair = await signer(suri);
			const energy = { microjoules: BigInt(microjoules), grade: Enum("Estimated") };
			const call = api.tx.Sobriety.attest({ period_start_ms: BigInt(start), period_end_ms: BigInt(end), energy });
			const states = [];
			return new Promise((resolve, reject) => {
				call
					.signSubmitAndWatch(getPolkadotSigner(pair.publicKey, "Sr25519", (bytes) => pair.sign(bytes)))
					.subscribe({
						next(state) {
							states.push(state.type);
							if (state.type !== "finalized") return;
							const { type, value } = state.dispatchError?.value ?? {};
							const failure = type ? `${type}.${value.type}` : null;
							resolve({ states, block: state.block.hash, events: state.events.map(name), failure });
						},
						error: reject,
					});
			});
		},
		call: ({ method, params }) => client._request(method, params),
		completion: ({ request }) =>
			new Promise((resolve, reject) => {
				const items = [];
				client._subscribe("aria_subscribeCompletion", "aria_unsubscribeCompletion", [request]).subscribe({
					next(item) {
						items.push(item);
						if (item === "[DONE]" || item.error) resolve(items);
					},
					error: reject,
				});
			}),
		close: () => client.destroy(),
	};
}

const asked = await (client === "papi" ? papi() : polkadotJs());
let answer;
try {
	answer = await asked[ask](question);
} catch (error) {
	answer = { error: { code: error.code, message: error.message } };
}
console.log(JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? value.toString() : value)));
await asked.close();
process.exit(0);
