#include "cmd/cli/completion.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "cmd/cli/exit_code.h"
#include "cmd/cli/go_syntax.h"
#include "cmd/cli/near_names.h"

namespace quorate::cmd {
namespace {

struct Word {
  std::string text;
  std::string description;
  bool flag = false;
  bool takes_value = false;
};

// What may follow a command, itself given as its path without the program: "" or "snapshot status".
struct Place {
  std::string path;
  std::vector<Word> words;
};

void AddOptions(const std::vector<const CLI::Option*>& options, std::vector<Word>* words) {
  for (const CLI::Option* option : options) {
    words->push_back({"--" + option->get_lnames()[0], option->get_description(), true, !IsSwitch(*option)});
  }
}

void Collect(const CLI::App* command, const std::string& path, std::vector<Place>* places) {
  Place place{path, {}};
  for (const CLI::App* below : Subcommands(command)) {
    place.words.push_back({below->get_name(), below->get_description()});
  }
  AddOptions(OwnOptions(command), &place.words);
  AddOptions(InheritedOptions(command), &place.words);
  places->push_back(std::move(place));
  for (const CLI::App* below : Subcommands(command)) {
    Collect(below, path.empty() ? below->get_name() : path + " " + below->get_name(), places);
  }
}

std::string Replace(std::string text, std::string_view what, std::string_view with) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
  return text;
}

// In single quotes, for POSIX shells.
std::string ShellQuote(const std::string& text) { return "'" + Replace(text, "'", "'\\''") + "'"; }

// Alternatives of a case pattern: the commands that are known, and the flags that take the next word.
std::string Paths(const std::vector<Place>& places) {
  std::string paths;
  for (const Place& place : places) {
    if (!place.path.empty()) paths += (paths.empty() ? "" : "|") + ShellQuote(place.path);
  }
  return paths;
}
std::string ValueFlags(const std::vector<Place>& places) {
  std::vector<std::string> flags = {"-w"};
  for (const Place& place : places) {
    for (const Word& word : place.words) {
      if (word.takes_value) flags.push_back(word.text);
    }
  }
  std::sort(flags.begin(), flags.end());
  flags.erase(std::unique(flags.begin(), flags.end()), flags.end());
  std::string pattern;
  for (const std::string& flag : flags) pattern += (pattern.empty() ? "" : "|") + flag;
  return pattern;
}

// Finds the command among the words before the cursor; `$words`, `$count` and the first index differ by
// shell.
constexpr std::string_view kBashFrame = R"(# bash completion for PROGRAM
_PROGRAM_complete() {
  local current=${COMP_WORDS[COMP_CWORD]} path= index word candidate
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=${COMP_WORDS[index]}
    case $word in
      VALUE_FLAGS) ((index++)); continue ;;
      -*) continue ;;
    esac
    candidate=${path:+$path }$word
    case $candidate in
      PATHS) path=$candidate ;;
      *) break ;;
    esac
  done
  COMPREPLY=()
  case ${COMP_WORDS[COMP_CWORD-1]} in
    -w|--write-out) COMPREPLY=($(compgen -W 'fields json protobuf simple table' -- "$current")); return ;;
    VALUE_FLAGS) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  local words=
  case $path in
CASES  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _PROGRAM_complete PROGRAM
)";

constexpr std::string_view kZshFrame = R"(#compdef PROGRAM
# zsh completion for PROGRAM
_PROGRAM() {
  local path= word candidate
  integer index
  for ((index = 2; index < CURRENT; index++)); do
    word=${words[index]}
    case $word in
      VALUE_FLAGS) ((index++)); continue ;;
      -*) continue ;;
    esac
    candidate=${path:+$path }$word
    case $candidate in
      PATHS) path=$candidate ;;
      *) break ;;
    esac
  done
  case ${words[CURRENT-1]} in
    -w|--write-out) compadd fields json protobuf simple table; return ;;
    VALUE_FLAGS) _files; return ;;
  esac
  local -a choices
  case $path in
CASES  esac
  _describe 'PROGRAM' choices
  _files
}
if [ "$funcstack[1]" = "_PROGRAM" ]; then _PROGRAM "$@"; else compdef _PROGRAM PROGRAM; fi
)";

std::string BashCase(const Place& place) {
  std::string words;
  for (const Word& word : place.words) words += (words.empty() ? "" : " ") + word.text;
  return "    " + ShellQuote(place.path) + ") words=" + ShellQuote(words) + " ;;\n";
}

std::string ZshCase(const Place& place) {
  std::string text = "    " + ShellQuote(place.path) + ")\n      choices=(\n";
  for (const Word& word : place.words) {
    text += "        " + ShellQuote(word.text + ":" + Replace(word.description, ":", "\\:")) + "\n";
  }
  return text + "      ) ;;\n";
}

