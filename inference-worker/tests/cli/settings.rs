//! Where options come from: the command line, then the environment, then the file, then the default.

use super::*;

/// How many tokens `infer` answers with.
fn tokens(command: &mut Command) -> u64 {
	let done = command
		.args(["--json", "--model"])
		.arg(model())
		.output()
		.unwrap();
	json(&done)["usage"]["completion_tokens"].as_u64().unwrap()
}

fn infer(home: &Path) -> Command {
	let mut command = program(home);
	command.args(["infer", "--raw", "Once upon a time"]);
	command
}

fn config(home: &Path, text: &str) -> PathBuf {
	let folder = home.join(".config/aria");
	std::fs::create_dir_all(&folder).unwrap();
	let file = folder.join("config.toml");
	std::fs::write(&file, text).unwrap();
	file
}

#[test]
fn flag_should_go_before_environment_before_file_before_default() {
	let home = tempfile::tempdir().unwrap();
	let home = home.path();
	assert_eq!(tokens(&mut infer(home)), 100);
	config(home, "max-tokens = 5\n");
	assert_eq!(tokens(&mut infer(home)), 5);
	config(
		home,
		"max-tokens = 5\n[infer]\nmax-tokens = 6\n[chat]\nmax-tokens = 7\n",
	);
	assert_eq!(tokens(&mut infer(home)), 6);
	assert_eq!(tokens(infer(home).env("ARIA_MAX_TOKENS", "8")), 8);
	assert_eq!(
		tokens(
			infer(home)
				.env("ARIA_MAX_TOKENS", "8")
				.args(["--max-tokens", "9"])
		),
		9
	);
}

#[test]
fn file_should_be_the_one_that_is_named() {
	let home = tempfile::tempdir().unwrap();
	let home = home.path();
	config(home, "max-tokens = 5\n");
	let named = home.join("named.toml");
	std::fs::write(&named, "max-tokens = 4\n").unwrap();
	assert_eq!(tokens(infer(home).arg("--config").arg(&named)), 4);
	assert_eq!(tokens(infer(home).env("ARIA_CONFIG", &named)), 4);
	let mut before = program(home);
	before.arg(format!("--config={}", named.display()));
	assert_eq!(
		tokens(before.args(["infer", "--raw", "Once upon a time"])),
		4
	);
	let xdg = home.join("xdg/aria");
	std::fs::create_dir_all(&xdg).unwrap();
	std::fs::write(xdg.join("config.toml"), "max-tokens = 3\n").unwrap();
	assert_eq!(
		tokens(infer(home).env("XDG_CONFIG_HOME", home.join("xdg"))),
		3
	);

	let gone = infer(home)
		.args(["--config", "gone.toml"])
		.output()
		.unwrap();
	assert_eq!(gone.status.code(), Some(2));
	assert!(
		text(&gone.stderr).contains("gone.toml"),
		"{}",
		text(&gone.stderr)
	);
}

#[test]
fn required_options_flags_and_lists_should_be_taken_from_the_file() {
	let home = tempfile::tempdir().unwrap();
	let home = home.path();
	let model = model();
	let text = format!(
		"model = {:?}\n[generate]\nprompt = \"Once upon a time\"\njson = true\nmax-tokens = 30\nstop = [\"e\", \"a\"]\n",
		model
	);
	config(home, &text);
	let answer = json(&run(home, &["generate"]));
	assert_eq!(answer["finish_reason"], "stop");
	assert!(!answer["text"].as_str().unwrap().contains(['e', 'a']));
	let asked = run(home, &["infer", "Hello", "--json", "--max-tokens", "2"]);
	assert_eq!(json(&asked)["usage"]["completion_tokens"], 2);
	let mut command = program(home);
	let inspected = json(
		&command
			.args(["inspect"])
			.arg(&model)
			.env("ARIA_JSON", "1")
			.output()
			.unwrap(),
	);
	assert!(inspected["model_root"].is_string());
}

