//! Answers of a given form: they have it, whatever the model would rather say, and verifiers find the same choices.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod support;

use aria_engine::host::System as Host;
use aria_engine::{
	FinishReason, GenerateRequest, Generation, RecheckRequest,
	answers::alone::{generate, recheck},
	error::EngineError,
	model::Model,
};
use aria_kernels::{Backend, Isa, Packing};
use aria_primitives::{
	receipt::{Constraints, Grammar, Sampling},
	work::Fault,
};
use std::sync::LazyLock;

static MODEL: LazyLock<Model> = LazyLock::new(|| {
	let bytes = support::synth::model(1).bytes();
	Model::from_bytes(&bytes, "synthetic", Packing::TwoBit).unwrap()
});

fn backend() -> Backend {
	Backend::new(Isa::detect(), 1)
}

fn ask(grammar: Grammar, seed: u64) -> Result<Generation, EngineError> {
	let request = GenerateRequest {
		prompt: vec![65, 66],
		max_tokens: 80,
		sampling: Sampling {
			temperature_micro: 1_000_000,
			seed,
			..Default::default()
		},
		constraints: Constraints {
			grammar: Some(grammar),
			..Default::default()
		},
		..Default::default()
	};
	generate(&MODEL, &backend(), &Host, request, &mut |_| {}, &|| false)
}

fn claim(answer: &Generation) -> RecheckRequest {
	RecheckRequest {
		prompt: answer.prompt.clone(),
		output: answer.tokens.clone(),
		sampling: answer.sampling,
		constraints: answer.constraints.clone(),
		trace_root: answer.trace_root,
		logprobs: false,
	}
}

#[test]
fn answers_should_match_a_schema() {
	let schema = r##"{
		"type": "object",
		"properties": { "kind": { "$ref": "#/$defs/kind" }, "count": { "type": "integer", "minimum": 3, "maximum": 9 } },
		"required": ["kind", "count"],
		"additionalProperties": false,
		"$defs": { "kind": { "enum": ["cat", "dog"] } }
	}"##;
	let mut kinds = std::collections::HashSet::new();
	for seed in 0..8 {
		let answer = ask(Grammar::JsonSchema(schema.into()), seed).unwrap();
		if answer.finish != FinishReason::Stop {
			// Spaces are allowed between the parts, and a random model likes them.
			continue;
		}
		let value: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
		assert!(
			(3..=9).contains(&value["count"].as_i64().unwrap()),
			"{}",
			answer.text
		);
		kinds.insert(value["kind"].as_str().unwrap().to_owned());
		assert_eq!(value.as_object().unwrap().len(), 2);
	}
	assert!(!kinds.is_empty() && kinds.iter().all(|kind| kind == "cat" || kind == "dog"));
}

#[test]
fn answers_should_match_a_regular_expression_and_end_after_it() {
	for seed in 0..4 {
		let answer = ask(Grammar::Regex("(yes|no), [0-9]{3}".into()), seed).unwrap();
		assert_eq!(answer.finish, FinishReason::Stop);
		let (word, digits) = answer.text.split_once(", ").unwrap();
		assert!(
			["yes", "no"].contains(&word) && digits.len() == 3,
			"{}",
			answer.text
		);
		assert!(digits.bytes().all(|byte| byte.is_ascii_digit()));
	}
}

#[test]
fn answers_should_match_a_lark_grammar() {
	let answer = ask(Grammar::Lark("start: \"a\" (\"b\" | \"c\")\n".into()), 1).unwrap();
	assert!(
		["ab", "ac"].contains(&answer.text.as_str()),
		"{}",
		answer.text
	);
}

#[test]
fn verifiers_should_accept_the_grammar_that_was_used_and_no_other() {
	let honest = ask(Grammar::Regex("[a-f]{6}".into()), 5).unwrap();
	let found = |claim: RecheckRequest| recheck(&MODEL, &backend(), &claim, &|| false).unwrap();
	assert_eq!(found(claim(&honest)), Some(Ok(vec![])));
	let mut other = claim(&honest);
	other.constraints.grammar = Some(Grammar::Regex("[a-e]{6}x".into()));
	assert_eq!(found(other.clone()), Some(Err(Fault::WrongOpening)), "hash");
	other.sampling.constraints = other.constraints.hash();
	assert_eq!(found(other), Some(Err(Fault::WrongToken)));
	let mut none = claim(&honest);
	none.constraints = Constraints::default();
	none.sampling.constraints = none.constraints.hash();
	assert_eq!(found(none), Some(Err(Fault::WrongToken)));
}

/// The reason for which a grammar is refused.
fn refusal(grammar: Grammar) -> String {
	match ask(grammar.clone(), 0) {
		Err(EngineError::Grammar(message)) => message,
		other => panic!("{grammar:?}: {other:?}"),
	}
}

#[test]
fn grammars_that_nothing_matches_should_be_refused() {
	for schema in [
		r#"{"type":"integer","minimum":5,"maximum":3}"#,
		r#"{"type":"object","properties":{"a":{"type":"integer","minimum":5,"maximum":3}},"required":["a"]}"#,
		r#"{"enum":[]}"#,
		r#"{"type":"string","pattern":"^a{5}$","maxLength":3}"#,
	] {
		let message = refusal(Grammar::JsonSchema(schema.into()));
		assert!(message.contains("nsatisfiable"), "{schema}: {message}");
	}
	let cycle = r##"{"$ref":"#/$defs/n","$defs":{"n":{"$ref":"#/$defs/n"}}}"##;
	for grammar in [
		Grammar::JsonSchema(cycle.into()),
		Grammar::Lark("start: start".into()),
		Grammar::Lark("start: T\nT: /a/ & /b/".into()),
		Grammar::Regex("[^\\s\\S]".into()),
	] {
		let message = refusal(grammar.clone());
		assert!(
			message.contains("nothing matches"),
			"{grammar:?}: {message}"
		);
	}
}

