"""A ward's files: what is read, and what every finding says."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolward.config.schema import schemas
from toolward.config.ward import check_ward, load_ward
from toolward.config.yamltext import FILE_BYTES_MAX, read_yaml
from toolward.errors import WardError
from toolward.model.label import Confidentiality, Integrity, Label
from toolward.model.tool import Argument, ArgumentKind, ArgumentRole, BindingKind, Channel, Effect

ROOT = Path(__file__).parents[3]
MINIMAL = "version: 1\nname: demo\n"


def ward(at: Path, config: str = MINIMAL, **files: str) -> Path:
    (at / "toolward.yaml").write_text(config)
    for name, text in files.items():
        path = at / name.replace("__", "/").replace("_yaml", ".yaml").replace("_cedar", ".cedar").replace(
            "_py", ".py"
        )
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return at


def said(path: Path) -> list[str]:
    return [error.diagnostics() for error in check_ward(path)]


def test_a_whole_ward_is_read_into_bindings_manifests_and_policies(tmp_path: Path) -> None:
    ward(
        tmp_path,
        """\
version: 1
name: demo
profile: strict
channel: staging
servers:
  git:
    package: pypi:mcp-server-git==2026.10.19
    arguments: [--repository, repo]
    roots: [./repo]
    timeout_ms: 5000
  mine: {command: ./serve.py, arguments: [--fast], env: {KEY: "${secret:MINE}"}}
  far: {url: "https://mcp.example.com/mcp", accepts: [elicitation]}
""",
        tools__git_yaml="""\
server: git
owner: platform
purpose: history
review_by: 2027-05-01
tools:
  git_commit:
    effect: reversible
    egress: false
    arguments: {repo_path: {kind: path}, message: {role: content}}
    result: {integrity: trusted}
    result_fields: {/content/0/text: {confidentiality: confidential}}
    owner: release
""",
        policies__own_cedar="// nothing\n",
    )
    loaded = load_ward(tmp_path)
    git, mine, far = loaded.bindings
    assert (git.package, git.arguments, git.roots) == (
        "pypi:mcp-server-git==2026.10.19",
        ("--repository", "repo"),
        (str(tmp_path / "repo"),),
    )
    assert (mine.command, mine.arguments, mine.kind) == (("./serve.py", "--fast"), (), BindingKind.STDIO)
    assert (far.kind, far.accepts) == (BindingKind.HTTP, ("elicitation",))
    assert loaded.config.channel is Channel.STAGING
    manifest, metadata = loaded.manifests["git/git_commit"]
    assert manifest.effect is Effect.REVERSIBLE
    assert manifest.effect_source == "manifest"
    assert manifest.timeout_ms == 5000
    assert manifest.arguments == {
        "repo_path": Argument(kind=ArgumentKind.PATH),
        "message": Argument(role=ArgumentRole.CONTENT),
    }
    assert manifest.result == Label(Integrity.TRUSTED, Confidentiality.INTERNAL)
    assert manifest.result_fields == {
        "/content/0/text": Label(Integrity.UNTRUSTED, Confidentiality.CONFIDENTIAL)
    }
    assert (metadata.owner, metadata.purpose, metadata.review_by) == ("release", "history", "2027-05-01")
    assert set(loaded.files) == {"toolward.yaml", "tools/git.yaml", "policies/own.cedar"}
    assert loaded.policies == {"policies/own.cedar": "// nothing\n"}


def test_every_finding_is_told_at_once_with_file_line_and_remedy(tmp_path: Path) -> None:
    ward(
        tmp_path,
        """\
version: 1
name: demo
profil: guarded
servers:
  git:
    package: pypi:x==1
    timeout_ms: no
  two: {command: a, acepts: [sampling]}
agents:
  a: {effects: [read_onyl]}
