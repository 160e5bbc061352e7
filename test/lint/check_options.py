#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the programs say of themselves with --help is what completion offers and the man pages tell:
commands, options, and the keys of a guest in vswd.yaml(5) and config/vsw.yaml, too.

usage: check_options.py FOLDER_OF_PROGRAMS
"""

import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAN = {"vsw": "vsw.1", "vswd": "vswd.8", "vsw-guest": "vsw-guest.1"}
FUNCTION = {"vsw": "_vsw", "vswd": "_vswd", "vsw-guest": "_vsw_guest"}
LIMITS = "limit-"

folder = pathlib.Path(sys.argv[1]).resolve()
env = dict(os.environ, PATH=f"{folder}:{os.environ['PATH']}", LC_ALL="C",
           VSW_API="/nonexistent/vsw.api")
mistakes = []


def run(*args):
    return subprocess.run(args, env=env, capture_output=True, text=True, check=True).stdout


def say(where, what, names):
    mistakes.extend(f"{where}: {what} {name}" for name in sorted(names))


def complete(program, *words):
    quoted = " ".join(f"'{word}'" for word in (program, *words))
    return set(run("bash", "-c", f"""source {ROOT}/config/completion/vsw
        COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; {FUNCTION[program]}
        printf '%s\\n' "${{COMPREPLY[@]}}" """).split())


def page(program):
    """The man page, without its markup and without prose's line ends."""
    text = (ROOT / f"doc/man/{MAN[program]}.scd").read_text()
    return re.sub(r"\\(.)", r"\1", text.replace("*", ""))


def has_word(text, word):
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text)


def options_of(text):
    """The options that a help text explains, each with its short form."""
    found = re.findall(r"^ +(?:(-\w), )?(--[a-z][a-z-]*)", text, re.MULTILINE)
    return {option for pair in found for option in pair if option}


def check(program, *command):
    options = options_of(run(program, *command, "--help"))
    if program == "vswd":
        options |= {f"--{key}" for key in keys()}
    where = " ".join((program, *command))
    longs = {option for option in options if option.startswith("--")}
    say(where, "completion does not offer", longs - complete(program, *command, "--"))
    say(where, "completion invents", complete(program, *command, "--") - longs - {"--version"})
    if program == "vsw-guest":
        return  # its page names the commands and leaves their options to --help
    text = page(program)
    if program == "vswd":
        text += (ROOT / "doc/man/vswd.yaml.5.scd").read_text().replace("\\", "")
        options -= {f"--{key}" for key in keys()}  # told as keys
    say(where, "the man page does not tell of",
        {option for option in options if not has_word(text, option)})


def commands(program):
    return re.findall(r"^  ([\w-]+(?: \w+)?)  ", run(program, "--help"), re.MULTILINE)


def keys():
    return set(re.findall(r"^    ([a-z-]+)=", run("vswd", "--help"), re.MULTILINE))


def check_commands(program):
    listed = commands(program)
    firsts = {command.split()[0] for command in listed}
    offered = {word for word in complete(program, "") if not word.startswith("-")}
    say(program, "completion does not offer", firsts - offered)
    say(program, "completion invents", offered - firsts)
    for command in listed:
        words = command.split()
        if len(words) == 2 and words[1] not in complete(program, words[0], ""):
            say(program, "completion does not offer", {command})
        if not has_word(page(program), command):
            say(program, "the man page does not tell of", {command})
        check(program, *words)


def check_keys():
    yaml = (ROOT / "doc/man/vswd.yaml.5.scd").read_text().replace("\\", "")
    example = (ROOT / "config/vsw.yaml").read_text()
    source = (ROOT / "lib/conf/guest_spec.c").read_text()
    known = set(re.findall(r'^\t\{"([a-z-]+)", VSW_KEY_', source, re.MULTILINE))
    say("vswd --help", "does not tell of the key", known - keys())
    say("vswd --help", "invents the key", keys() - known)
    for where, text in (("vswd.yaml.5", yaml), ("config/vsw.yaml", example)):
        say(where, "does not tell of the key",
            {key for key in known
             if not has_word(text, key.removeprefix(LIMITS).replace("-", "_"))})
    say("vsw guest add", "completion does not offer",
        {f"{key}=" for key in known} - complete("vsw", "guest", "add", ""))


def main():
    check("vswd")
    check_commands("vsw")
    check_commands("vsw-guest")
    check_keys()
    print("\n".join(mistakes) or "options, commands and keys are told right")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
