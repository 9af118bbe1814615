// Asks a worker through the official OpenAI client and prints one line of JSON: the answer, or the error.
//
// Usage: node openai.mjs '{"url", "key", "retries", "chat": REQUEST}', or with "response": REQUEST and "stream"

import OpenAI from "openai";

const { url, key, retries, chat, response, stream } = JSON.parse(process.argv[2]);
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
		calls: message.tool_calls?.map((call) => [call.id, call.function.name, call.function.arguments]) ?? [],
		pieces: 1,
	};
}

async function streamed() {
	const request = { ...chat, stream_options: { include_usage: true } };
	const told = { text: "", finish: null, usage: null, logprobs: null, calls: [], pieces: 0 };
	for await (const chunk of await client.chat.completions.create(request)) {
		const choice = chunk.choices[0];
		if (choice?.delta.content) {
			told.text += choice.delta.content;
			told.pieces += 1;
		}
		for (const { index, id, function: made } of choice?.delta.tool_calls ?? []) {
			told.calls[index] ??= [id, made.name, ""];
			told.calls[index][2] += made.arguments ?? "";
		}
		told.finish = choice?.finish_reason ?? told.finish;
		if (chunk.usage) told.usage = counts(chunk.usage);
	}
	return told;
}

async function responded() {
	let [done, pieces] = [null, 1];
	if (stream) {
		pieces = 0;
		const events = client.responses.stream(response);
		for await (const event of events) pieces += event.type === "response.output_text.delta";
		done = await events.finalResponse();
	} else {
		done = await client.responses.create(response);
	}
	const { input_tokens, output_tokens, total_tokens } = done.usage;
	const usage = [input_tokens, output_tokens, total_tokens];
	return { text: done.output_text, finish: done.status, usage, logprobs: null, calls: [], pieces };
}

const answer = response ? responded : chat.stream ? streamed : whole;
try {
	console.log(JSON.stringify(await answer()));
} catch (error) {
	if (!(error instanceof OpenAI.APIError)) throw error;
	const { status, message } = error;
	console.log(JSON.stringify({ error: { name: error.constructor.name, status, message } }));
}