""",
        tools__git_yaml="server: git\ntools:\n  a:\n    effect: readonly\n",
    )
    assert said(tmp_path) == [
        "toolward.yaml:3: unknown key `profil` in the file; did you mean `profile`?",
        "toolward.yaml:7: `servers.git.timeout_ms`: expected `whole number`, got `text`",
        "toolward.yaml:8: unknown key `acepts` in `servers.two`; did you mean `accepts`?",
        (
            "toolward.yaml:10: `agents.a.effects[0]`: invalid enum value 'read_onyl'; did you mean `read_only`? "
            "known: read_only, idempotent_write, reversible, compensable, irreversible"
        ),
        (
            "tools/git.yaml:4: `tools.a.effect`: invalid enum value 'readonly'; did you mean `read_only`? "
            "known: read_only, idempotent_write, reversible, compensable, irreversible"
        ),
    ]
    with pytest.raises(WardError) as caught:
        load_ward(tmp_path)
    assert caught.value.line == 3
    assert "4 more" in caught.value.reason.remedy


@pytest.mark.parametrize(
    ("config", "finding"),
    [
        ("servers: {a: {}}", "server `a` says not how to reach it"),
        ("servers: {a: {command: x, url: 'https://h/'}}", "server `a` has `command` and `url`"),
        ("servers: {a: {package: 'pypi:x'}}", "`pypi:x` is not a pinned package"),
        ("servers: {a: {package: 'pypi:x>=1'}}", "is not a pinned package"),
        ("servers: {a: {command: x, constraints: [y]}}", "`constraints` needs `package`"),
        ("servers: {a: {url: 'http://far.example/mcp'}}", "an unencrypted url beyond this machine"),
        ("servers: {a: {url: 'https://169.254.169.254/mcp'}}", "can not be connected to"),
        ("servers: {a: {url: 'https://2130706433/mcp'}}", "not in its canonical form"),
        ("servers: {a: {url: 'https://far.example:99999/mcp'}}", "port is no number"),
        ("servers: {a: {command: x, private_network: true}}", "`private_network` needs `url`"),
        ("servers: {a: {url: 'https://u:p4ssw0rd@h/mcp'}}", "the url holds a credential"),
        ("servers: {a: {url: 'ftp://h/'}}", "the url has no host"),
        ("servers: {a: {url: 'https://h/', env: {A: b}}}", "`env` means nothing for a remote server"),
        ("servers: {a: {command: x, headers: {A: b}}}", "`headers` needs `url`"),
        ("servers: {a: {command: x, env: {A: '${HOME}'}}}", "`${HOME}` is not known here"),
        (
            "servers: {a: {functions: f.py, commands: {x: {argv: [/x]}}}}",
            "has `functions` and `commands`",
        ),
        ("servers: {a: {functions: ../f.txt}}", "there is no Python source file `../f.txt`"),
        ("servers: {a: {functions: /dev/null}}", "there is no Python source file `/dev/null`"),
        ("servers: {a: {functions: toolward.yaml}}", "is not a Python source file of the ward"),
        (
            "servers: {a: {functions: f.py, env: {A: b}}}",
            "`env` means nothing for tools that run per call",
        ),
        ("servers: {a: {functions: f.py, requirements: ['x>1']}}", "`x>1` is not pinned"),
        ("servers: {a: {modules: {t: {file: ../f.wasm}}}}", "there is no WebAssembly module `../f.wasm`"),
        ("servers: {a: {modules: {t: {file: toolward.yaml}}}}", "is not a WebAssembly module of the ward"),
        ("servers: {a: {command: x, requirements: ['x==1']}}", "`requirements` needs `functions`"),
        ("servers: {a: {commands: {x: {argv: [wc]}}}}", "`wc` is not an absolute path"),
        ("servers: {a: {commands: {x: {argv: [/wc, '{y}']}}}}", "`{y}` names no argument"),
        ("servers: {a: {commands: {x: {argv: []}}}}", "length >= 1"),
        ("servers: {A__b: {command: x}}", "expected `text`"),
        ("agents: {a: {servers: [gti]}}\nservers: {git: {command: x}}", "did you mean `git`?"),
        ("agents: {a: {tools: [x]}}", "`x` names no tool of a declared server"),
        ("agents: {a: {tools: []}}", "length >= 1"),
        ("unsafe: {anonymous: true}\nlisten: {host: 0.0.0.0}", "anonymous callers are let in"),
        ("listen: {port: 0}", "expected `whole number` >= 1"),
        ("listen: [1]", "`listen` must be a mapping"),
        ("a: &x 1", "anchors and aliases are not read"),
        ("profile: guarded\nprofile: observe", "the key `profile` stands here a second time"),
        ("<<: {a: 1}", "merge keys are not read"),
        ("servers: !!python/object:os.system {}", "is not read"),
        ("? {a: b}\n: c", "a key that is not text"),
        ("--- \nb: 1", "a second document begins here"),
        ("x: " + "[" * 40 + "]" * 40, "nested more than"),
        ("x: [1", "not yaml"),
        ("x: \x07", "a character that yaml does not allow"),
    ],
)
def test_what_is_wrong_is_said_plainly_and_points_at_a_line(
    tmp_path: Path, config: str, finding: str
) -> None:
    found = check_ward(ward(tmp_path, f"{MINIMAL}{config}\n"))
    assert any(finding in error.diagnostics() for error in found), [e.diagnostics() for e in found]
    assert all(error.line >= 3 for error in found)
    assert all(error.reason.text[0].islower() or error.reason.text[0] in "`$" for error in found)
    assert not any("p4ssw0rd" in error.diagnostics() for error in found)


def test_words_that_older_yaml_takes_for_something_else_stay_text(tmp_path: Path) -> None:
    root, found = read_yaml(b"a: no\nb: on\nc: 2027-05-01\nd: 012\ne: 1:30\nf: ~\ng: 1e3\n", file="x")
    assert found == []
    assert root is not None
    assert root.plain() == {
        "a": "no", "b": "on", "c": "2027-05-01", "d": 12.0, "e": "1:30", "f": None, "g": 1000.0,
    }  # fmt: skip


def test_an_alias_bomb_costs_nothing(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}]\n" for i in range(20))
    found = check_ward(ward(tmp_path, MINIMAL + bomb))
    assert [(e.line, e.reason.text) for e in found] == [(3, "anchors and aliases are not read")]


def test_a_link_out_of_the_ward_is_refused_and_one_inside_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.cedar"
    secret.write_text("permit (principal, action, resource);")
    place = tmp_path / "ward"
    place.mkdir()
    ward(place, policies__own_cedar="// mine\n")
    (place / "policies" / "same.cedar").symlink_to(place / "policies" / "own.cedar")
    assert set(load_ward(place).policies) == {"policies/own.cedar", "policies/same.cedar"}
    (place / "policies" / "evil.cedar").symlink_to(secret)
    assert said(place) == ["policies/evil.cedar: a link that leads out of the ward; put the file itself here"]
    (place / "policies" / "evil.cedar").unlink()
    (place / "tools").symlink_to(tmp_path)
    assert said(place) == ["tools: `tools` is not a directory of its own; put the files themselves here"]


def test_a_huge_file_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    ward(tmp_path, MINIMAL + "#" * FILE_BYTES_MAX)
    assert said(tmp_path) == [f"toolward.yaml: longer than {FILE_BYTES_MAX} bytes; split it"]


def test_a_file_that_would_be_overlooked_is_a_finding(tmp_path: Path) -> None:
    ward(tmp_path, "version: 1\nname: d\nservers: {git: {command: x}}\n")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "git.yml").write_text("server: git\n")
    (tmp_path / "tools" / "got.yaml").write_text("server: git\n")
    assert said(tmp_path) == [
        "tools/git.yml: `tools/git.yml` would not be read; name it `git.yaml`",
        "tools/got.yaml:1: `git` stands in `tools/got.yaml`; name it `tools/git.yaml`",
    ]


def test_no_ward_says_how_to_make_one(tmp_path: Path) -> None:
    assert said(tmp_path / "nowhere") == [
        f"toolward.yaml: there is no ward at `{tmp_path / 'nowhere'}`; run `toolward init WARD`"
    ]
    assert "holds no toolward.yaml" in said(tmp_path)[0]


def test_the_published_schemas_are_current() -> None:
    for name, body in schemas().items():
        assert (ROOT / "schema" / name).read_bytes() == body, "run `python -m toolward.config.schema schema`"


def test_a_source_file_is_read_but_not_run(tmp_path: Path) -> None:
    config = "version: 1\nname: demo\nservers:\n  a: {functions: functions/a.py}\n"
    mark = tmp_path / "mark"
    ward(tmp_path, config, functions__a_py=f"open({str(mark)!r}, 'w')\ndef f(x: int) -> int: return x\n")
    loaded = load_ward(tmp_path)
    assert "functions/a.py" in loaded.files
    assert loaded.bindings[0].kind is BindingKind.FUNCTIONS
    before = loaded.bindings[0].identity()
    (tmp_path / "functions" / "a.py").write_text("def f(x: int) -> int: return 2 * x\n")
    assert load_ward(tmp_path).bindings[0].identity() != before
    assert not mark.exists()
    (tmp_path / "functions" / "a.py").write_text("x = 1\ndef f(:\n")
    assert said(tmp_path) == ["functions/a.py:2: not Python: invalid syntax; mend it"]


def test_a_source_file_elsewhere_decides_but_is_no_file_of_the_ward(tmp_path: Path) -> None:
    (tmp_path / "ward").mkdir()
    (tmp_path / "a.py").write_text("def f() -> int: return 1\n")
    ward(tmp_path / "ward", "version: 1\nname: demo\nservers:\n  a: {functions: ../a.py}\n")
    loaded = load_ward(tmp_path / "ward")
    assert set(loaded.files) == {"toolward.yaml"}
    assert loaded.bindings[0].source == "def f() -> int: return 1\n"


MODULES = """\
version: 1
name: demo
servers:
  a: {modules: {t: {file: modules/a.wat, arguments: {n: {type: integer}}}}}
