//! Ways to cut text into words, by the names that GGUF files give them.
//!
//! The patterns are those of each model's `tokenizer.json` where llama.cpp's are an approximation of them. Text is taken
//! as it is: the composed form (NFC) that some `tokenizer.json` bring it into is left out, as in llama.cpp and its
//! published vectors, so that a model has the same ids whichever file it comes from.

use super::{
	error::{TokenizerError, excerpt},
	pattern::Pattern,
};

/// GPT-2's words.
pub(super) const GPT2: &str =
	r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const FALCON_MARKS: &str = r"[\p{P}\$\+<=>\^~\|`]+";
const IDEOGRAPHS: &str = "[\u{4e00}-\u{9fa5}\u{800}-\u{4e00}\u{ac00}-\u{d7ff}]+";
const KANA: &str = "[\u{4e00}-\u{9fa5}\u{3040}-\u{309f}\u{30a0}-\u{30ff}]+";
const DEEPSEEK_LETTERS: &str = "\\s?[A-Za-z\u{b5}\u{c0}-\u{d6}\u{d8}-\u{f6}\u{f8}-\u{1ba}\u{1bc}-\u{1bf}\u{1c4}-\u{293}\u{295}-\u{2af}\u{370}-\u{373}\u{376}\u{377}\u{37b}-\u{37d}\u{37f}\u{386}\u{388}-\u{38a}\u{38c}\u{38e}-\u{3a1}\u{3a3}-\u{3f5}\u{3f7}-\u{481}\u{48a}-\u{52f}\u{531}-\u{556}\u{10a0}-\u{10c5}\u{13a0}-\u{13f5}\u{13f8}-\u{13fd}\u{1c90}-\u{1cba}\u{1cbd}-\u{1cbf}\u{1d00}-\u{1d2b}\u{1d6b}-\u{1d77}\u{1d79}-\u{1d9a}\u{1e00}-\u{1f15}\u{1f18}-\u{1f1d}\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc2}-\u{1fc4}\u{1fc6}-\u{1fcc}\u{1fd0}-\u{1fd3}\u{1fd6}-\u{1fdb}\u{1fe0}-\u{1fec}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffc}\u{2102}\u{2107}\u{210a}-\u{2113}\u{2115}\u{2119}-\u{211d}\u{2124}\u{2126}\u{2128}\u{212a}-\u{212d}\u{212f}-\u{2134}\u{2139}\u{213c}-\u{213f}\u{2145}-\u{2149}\u{214e}\u{2183}\u{2184}\u{2c00}-\u{2c7b}\u{2c7e}-\u{2ce4}\u{2ceb}-\u{2cee}\u{2cf2}\u{2cf3}\u{a640}-\u{a66d}\u{a680}-\u{a69b}\u{a722}-\u{a76f}\u{a771}-\u{a787}\u{a78b}-\u{a78e}\u{ab70}-\u{abbf}\u{fb00}-\u{fb06}\u{fb13}-\u{fb17}\u{ff21}-\u{ff3a}\u{ff41}-\u{ff5a}\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}]+";
const DEEPSEEK_MARKS: &str =
	"\\s?[!-/:-~\u{ff01}-\u{ff0f}\u{ff1a}-\u{ff5e}\u{2018}-\u{201f}\u{3000}-\u{3002}]+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;
const BLOOM: &str = " ?[^(\\s|.,!?\u{2026}\u{3002}\u{ff0c}\u{3001}\u{964}\u{6d4}\u{60c})]+";

/// How tokens spell bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
	/// GPT-2's printable characters for bytes.
	ByteLevel,
	/// U+2581 for spaces, `<0xXX>` for bytes, merges by score.
	SentencePiece,
	/// U+2581 for spaces, `<0xXX>` for bytes, merges by list.
	Metaspace,
}

/// A way to cut text into words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
	/// First of the names that files use.
	pub(super) name: &'static str,
	/// Applied one after the other, each to the pieces of the one before.
	pub(super) patterns: &'static [&'static str],
	/// A word that is a token is taken whole, without merging.
	pub(super) ignore_merges: bool,
	/// Whether BOS is added where the file does not say.
	pub(super) add_bos: bool,
}

