#include "cmd/cli/command_tree.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <utility>

#include "cmd/cli/exit_code.h"
#include "cmd/cli/go_syntax.h"
#include "cmd/cli/near_names.h"

namespace quorate::cmd {
namespace {

// "--data-dir" of "--data-dir" or "-w,--write-out".
std::string LongName(const CLI::Option& option) {
  return option.get_lnames().empty() ? "" : option.get_lnames()[0];
}

std::vector<std::string> VisibleNames(const CLI::App* command) {
  std::vector<std::string> names;
  for (const auto& options : {OwnOptions(command), InheritedOptions(command)}) {
    for (const CLI::Option* option : options) names.push_back(LongName(*option));
  }
  names.emplace_back("help");
  return names;
}

CLI::Option* FindOption(CLI::App* command, const std::string& dashed_name) {
  for (; command != nullptr; command = command->get_parent()) {
    if (CLI::Option* option = command->get_option_no_throw(dashed_name); option != nullptr) return option;
  }
  return nullptr;
}

// Whether a flag by this name takes the next argument as its value, as far as one can say before the command
// is known: then flags of commands below count, too. An unknown one does.
bool MayTakeValue(const CLI::App* command, const std::string& dashed_name) {
  for (const CLI::App* app = command; app != nullptr; app = app->get_parent()) {
    if (const CLI::Option* option = app->get_option_no_throw(dashed_name)) return !IsSwitch(*option);
  }
  for (const CLI::App* below : command->get_subcommands([](const CLI::App*) { return true; })) {
    const CLI::Option* option = below->get_option_no_throw(dashed_name);
    if (option != nullptr || !below->get_subcommands([](const CLI::App*) { return true; }).empty()) {
      if (!MayTakeValue(below, dashed_name)) return false;
    }
  }
  return true;
}

bool IsFlag(const std::string& argument) { return argument.size() > 1 && argument[0] == '-'; }

std::vector<std::string> CommandNames(const CLI::App* command) {
  std::vector<std::string> names;
  for (const CLI::App* below : Subcommands(command)) names.push_back(below->get_name());
  return names;
}

// By its whole name, or by a beginning that no other has.
CLI::App* FindCommand(CLI::App* command, const std::string& name) {
  CLI::App* found = nullptr;
  for (CLI::App* below : command->get_subcommands([](CLI::App*) { return true; })) {
    if (below->get_name() == name) return below;
    if (!below->get_name().starts_with(name)) continue;
    if (found != nullptr) return nullptr;
    found = below;
  }
  return found;
}

std::string Padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

using DoesSomething = std::function<bool(const CLI::App*)>;

// Those below that do something: by their path from `command`, and what they do.
void CollectCommands(const CLI::App* command, const std::string& path, const DoesSomething& does_something,
                     std::map<std::string, std::string>* commands) {
  for (const CLI::App* below : Subcommands(command)) {
    const std::string name = path + below->get_name();
    if (does_something(below)) commands->emplace(name, below->get_description());
    CollectCommands(below, name + " ", does_something, commands);
  }
}

std::string CommandsText(const CLI::App* command, const DoesSomething& does_something) {
  std::map<std::string, std::string> commands;
  CollectCommands(command, "", does_something, &commands);
  size_t width = 0;
  for (const auto& [name, description] : commands) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, description] : commands)
    text += "\t" + Padded(name, width) + "  " + description + "\n";
  return text;
}

constexpr std::string_view kWantsUnsigned = "it must be a whole number, 0 or more";

// What CLI11 says a value should have been, in words.
std::string WantedText(const CLI::Option& option, const CLI::Error& error) {
  const std::string type = option.get_type_name();
  if (type == "UINT") return std::string(kWantsUnsigned);
  if (type == "INT") return "it must be a whole number";
  if (type == "FLOAT") return "it must be a number";
  return error.what();
}

}  // namespace

bool IsSwitch(const CLI::Option& option) { return option.get_items_expected_max() == 0; }

Status SetOption(CLI::Option* option, const std::string& value) {
  if (IsSwitch(*option)) {
    const auto on = ParseGoBool(value);
    if (!on.ok()) return InvalidArgument("it must be true or false");
    option->clear();
    option->add_result(*on ? "true" : "false");
  } else {
    // CLI11 lets a number without a sign wrap around.
    if (option->get_type_name() == "UINT" && value.starts_with('-')) return InvalidArgument(kWantsUnsigned);
    if (option->get_items_expected_max() <= 1) option->clear();
    option->add_result(value);
  }
  try {
    option->run_callback();
  } catch (const CLI::Error& error) {
    return InvalidArgument(WantedText(*option, error));
  }
  return absl::OkStatus();
}