"""


def test_a_module_is_read_and_its_content_is_part_of_the_binding(tmp_path: Path) -> None:
    ward(tmp_path, MODULES)
    (tmp_path / "modules").mkdir()
    module = tmp_path / "modules" / "a.wat"
    module.write_text("(module)")
    loaded = load_ward(tmp_path)
    assert loaded.bindings[0].kind is BindingKind.MODULES
    assert loaded.bindings[0].modules["t"].code == b"(module)"
    before = loaded.bindings[0].identity()
    module.write_text("(module )")
    assert load_ward(tmp_path).bindings[0].identity() != before
    module.write_bytes(b"\0asm\x0d\0\x01\0")
    assert said(tmp_path) == [
        "modules/a.wat: a webassembly component, not a module; compile it for `wasm32-wasip1`"
    ]
    module.write_bytes(b"\x7fELF")
    assert said(tmp_path) == ["modules/a.wat: not webassembly; name a `.wasm` file, or a `.wat` text"]


def test_what_means_nothing_for_a_module_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "a.wat").write_text("(module)")
    dashed = MODULES.replace("type: integer", "may_begin_with_dash: true")
    connected = "server: a\ntools:\n  t: {effect: read_only, capabilities: {network: ['a.example:443']}}\n"
    ward(tmp_path, dashed, tools__a_yaml=connected)
    first, second = said(tmp_path)
    assert "`may_begin_with_dash` means nothing for a module" in first
    assert second.startswith("tools/a.yaml:3: webassembly has no network")


CAGES = """\
server: {server}
capabilities:
  read: [/proc/1]
  write:
    - {{template: "{{arg:path}}", root: /srv}}
    - {{template: "{{arg:path}}", root: "../x/.."}}
