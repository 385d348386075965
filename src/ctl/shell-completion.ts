import { UsageError } from "../command-line.ts";

/** What each shell is given: it asks `iovactl complete` for the words that may follow, and knows nothing itself. */
const SCRIPTS: Readonly<Record<string, string>> = {
  bash: `# bash completion of iovactl
_iovactl() {
  local IFS=$'\\n' line=\${COMP_LINE:0:COMP_POINT} word=\${COMP_WORDS[COMP_CWORD]} each
  local typed=\${line##*[[:blank:]]}
  # Bash has cut the word at colons and =: of a device's name, say, only what comes behind them is to be put in.
  [[ $word == [:=] ]] && word=
  local before=\${typed%"$word"}
  COMPREPLY=()
  for each in $("\${COMP_WORDS[0]}" complete --line -- "$line" 2>/dev/null); do
    COMPREPLY+=("\${each#"$before"}")
  done
}
complete -o default -F _iovactl iovactl
`,
  zsh: `#compdef iovactl
# zsh completion of iovactl
_iovactl() {
  local -a found
  found=("\${(@f)$("$words[1]" complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  found=("\${(@)found:#}")
  (( $#found )) && compadd -- "\${found[@]}" || _files
}
if [[ $funcstack[1] == _iovactl ]]; then _iovactl "$@"; else compdef _iovactl iovactl; fi
`,
  fish: `# fish completion of iovactl
function __iovactl_complete
  set -l words (commandline -opc)
  set -l program $words[1]
  set -e words[1]
  set -l found ($program complete -- $words (commandline -ct) 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c iovactl -f -a '(__iovactl_complete)'
`,
};

/** @throws UsageError */
export function completionScript(shell: string): string {
  const script = SCRIPTS[shell];
  if (script === undefined)
    throw new UsageError(`there is completion for ${Object.keys(SCRIPTS).join(", ")}, not for "${shell}"`);
  return script;
}

export const SHELLS: readonly string[] = Object.keys(SCRIPTS);