std::string FillFrame(std::string_view frame, const std::string& program, const std::vector<Place>& places,
                      std::string (*one_case)(const Place&)) {
  std::string cases;
  for (const Place& place : places) cases += one_case(place);
  std::string text = Replace(std::string(frame), "PROGRAM", program);
  text = Replace(std::move(text), "VALUE_FLAGS", ValueFlags(places));
  text = Replace(std::move(text), "PATHS", Paths(places));
  return Replace(std::move(text), "CASES", cases);
}

std::string FishScript(const std::string& program, const std::vector<Place>& places) {
  std::string text = "# fish completion for " + program + "\nfunction __" + program +
                     "_at\n"
                     "  set -l found\n"
                     "  for word in (commandline -opc)[2..-1]\n"
                     "    string match -q -- '-*' $word; or set -a found $word\n"
                     "  end\n"
                     "  test \"$found\" = \"$argv[1]\"\n"
                     "end\n";
  for (const Place& place : places) {
    const std::string at =
        "complete -c " + program + " -n " + ShellQuote("__" + program + "_at " + ShellQuote(place.path));
    for (const Word& word : place.words) {
      if (word.flag) {
        text += at + " -l " + word.text.substr(2) + (word.takes_value ? " -r" : "");
      } else {
        text += at + " -f -a " + ShellQuote(word.text);
      }
      text += " -d " + ShellQuote(word.description) + "\n";
    }
  }
  return text;
}

std::string PowerShellScript(const std::string& program, const std::vector<Place>& places) {
  const auto quote = [](const std::string& text) { return "'" + Replace(text, "'", "''") + "'"; };
  std::string table;
  for (const Place& place : places) {
    std::string words;
    for (const Word& word : place.words) words += (words.empty() ? "" : ", ") + quote(word.text);
    table += "    " + quote(place.path) + " = @(" + words + ")\n";
  }
  return "# PowerShell completion for " + program + "\nRegister-ArgumentCompleter -Native -CommandName " +
         quote(program) +
         " -ScriptBlock {\n"
         "  param($word, $ast, $position)\n"
         "  $places = @{\n" +
         table +
         "  }\n"
         "  $path = ''\n"
         "  foreach ($element in $ast.CommandElements | Select-Object -Skip 1) {\n"
         "    $next = (\"$path $element\").Trim()\n"
         "    if ($places.ContainsKey($next)) { $path = $next }\n"
         "  }\n"
         "  $places[$path] | Where-Object { $_ -like \"$word*\" } |\n"
         "    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }\n"
         "}\n";
}

}  // namespace

StatusOr<std::string> CompletionScript(const CommandTree& tree, const CLI::App* root,
                                       std::string_view shell) {
  std::vector<Place> places;
  Collect(root, "", &places);
  if (shell == "bash") return FillFrame(kBashFrame, tree.program(), places, BashCase);
  if (shell == "zsh") return FillFrame(kZshFrame, tree.program(), places, ZshCase);
  if (shell == "fish") return FishScript(tree.program(), places);
  if (shell == "powershell") return PowerShellScript(tree.program(), places);
  return InvalidArgument("invalid argument " + GoQuote(shell) + " for " +
                         GoQuote(tree.program() + " completion") +
                         DidYouMean(NearNames(shell, {"bash", "zsh", "fish", "powershell"})));
}

void AddCompletionCommand(CommandTree* tree) {
  CLI::App* command =
      tree->Add(tree->root(), "completion", "Generate completion script", "[bash|zsh|fish|powershell]",
                [tree](const Arguments& arguments) {
                  if (arguments.values.size() != 1) {
                    return Fail(ExitCode::kError,
                                "accepts 1 arg(s), received " + std::to_string(arguments.values.size()));
                  }
                  const auto script = CompletionScript(*tree, tree->root(), arguments.values[0]);
                  if (!script.ok()) return Fail(script.status());
                  std::fputs(script->c_str(), stdout);
                  return 0;
                });
  const std::string& program = tree->program();
  command->footer(
      "TO LOAD COMPLETIONS:\n\tbash:  source <(" + program + " completion bash), or put it into " +
      "/etc/bash_completion.d/" + program + "\n\tzsh:   " + program + " completion zsh > \"${fpath[1]}/_" +
      program + "\"\n\tfish:  " + program + " completion fish > ~/.config/fish/completions/" + program +
      ".fish\n\tPowerShell: " + program + " completion powershell | Out-String | Invoke-Expression");
}

}  // namespace quorate::cmd