#[test]
fn wrong_files_should_be_refused_by_name() {
	let home = tempfile::tempdir().unwrap();
	let home = home.path();
	for (content, said) in [
		("max-tokenz = 5", "max-tokenz"),
		("[infer]\nprompt = \"x\"", "infer.prompt"),
		("[inferr]\nmax-tokens = 5", "[inferr]"),
		("[ledger.statz]\njson = true", "[ledger.statz]"),
		("config = \"other.toml\"", "config"),
		("help = true", "help"),
		("max-tokens = [1, 2]", "max-tokens"),
		("max-tokens = 1979-05-27", "max-tokens"),
		("max-tokens = ", "config.toml"),
		("max-tokens = \"many\"", "config.toml"),
		("\u{0}", "config.toml"),
	] {
		config(home, content);
		let done = infer(home).args(["--model", "x"]).output().unwrap();
		assert_eq!(done.status.code(), Some(2), "{content}");
		assert!(
			text(&done.stderr).contains(said),
			"{content}: {}",
			text(&done.stderr)
		);
		assert!(!text(&done.stderr).contains("panicked"), "{content}");
	}
	let long = config(home, &"# much\n".repeat(200_000));
	let done = infer(home).output().unwrap();
	assert_eq!(done.status.code(), Some(2));
	assert!(text(&done.stderr).contains(long.to_str().unwrap()));
}

/// The file that the documentation shows.
fn documented() -> String {
	let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
	let page = std::fs::read_to_string(page).unwrap();
	let (_, rest) = page.split_once("```toml\n").unwrap();
	rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn documented_file_should_serve_every_command() {
	let home = tempfile::tempdir().unwrap();
	let home = home.path();
	let text = documented();
	assert!(text.contains("\n[node]\n"), "{text}");
	config(home, &text);
	for words in [
		&["model", "list", "--known"][..],
		&["doctor", "--help"],
		&["completions", "bash"],
	] {
		let done = run(home, words);
		assert!(done.status.success(), "{words:?}: {}", text_of(&done));
	}
	// The table is the worker's own.
	let worker = run(home, &["worker", "--offline", "--api-port", "0"]);
	assert_eq!(worker.status.code(), Some(2));
	assert!(
		text_of(&worker).contains("/etc/aria/worker.key"),
		"{}",
		text_of(&worker)
	);
	// What is below a node's table is for a node to check.
	config(
		home,
		"[node]\nno-such-option = 1\n[build-spec]\nraw = true\n",
	);
	assert!(run(home, &["model", "list", "--known"]).status.success());
	for wrong in ["[nodes]\nchain = \"local\"", "[ledger.node]\njson = true"] {
		config(home, wrong);
		let done = run(home, &["model", "list", "--known"]);
		assert_eq!(done.status.code(), Some(2), "{wrong}");
	}
}

fn text_of(done: &Output) -> &str {
	text(&done.stderr)
}

#[test]
fn help_completions_and_manual_should_know_every_command() {
	let home = tempfile::tempdir().unwrap();
	let home = home.path();
	let help = run(home, &["--help"]);
	let commands: Vec<&str> = text(&help.stdout)
		.lines()
		.skip_while(|line| *line != "Commands:")
		.skip(1)
		.take_while(|line| !line.is_empty())
		// What is long goes on in further lines, deeper.
		.filter(|line| line.starts_with("  ") && !line.starts_with("   "))
		.map(|line| line.split_whitespace().next().unwrap())
		.filter(|name| *name != "help")
		.collect();
	assert!(commands.len() >= 15, "{commands:?}");
	for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
		let script = run(home, &["completions", shell]);
		assert!(script.status.success());
		for command in &commands {
			assert!(text(&script.stdout).contains(command), "{shell}: {command}");
		}
	}
	let page = run(home, &["man"]);
	assert!(
		text(&page.stdout).starts_with(".ie"),
		"roff: {}",
		text(&page.stdout)
	);
	let pages = home.join("man1");
	assert_eq!(
		run(home, &["man", pages.to_str().unwrap()]).status.code(),
		Some(2)
	);
	std::fs::create_dir(&pages).unwrap();
	assert!(
		run(home, &["man", pages.to_str().unwrap()])
			.status
			.success()
	);
	for command in &commands {
		assert!(
			pages.join(format!("aria-worker-{command}.1")).is_file(),
			"{command}"
		);
		let help = run(home, &[command, "--help"]);
		assert!(help.status.success(), "{command}");
		assert!(
			text(&help.stdout).contains("Example"),
			"{command} has no example"
		);
	}
}