const fn rule(name: &'static str, patterns: &'static [&'static str]) -> Rule {
	Rule {
		name,
		patterns,
		ignore_merges: false,
		add_bos: false,
	}
}

const fn whole_words(mut rule: Rule) -> Rule {
	rule.ignore_merges = true;
	rule
}

const fn with_bos(mut rule: Rule) -> Rule {
	rule.add_bos = true;
	rule
}

/// Rules with the names for each.
const RULES: &[(&[&str], Rule)] = &[
	(
		&[
			"llama-bpe",
			"llama3",
			"llama-v3",
			"falcon3",
			"falcon-h1",
			"pixtral",
			"midm-2.0",
			"lfm2",
		],
		with_bos(whole_words(rule("llama-bpe", &[LLAMA3]))),
	),
	(
		&["dbrx", "smaug-bpe", "chatglm-bpe"],
		rule("dbrx", &[LLAMA3]),
	),
	(&["glm4", "glm5"], whole_words(rule("glm4", &[LLAMA3]))),
	(
		&["qwen2", "kormo", "f2llmv2", "megrez"],
		rule("qwen2", &[QWEN2]),
	),
	(
		&[
			"stablelm2",
			"deepseek-r1-qwen",
			"hunyuan",
			"grok-2",
			"solar-open",
		],
		rule("stablelm2", &[QWEN2]),
	),
	(&["qwen35"], rule("qwen35", &[QWEN35])),
	(
		&[
			"gpt-2",
			"gpt2",
			"phi-2",
			"mpt",
			"olmo",
			"jais",
			"trillion",
			"granite-docling",
			"gigachat",
			"a.x-4.0",
			"mellum",
			"exaone4",
		],
		rule("gpt-2", &[GPT2]),
	),
	(
		&[
			"starcoder",
			"refact",
			"command-r",
			"smollm",
			"codeshell",
			"exaone",
			"minerva-7b",
			"mellum2",
		],
		rule("starcoder", &[r"\p{N}", GPT2]),
	),
	(
		&["falcon"],
		rule("falcon", &[FALCON_MARKS, GPT2, "[0-9][0-9][0-9]"]),
	),
	(
		&["falcon_e"],
		rule("falcon_e", &[FALCON_MARKS, GPT2, "[0-9]"]),
	),
	(
		&["default"],
		rule(
			"default",
			&[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
		),
	),
	(
		&["deepseek-llm"],
		rule(
			"deepseek-llm",
			&[
				r"[\r\n]",
				DEEPSEEK_LETTERS,
				DEEPSEEK_MARKS,
				r"\s+$",
				IDEOGRAPHS,
				r"\p{N}+",
			],
		),
	),
	(
		&["deepseek-coder"],
		rule(
			"deepseek-coder",
			&[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", IDEOGRAPHS, r"\p{N}"],
		),
	),
	(
		&["deepseek-v3", "hunyuan-dense", "joyai-llm"],
		rule("deepseek-v3", &[r"\p{N}{1,3}", KANA, DEEPSEEK3]),
	),
	(
		&["gpt-4o", "llama4", "kanana2", "minimax-m2"],
		rule("gpt-4o", &[GPT4O]),
	),
	(
		&["tekken"],
		with_bos(whole_words(rule("tekken", &[TEKKEN]))),
	),
	(
		&["poro-chat", "bloom", "gpt3-finnish"],
		rule("bloom", &[BLOOM]),
	),
	(&["viking"], rule("viking", &[BLOOM, r"\p{N}"])),
];

/// Words of a SentencePiece vocabulary: the text is one.
pub(super) const SENTENCEPIECE: Rule = with_bos(rule("sentencepiece", &[]));
/// Words of a `tokenizer.json` that is not recognised.
pub(super) const FOREIGN: Rule = rule("tokenizer.json", &[]);
/// Words of Gemma 4: lines and what is between them.
pub(super) const GEMMA4: Rule = with_bos(rule("gemma4", &[r"[^\n]+|[\n]+"]));

/// The rule of that name.
pub(super) fn by_name(name: &str) -> Result<Rule, TokenizerError> {
	let found = RULES.iter().find(|(names, _)| names.contains(&name));
	found.map(|(_, rule)| *rule).ok_or_else(|| {
		let names: Vec<&str> = RULES
			.iter()
			.flat_map(|(names, _)| *names)
			.copied()
			.collect();
		TokenizerError::PreTokenizer {
			name: excerpt(name),
			supported: names.join(", "),
		}
	})
}

/// A rule with these patterns and settings, if there is one with these patterns.
pub(super) fn by_patterns(patterns: &[&str], ignore_merges: bool) -> Option<Rule> {
	let mut rules = RULES.iter().map(|(_, rule)| rule);
	let found = rules.find(|rule| rule.patterns == patterns)?;
	Some(Rule {
		ignore_merges,
		..*found
	})
}

/// Compiled patterns.
pub(super) struct Words(Vec<Pattern>);

impl Words {
	/// Compiles a rule's patterns.
	pub(super) fn new(rule: &Rule) -> Result<Self, TokenizerError> {
		let patterns = rule.patterns.iter().map(|source| Pattern::new(source));
		Ok(Self(patterns.collect::<Result<_, _>>()?))
	}

	/// Calls `found` with every word of the text, in order.
	pub(super) fn each(
		&self,
		text: &str,
		found: &mut dyn FnMut(&str) -> Result<(), TokenizerError>,
	) -> Result<(), TokenizerError> {
		cut(&self.0, text, found)
	}
}

fn cut(
	patterns: &[Pattern],
	text: &str,
	found: &mut dyn FnMut(&str) -> Result<(), TokenizerError>,
) -> Result<(), TokenizerError> {
	match patterns.split_first() {
		None => found(text),
		Some((first, rest)) => first.split(text, |range| {
			cut(rest, text.get(range).unwrap_or_default(), found)
		}),
	}
}
