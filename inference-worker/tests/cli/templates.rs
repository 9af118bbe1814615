//! Model files whose chat templates would bring a program down.

use super::{run, seconds_taken, support::synth, text};
use std::path::Path;

fn infer(home: &Path, template: &str) -> (Option<i32>, String) {
	let mut file = synth::model(1);
	file.text("tokenizer.chat_template", template);
	let path = home.join("model.gguf");
	std::fs::write(&path, file.bytes()).unwrap();
	let path = path.to_str().unwrap();
	let output = run(
		home,
		&["infer", "Hello", "--model", path, "--max-tokens", "1"],
	);
	(output.status.code(), text(&output.stderr).to_owned())
}

#[test]
fn rejects_templates_that_no_parser_stands() {
	let home = tempfile::tempdir().unwrap();
	let links = [
		"+1",
		".a",
		"|trim",
		"()",
		" if a else a",
		" and a",
		"[1]",
		" is not a",
	];
	for link in links {
		// As long as a template may be.
		let chain = link.repeat(250_000 / link.len());
		let (code, error) = infer(home.path(), &format!("{{{{ a{chain} }}}}"));
		// Some of them mean something.
		assert!(matches!(code, Some(0 | 2)), "{link}: {error}");
		assert!(!error.contains("overflow"), "{link}: {error}");
	}
	let template = format!("{{{{ {}1 }}}}", "-".repeat(250_000));
	let (code, error) = infer(home.path(), &template);
	assert_eq!(code, Some(2), "{error}");
	assert!(error.contains("chat template failed"), "{error}");
}

#[test]
fn rejects_templates_that_would_take_all_memory_or_time() {
	let home = tempfile::tempdir().unwrap();
	let doubled = "{% set a = [a, a] %}".repeat(60);
	let before = seconds_taken();
	for template in [
		"{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}",
		"{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
		&format!("{{% set a = ['x'] %}}{doubled}{{{{ a ~ 'x' }}}}"),
		&format!("{{% set a = ['x'] %}}{doubled}{{{{ a | tojson }}}}"),
		"{{ (['x' * 1000] * 99999999) ~ 'x' }}",
		"{% set ns = namespace(x=[1]) %}{% for a in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x | list }}",
		"{{ ('x' * 9999).replace('x', 'x' * 99999) }}",
		"{{ range(99999) | map('string') | join('x' * 99999) }}",
		"{{ 'x\nx' | indent(999999999) }}",
	] {
		let (code, error) = infer(home.path(), template);
		assert_eq!(code, Some(2), "{template:.99}: {error}");
		assert!(
			error.contains("chat template failed"),
			"{template:.99}: {error}"
		);
	}
	// Each is tried twice, five seconds at most. Not by the clock: the machine does other things as well.
	let taken = seconds_taken() - before;
	assert!((1..120).contains(&taken), "{taken}");
}

#[test]
fn templates_should_render_in_a_process_of_their_own() {
	let home = tempfile::tempdir().unwrap();
	let (code, error) = infer(home.path(), "{{ bos_token }}{{ messages[0].content }}");
	assert_eq!(code, Some(0), "{error}");
	let (code, error) = infer(home.path(), "{{ raise_exception('not today') }}");
	assert_eq!(code, Some(2));
	assert!(error.contains("not today"), "{error}");
}

#[test]
fn template_that_makes_no_sense_should_leave_the_rest_of_a_model() {
	let home = tempfile::tempdir().unwrap();
	let (code, error) = infer(
		home.path(),
		"{% for m in messages %}{% nonsense %}{% endfor %}",
	);
	assert_eq!(code, Some(2), "{error}");
	assert!(error.contains("unknown statement nonsense"), "{error}");
	let path = home.path().join("model.gguf");
	let path = path.to_str().unwrap();
	let arguments = [
		"generate",
		"--model",
		path,
		"--prompt",
		"a",
		"--max-tokens",
		"2",
	];
	let output = run(home.path(), &arguments);
	assert!(output.status.success(), "{}", text(&output.stderr));
	let output = run(home.path(), &["inspect", path]);
	let said = text(&output.stdout);
	assert!(
		said.contains("no chats: the model's chat template can't be used"),
		"{said}"
	);
}
