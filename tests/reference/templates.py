"""What transformers makes of chat templates: Jinja2 set up as its `apply_chat_template` does.

    python tests/reference/templates.py inference-worker/engine/tests/fixtures/templates.json

Needs the package `jinja2`. Templates are small, each with one thing that published ones use, or in the shape of one.
"""

import json
import sys
from datetime import datetime, timezone

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1783155906  # 2026-07-04 09:05:06 UTC

CALL = {"type": "function", "id": "call_1", "function": {"name": "weather", "arguments": {"city": "Oslo", "n": 1.0}}}
MESSAGES = [
    {"role": "system", "content": "  Be é 'q' \"d\" <b>&\n"},
    {"role": "user", "content": "Hi <think>a</think> b  "},
    {"role": "assistant", "content": "<think>\nx\n</think>\n\nyes</think>no"},
    {"role": "user", "content": "Last你😀"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "5 degrees", "tool_call_id": "call_1", "name": "weather"},
]
PROPERTIES = {"n": {"type": "integer", "enum": [1, 2]}, "items": {"type": "array", "default": 1e-07}}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "It's <b> é",
            "parameters": {"type": "object", "properties": PROPERTIES, "required": ["n"]},
        },
    }
]

CASES = r"""
{% for m in messages %}{% if m.role == 'assistant' %}{% break %}{% endif %}{{ m.role }},{% endfor %}
{% for m in messages %}{% if loop.first %}{% continue %}{% endif %}{{ loop.index }}{% if loop.index == 3 %}{% break %}{% endif %}{% endfor %}
{% for a in [1, 2] %}{% for b in [1, 2, 3] %}{% if b == 2 %}{% break %}{% endif %}{{ a }}{{ b }}{% endfor %}{% if a == 2 %}{% continue %}{% endif %}|{% endfor %}
{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.role }}{% endif %}{% endfor %}
A¶{% generation %}¶B¶  {% endgeneration %}¶C{%- generation -%}  x  {%- endgeneration -%}  D {{ '{% generation %}' }} {# {% generation %} #}
{% generation %}{% set x = 5 %}{% for i in [1, 2] %}{% if i == 2 %}{% break %}{% endif %}{{ x + i }}{% endfor %}{% endgeneration %}{{ x }}
{% raw %}{% generation %} {{ not }} '{% endraw %}{% set generation = 'g' %}{{ generation }}
{{ tools | tojson }}
{{ tools | tojson(indent=2) }}
{{ tools[0] | tojson(separators=(',', ':')) }}
{{ {'b': 1, 'a': {'d': 1, 'c': [{'z': 1, 'y': 2}]}} | tojson(sort_keys=True) }}
{{ messages[3].content | tojson(ensure_ascii=True) }}{{ 'a\u2028\x7f\x1f\b\f"\\/é' | tojson(True) }}{{ 'a\u2028\x7f\x1f' | tojson }}
{{ [1, 1.0, 0.1, 1e21, 1e-7, true, none, -5, 12345678901234567890, [], {}] | tojson }}{{ (1, 2) | tojson }}
{{ {'a': [1, {}], 'b': {}, 'c': []} | tojson(indent='\t') }}{{ [[1], []] | tojson(indent=0) }}{{ [1, [2]] | tojson(false, 1, (';', '=')) }}
{{ {1: 2, true: 3, 1.5: 5} | tojson }}{{ {'a': 1} | tojson(ensure_ascii=false, indent=none, separators=none) }}
{{ messages[2].content.split('</think>')[-1] }}|{{ messages[2].content.split('</think>')[0].split('<think>')[-1].strip('\n') }}
{{ 'a b  c'.split() }}{{ ' a  b '.split(' ') }}{{ 'a,b,c'.split(',', 1) }}{{ 'a b  c '.split(none, 1) }}{{ 'a,b,c'.split(sep=',', maxsplit=1) }}{{ ''.split() }}{{ ''.split(',') }}
{{ 'a,b,c'.rsplit(',', 1)[0] }}{{ 'a b c'.rsplit() }}{{ ' a b  c'.rsplit(none, 1) }}{{ 'a,b,c'.rsplit(',', maxsplit=1) }}
[{{ messages[0].content.strip() }}][{{ messages[1].content.rstrip() }}][{{ messages[0].content.lstrip() }}][{{ 'xxaxx'.strip('x') }}]
{{ 'abc'.startswith(('x', 'a')) }}{{ 'abc'.startswith('b', 1) }}{{ 'abc'.endswith('b', 0, 2) }}{{ 'abc'.endswith(('x',)) }}
{{ messages[1].content.replace('<think>', '[').replace('</think>', ']') }}{{ 'aaa'.replace('a', 'b', 2) }}
{{ 'abcb'.find('b') }}{{ 'abcb'.rfind('b') }}{{ 'abc'.find('z') }}{{ 'abcb'.count('b') }}{{ 'éabc'.find('c', 1) }}{{ 'abc'.find('a', 1) }}{{ 'abcb'.rfind('b', 0, -1) }}{{ 'abab'.count('a', 1) }}{{ 'abc'.find('', 5) }}
{{ 'abc'.index('c') }}{{ 'abcabc'.rindex('c') }}{{ [1, 2].index(2) }}{{ [1, 2, 1].count(1) }}
{{ 'a=b=c'.partition('=') }}{{ 'a=b=c'.rpartition('=')[2] }}{{ 'abc'.partition('x') }}{{ 'abc'.rpartition('x') }}
{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}{{ 'abc'.removeprefix('x') }}
[{{ 'a'.ljust(3) }}][{{ 'a'.rjust(3, '.') }}][{{ '7'.zfill(3) }}{{ '-7'.zfill(4) }}][{{ 'a'.center(3) }}{{ 'abc'.center(6, '*') }}{{ 'ab'.center(5, '-') }}]
{{ 'a\r\nb\rc\x0bd\n'.splitlines() }}{{ 'a\nb\n'.splitlines(true) }}{{ 'a\n\nb'.splitlines(keepends=True) }}
{{ "they're bill's".title() }}{{ 'aB'.upper() }}{{ 'aB'.lower() }}{{ 'hELLO w'.capitalize() }}{{ 'Ab'.swapcase() }}{{ 'Straße'.casefold() }}{{ 'Ab Cd'.istitle() }}
{{ '12'.isdigit() }}{{ '12'.isdecimal() }}{{ 'a1'.isalnum() }}{{ 'A'.isupper() }}{{ ' '.isspace() }}{{ ''.isdigit() }}
{{ ', '.join(['a', 'b']) }}{{ ','.join(messages | map(attribute='role')) }}{{ '{}-{}'.format('a', 1) }}{{ '{0}{x}'.format('a', x=2) }}{{ '{:>5}|{:05.2f}'.format('a', 3.14159) }}
{% for k, v in tools[0].function.parameters.properties.items() %}{{ k }}={{ v.type }};{% endfor %}{{ tools[0].get('type') }}{{ tools[0].get('zz', 'd') }}{{ tools[0].function.keys() | list }}{{ {'a': 1}.copy() }}
{% for name, p in tools[0].function.parameters.properties | items %}{{ name }}{{ p.default }}{% endfor %}{{ {'b': 1, 'a': 2} | dictsort }}
{{ '%s-%d' % ('a', 3) }}{{ '%s' % 'x' }}{{ '%5.2f' % 3.14159 }}{{ '%05d|%x|%%' % (42, 255) }}{{ '%(a)s' % {'a': 1} }}{{ '%s' % messages[3].content | upper }}{{- '%s' % -3 -}}
{% set f = '%s!' %}{{ f % 'x' }}{{ (f ~ '%s') % (1, 2) }}{{ 'a' ~ '%s' % 'b' ~ 'c' }}{{ ('%s' % ('%s' % 'n')) }}{% if '%s' % 'a' == 'a' %}same{% endif %}
{{ 7 % 4 }}{{ -7 % 4 * 2 }}{{ 2 * 7 % 4 }}{% set a = 7 %}{% set b = 4 %}{{ a % b }}{{ (a + 1) % b }}{{ a - a % b }}{{ 7.5 % b }}{% for m in messages if loop is not defined or a % b == 3 %}{{ loop.index % 2 }}{% endfor %}
{{ messages[::-1][0].role }}{{ messages[1:] | length }}{{ messages[-2:][0].role }}{{ messages[0].content[2:4] }}{{ messages[3].content[::-1] }}{{ 'abcd'[::2] }}{{ [1, 2, 3][::-1] }}{{ 'abc'[3:0:-1] }}{{ 'abc'[-1] }}{{ (1, 2, 3)[1:] }}
{% for m in messages[1:] %}{{ loop.index0 }}{{ m.role }}{{ loop.last }}{% endfor %}
{{ messages[1:] is sequence }}{{ 'abc' is sequence }}{{ 'abc' is iterable }}{{ {} is sequence }}{{ 1 is iterable }}{{ none is iterable }}{{ nothing is iterable }}{{ range is callable }}{{ [] is mapping }}
{% if none is iterable and none | length > 0 %}tools{% else %}none{% endif %}
{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%Y-%m-%d %H:%M:%S %A %B %j %p %I %y %a %e %-d %% %Z%z|%c|%x %X') }}
{{ 'a\nb' | indent(2) }}|{{ 'a\n\nb\n' | indent }}|{{ 'a\n\nb' | indent(width=1, first=True, blank=True) }}|{{ 'a\nb' | indent('>>') }}
{{ 'hello' | truncate(3) }}{{ 'hello world' | truncate(5) }}|{{ 'hello world foo' | truncate(9, true, '..', 0) }}|{{ 'hello world foo bar' | truncate(11, leeway=0) }}
{{ 'a b-c' | wordcount }}{{ 'a' | center(4) }}|{{ 'a b&c/é' | urlencode }}|{{ [1, 2, 3, 4] | batch(2) | list }}{{ 5 | abs }}{{ 1.0 | float }}{{ 1000 | filesizeformat }}{{ 2048 | filesizeformat(true) }}{{ 1 | filesizeformat }}{{ 'a' | center(width=3) }}
{{ '<b>' | e }}{{ '<b>' | safe }}{{ messages[0].content | e }}{{ '<' | safe | e }}{{ '<' | safe | forceescape }}{{ tools[0].type | tojson | e }}
{{ true }}{{ none }}{{ 1.0 }}{{ [1, 'a', none, true] }}{{ {'a': 1, 'b': "it's"} }}{{ (1, 2) }}{{ (1,) }}{{ 1e21 }}{{ [1e21, {'x': 1e-7}] }}{{ 1e16 }}{{ 0.0001 }}{{ 10 / 2 }}{{ 7 // 2 }}{{ 2 ** 3 }}{{ 1e21 | string }}
{{ 'a' 'b' }}{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1] }}{{ nothing }}|{{ messages[0].nope }}|{{ messages[0].nope | default('z') }}
{% set ns = namespace(a=1) %}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{% macro m(a, b='x') %}<{{ a }}{{ b }}>{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}
{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in{% endcall %}{% filter upper %}abc{% endfilter %}{% set x %} block {{ 1 }}{% endset %}[{{ x }}]{% set j = joiner(',') %}{{ j() }}a{{ j() }}b
{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list | length }}{{ messages | rejectattr('role', 'in', ['user']) | list | length }}{{ (messages | last).role }}{{ messages | groupby('role') | map('first') | join(',') }}
  {% if true %}¶x¶  {% endif %}¶y¶{# c #}¶z {# c #} w¶{%+ if true %} x {% endif +%}¶{{ 'a' }}¶¶{% raw %}¶r¶{% endraw %}¶b
"""