std::vector<const CLI::Option*> OwnOptions(const CLI::App* command) {
  std::vector<const CLI::Option*> options;
  for (const CLI::Option* option : command->get_options()) {
    if (option != command->get_help_ptr() && !option->get_group().empty()) options.push_back(option);
  }
  return options;
}

std::vector<const CLI::Option*> InheritedOptions(const CLI::App* command) {
  std::vector<const CLI::Option*> options;
  for (command = command->get_parent(); command != nullptr; command = command->get_parent()) {
    for (const CLI::Option* option : OwnOptions(command)) options.push_back(option);
  }
  return options;
}

std::vector<const CLI::App*> Subcommands(const CLI::App* command) {
  return command->get_subcommands([](const CLI::App* below) { return !below->get_group().empty(); });
}

CommandTree::CommandTree(std::string program, std::string description)
    : program_(std::move(program)), root_(std::move(description), program_) {}

CommandTree::~CommandTree() = default;

CLI::App* CommandTree::Add(CLI::App* parent, std::string name, std::string description, std::string arguments,
                           CommandHandler handler) {
  CLI::App* command = parent->add_subcommand(std::move(name), std::move(description));
  nodes_[command] = {std::move(arguments), std::move(handler)};
  return command;
}

CLI::Option* CommandTree::AddDuration(CLI::App* command, std::string name, int64_t* nanos,
                                      std::string description) {
  const auto set = [nanos](const std::string& text) {
    const auto parsed = ParseGoDuration(text);
    if (!parsed.ok()) throw CLI::ValidationError(std::string(Message(parsed.status())));
    *nanos = *parsed;
  };
  return command->add_option_function<std::string>(std::move(name), set, std::move(description))
      ->default_str(GoDuration(*nanos));
}

std::string CommandTree::Path(const CLI::App* command) const {
  if (command->get_parent() == nullptr) return program_;
  return Path(command->get_parent()) + " " + command->get_name();
}

std::string CommandTree::FlagsText(const std::vector<const CLI::Option*>& options) {
  std::vector<std::pair<std::string, std::string>> rows;
  size_t width = 0;
  for (const CLI::Option* option : options) {
    std::string name = option->get_snames().empty() ? "      " : "  -" + option->get_snames()[0] + ", ";
    name += "--" + LongName(*option);
    const std::string& shown = option->get_default_str();
    if (!shown.empty()) name += "=" + (IsSwitch(*option) ? shown : GoQuote(shown));
    width = std::max(width, name.size());
    rows.emplace_back(std::move(name), option->get_description());
  }
  std::string text;
  for (const auto& [name, description] : rows) text += Padded(name, width) + "  " + description + "\n";
  return text;
}

std::string CommandTree::HelpText(const CLI::App* command) const {
  const auto node = nodes_.find(command);
  const auto below = Subcommands(command);
  // A group that does something by itself, too; one that has hidden flags only says what an older tool did.
  const DoesSomething does_something = [this](const CLI::App* one) {
    const auto found = nodes_.find(one);
    if (found == nodes_.end() || !found->second.handler) return false;
    return Subcommands(one).empty() || one->get_options().size() == 1;
  };
  std::string text =
      "NAME:\n\t" + Path(command) + " - " + command->get_description() + "\n\nUSAGE:\n\t" + Path(command);
  if (!below.empty()) text += does_something(command) ? " [command]" : " <command>";
  if (node != nodes_.end() && !node->second.arguments.empty()) text += " " + node->second.arguments;
  text += " [flags]\n";
  if (!below.empty()) text += "\nCOMMANDS:\n" + CommandsText(command, does_something);
  if (!command->get_footer().empty()) text += "\n" + command->get_footer() + "\n";
  if (const auto own = OwnOptions(command); !own.empty()) text += "\nFLAGS:\n" + FlagsText(own);
  if (const auto global = InheritedOptions(command); !global.empty()) {
    text += "\nGLOBAL FLAGS:\n" + FlagsText(global);
  }
  return text;
}

// Reads one command line.
struct CommandTree::Reader {
  CommandTree& tree;
  const std::vector<std::string>& args;
  CLI::App* command;
  std::vector<bool> is_command = std::vector<bool>(args.size(), false);
  Outcome outcome = {};
  bool help = false;

  bool Fail(std::string error) {
    outcome.error = std::move(error);
    outcome.exit_code = static_cast<int>(ExitCode::kError);
    return false;
  }

  // Sets `command` to the one that the arguments name.
  bool FindPath() {
    for (size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
      const std::string& arg = args[i];
      if (IsFlag(arg)) {
        const bool is_long = arg[1] == '-';
        const bool alone = is_long ? arg.find('=') == std::string::npos : arg.size() == 2;
        if (alone && MayTakeValue(command, arg)) ++i;
        continue;
      }
      if (Subcommands(command).empty()) return true;
      CLI::App* below = FindCommand(command, arg);
      // `help COMMAND` is `COMMAND --help`.
      if (below == nullptr && arg == "help" && command == &tree.root_) {
        help = is_command[i] = true;
        continue;
      }
      if (below == nullptr) {
        return Fail("unknown command " + GoQuote(arg) + " for " + GoQuote(tree.Path(command)) +
                    DidYouMean(NearNames(arg, CommandNames(command))));
      }
      command = below;
      is_command[i] = true;
    }
    return true;
  }

