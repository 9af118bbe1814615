// Reads the ledger with @polkadot/api, without any type of ours: storage and runtime APIs come from the metadata.
// Usage: node read.mjs WS_URL '{"record": "0x…", "worker": "5…", "model": "0x…"}'; prints one JSON object.
import { ApiPromise, WsProvider } from '@polkadot/api';

const [url, question] = process.argv.slice(2);
const { record, worker, model } = JSON.parse(question);
const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true, throwOnConnect: true });
try {
	const at = await api.at(await api.rpc.chain.getFinalizedHead());
	const plain = (value) => value.toJSON();
	const answer = {
		pallets: Object.keys(at.query),
		storage: {
			record: plain(await at.query.provenance.records(record)),
			model: plain(await at.query.provenance.models(model)),
			worker: plain(await at.query.usefulWork.workers(worker)),
		},
		runtimeApi: {
			record: plain(await at.call.ariaApi.record(record)),
			model: plain(await at.call.ariaApi.model(model)),
			worker: plain(await at.call.ariaApi.worker(worker)),
			stats: plain(await at.call.ariaApi.stats()),
		},
		// Events of our pallets in every finalized block since genesis, by name.
		events: [],
	};
	const head = (await api.rpc.chain.getHeader(await api.rpc.chain.getFinalizedHead())).number.toNumber();
	for (let number = 1; number <= head; number++) {
		const then = await api.at(await api.rpc.chain.getBlockHash(number));
		for (const { event } of await then.query.system.events()) {
			if (['usefulWork', 'provenance', 'consent', 'sobriety'].includes(event.section)) {
				answer.events.push({ block: number, name: `${event.section}.${event.method}`, data: event.data.toJSON() });
			}
		}
	}
	console.log(JSON.stringify(answer));
} finally {
	await api.disconnect();
}