#[test]
fn grammars_that_take_much_work_should_be_refused_soon() {
	let start = std::time::Instant::now();
	let parts = |parts: &[u32]| {
		let each = parts.iter().map(|part| format!("/((.|\\n){{{part}}})*/"));
		each.collect::<Vec<_>>().join(" & ")
	};
	let multiple = |of: u64| format!(r#"{{"type":"integer","multipleOf":{of}}}"#);
	for grammar in [
		Grammar::JsonSchema(multiple(999_983)),
		Grammar::JsonSchema(multiple(10_000_019)),
		Grammar::JsonSchema(multiple(400_000_009)),
		Grammar::JsonSchema(
			r#"{"allOf":[{"type":"integer","multipleOf":1009},{"multipleOf":1013}]}"#.into(),
		),
		Grammar::JsonSchema(format!(
			r#"{{"type":"object","properties":{{"a":{}}}}}"#,
			multiple(10_000_019)
		)),
		Grammar::Lark(format!(
			"start: T\nT: \"0\" | \"x\" ({} & /.+/)",
			parts(&[101, 103, 107])
		)),
		Grammar::Lark(format!(
			"start: T\nT: \"0\" | \"x\" ({} & /.+/)",
			parts(&[7, 11, 13, 17, 19, 23])
		)),
	] {
		let message = refusal(grammar.clone());
		assert!(message.contains("too much work"), "{grammar:?}: {message}");
	}
	// Each took from half a minute to hours.
	let taken = start.elapsed();
	assert!(taken.as_secs() < 20, "{taken:?}");
}

#[test]
fn refusals_should_be_short_and_without_the_library_s_stack() {
	for grammar in [
		// These make the library panic.
		Grammar::JsonSchema(format!(
			r#"{{"type":"string","pattern":["{}"]}}"#,
			"ж".repeat(120)
		)),
		Grammar::JsonSchema(r#"{"type":"integer","minimum":-1e19}"#.into()),
		Grammar::JsonSchema(r#"{"type":"integer","multipleOf":1000000007}"#.into()),
		// These it quotes.
		Grammar::Lark(format!("start: \"a\" {}", "x".repeat(60_000))),
		Grammar::Lark(format!("start: {}\"a\"", "(".repeat(5000))),
		Grammar::JsonSchema(format!(r##"{{"$ref":"#/{}"}}"##, "r".repeat(30_000))),
		Grammar::JsonSchema(format!(r#"{{"type":"{}"}}"#, "t".repeat(30_000))),
	] {
		let Err(EngineError::Grammar(message)) = ask(grammar.clone(), 0) else {
			continue;
		};
		assert!(message.len() < 1024, "{message}");
		assert!(
			!message.contains("::") && !message.contains("backtrace"),
			"{message}"
		);
		assert!(!message.contains("<non-verbose"), "{message}");
	}
}

#[test]
fn answers_that_can_t_go_on_should_not_claim_to_be_complete() {
	// The second word can't be: no text is both.
	let dead = Grammar::Lark("start: \"ab\" T\nT: /c+/ & /d+/".into());
	let answer = ask(dead, 3).unwrap();
	assert_eq!(
		(answer.text.as_str(), answer.finish),
		("ab", FinishReason::Grammar)
	);
	let found = |claim: RecheckRequest| recheck(&MODEL, &backend(), &claim, &|| false).unwrap();
	assert_eq!(found(claim(&answer)), Some(Ok(vec![])));
	// Nobody can have chosen a token there, an end neither.
	for token in [u32::from(b'c'), MODEL.tokenizer.end_tokens()[0]] {
		let mut longer = claim(&answer);
		longer.output.push(token);
		assert_eq!(found(longer), Some(Err(Fault::WrongToken)), "{token}");
	}
}

#[test]
fn equal_grammars_should_give_equal_answers_however_often_they_are_used() {
	let grammar = || {
		Grammar::JsonSchema(
			r#"{"type":"array","items":{"type":"string","pattern":"^[a-z ]{3,9}$"},"minItems":2}"#
				.into(),
		)
	};
	let fresh = ask(grammar(), 11).unwrap();
	for seed in 0..4 {
		ask(grammar(), seed).unwrap();
	}
	let again = ask(grammar(), 11).unwrap();
	assert_eq!(
		(fresh.tokens, fresh.trace_root),
		(again.tokens, again.trace_root)
	);
}

#[test]
fn grammars_that_make_no_sense_should_be_refused_with_the_reason() {
	let cases = [
		(Grammar::JsonSchema("{".into()), "EOF"),
		(Grammar::JsonSchema(r#"{"type":"nothing"}"#.into()), "type"),
		(Grammar::Regex("(a".into()), ""),
		(Grammar::Lark("begin: \"a\"".into()), "start"),
	];
	for (grammar, part) in cases {
		match ask(grammar.clone(), 0) {
			Err(EngineError::Grammar(message)) => {
				assert!(message.contains(part), "{grammar:?}: {message}");
			}
			other => panic!("{grammar:?}: {other:?}"),
		}
	}
	let long = Grammar::Regex("a".repeat(70_000));
	assert!(matches!(
		ask(long, 0),
		Err(EngineError::InvalidParameter(_))
	));
}