  bool Set(CLI::Option* option, const std::string& shown_name, const std::string& value) {
    const Status status = SetOption(option, value);
    return status.ok() || Fail("invalid argument " + GoQuote(value) + " for " + GoQuote(shown_name) +
                               " flag: " + std::string(Message(status)));
  }

  // *i stands at the flag, and afterwards at the last argument used.
  bool ReadLong(size_t* i) {
    const std::string& arg = args[*i];
    const size_t equals = arg.find('=');
    const std::string name = arg.substr(0, equals);
    if (name.size() < 3 || name[2] == '-') return Fail("bad flag syntax: " + arg);
    if (name == "--help") return help = true;
    CLI::Option* option = FindOption(command, name);
    if (option == nullptr) {
      return Fail("unknown flag: " + name +
                  DidYouMean(NearNames(name.substr(2), VisibleNames(command)), "--"));
    }
    if (equals != std::string::npos) return Set(option, name, arg.substr(equals + 1));
    if (IsSwitch(*option)) return Set(option, name, "true");
    if (*i + 1 >= args.size()) return Fail("flag needs an argument: " + name);
    return Set(option, name, args[++*i]);
  }

  bool ReadShort(size_t* i) {
    const std::string& arg = args[*i];
    for (size_t at = 1; at < arg.size(); ++at) {
      const std::string name = std::string("-") + arg[at];
      if (name == "-h") return help = true;
      CLI::Option* option = FindOption(command, name);
      if (option == nullptr) {
        return Fail("unknown shorthand flag: '" + name.substr(1) + "' in " + arg +
                    DidYouMean(NearNames(arg.substr(1, arg.find('=') - 1), VisibleNames(command)), "--"));
      }
      const std::string shown = name + ", --" + LongName(*option);
      std::string rest = arg.substr(at + 1);
      if (IsSwitch(*option) && !rest.starts_with('=')) {
        if (!Set(option, shown, "true")) return false;
        continue;
      }
      if (rest.starts_with('='))
        rest.erase(0, 1);
      else if (rest.empty()) {
        if (*i + 1 >= args.size()) return Fail("flag needs an argument: '" + name.substr(1) + "' in " + arg);
        rest = args[++*i];
      }
      return Set(option, shown, rest);
    }
    return true;
  }

  bool ReadFlags() {
    for (size_t i = 0; i < args.size(); ++i) {
      const std::string& arg = args[i];
      if (is_command[i]) continue;
      if (arg == "--") {
        outcome.arguments.before_dashes = outcome.arguments.values.size();
        outcome.arguments.values.insert(outcome.arguments.values.end(),
                                        args.begin() + static_cast<ptrdiff_t>(i) + 1, args.end());
        return true;
      }
      if (!IsFlag(arg)) {
        outcome.arguments.values.push_back(arg);
      } else if (!(arg[1] == '-' ? ReadLong(&i) : ReadShort(&i))) {
        return false;
      }
      if (help) return true;
    }
    return true;
  }

  bool CheckRequired() {
    std::string missing;
    for (const CLI::Option* option : OwnOptions(command)) {
      if (!option->get_required() || option->count() > 0) continue;
      missing += (missing.empty() ? "" : ", ") + GoQuote(LongName(*option));
    }
    return missing.empty() || Fail("required flag(s) " + missing + " not set");
  }
};

CommandTree::Outcome CommandTree::Parse(const std::vector<std::string>& args) {
  Reader reader{*this, args, &root_};
  if (!reader.FindPath() || !reader.ReadFlags()) return std::move(reader.outcome);
  const auto node = nodes_.find(reader.command);
  if (reader.help || node == nodes_.end() || !node->second.handler) {
    reader.outcome.out = HelpText(reader.command);
    return std::move(reader.outcome);
  }
  if (reader.CheckRequired()) reader.outcome.command = reader.command;
  return std::move(reader.outcome);
}

int CommandTree::Run(const std::vector<std::string>& args) {
  const Outcome outcome = Parse(args);
  if (outcome.command != nullptr) return nodes_.at(outcome.command).handler(outcome.arguments);
  if (!outcome.error.empty()) return Fail(static_cast<ExitCode>(outcome.exit_code), outcome.error);
  std::fputs(outcome.out.c_str(), stdout);
  return outcome.exit_code;
}

}  // namespace quorate::cmd
