//! Calls of functions, found in texts that come in pieces.

use super::calls::*;

fn reader() -> Reader {
	Reader::new(vec!["weather".into(), "time".into()], true)
}

/// Text, and calls as `name(arguments)`.
fn told(items: &[Item]) -> Vec<String> {
	items
		.iter()
		.map(|item| match item {
			Item::Text(text) => text.clone(),
			Item::Call(call) => format!("{}({})", call.name, call.arguments),
		})
		.collect()
}

/// Reads a text whole and cut at every place, twice; the parts together must be the items.
fn check(text: &str, expected: &[&str]) {
	let cuts: Vec<usize> = (0..=text.len())
		.filter(|at| text.is_char_boundary(*at))
		.collect();
	for (index, first) in cuts.iter().enumerate() {
		for second in &cuts[index..] {
			let mut reader = reader();
			let mut parts = Vec::new();
			for piece in [&text[..*first], &text[*first..*second], &text[*second..]] {
				parts.extend(reader.push(piece));
			}
			parts.extend(reader.finish());
			assert_eq!(
				told(&reader.end()),
				expected,
				"{text} cut at {first}, {second}"
			);
			let mut joined: Vec<String> = Vec::new();
			let mut in_text = false;
			for part in parts {
				match part {
					Part::Text(text) if in_text => joined.last_mut().unwrap().push_str(&text),
					Part::Text(text) => joined.push(text),
					Part::Call { ref name, .. } => joined.push(format!("{name}()")),
					Part::Arguments(ref text) => {
						let call = joined.last_mut().unwrap();
						call.insert_str(call.len() - 1, text);
					}
				}
				in_text = !joined.last().unwrap().ends_with(')');
			}
			assert_eq!(joined, expected, "{text} cut at {first}, {second}");
		}
	}
}

#[test]
fn tagged_calls_should_be_found_between_texts() {
	check(
		"Let me see.\n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"a } \\\" é\"}}\n</tool_call>\n<tool_call>{\"name\":\"time\",\"arguments\":{}}</tool_call>\n",
		&[
			"Let me see.",
			"weather({\"city\": \"a } \\\" é\"})",
			"time({})",
		],
	);
	check(
		"<tool_call>{\"arguments\": {\"a\": [1]}, \"name\": \"time\"}</tool_call>done",
		&["time({\"a\": [1]})", "done"],
	);
}

#[test]
fn marks_inside_texts_should_end_nothing() {
	check(
		"<tool_call>{\"name\": \"time\", \"arguments\": {\"a\": \"</tool_call> <tool_call>\"}}</tool_call>",
		&["time({\"a\": \"</tool_call> <tool_call>\"})"],
	);
	check(
		"<tool_call>{\"arguments\": {\"a\": \"} </tool_call>\"}, \"name\": \"time\"}</tool_call>on",
		&["time({\"a\": \"} </tool_call>\"})", "on"],
	);
	// A text that never ends is no reason to lose what follows.
	check(
		"<tool_call>{\"arguments\": \"</tool_call>\n<tool_call>{\"name\": \"time\", \"arguments\": {}}</tool_call>",
		&["<tool_call>{\"arguments\": \"</tool_call>", "time({})"],
	);
}

#[test]
fn fields_after_the_arguments_should_belong_to_the_call() {
	for rest in [
		", \"id\": \"} </tool_call>\", \"more\": [{\"a\": 1}]}",
		" , \"id\": 1 }\n",
		// Not closed.
		", \"id\": 1",
	] {
		check(
			&format!(
				"<tool_call>{{\"name\": \"time\", \"arguments\": {{\"a\": 1}}{rest}</tool_call>\n<tool_call>{{\"name\": \"weather\", \"arguments\": {{}}}}</tool_call>"
			),
			&["time({\"a\": 1})", "weather({})"],
		);
	}
	check(
		"{\"name\": \"time\", \"parameters\": {}, \"id\": 1}; {\"name\": \"weather\", \"parameters\": {}}",
		&["time({})", "weather({})"],
	);
}

#[test]
fn arguments_should_be_as_they_were_written() {
	check(
		"<tool_call>{\"id\": 1, \"name\": \"time\", \"arguments\": {\"b\": 9007199254740993123456789, \"a\":1.50}}</tool_call>",
		&["time({\"b\": 9007199254740993123456789, \"a\":1.50})"],
	);
	check(
		"<tool_call>{\"id\": 1, \"name\": \"time\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
		&["time({\"a\": 1})"],
	);
}

#[test]
fn objects_alone_should_be_calls_at_the_beginning() {
	check(
		"\n{\"name\": \"weather\", \"parameters\": {\"a\": {\"b\": 1}}}; {\"type\": \"function\", \"name\": \"time\", \"parameters\": {}}",
		&["weather({\"a\": {\"b\": 1}})", "time({})"],
	);
	for text in [
		"{\"name\": \"nobody\", \"parameters\": {}}",
		"{\"age\": 5}",
		"{\"name\": \"weather\"}",
		"See {\"name\": \"time\", \"parameters\": {}}",
		"  {\"name\": 5}",
	] {
		check(text, &[text]);
	}
}

#[test]
fn what_is_no_call_should_stay_text() {
	for text in [
		"a < b, <tool, <tool_call",
		"<tool_call>\n{\"name\": \"nobody\", \"arguments\": {}}\n</tool_call>",
		"<tool_call>nothing</tool_call> and on",
		"<tool_call>{\"name\": \"time\", \"argu",
		"ends with space \n",
	] {
		check(text, &[text]);
	}
	let mut none = Reader::default();
	let text = "<tool_call>{\"name\": \"time\", \"arguments\": {}}</tool_call>";
	none.push(text);
	assert_eq!(told(&none.end()), [text]);
}

#[test]
fn call_that_is_cut_off_should_have_the_arguments_so_far() {
	check(
		"<tool_call>{\"name\": \"time\", \"arguments\": {\"zone\": \"Eur",
		&["time({\"zone\": \"Eur)"],
	);
}

#[test]
fn marks_inside_a_text_of_a_form_should_be_text() {
	let call = "<tool_call>{\"name\": \"time\", \"arguments\": {}}</tool_call>";
	let text = format!("{{\"a\": \"{}\"}}", call.replace('"', "\\\""));
	for (answer, expected) in [(text.as_str(), text.as_str()), (call, "time({})")] {
		for cut in 0..answer.len() {
			let mut reader = Reader::new(vec!["time".into()], false).formed();
			reader.push(&answer[..cut]);
			reader.push(&answer[cut..]);
			assert_eq!(told(&reader.end()), [expected], "{cut}");
		}
	}
}