# In the shapes of published ones.
SHAPES = {
    "tools only if there are any (Qwen3-Coder)": """\
{%- macro params(object, depth=0) %}
    {%- for name, field in object.properties | items %}
{{- '\\n<' ~ name ~ '>' ~ field.type }}
        {%- if field.enum is defined %}{{ field.enum | tojson | safe }}{% endif %}
        {%- if field.default is not none and field.default is defined %}={{ field.default | string }}{% endif %}
    {%- endfor %}
{%- endmacro %}
{%- if messages[0]["role"] == "system" %}
    {%- set system = messages[0]["content"] %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set rest = messages %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = [] %}{%- endif %}
{%- if tools is iterable and tools | length > 0 %}
    {%- for tool in tools %}
        {%- if tool.function is defined %}{%- set tool = tool.function %}{%- endif %}
        {{- "\\n<function>\\n" ~ tool.name | trim }}
        {{- params(tool.parameters) }}
    {%- endfor %}
{%- endif %}
{%- for message in rest %}
    {%- if message.role == "assistant" and message.tool_calls is defined and message.tool_calls is iterable and message.tool_calls | length > 0 %}
        {%- for call in message.tool_calls %}
            {%- for name, value in call.function.arguments | items %}
                {{- '<parameter=' + name + '>\\n' }}
                {{- (value | tojson if value is mapping or (value is sequence and value is not string) else value | string) + '\\n' }}
            {%- endfor %}
        {%- endfor %}
    {%- else %}
        {{- message.role + ': ' + message.content | trim + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'assistant:' }}{% endif %}
""",
    "the date, and a nested namespace (gpt-oss, Llama 3.2)": """\
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{%- set ns = namespace(last=-1, think=false) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages | length - 1) - loop.index0 %}
    {%- if ns.last < 0 and message.role == 'user' and not (message.content.startswith('<x>') and message.content.endswith('</x>')) %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{{- ns.last }}
{%- for message in messages %}
    {%- if message.content is string and '</think>' in message.content %}
        {{- message.content.split('</think>')[-1].lstrip('\\n') }}
        {{- message.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') }}
    {%- endif %}
{%- endfor %}
""",
    "generation and loop controls together (LFM2, Command R7B)": """\
{{- bos_token -}}
{%- for message in messages -%}
    {%- if message.role == "tool" -%}{%- continue -%}{%- endif -%}
    {{- "<|im_start|>" + message.role + "\\n" -}}
    {%- if message.role == "assistant" -%}
        {%- generation -%}
        {%- for part in message.content.split('</think>') -%}
            {%- if loop.last -%}{{- part.strip() -}}{%- break -%}{%- endif -%}
        {%- endfor -%}
        {{- eos_token -}}
        {%- endgeneration -%}
    {%- else %}
        {{- message.content | trim -}}
    {%- endif %}
    {{- "\\n" -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- "<|im_start|>assistant\\n" -}}
{%- endif -%}
""",
    "line ends of another system": "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\n{{ 'c\r\nd' }}\r\n",
}


class Generation(Extension):
    """`{% generation %}`, which renders its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def _raise(message):
    raise TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def render(template: str) -> str:
    """The prompt, as transformers makes it."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = _raise
    now = datetime.fromtimestamp(NOW, timezone.utc).replace(tzinfo=None)
    environment.globals["strftime_now"] = now.strftime
    return environment.from_string(template).render(
        messages=MESSAGES, tools=TOOLS, add_generation_prompt=True, bos_token="<s>", eos_token="</s>"
    )


def main(path: str) -> None:
    templates = [line.replace("¶", "\n") for line in CASES.strip("\n").split("\n")] + list(SHAPES.values())
    cases = [{"template": template, "prompt": render(template)} for template in templates]
    fixture = {"now": NOW, "messages": MESSAGES, "tools": TOOLS, "cases": cases}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(fixture, file, ensure_ascii=False, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
