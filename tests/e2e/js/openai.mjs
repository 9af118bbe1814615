// Asks a worker through the official OpenAI client and prints one line of JSON: the answer, or the error.
//
// Usage: node openai.mjs '{"url", "key", "retries", "chat": REQUEST}'

import OpenAI from "openai";

const { url, key, retries, chat } = JSON.parse(process.argv[2]);
const client = new OpenAI({ baseURL: url, apiKey: key, maxRetries: retries, timeout: 60_000 });

const counts = (usage) => [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens];

async function whole() {
	const done = await client.chat.completions.create(chat);
	const { message, finish_reason, logprobs } = done.choices[0];
	return {
		text: message.content,
		finish: finish_reason,
		usage: counts(done.usage),
		logprobs: logprobs?.content?.map((one) => [one.token, one.logprob, one.top_logprobs.length]) ?? null,
		pieces: 1,
	};
}

async function streamed() {
	const request = { ...chat, stream_options: { include_usage: true } };
	const told = { text: "", finish: null, usage: null, logprobs: null, pieces: 0 };
	for await (const chunk of await client.chat.completions.create(request)) {
		const choice = chunk.choices[0];
		if (choice?.delta.content) {
			told.text += choice.delta.content;
			told.pieces += 1;
		}
		told.finish = choice?.finish_reason ?? told.finish;
		if (chunk.usage) told.usage = counts(chunk.usage);
	}
	return told;
}

try {
	console.log(JSON.stringify(await (chat.stream ? streamed() : whole())));
} catch (error) {
	if (!(error instanceof OpenAI.APIError)) throw error;
	const { status, message } = error;
	console.log(JSON.stringify({ error: { name: error.constructor.name, status, message } }));
}
