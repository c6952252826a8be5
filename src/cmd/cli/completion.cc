#include "cmd/cli/completion.h"

#include <algorithm>
#include <cstdio>
#include <functional>
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
  std::string short_name = {};  // "w"
};

// What may follow a command, itself given as its path without the program: "" or "snapshot status".
struct Place {
  std::string path;
  std::vector<Word> words;
};

void AddOptions(const std::vector<const CLI::Option*>& options, std::vector<Word>* words) {
  for (const CLI::Option* option : options) {
    const auto& short_names = option->get_snames();
    words->push_back({"--" + option->get_lnames()[0], option->get_description(), true, !IsSwitch(*option),
                      short_names.empty() ? "" : short_names[0]});
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

// The commands that are known, and the flags that take the next word: with `separator` between.
std::string Paths(const std::vector<Place>& places, std::string_view separator) {
  std::string paths;
  for (const Place& place : places) {
    if (place.path.empty()) continue;
    paths.append(paths.empty() ? "" : separator).append(ShellQuote(place.path));
  }
  return paths;
}
std::string ValueFlags(const std::vector<Place>& places, std::string_view separator) {
  std::vector<std::string> flags;
  for (const Place& place : places) {
    for (const Word& word : place.words) {
      if (!word.takes_value) continue;
      flags.push_back(word.text);
      if (!word.short_name.empty()) flags.push_back("-" + word.short_name);
    }
  }
  std::sort(flags.begin(), flags.end());
  flags.erase(std::unique(flags.begin(), flags.end()), flags.end());
  std::string text;
  for (const std::string& flag : flags) text.append(text.empty() ? "" : separator).append(flag);
  return text;
}

constexpr std::string_view kFormats = "fields json protobuf simple table";

// Each finds the command among the words before the cursor, past the values of flags. bash cuts words at '='
// and ':' (COMP_WORDBREAKS), too: they are put together again, and what is proposed begins behind the last.
constexpr std::string_view kBashFrame = R"(# bash completion for PROGRAM
_PROGRAM_propose() {
  local typed=$1 cut
  shift
  mapfile -t COMPREPLY < <(compgen "$@" -- "$typed")
  cut=${typed%"${typed##*[=:]}"}
  [[ -z $cut || $COMP_WORDBREAKS != *"${cut: -1}"* ]] || COMPREPLY=("${COMPREPLY[@]#"$cut"}")
}
_PROGRAM_complete() {
  local line=${COMP_LINE:0:COMP_POINT} path= flag= current piece word candidate index
  local -a typed=()
  for ((index = 0; index <= COMP_CWORD; index++)); do
    piece=${COMP_WORDS[index]}
    if [[ $index == 0 || $line == [[:space:]]* ]]; then
      typed+=("$piece")
    else
      typed[${#typed[@]}-1]+=$piece
    fi
    line=${line#"${line%%[![:space:]]*}"}
    line=${line#"$piece"}
  done
  current=${typed[${#typed[@]}-1]}
  for ((index = 1; index < ${#typed[@]} - 1; index++)); do
    word=${typed[index]}
    flag=
    case $word in
      --) break ;;
      VALUE_FLAGS) flag=$word; ((++index)); continue ;;
      -*) continue ;;
    esac
    candidate=${path:+$path }$word
    case $candidate in
      PATHS) path=$candidate ;;
      *) break ;;
    esac
  done
  COMPREPLY=()
  # The value of a flag: behind '=', or the next word.
  if [[ $current == --*=* ]]; then
    flag=${current%%=*}
    current=${current#*=}
  elif ((${#typed[@]} > 1)); then
    flag=${typed[${#typed[@]}-2]}
  fi
  case $flag in
    -w|--write-out) _PROGRAM_propose "$current" -W 'FORMATS'; return ;;
    VALUE_FLAGS) _PROGRAM_propose "$current" -f; return ;;
  esac
  local words=
  case $path in
CASES  esac
  _PROGRAM_propose "$current" -W "$words"
  [[ ${#COMPREPLY[@]} -gt 0 ]] || _PROGRAM_propose "$current" -f
}
complete -o filenames -F _PROGRAM_complete PROGRAM
)";

constexpr std::string_view kZshFrame = R"(#compdef PROGRAM
# zsh completion for PROGRAM
_PROGRAM() {
  local place= flag= word candidate
  integer index
  for ((index = 2; index < CURRENT; index++)); do
    word=${words[index]}
    case $word in
      --) break ;;
      VALUE_FLAGS) ((index++)); continue ;;
      -*) continue ;;
    esac
    candidate=${place:+$place }$word
    case $candidate in
      PATHS) place=$candidate ;;
      *) break ;;
    esac
  done
  # The value of a flag: behind '=', or the next word.
  flag=${words[CURRENT-1]}
  if compset -P '--*='; then flag=${IPREFIX%=}; fi
  case $flag in
    -w|--write-out) compadd FORMATS; return ;;
    VALUE_FLAGS) _files; return ;;
  esac
  local -a choices
  case $place in
CASES  esac
  _describe 'PROGRAM' choices || _files
}
if [ "$funcstack[1]" = "_PROGRAM" ]; then _PROGRAM "$@"; else compdef _PROGRAM PROGRAM; fi
)";

constexpr std::string_view kFishFrame = R"(# fish completion for PROGRAM
function __PROGRAM_at
  set -l place
  set -l value 0
  for word in (commandline -opc)[2..-1]
    if test $value = 1
      set value 0
      continue
    end
    switch $word
      case --
        break
      case VALUE_FLAGS
        set value 1
        continue
      case '-*'
        continue
    end
    set -l candidate (string trim -- "$place $word")
    contains -- $candidate PATHS; or break
    set place $candidate
  end
  test "$place" = "$argv[1]"
end
CASES)";

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

std::string FishCase(const std::string& program, const Place& place) {
  std::string text;
  const std::string at =
      "complete -c " + program + " -n " + ShellQuote("__" + program + "_at " + ShellQuote(place.path));
  for (const Word& word : place.words) {
    if (word.flag) {
      text += at + " -l " + word.text.substr(2);
      if (!word.short_name.empty()) text += " -s " + word.short_name;
      if (word.text == "--write-out") {
        text += " -x -a " + ShellQuote(std::string(kFormats));
      } else if (word.takes_value) {
        text += " -r -F";
      }
    } else {
      text += at + " -f -a " + ShellQuote(word.text);
    }
    text += " -d " + ShellQuote(word.description) + "\n";
  }
  return text;
}

// `separator` stands between the alternatives of the shell's `case`.
std::string FillFrame(std::string_view frame, const std::string& program, const std::vector<Place>& places,
                      std::string_view separator, const std::function<std::string(const Place&)>& one_case) {
  std::string cases;
  for (const Place& place : places) cases += one_case(place);
  std::string text = Replace(std::string(frame), "PROGRAM", program);
  text = Replace(std::move(text), "VALUE_FLAGS", ValueFlags(places, separator));
  text = Replace(std::move(text), "PATHS", Paths(places, separator));
  text = Replace(std::move(text), "FORMATS", kFormats);
  return Replace(std::move(text), "CASES", cases);
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
  const std::string& program = tree.program();
  if (shell == "bash") return FillFrame(kBashFrame, program, places, "|", BashCase);
  if (shell == "zsh") return FillFrame(kZshFrame, program, places, "|", ZshCase);
  if (shell == "fish") {
    return FillFrame(kFishFrame, program, places, " ",
                     [&](const Place& place) { return FishCase(program, place); });
  }
  if (shell == "powershell") return PowerShellScript(program, places);
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