tools:
  t:
    effect: read_only
    capabilities:
      read:
        - data
        - .toolward/keys
      network: [api.example.org]
      secrets: [LD_PRELOAD]
      environment:
        PYTHONPATH: x
"""


def test_capabilities_that_no_call_could_be_granted_are_findings_with_their_lines(tmp_path: Path) -> None:
    ward(
        tmp_path,
        "version: 1\nname: demo\nservers:\n  c: {commands: {t: {argv: [/bin/true]}}}\n  p: {command: x}\n",
        tools__c_yaml=CAGES.format(server="c"),
        tools__p_yaml=CAGES.format(server="p"),
    )
    both = [
        (3, "`/proc/1` can not be granted"),
        (6, "is not an absolute path without `..`"),
        (13, "the state of a ward"),
        (14, "api.example.org"),
        (15, "`LD_PRELOAD` can not be granted"),
        (17, "`PYTHONPATH` can not be granted"),
    ]
    found = [(each.file, each.line, each.reason.text) for each in check_ward(tmp_path)]
    for file, wanted in (
        ("tools/c.yaml", both),
        ("tools/p.yaml", [*both, (5, "can not be scoped by call"), (10, "has no cage of its own")]),
    ):
        here = [(line, text) for name, line, text in found if name == file]
        for line, text in wanted:
            assert any(at == line and text in told for at, told in here), (line, text, here)
